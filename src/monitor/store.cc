#include "monitor/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "common/unique_fd.h"
#include "monitor/store_events.h"
#include "monitor/store_read.h"
#include "monitor/store_rows.h"
#include "monitor/store_schema.h"

namespace portsentry::monitor {

void Store::Close::operator()(sqlite3* db) const {
  sqlite3_close_v2(db);  // when its last statement is gone: an assignment replaces db_ first
}

Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store::Loaded> Store::load() {
  auto read = read_memory(db_.get(), version_, Reading::strict);
  if (!read) return read.error();
  return Loaded{std::move(read->memory), read->refused};
}

// ---- Noting ---------------------------------------------------------------------------------------

std::optional<Store::Key> Store::key_of(const StateChange& change) {
  if (const auto* put = std::get_if<PutBan>(&change))
    return Key(About::ban, put->ban.source.prefix());
  if (const auto* erase = std::get_if<EraseBan>(&change))
    return Key(About::ban, erase->source.prefix());
  if (const auto* put = std::get_if<PutOffence>(&change))
    return Key(About::offence, put->offence.source.prefix());
  if (const auto* erase = std::get_if<EraseOffence>(&change))
    return Key(About::offence, erase->source.prefix());
  if (const auto* put = std::get_if<PutAllowed>(&change))
    return Key(About::allowed, put->allowed.prefix);
  if (const auto* erase = std::get_if<EraseAllowed>(&change))
    return Key(About::allowed, erase->prefix);
  if (std::holds_alternative<SetOverride>(change)) return Key(About::override, std::nullopt);
  if (std::holds_alternative<PutScores>(change)) return Key(About::scores, std::nullopt);
  if (std::holds_alternative<BootRestored>(change)) return Key(About::boot, std::nullopt);
  return std::nullopt;
}

// What is to be erased has no row: it was made, and ended, while the disk refused.
bool Store::only_waits(const Key& key) {
  std::string_view sql;
  switch (key.first) {
    case About::ban:
      sql = "SELECT count(*) FROM bans WHERE source = ?1";
      break;
    case About::offence:
      sql = "SELECT count(*) FROM offences WHERE source = ?1";
      break;
    case About::allowed:
      sql = "SELECT count(*) FROM allowed WHERE prefix = ?1";
      break;
    case About::override:
    case About::scores:
    case About::boot:
      return false;
  }
  const auto row = prepare(db_.get(), sql);
  if (!row) return false;
  bind_text(*row, 1, key.second->text());
  return sqlite3_step(row->get()) == SQLITE_ROW && column_number(*row, 0) == 0;
}

std::uint64_t Store::note(const StateChange& change) {
  const std::uint64_t number = ++noted_;
  if (const auto key = key_of(change)) {
    const bool erases = std::holds_alternative<EraseBan>(change) ||
                        std::holds_alternative<EraseOffence>(change) ||
                        std::holds_alternative<EraseAllowed>(change);
    const auto before = latest_.find(*key);
    if (before != latest_.end()) {
      // As long as the disk refuses, what comes and goes must not pile up.
      if (erases && failing_ && only_waits(*key)) {
        waiting_.erase(before->second);
        latest_.erase(before);
        return number;
      }
      // In the place of the earlier word: somebody may wait for that one's number, and it must not
      // count as written before this is.
      waiting_.at(before->second) = change;
      return number;
    }
    latest_.emplace(*key, number);
  } else {
    events_.push_back(number);
  }
  waiting_.emplace(number, change);
  bound_events();
  return number;
}

void Store::bound_events() {
  while (events_.size() > kMaxWaitingEvents) {
    waiting_.erase(events_.front());
    events_.pop_front();
    ++events_lost_;
  }
}

// ---- Writing --------------------------------------------------------------------------------------

Result<void> Store::flush(std::time_t wall) {
  if (unflushed() == 0) {
    committed_ = noted_;
    return {};
  }
  auto last = waiting_.begin();
  for (std::size_t i = 0; i < kMaxPerCommit && last != waiting_.end(); ++i)
    ++last;
  std::uint64_t last_id = last_event_;
  bool trim_on = false;
  bool boot_done = false;
  auto written = transaction(db_.get(), [&]() -> Result<void> {
    if (version_ == 1) {
      if (auto migrated = migrate_from_1(db_.get()); !migrated) return migrated;
    }
    for (auto change = waiting_.begin(); change != last; ++change) {
      if (auto done = write(change->second, last_id); !done) return done;
      boot_done = boot_done || std::holds_alternative<BootRestored>(change->second);
    }
    if (!trim_ && last_id == last_event_) return {};
    const auto trimmed = monitor::trim_events(db_.get(), last_id, wall);
    if (!trimmed) return trimmed.error();
    trim_on = *trimmed == kTrimStep;
    return {};
  });
  failing_ = !written;
  if (!written) return written;
  for (auto change = waiting_.begin(); change != last; change = waiting_.erase(change)) {
    const auto key = key_of(change->second);
    if (key) {
      latest_.erase(*key);
    } else {
      events_.pop_front();
    }
  }
  version_ = kSchemaVersion;
  last_event_ = last_id;
  trim_ = trim_on;
  if (boot_done) new_boot_ = false;
  committed_ = waiting_.empty() ? noted_ : waiting_.begin()->first - 1;
  return {};
}

Result<Statement*> Store::statement(Sql sql) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Sql::count_)> kTexts{
      "INSERT OR REPLACE INTO bans VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
      "DELETE FROM bans WHERE source = ?1",
      "INSERT OR REPLACE INTO offences VALUES(?1, ?2, ?3)",
      "DELETE FROM offences WHERE source = ?1",
      "INSERT OR REPLACE INTO allowed VALUES(?1, ?2, ?3, ?4)",
      "DELETE FROM allowed WHERE prefix = ?1",
      "INSERT OR REPLACE INTO override VALUES(?1, ?2, ?3, ?4)",
      "DELETE FROM override",
      "INSERT OR REPLACE INTO scores VALUES(?1, ?2, ?3)",
      "DELETE FROM scores",
      "INSERT OR REPLACE INTO events VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
  };
  static_assert(!kTexts.back().empty());
  const auto index = static_cast<std::size_t>(sql);
  Statement& made = statements_.at(index);
  if (!made) {
    auto fresh = prepare(db_.get(), kTexts.at(index));
    if (!fresh) return fresh.error();
    made = std::move(*fresh);
  }
  rewind(made);
  return &made;
}

