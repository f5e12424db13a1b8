// Times and durations as people type and read them, in the time zone of the caller (TZ). Pure but for
// the zone.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "common/result.h"

namespace portsentry::ctl {

// "1h" (so long before `now`), "2026-11-22", "2026-11-22 10:00" or with seconds; a 'T' between date
// and time is as good as a blank. Seconds since 1970, 0..now.
Result<std::time_t> parse_since(std::string_view text, std::time_t now);

// "2026-11-22 10:00:03"; "-" where the zone's tables cannot say.
[[nodiscard]] std::string moment_text(std::time_t at);

// Two units at most, the second one only where it says something: "45s", "9m 59s", "6d 23h".
[[nodiscard]] std::string duration_text(std::chrono::seconds duration);

// What is left of it at `now`: a duration; "over" when nothing is.
[[nodiscard]] std::string left_text(std::time_t until, std::time_t now);

// "1.3 ms", "42 us", "2.50 s": to compare hops with.
[[nodiscard]] std::string short_time_text(std::uint64_t microseconds);

}  // namespace portsentry::ctl
