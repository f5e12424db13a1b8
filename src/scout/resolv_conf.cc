#include "scout/resolv_conf.h"

#include <algorithm>

#include "scout/key_values.h"

namespace portsentry::scout {

std::vector<Address> name_servers(std::string_view text) {
  constexpr std::string_view kKeyword = "nameserver";
  std::vector<Address> found;
  each_line(text, [&](std::string_view line) {
    // The keyword begins the line, and the value ends at the next blank (resolv.conf(5)).
    if (found.size() >= kMostResolvers || !line.starts_with(kKeyword)) return;
    line.remove_prefix(kKeyword.size());
    if (line.empty() || (line.front() != ' ' && line.front() != '\t')) return;
    line = trimmed(line);
    const auto address = Address::parse(line.substr(0, line.find_first_of(" \t")));
    if (!address || !address->is_routable_unicast()) return;
    if (std::find(found.begin(), found.end(), *address) == found.end()) found.push_back(*address);
  });
  return found;
}

}  // namespace portsentry::scout
