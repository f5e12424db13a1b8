// Short spellings for the tests of the scout.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/net_types.h"

namespace portsentry::scout {

inline Address address(std::string_view text) {
  return *Address::parse(text);
}
inline std::vector<std::string> texts(const std::vector<Address>& addresses) {
  std::vector<std::string> all;
  for (const Address& one : addresses)
    all.push_back(one.text());
  return all;
}
using Texts = std::vector<std::string>;

}  // namespace portsentry::scout
