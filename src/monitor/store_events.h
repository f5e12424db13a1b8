// Questions about the events in the state file, answered in bounded pages; and the end of old events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <vector>

#include "common/result.h"
#include "monitor/memory.h"

struct sqlite3;

namespace portsentry::monitor {

// How many are kept, and for how long. Older ones go in steps, so that no commit waits for many.
inline constexpr std::uint64_t kMaxEvents = 200'000;
inline constexpr std::time_t kEventAge = std::time_t{90} * 24 * 3600;
inline constexpr std::size_t kTrimStep = 64;

// Rows with impossible values are left out.
Result<EventPage> find_events(sqlite3* db, const EventQuery& query);
// Most first.
Result<std::vector<TopRow>> count_events(sqlite3* db, const TopQuery& query);

// The greatest id in use; 0: there is no event.
Result<std::uint64_t> last_event(sqlite3* db);
// Removes the oldest events, as far as they are too many or too old, at most kTrimStep. Returns how
// many. Inside a transaction of the caller's.
Result<std::size_t> trim_events(sqlite3* db, std::uint64_t last, std::time_t now);

}  // namespace portsentry::monitor
