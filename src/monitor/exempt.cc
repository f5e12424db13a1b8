#include "monitor/exempt.h"

#include <algorithm>

#include "common/messages.h"

namespace portsentry::monitor {

std::vector<Prefix> exempt_networks(const Shield& shield, const IgnoreList& ignored,
                                    const AllowList& allowed, Now now) {
  std::vector<Prefix> networks;
  for (const ProtectedEntry& entry : protected_entries(shield, now))
    networks.push_back(entry.prefix);
  allowed.each_after(std::nullopt, [&networks](const Allowed& entry) {
    networks.push_back(entry.prefix);
    return true;
  });
  for (const IgnoreList::Entry& entry : ignored.entries()) {
    const auto* conditions = ignored.conditions(entry);
    if (conditions != nullptr && conditions->about_probes()) continue;
    if (conditions != nullptr && conditions->until && *conditions->until <= now.wall) continue;
    networks.push_back(entry.prefix);
  }
  std::ranges::sort(networks);
  networks.erase(std::unique(networks.begin(), networks.end()), networks.end());
  if (networks.size() > kMaxExemptAll) networks.resize(kMaxExemptAll, networks.front());
  return networks;
}

}  // namespace portsentry::monitor
