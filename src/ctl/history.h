// `history`, `report`, `top` and `watch`: what happened. Pure.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "common/control_messages.h"
#include "ctl/table.h"

namespace portsentry::ctl {

// The newest last, as in a log. `events` come the newest first.
[[nodiscard]] std::string history_text(std::vector<EventShown> events, const Layout& layout);
[[nodiscard]] std::string history_json(std::vector<EventShown> events);

[[nodiscard]] std::string report_text(const std::vector<ReportRow>& rows, std::time_t since,
                                      const Layout& layout);
[[nodiscard]] std::string report_json(const std::vector<ReportRow>& rows, std::time_t since);

[[nodiscard]] std::string top_text(const TopReply& top, TopBy by, const Layout& layout);
[[nodiscard]] std::string top_json(const TopReply& top, TopBy by, std::time_t since);

// One event as it happens, and how many were not told. A line each.
[[nodiscard]] std::string watch_text(const EventShown& event, const Layout& layout);
[[nodiscard]] std::string watch_json(const EventShown& event);
[[nodiscard]] std::string missed_text(std::uint64_t count, const Layout& layout);
[[nodiscard]] std::string missed_json(std::uint64_t count);

}  // namespace portsentry::ctl
