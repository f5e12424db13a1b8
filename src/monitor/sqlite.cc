#include "monitor/sqlite.h"

namespace portsentry::monitor {

Error sqlite_error(sqlite3* db, std::string_view attempted) {
  std::string what = "state: ";
  what.append(attempted).append(": ").append(sqlite3_errmsg(db));
  return {std::move(what), sqlite3_system_errno(db)};
}

Result<void> execute(sqlite3* db, const std::string& sql) {
  if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return sqlite_error(db, sql.substr(0, sql.find('(')));
}

Result<Statement> prepare(sqlite3* db, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) !=
      SQLITE_OK) {
    return sqlite_error(db, sql.substr(0, sql.find('(')));
  }
  return Statement(statement);
}

void rewind(const Statement& statement) {
  sqlite3_reset(statement.get());
  sqlite3_clear_bindings(statement.get());
}

Result<void> run(sqlite3* db, const Statement& statement, std::string_view what) {
  if (sqlite3_step(statement.get()) == SQLITE_DONE) return {};
  auto error = sqlite_error(db, what);
  sqlite3_reset(statement.get());
  return error;
}

Result<std::string> ask(sqlite3* db, std::string_view sql) {
  const auto statement = prepare(db, sql);
  if (!statement) return statement.error();
  const int step = sqlite3_step(statement->get());
  if (step == SQLITE_ROW) return column_text(*statement, 0);
  if (step == SQLITE_DONE) return std::string();
  return sqlite_error(db, sql);
}

void bind_text(const Statement& statement, int index, std::string_view text) {
  sqlite3_bind_text(statement.get(), index, text.data(), static_cast<int>(text.size()),
                    SQLITE_TRANSIENT);
}

void bind_number(const Statement& statement, int index, std::int64_t number) {
  sqlite3_bind_int64(statement.get(), index, number);
}

void bind_number(const Statement& statement, int index, std::optional<std::int64_t> number) {
  if (number) {
    sqlite3_bind_int64(statement.get(), index, *number);
  } else {
    sqlite3_bind_null(statement.get(), index);
  }
}

std::string column_text(const Statement& statement, int index) {
  const unsigned char* text = sqlite3_column_text(statement.get(), index);
  const int size = sqlite3_column_bytes(statement.get(), index);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
}

std::int64_t column_number(const Statement& statement, int index) {
  return sqlite3_column_int64(statement.get(), index);
}

bool column_is_null(const Statement& statement, int index) {
  return sqlite3_column_type(statement.get(), index) == SQLITE_NULL;
}

}  // namespace portsentry::monitor
