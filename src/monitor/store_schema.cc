#include "monitor/store_schema.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "monitor/memory.h"
#include "monitor/sqlite.h"

namespace portsentry::monitor {
namespace {

Result<void> make_all(sqlite3* db, std::span<const std::string_view> tables) {
  Result<void> done;
  for (const std::string_view table : tables)
    if (done) done = execute(db, std::string(table));
  return done;
}

// Nothing, when there are more than `most`.
Result<std::vector<std::string>> tables_of(sqlite3* db, std::size_t most) {
  const auto rows = prepare(db, "SELECT sql FROM sqlite_schema ORDER BY rowid");
  if (!rows) return rows.error();
  std::vector<std::string> tables;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(rows->get())) == SQLITE_ROW && tables.size() <= most)
    tables.push_back(column_text(*rows, 0));
  if (step != SQLITE_ROW && step != SQLITE_DONE) return sqlite_error(db, "read the schema");
  return tables;
}

}  // namespace

Result<void> make_schema(sqlite3* db) {
  auto done = execute(db, "PRAGMA application_id = " + std::to_string(kApplicationId));
  if (done) done = make_all(db, kSchema);
  if (done) done = put_meta(db, "schema", std::to_string(kSchemaVersion));
  return done;
}

Result<bool> has_schema(sqlite3* db, int version) {
  const std::span<const std::string_view> wanted =
      version == 1 ? std::span<const std::string_view>(kSchema1) : kSchema;
  const auto tables = tables_of(db, wanted.size());
  if (!tables) return tables.error();
  return std::equal(tables->begin(), tables->end(), wanted.begin(), wanted.end());
}

// Version 1 knew only bans that probes led to, and not how sure those were.
Result<void> migrate_from_1(sqlite3* db) {
  auto done = execute(db, "ALTER TABLE bans RENAME TO bans_1");
  if (done) done = make_all(db, std::span(kSchema).subspan(1));
  if (done) {
    done = execute(db, "INSERT INTO bans SELECT source, address, protocol, port, backend, " +
                           std::to_string(static_cast<int>(Origin::scan)) + ", " +
                           std::to_string(static_cast<int>(Proof::forgeable)) +
                           ", since, until, offences, '' FROM bans_1");
  }
  if (done) done = execute(db, "DROP TABLE bans_1");
  if (done) done = put_meta(db, "schema", std::to_string(kSchemaVersion));
  return done;
}

Result<void> put_meta(sqlite3* db, std::string_view key, std::string_view value) {
  const auto statement = prepare(db, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)");
  if (!statement) return statement.error();
  bind_text(*statement, 1, key);
  bind_text(*statement, 2, value);
  return run(db, *statement, "remember " + std::string(key));
}

}  // namespace portsentry::monitor
