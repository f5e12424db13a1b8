#include "monitor/store_events.h"

#include <algorithm>
#include <limits>
#include <string>

#include "monitor/sqlite.h"
#include "monitor/store_rows.h"

namespace portsentry::monitor {
namespace {

constexpr std::int64_t kNoCursor = std::numeric_limits<std::int64_t>::max();

std::string key_of(TopQuery::By by, const Statement& row) {
  switch (by) {
    case TopQuery::By::source:
      return one_line(column_text(row, 0), kMaxNote);
    case TopQuery::By::port:
      return std::string(column_number(row, 0) == static_cast<int>(Protocol::tcp) ? "TCP "
                                                                                  : "UDP ") +
             std::to_string(column_number(row, 1));
    case TopQuery::By::kind: {
      const std::int64_t kind = column_number(row, 0);
      const bool known = kind >= 1 && kind <= static_cast<std::int64_t>(kEventNames.size());
      return std::string(known ? name(static_cast<EventKind>(kind)) : "unknown");
    }
  }
  return {};
}

// The columns that make a group, always two.
std::string_view columns_of(TopQuery::By by) {
  switch (by) {
    case TopQuery::By::source:
      return "source, NULL";
    case TopQuery::By::port:
      return "protocol, port";
    case TopQuery::By::kind:
      return "kind, NULL";
  }
  return {};
}

std::string_view named_by(TopQuery::By by) {
  switch (by) {
    case TopQuery::By::source:
      return "source IS NOT NULL";
    case TopQuery::By::port:
      return "port IS NOT NULL";
    case TopQuery::By::kind:
      break;
  }
  return "TRUE";
}

}  // namespace

Result<EventPage> find_events(sqlite3* db, const EventQuery& query) {
  const std::size_t limit = std::clamp<std::size_t>(query.limit, 1, kMaxEventPage);
  std::string sql = "SELECT * FROM events WHERE at >= ?1 AND id > 0 AND id ";
  sql += query.newest_first ? "< ?2" : "> ?2";
  if (query.kind) sql += " AND kind = ?3";
  if (query.address) sql += " AND source IN (?4, ?5)";
  sql += query.newest_first ? " ORDER BY id DESC" : " ORDER BY id";
  sql += " LIMIT ?6";
  const auto rows = prepare(db, sql);
  if (!rows) return rows.error();
  const auto cursor = static_cast<std::int64_t>(std::min(query.cursor, kLastEventId));
  bind_number(*rows, 1, query.since);
  bind_number(*rows, 2, query.newest_first && cursor == 0 ? kNoCursor : cursor);
  if (query.kind) bind_number(*rows, 3, static_cast<int>(*query.kind));
  if (query.address) {
    bind_text(*rows, 4, Source::of(*query.address, true).text());
    bind_text(*rows, 5, Source::of(*query.address, false).text());
  }
  bind_number(*rows, 6, static_cast<std::int64_t>(limit + 1));
  EventPage page;
  std::size_t seen = 0;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(rows->get())) == SQLITE_ROW && seen < limit) {
    ++seen;
    page.cursor = static_cast<std::uint64_t>(column_number(*rows, 0));
    if (auto row = read_event(*rows)) page.rows.push_back(std::move(*row));
  }
  if (step != SQLITE_ROW && step != SQLITE_DONE) return sqlite_error(db, "read events");
  page.more = step == SQLITE_ROW;
  return page;
}

Result<std::vector<TopRow>> count_events(sqlite3* db, const TopQuery& query) {
  std::string sql = "SELECT ";
  sql.append(columns_of(query.by)).append(", count(*) AS events, min(at), max(at) FROM ");
  // One walk from the newest on: by the index on sources it would be a walk for each.
  sql.append("(SELECT * FROM events ORDER BY id DESC LIMIT ?7)");
  sql.append(" WHERE at >= ?1 AND ").append(named_by(query.by));
  sql += query.kind ? " AND kind = ?2" : " AND kind IN (?2, ?3, ?4, ?5)";
  sql += " GROUP BY 1, 2 ORDER BY events DESC, 1, 2 LIMIT ?6";
  const auto rows = prepare(db, sql);
  if (!rows) return rows.error();
  bind_number(*rows, 1, query.since);
  if (query.kind) {
    bind_number(*rows, 2, static_cast<int>(*query.kind));
  } else {
    int index = 2;
    for (const EventKind kind :
         {EventKind::detected, EventKind::would_ban, EventKind::banned, EventKind::refused})
      bind_number(*rows, index++, static_cast<int>(kind));
  }
  bind_number(*rows, 6,
              static_cast<std::int64_t>(std::clamp<std::size_t>(query.limit, 1, kMaxEventPage)));
  bind_number(*rows, 7, static_cast<std::int64_t>(kTopEvents));
  std::vector<TopRow> top;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(rows->get())) == SQLITE_ROW) {
    top.push_back({.key = key_of(query.by, *rows),
                   .count = static_cast<std::uint64_t>(column_number(*rows, 2)),
                   .first = column_number(*rows, 3),
                   .last = column_number(*rows, 4)});
  }
  if (step != SQLITE_DONE) return sqlite_error(db, "count events");
  return top;
}

Result<std::uint64_t> last_event(sqlite3* db) {
  const auto row = prepare(db, "SELECT max(id) FROM events WHERE id BETWEEN 1 AND ?1");
  if (!row) return row.error();
  bind_number(*row, 1, static_cast<std::int64_t>(kLastEventId));
  if (sqlite3_step(row->get()) != SQLITE_ROW) return sqlite_error(db, "read the last event");
  return static_cast<std::uint64_t>(column_number(*row, 0));
}

Result<std::size_t> trim_events(sqlite3* db, std::uint64_t last, std::time_t now) {
  const auto oldest = prepare(db, "SELECT id, at FROM events ORDER BY id LIMIT ?1");
  if (!oldest) return oldest.error();
  bind_number(*oldest, 1, static_cast<std::int64_t>(kTrimStep));
  // Up to the first that stays.
  std::size_t over = 0;
  std::int64_t up_to = 0;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(oldest->get())) == SQLITE_ROW) {
    const std::int64_t id = column_number(*oldest, 0);
    const bool too_many =
        id <= static_cast<std::int64_t>(last) - static_cast<std::int64_t>(kMaxEvents);
    if (!too_many && column_number(*oldest, 1) >= now - kEventAge) break;
    up_to = id;
    ++over;
  }
  if (step != SQLITE_ROW && step != SQLITE_DONE) return sqlite_error(db, "find old events");
  if (over == 0) return over;
  const auto remove = prepare(db, "DELETE FROM events WHERE id <= ?1");
  if (!remove) return remove.error();
  bind_number(*remove, 1, up_to);
  if (const auto removed = run(db, *remove, "remove old events"); !removed) return removed.error();
  return over;
}

}  // namespace portsentry::monitor
