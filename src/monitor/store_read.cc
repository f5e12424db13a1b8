#include "monitor/store_read.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "monitor/sqlite.h"
#include "monitor/store_rows.h"

namespace portsentry::monitor {
namespace {

// Appends to `values` what `read` makes of the rows of `sql`; `refused` counts the others.
template <class Value, class Read>
Result<void> read_rows(sqlite3* db, const std::string& sql, Read read, std::size_t most,
                       std::vector<Value>& values, std::size_t& refused) {
  const auto rows = prepare(db, sql);
  if (!rows) return rows.error();
  std::size_t taken = 0;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(rows->get())) == SQLITE_ROW) {
    auto value = taken < most ? read(*rows) : std::nullopt;
    if (value) {
      values.push_back(std::move(*value));
      ++taken;
    } else {
      ++refused;
    }
  }
  if (step != SQLITE_DONE) return sqlite_error(db, "read what is remembered");
  return {};
}

// The table in the order of `key`, which each row holds once.
template <class Value, class Read, class KeyOf>
Result<void> read_table(sqlite3* db, const std::string& sql, std::string_view key, Reading reading,
                        Read read, std::size_t most, KeyOf key_of, std::vector<Value>& values,
                        std::size_t& refused) {
  const std::string ordered = sql + " ORDER BY " + std::string(key);
  auto done = read_rows(db, ordered, read, most, values, refused);
  if (done || reading == Reading::strict) return done;
  // From the other end, to the damage; what both found is there once.
  static_cast<void>(read_rows(db, ordered + " DESC", read, most, values, refused));
  const auto less = [&](const Value& a, const Value& b) { return key_of(a) < key_of(b); };
  const auto same = [&](const Value& a, const Value& b) { return key_of(a) == key_of(b); };
  std::stable_sort(values.begin(), values.end(), less);
  values.erase(std::unique(values.begin(), values.end(), same), values.end());
  return {};
}

// Version 1 in the columns of version 2; its bans were all of probes (store_schema.cc).
constexpr std::string_view kBans1 =
    "SELECT source, address, protocol, port, backend, 1, 1, since, until, offences, '' FROM bans";

}  // namespace

Result<MemoryRead> read_memory(sqlite3* db, int version, Reading reading) {
  MemoryRead read;
  Memory& memory = read.memory;
  const auto source = [](const auto& value) { return value.source; };
  auto done =
      read_table(db, std::string(version == 1 ? kBans1 : std::string_view("SELECT * FROM bans")),
                 "source", reading, read_ban, kMaxStoredBans, source, memory.bans, read.refused);
  if (version != 1 && done) {
    done = read_table(db, "SELECT * FROM offences", "source", reading, read_offence, kMaxOffences,
                      source, memory.offences, read.refused);
  }
  if (version != 1 && done) {
    done = read_table(
        db, "SELECT * FROM allowed", "prefix", reading, read_allowed, kMaxAllowed,
        [](const Allowed& value) { return value.prefix; }, memory.allowed, read.refused);
  }
  if (version != 1 && done) {
    done = read_table(db, "SELECT * FROM scores", "source", reading, read_score, kMaxScores, source,
                      memory.scores, read.refused);
  }
  if (version != 1 && done) {
    std::vector<Override> overrides;
    done = read_table(
        db, "SELECT * FROM override", "id", reading, read_override, 1,
        [](const Override& value) { return value.since; }, overrides, read.refused);
    if (!overrides.empty()) memory.override = overrides.front();
  }
  if (!done) return done.error();
  return read;
}

}  // namespace portsentry::monitor
