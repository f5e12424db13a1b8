// Whom the traps never hold: what the guard refuses to ban by itself, and the monitor's list. Pure.
#pragma once

#include <span>
#include <vector>

#include "common/local_view.h"
#include "common/net_types.h"

namespace portsentry::enforcer {

struct ExemptLists {
  std::vector<Prefix> networks;  // root's own first
  std::vector<Prefix> on_link;   // the networks of our own links
  bool cut = false;              // the monitor's list was longer than the kernel is given
  bool operator==(const ExemptLists&) const = default;
};

// `view`: never null: whoever does not know this host holds nobody. `protect`: PROTECT_NETWORKS.
// `told`: the monitor's. Together no longer than kMaxExemptWritten (firewall.h): those that do not
// fit are held, judged and released.
[[nodiscard]] ExemptLists exempt_lists(const LocalView& view, std::span<const Prefix> protect,
                                       std::span<const Prefix> told);

}  // namespace portsentry::enforcer
