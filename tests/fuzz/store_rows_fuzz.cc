// A row of the state file: any values of any type in any column. The first byte chooses the table;
// then, for each column, a byte for its type (mod 4: NULL, a number, a short text, a long text), and
// its value.
#include <cstring>
#include <string>

#include "fuzz.h"
#include "monitor/store_rows.h"

namespace portsentry::monitor {
namespace {

using fuzz::require;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : text_(fuzz::as_text(data, size)) {}
  std::uint8_t byte() {
    const std::string_view one = take(1);
    return one.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(one.front());
  }
  std::int64_t number() {
    std::int64_t value = 0;
    const std::string_view bytes = take(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  std::string_view take(std::size_t most) {
    const std::string_view taken = text_.substr(0, most);
    text_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view text_;
};

// Columns without a table.
Statement columns(sqlite3* db, int count) {
  std::string sql = "SELECT ?1";
  for (int i = 2; i <= count; ++i)
    sql += ", ?" + std::to_string(i);
  auto statement = prepare(db, sql);
  require(statement.has_value(), "SELECT gives what it is told");
  return std::move(*statement);
}

// What is accepted is written as something that is read as the same.
template <class Read, class Bind>
void judge(sqlite3* db, Input input, int count, Read read, Bind bind) {
  const Statement row = columns(db, count);
  for (int i = 1; i <= count; ++i) {
    switch (input.byte() % 4) {
      case 1:
        bind_number(row, i, input.number());
        break;
      case 2:
        bind_text(row, i, input.take(input.byte()));
        break;
      case 3:
        bind_text(row, i, input.take(std::size_t{input.byte()} * 16));
        break;
      default:
        break;
    }
  }
  require(sqlite3_step(row.get()) == SQLITE_ROW, "there is a row");
  const auto value = read(row);
  if (!value) return;
  const Statement again = columns(db, count);
  bind(again, *value);
  require(sqlite3_step(again.get()) == SQLITE_ROW, "there is a row again");
  const auto same = read(again);
  require(same && *same == *value, "what is accepted comes back as it was");
}

void judge(sqlite3* db, Input input) {
  switch (input.byte() % 6) {
    case 0:
      return judge(db, input, 11, read_ban, bind_ban);
    case 1:
      return judge(db, input, 3, read_offence, bind_offence);
    case 2:
      return judge(db, input, 4, read_allowed, bind_allowed);
    case 3:
      return judge(db, input, 4, read_override, bind_override);
    case 4:
      return judge(db, input, 3, read_score, bind_score);
    default:
      return judge(db, input, 12, read_event,
                   [](const Statement& row, const EventPage::Row& event) {
                     bind_event(row, event.id, event.event);
                   });
  }
}

}  // namespace
}  // namespace portsentry::monitor

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sqlite3* db = nullptr;
  portsentry::fuzz::require(sqlite3_open(":memory:", &db) == SQLITE_OK, "a database in memory");
  portsentry::monitor::judge(db, portsentry::monitor::Input(data, size));
  sqlite3_close(db);
  return 0;
}