Result<void> Store::erase(Sql sql, const Prefix& key) {
  const auto row = statement(sql);
  if (!row) return row.error();
  bind_text(**row, 1, key.text());
  return run(db_.get(), **row, "forget " + key.text());
}

Result<void> Store::write_scores(const std::vector<Score>& scores) {
  const auto erase = statement(Sql::erase_scores);
  if (!erase) return erase.error();
  auto done = run(db_.get(), **erase, "forget the scores");
  std::size_t count = 0;
  for (const Score& score : scores) {
    if (!done || count == kMaxScores) break;
    if (score.touches.empty()) continue;
    const auto put = statement(Sql::put_score);
    if (!put) return put.error();
    bind_score(**put, score);
    done = run(db_.get(), **put, "remember the score of " + score.source.text());
    ++count;
  }
  return done;
}

Result<void> Store::write(const StateChange& change, std::uint64_t& last_event) {
  // One row, put in its table.
  const auto put = [this](Sql sql, const auto& bind, const std::string& what) -> Result<void> {
    const auto row = statement(sql);
    if (!row) return row.error();
    bind(**row);
    return run(db_.get(), **row, what);
  };
  if (const auto* ban = std::get_if<PutBan>(&change)) {
    return put(
        Sql::put_ban, [&](const Statement& row) { bind_ban(row, ban->ban); },
        "remember the ban of " + ban->ban.source.text());
  }
  if (const auto* ban = std::get_if<EraseBan>(&change))
    return erase(Sql::erase_ban, ban->source.prefix());
  if (const auto* offence = std::get_if<PutOffence>(&change)) {
    return put(
        Sql::put_offence, [&](const Statement& row) { bind_offence(row, offence->offence); },
        "remember the offences of " + offence->offence.source.text());
  }
  if (const auto* offence = std::get_if<EraseOffence>(&change))
    return erase(Sql::erase_offence, offence->source.prefix());
  if (const auto* allowed = std::get_if<PutAllowed>(&change)) {
    return put(
        Sql::put_allowed, [&](const Statement& row) { bind_allowed(row, allowed->allowed); },
        "remember that " + allowed->allowed.prefix.text() + " is allowed");
  }
  if (const auto* allowed = std::get_if<EraseAllowed>(&change))
    return erase(Sql::erase_allowed, allowed->prefix);
  if (const auto* set = std::get_if<SetOverride>(&change)) {
    return put(
        set->override ? Sql::put_override : Sql::erase_override,
        [&](const Statement& row) {
          if (set->override) bind_override(row, *set->override);
        },
        "remember the override");
  }
  if (const auto* scores = std::get_if<PutScores>(&change)) return write_scores(scores->scores);
  if (const auto* add = std::get_if<AddEvent>(&change)) {
    ++last_event;
    return put(
        Sql::put_event, [&](const Statement& row) { bind_event(row, last_event, add->event); },
        "remember an event");
  }
  return put_meta(db_.get(), "boot_id", boot_id_);  // BootRestored
}

// ---- Reading events -------------------------------------------------------------------------------

Result<EventPage> Store::events(const EventQuery& query) {
  return find_events(db_.get(), query);
}

Result<std::vector<TopRow>> Store::top(const TopQuery& query) {
  return count_events(db_.get(), query);
}

Result<std::string> current_boot_id() {
  const UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text{};
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (size < 0) return Error::from_errno("read /proc/sys/kernel/random/boot_id", errno);
  const std::string_view whole(text.data(), static_cast<std::size_t>(size));
  return std::string(whole.substr(0, whole.find('\n')));
}

}  // namespace portsentry::monitor
