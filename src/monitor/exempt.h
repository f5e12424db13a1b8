// Whom the kernel's traps never hold: everybody of whom it is certain before any probe that no ban would
// follow. Whoever is ignored or spared under a condition is held, judged and released. Pure.
#pragma once

#include <ctime>
#include <vector>

#include "common/net_types.h"
#include "monitor/allow_list.h"
#include "monitor/ignore_list.h"
#include "monitor/protected.h"

namespace portsentry::monitor {

// In order, each once, at most kMaxExemptAll (messages.h). `now.wall` decides about lines with an end.
[[nodiscard]] std::vector<Prefix> exempt_networks(const Shield& shield, const IgnoreList& ignored,
                                                  const AllowList& allowed, Now now);

}  // namespace portsentry::monitor
