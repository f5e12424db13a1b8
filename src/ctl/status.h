// `portsentryctl status`: one screen. Pure.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "common/control_messages.h"
#include "ctl/table.h"

namespace portsentry::ctl {

// The mode first, then what holds, what it may still cost, who runs, and the counters that are not
// zero.
[[nodiscard]] std::string status_text(const StatusReply& status,
                                      const std::vector<NamedCount>& counters, std::time_t now,
                                      const Layout& layout);

// Every counter, under "counters".
[[nodiscard]] std::string status_json(const StatusReply& status,
                                      const std::vector<NamedCount>& counters);

// "armed, as BLOCK_TCP="1" BLOCK_UDP="0" in the file say", and the like; the mode verbs show it, too.
[[nodiscard]] Cell mode_cell(bool armed, const std::optional<OverrideShown>& override_mode,
                             std::time_t now);

}  // namespace portsentry::ctl
