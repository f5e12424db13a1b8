// The state file's tables, word for word, of every version that was ever released, and the way from
// each to the next. A file that holds anything else (a trigger, a view, one column more) is not ours.
#pragma once

#include <array>
#include <string_view>

#include "common/result.h"

struct sqlite3;

namespace portsentry::monitor {

// "psta": a file with another number is no state of ours, whatever its tables say.
inline constexpr int kApplicationId = 0x70737461;
inline constexpr int kSchemaVersion = 2;

// Sources and addresses are text, so that sqlite3(1) shows what people type. Times are seconds since
// 1970. What the numbers of enumerations mean is in memory.h.
inline constexpr std::array<std::string_view, 2> kSchema1{
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE bans("
    "source TEXT PRIMARY KEY, "
    "address TEXT NOT NULL, "
    "protocol INTEGER NOT NULL, "
    "port INTEGER NOT NULL, "
    "backend INTEGER NOT NULL, "
    "since INTEGER NOT NULL, "
    "until INTEGER, "
    "offences INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID",
};

inline constexpr std::array<std::string_view, 8> kSchema{
    kSchema1[0],
    "CREATE TABLE bans("
    "source TEXT PRIMARY KEY, "    // 192.0.2.1, 2001:db8::/64
    "address TEXT NOT NULL, "      // the host inside it that was seen
    "protocol INTEGER NOT NULL, "  // 6, 17
    "port INTEGER NOT NULL, "      // 1..65535
    "backend INTEGER NOT NULL, "   // BanBackend
    "origin INTEGER NOT NULL, "    // Origin
    "proof INTEGER NOT NULL, "     // Proof
    "since INTEGER NOT NULL, "
    "until INTEGER, "  // NULL: permanent
    "offences INTEGER NOT NULL, "
    "note TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID",
    "CREATE TABLE offences("
    "source TEXT PRIMARY KEY, "
    "count INTEGER NOT NULL, "
    "last_end INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID",
    "CREATE TABLE allowed("
    "prefix TEXT PRIMARY KEY, "  // 192.0.2.0/24
    "since INTEGER NOT NULL, "
    "until INTEGER, "  // NULL: until it is removed
    "note TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID",
    "CREATE TABLE override("
    "id INTEGER PRIMARY KEY, "  // 1, and no other
    "mode INTEGER NOT NULL, "   // Override::Mode
    "since INTEGER NOT NULL, "
    "confirm_by INTEGER"  // NULL: it stands
    ") STRICT",
    "CREATE TABLE scores("
    "source TEXT PRIMARY KEY, "
    "reported INTEGER NOT NULL, "
    "touches TEXT NOT NULL"  // "6/23@1756178490 17/161@1756178491"
    ") STRICT, WITHOUT ROWID",
    "CREATE TABLE events("
    "id INTEGER PRIMARY KEY, "
    "at INTEGER NOT NULL, "
    "kind INTEGER NOT NULL, "  // EventKind
    "source TEXT, "
    "address TEXT, "
    "protocol INTEGER, "
    "port INTEGER, "
    "scan INTEGER, "   // ScanKind
    "proof INTEGER, "  // Proof
    "ports INTEGER NOT NULL, "
    "until INTEGER, "
    "detail TEXT NOT NULL"
    ") STRICT",
    "CREATE INDEX events_by_source ON events(source)",
};

// All tables of the newest version, in a file without any. Inside a transaction of the caller's.
Result<void> make_schema(sqlite3* db);

// Whether the file's tables are those of `version`, no more and no less. An error: it cannot be read.
Result<bool> has_schema(sqlite3* db, int version);

// From version 1 to the newest, with all rows. Inside a transaction of the caller's.
Result<void> migrate_from_1(sqlite3* db);

// `meta`, where the version and the machine's boot are written.
Result<void> put_meta(sqlite3* db, std::string_view key, std::string_view value);

}  // namespace portsentry::monitor
