// Networks as the kernel's interval sets want them: ranges that neither overlap nor touch. Pure.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "common/net_types.h"

namespace portsentry::enforcer {

struct AddressRange {
  Address first;
  std::optional<Address> behind;  // the first address after it; nothing: it ends with the last one
  bool operator==(const AddressRange&) const = default;
};

// Those of one family: `v4` says which. In order of addresses.
[[nodiscard]] std::vector<AddressRange> address_ranges(std::span<const Prefix> networks, bool v4);

}  // namespace portsentry::enforcer
