// Reads everything that the state file remembers, from a whole file or from what is left of one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/result.h"
#include "monitor/memory.h"

struct sqlite3;

namespace portsentry::monitor {

// As many rows as are believed: the kernel's sets hold no more bans, and nobody types so many
// entries.
inline constexpr std::size_t kMaxStoredBans = 1'048'576;
inline constexpr std::size_t kMaxOffences = 1'048'576;
inline constexpr std::size_t kMaxAllowed = 65'536;
inline constexpr std::size_t kMaxScores = 65'536;

// `salvage`: from a damaged file, each table from both ends as far as it can be read.
enum class Reading : std::uint8_t { strict, salvage };

struct MemoryRead {
  Memory memory;            // no events
  std::size_t refused = 0;  // rows with impossible values, or beyond the counts above
};
// `version` is the file's, and its tables are that version's (store_schema.h). Reading::salvage knows
// no error.
Result<MemoryRead> read_memory(sqlite3* db, int version, Reading reading);

}  // namespace portsentry::monitor
