// Rows of the state file to values and back. A row is judged as if a stranger had written it: what it
// says is a value of memory.h that cannot be wrong, or nothing. (The file is ours alone, but a disk
// may have changed it, and an administrator with sqlite3(1).)
//
// The columns of a statement that is read, and the parameters of one that is written, are those of
// the table, in its order (store_schema.h).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "monitor/memory.h"
#include "monitor/sqlite.h"

namespace portsentry::monitor {

// No time beyond the year 9999: what is later is damage, and sums with it would not fit.
inline constexpr std::time_t kLatestTime = 253'402'300'799;

std::optional<StoredBan> read_ban(const Statement& row);
std::optional<Offence> read_offence(const Statement& row);
std::optional<Allowed> read_allowed(const Statement& row);
std::optional<Override> read_override(const Statement& row);
std::optional<Score> read_score(const Statement& row);
std::optional<EventPage::Row> read_event(const Statement& row);

void bind_ban(const Statement& row, const StoredBan& ban);
void bind_offence(const Statement& row, const Offence& offence);
void bind_allowed(const Statement& row, const Allowed& allowed);
void bind_override(const Statement& row, const Override& override);
void bind_score(const Statement& row, const Score& score);
void bind_event(const Statement& row, std::uint64_t id, const Event& event);

inline constexpr std::uint64_t kLastEventId = std::uint64_t{1} << 53U;

// One line: control characters and what is not UTF-8 become '?', and at most `most` bytes are left,
// cut between characters.
std::string one_line(std::string_view text, std::size_t most);

}  // namespace portsentry::monitor
