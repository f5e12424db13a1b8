// Whom the monitor never asks to ban, by this host's own view of itself. The enforcer's guard
// judges every request again with its own view, and has the last word; asking first here spares it
// requests that cannot succeed and gives people the reason.
#pragma once

#include <cstdint>

#include "common/local_view.h"
#include "common/net_types.h"

namespace portsentry::monitor {

enum class Protection : std::uint8_t { none, not_unicast, own_address, next_hop };

// Judges the whole prefix: a /64 that contains a protected address is protected.
Protection protection(const Prefix& prefix, const LocalView& view);

}  // namespace portsentry::monitor
