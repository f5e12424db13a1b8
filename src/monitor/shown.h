// What the monitor knows, as portsentryctl is told. Pure: values in, values out that fit their
// messages, whatever the store or the network put in.
#pragma once

#include <cstdint>

#include "common/control_messages.h"
#include "monitor/memory.h"

namespace portsentry::monitor {

// `id` 0: it is not on the disk (yet).
[[nodiscard]] EventShown shown(const Event& event, std::uint64_t id);

[[nodiscard]] AllowedShown shown(const Allowed& entry);

// A moment that can be told: the store's are never negative.
[[nodiscard]] std::time_t moment(std::time_t at);

}  // namespace portsentry::monitor
