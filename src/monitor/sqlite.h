// SQLite with our ownership and our errors: statements that finalize themselves, values that are
// bound and read by type, transactions that are whole or nothing. Only the store's files include it.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace portsentry::monitor {

struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

// "state: ATTEMPTED: what SQLite says", with the errno that it saw.
Error sqlite_error(sqlite3* db, std::string_view attempted);

// One statement or several, without values and without rows.
Result<void> execute(sqlite3* db, const std::string& sql);
Result<Statement> prepare(sqlite3* db, std::string_view sql);
// Ready for other values; those that were bound are gone.
void rewind(const Statement& statement);
// Runs a statement that gives no row. `what` names it in an error.
Result<void> run(sqlite3* db, const Statement& statement, std::string_view what);
// The first column of the first row as text; empty when there is none.
Result<std::string> ask(sqlite3* db, std::string_view sql);

// Parameters count from 1, columns from 0: SQLite's ways.
void bind_text(const Statement& statement, int index, std::string_view text);
void bind_number(const Statement& statement, int index, std::int64_t number);
void bind_number(const Statement& statement, int index, std::optional<std::int64_t> number);
std::string column_text(const Statement& statement, int index);
std::int64_t column_number(const Statement& statement, int index);
bool column_is_null(const Statement& statement, int index);

// All of `changes` or nothing of it.
template <class Changes>
Result<void> transaction(sqlite3* db, Changes changes) {
  auto done = execute(db, "BEGIN IMMEDIATE");
  if (done) done = changes();
  if (done) done = execute(db, "COMMIT");
  // Some errors have rolled back by themselves; a second time is an error that means nothing.
  if (!done && sqlite3_get_autocommit(db) == 0) static_cast<void>(execute(db, "ROLLBACK"));
  return done;
}

}  // namespace portsentry::monitor
