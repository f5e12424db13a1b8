#include "monitor/bans.h"

#include <algorithm>

namespace portsentry::monitor {
namespace {

constexpr Clock::time_point kNever = Clock::time_point::max();

BanCause unknown_cause() {
  return {Protocol::tcp, *Port::make(1)};
}

// The kernel ends what it holds by itself; what a command did stays until another undoes it.
bool ends_by_undo(const Bans::Ban& ban) {
  return ban.by == Backend::command;
}

}  // namespace

bool by_nature(Verdict verdict) {
  switch (verdict) {
    case Verdict::not_unicast:
    case Verdict::own_address:
    case Verdict::next_hop:
    case Verdict::shared_prefix:
    case Verdict::bad_duration:
    case Verdict::protected_network:
    case Verdict::container_network:
    case Verdict::no_command:
      return true;
    case Verdict::ok:
    case Verdict::kernel_refused:
    case Verdict::no_firewall:
    case Verdict::command_failed:
    case Verdict::command_killed:
    case Verdict::command_timed_out:
    case Verdict::command_not_run:
    case Verdict::over_budget:
    case Verdict::view_unknown:
    case Verdict::not_read_back:
      return false;
  }
  return false;
}

std::chrono::seconds remaining(const Bans::Ban& ban, Now now) {
  if (ban.until == kNever) return kMaxBan;
  const auto left = std::chrono::ceil<std::chrono::seconds>(ban.until - now.steady);
  return std::clamp(left, std::chrono::seconds(1), kMaxBan);
}

const Bans::Ban* Bans::find(const Source& source) const {
  const auto found = bans_.find(source);
  return found == bans_.end() ? nullptr : &found->second;
}

const std::pair<const Source, Bans::Ban>* Bans::covering(const Address& address) const {
  const auto host = bans_.find(Source::of(address, true));
  if (host != bans_.end()) return &*host;
  const auto site = bans_.find(Source::of(address, false));
  return site == bans_.end() ? nullptr : &*site;
}

bool Bans::full(Urgency urgency) const {
  const std::size_t pending = count(State::asked) + count(State::waiting) + count(State::refused);
  const std::size_t room = kMaxPending + (urgency == Urgency::urgent ? kMaxUrgent : 0);
  return pending >= room || bans_.size() >= kMaxBans;
}

void Bans::insert(const Source& source, Ban ban) {
  counts_.at(static_cast<std::size_t>(ban.state)) += 1;
  const Clock::time_point due = std::exchange(ban.due, kNever);
  const auto entry = bans_.emplace(source, ban).first;
  set_due(source, entry->second, due);
}

void Bans::erase(Entry entry) {
  Ban& ban = entry->second;
  counts_.at(static_cast<std::size_t>(ban.state)) -= 1;
  if (ban.due != kNever) due_.erase({ban.due, entry->first});
  // A request in flight keeps its id, so that its Outcome is still expected, and then means
  // nothing.
  bans_.erase(entry);
}

void Bans::set_state(Ban& ban, State state) {
  counts_.at(static_cast<std::size_t>(ban.state)) -= 1;
  counts_.at(static_cast<std::size_t>(state)) += 1;
  ban.state = state;
}

void Bans::set_due(const Source& source, Ban& ban, Clock::time_point due) {
  if (ban.due != kNever) due_.erase({ban.due, source});
  ban.due = due;
  if (due != kNever) due_.emplace(due, source);
}

void Bans::ask(const Source& source, const Address& address, const BanCause& cause,
               std::chrono::seconds duration, Now now, Urgency urgency) {
  const Clock::time_point until = now.steady + duration;
  insert(source, Ban{.state = State::asked,
                     .address = address,
                     .cause = cause,
                     .until = until,
                     .since = now.wall,
                     .due = until});
  if (urgency == Urgency::urgent) {
    asks_.push_front(source);
  } else {
    asks_.push_back(source);
  }
}

void Bans::hold(const Source& source, Now now) {
  const auto entry = bans_.find(source);
  if (entry == bans_.end() || entry->second.state != State::asked || entry->second.id != 0) return;
  Ban& ban = entry->second;
  set_state(ban, State::waiting);
  ban.held_back = true;
  ban.until += kLongestHold;  // it is not to be over before it began
  set_due(source, ban, now.steady + kLongestHold);
}

void Bans::release(const Source& source, std::chrono::seconds duration, Now now) {
  const auto entry = bans_.find(source);
  if (entry == bans_.end() || !std::exchange(entry->second.held_back, false)) return;
  Ban& ban = entry->second;
  set_state(ban, State::asked);
  ban.until = now.steady + duration;
  set_due(source, ban, ban.until);
  asks_.push_front(source);
}

bool Bans::adopt(const Source& source, std::chrono::seconds left, std::chrono::seconds block_time,
                 Now now) {
  if (bans_.contains(source) || bans_.size() >= kMaxBans) return false;
  const bool endless = left == std::chrono::seconds(0);
  const Clock::time_point until = endless ? kNever : now.steady + left;
  const auto age = endless || left > block_time ? std::chrono::seconds(0) : block_time - left;
  insert(source, Ban{.state = State::enforced,
                     .address = source.prefix().address(),
                     .cause = unknown_cause(),
                     .until = until,
                     .since = now.wall - static_cast<std::time_t>(age.count()),
                     .recorded = true,
                     .by = backend_,
                     .due = until});
  return true;
}

bool Bans::recall(const Remembered& ban, bool again, Now now) {
  if (bans_.contains(ban.source) || bans_.size() >= kMaxBans) return false;
  const Clock::time_point until = ban.left ? now.steady + *ban.left : kNever;
  // After a boot nothing of it is left, so that one whose time is over is simply over.
  if (again && until <= now.steady) return false;
  insert(ban.source, Ban{.state = again ? State::restoring : State::enforced,
                         .address = ban.address,
                         .cause = ban.cause,
                         .until = until,
                         .since = ban.since,
                         .recorded = true,
                         .by = again ? Backend::none : Backend::command,
                         .due = until});
  if (again) restores_.push_back(ban.source);
  return true;
}

void Bans::describe(const Source& source, const Address& address, const BanCause& cause,
                    std::time_t since) {
  const auto entry = bans_.find(source);
  if (entry == bans_.end()) return;
  entry->second.address = address;
  entry->second.cause = cause;
  entry->second.since = since;
}

void Bans::lift(const Source& source, Pardon why) {
  const auto entry = bans_.find(source);
  if (entry == bans_.end() || entry->second.state != State::enforced) return;
  set_state(entry->second, State::lifting);
  entry->second.pardon = why;
  lifts_.push_back(source);
}

void Bans::forget(const Source& source) {
  const auto entry = bans_.find(source);
  if (entry != bans_.end()) erase(entry);
}

void Bans::wrapped(const Source& source) {
  const auto entry = bans_.find(source);
  if (entry != bans_.end()) entry->second.wrapped = true;
}

void Bans::commands_changed(Now now) {
  for (auto entry = bans_.begin(); entry != bans_.end();) {
    const auto here = entry++;
    Ban& ban = here->second;
    if (ban.state == State::stuck) {
      set_state(ban, State::lifting);
      set_due(here->first, ban, now.steady);
    } else if (ban.state == State::refused && ban.last_no == Verdict::no_command) {
      erase(here);
    }
  }
}

std::size_t Bans::table_created(Backend backend, bool again, Now now) {
  backend_ = backend;
  table_exists_ = true;
  windows_ += 1;
  if (!window_since_) window_since_ = now.steady;
  if (!again) return 0;
  std::size_t put_back = 0;
  for (auto& [source, ban] : bans_) {
    switch (ban.state) {
      case State::enforced:
        // What a command did is not gone because a table is; and where nothing bans any more, what
        // holds is left to its own end.
        if (backend == Backend::none || (backend == Backend::command && ends_by_undo(ban))) break;
        set_state(ban, State::restoring);
        restores_.push_back(source);
        put_back += 1;
        break;
      case State::restoring:
        // Queued or in flight since the table before this one. An answer that is still to come was
        // given by the enforcer after it made this table, so it is about this table.
        put_back += 1;
        break;
      case State::waiting:
        if (!ban.held_back) set_due(source, ban, now.steady);
        break;
      case State::asked:    // its answer is still to come
      case State::lifting:  // the answer to Unban is ok whether or not the source was there
      case State::refused:
      case State::stuck:
      case State::count_:
        break;
    }
  }
  return put_back;
}

// The window is nearly over: the rest is asked for as new bans are.
void Bans::restore_as_bans() {
  for (const Source& source : restores_) {
    const auto entry = bans_.find(source);
    if (entry == bans_.end() || entry->second.state != State::restoring || entry->second.id != 0) {
      continue;
    }
    set_state(entry->second, State::asked);
    asks_.push_back(source);
  }
  restores_.clear();
}

bool Bans::send_queue(std::deque<Source>& queue, State expected, std::size_t most, Now now,
                      const std::function<MonitorToEnforcer(const Source&, const Ban&)>& make,
                      const std::function<bool(const MonitorToEnforcer&)>& send) {
  const bool undo = expected == State::lifting;
  while (!queue.empty() && in_flight_.size() < kMaxInFlight &&
         (undo ? undos_in_flight_ : in_flight_.size() - undos_in_flight_) < most) {
    const Source source = queue.front();
    const auto entry = bans_.find(source);
    // Ended, or already on its way, since it was queued.
    const bool stale =
        entry == bans_.end() || entry->second.state != expected || entry->second.id != 0 ||
        (entry->second.until <= now.steady && !(undo && ends_by_undo(entry->second)));
    if (!stale) {
      Ban& ban = entry->second;
      ban.id = next_id_;
      if (!send(make(source, ban))) {
        ban.id = 0;
        return false;
      }
      ban.sent_to = backend_;
      in_flight_.emplace(next_id_, Asked{source, undo});
      if (undo) undos_in_flight_ += 1;
      next_id_ += 1;
    }
    queue.pop_front();
  }
  return true;
}

bool Bans::pump(Now now, const std::function<bool(const MonitorToEnforcer&)>& send) {
  if (!table_exists_) return true;
  if (window_since_ && now.steady >= *window_since_ + kRestorePatience) restore_as_bans();
  const auto restore = [now](const Source& source, const Ban& ban) -> MonitorToEnforcer {
    return Restore{ban.id, source, remaining(ban, now)};
  };
  const bool by_command = backend_ == Backend::command;
  const std::size_t most = by_command ? kMaxCommandsInFlight : kMaxInFlight;
  if (!send_queue(restores_, State::restoring, most, now, restore, send)) return false;
  while (windows_ > 0 && restores_.empty()) {
    if (!send(RestoreDone{})) return false;
    windows_ -= 1;
    window_since_.reset();
  }
  // New bans wait for the end of the restore window: what held before is put back first.
  if (windows_ > 0) return true;
  const auto request = [now](const Source& source, const Ban& ban) -> MonitorToEnforcer {
    return portsentry::Ban{ban.id, source, remaining(ban, now), ban.cause};
  };
  if (!send_queue(asks_, State::asked, most, now, request, send)) return false;
  const auto unban = [](const Source& source, const Ban& ban) -> MonitorToEnforcer {
    return Unban{ban.id, source};
  };
  const std::size_t most_undos = by_command ? kMaxUndosInFlight : kMaxInFlight;
  return send_queue(lifts_, State::lifting, most_undos, now, unban, send);
}

std::optional<Bans::Asked> Bans::asked(std::uint64_t id) const {
  const auto flight = in_flight_.find(id);
  if (flight == in_flight_.end()) return std::nullopt;
  return flight->second;
}

std::optional<Bans::Answer> Bans::answer(const Outcome& outcome, Now now) {
  const auto flight = in_flight_.find(outcome.id);
  if (flight == in_flight_.end()) return std::nullopt;
  const Source source = flight->second.source;
  if (flight->second.undo) undos_in_flight_ -= 1;
  in_flight_.erase(flight);

  const auto entry = bans_.find(source);
  if (entry == bans_.end() || entry->second.id != outcome.id) {
    const Ban gone{.address = source.prefix().address(), .cause = unknown_cause()};
    return Answer{source, gone, Change::over, false, false};
  }
  Ban& ban = entry->second;
  ban.id = 0;
  const bool news = ban.last_no != outcome.verdict;
  const bool was_restore = ban.state == State::restoring;
  const bool over = ban.until <= now.steady;
  const auto result = [&](Change change) { return Answer{source, ban, change, news, was_restore}; };
  const auto try_later = [&] {
    ban.last_no = outcome.verdict;
    ban.back_off = std::clamp(ban.back_off * 2, kFirstBackOff, kLastBackOff);
    const Clock::time_point then = now.steady + ban.back_off;
    set_due(source, ban, ends_by_undo(ban) ? then : std::min(ban.until, then));
    return result(Change::later);
  };

  if (ban.state == State::lifting) {
    if (outcome.verdict == Verdict::ok || (over && !ends_by_undo(ban))) {
      const Answer ended = result(over ? Change::over : Change::lifted);
      erase(entry);
      return ended;
    }
    if (outcome.verdict == Verdict::command_failed && ++ban.undo_failures >= kUndoTries) {
      const Answer ended = result(Change::undo_failed);
      erase(entry);
      return ended;
    }
    if (outcome.verdict != Verdict::no_command) return try_later();
    ban.last_no = outcome.verdict;
    set_state(ban, State::stuck);
    set_due(source, ban, kNever);
    return result(Change::stuck);
  }
  if (outcome.verdict == Verdict::ok) {
    ban.by = ban.sent_to;
    if (over && !ends_by_undo(ban)) {
      const Answer ended = result(Change::over);
      erase(entry);
      return ended;
    }
    set_state(ban, State::enforced);
    ban.last_no = Verdict::ok;
    ban.back_off = std::chrono::seconds(0);
    set_due(source, ban, ban.until);
    const Answer done = result(was_restore ? Change::put_back : Change::enforced);
    ban.recorded = true;
    return done;
  }
  if (over) {
    const Answer ended = result(Change::over);
    erase(entry);
    return ended;
  }
  // A command that names the probe's port can be run again only as a new ban, which tells it.
  if (was_restore && outcome.verdict == Verdict::no_command) {
    set_state(ban, State::waiting);
    set_due(source, ban, now.steady);
    return result(Change::later);
  }
  if (by_nature(outcome.verdict)) {
    ban.last_no = outcome.verdict;
    set_state(ban, State::refused);
    set_due(source, ban, std::min(ban.until, now.steady + kRefusalStands));
    return result(Change::refused);
  }
  set_state(ban, State::waiting);
  return try_later();
}

std::vector<Bans::Ended> Bans::expire(Now now, std::size_t limit) {
  std::vector<Ended> ended;
  for (std::size_t i = 0; i < limit && !due_.empty() && due_.begin()->first <= now.steady; ++i) {
    const Source source = due_.begin()->second;
    const auto entry = bans_.find(source);
    Ban& ban = entry->second;
    if (ban.id != 0) {
      set_due(source, ban, kNever);  // the Outcome comes first; answer() ends it
    } else if (ban.state == State::lifting) {
      if (ban.until <= now.steady && !ends_by_undo(ban)) {
        ended.push_back({source, true, ban.wrapped});
        erase(entry);
      } else {  // its back-off is over
        set_due(source, ban, ends_by_undo(ban) ? kNever : ban.until);
        lifts_.push_back(source);
      }
    } else if (ban.until <= now.steady && ends_by_undo(ban)) {
      set_state(ban, State::lifting);
      set_due(source, ban, kNever);
      lifts_.push_back(source);
    } else if (ban.until <= now.steady || ban.state == State::refused) {
      ended.push_back({source, holds(ban), ban.wrapped});
      erase(entry);
    } else {  // a try whose back-off is over, or who was held back for long enough
      ban.held_back = false;
      set_state(ban, State::asked);
      set_due(source, ban, ban.until);
      asks_.push_back(source);
    }
  }
  return ended;
}

std::optional<Clock::time_point> Bans::next_due() const {
  std::optional<Clock::time_point> due;
  if (!due_.empty()) due = due_.begin()->first;
  if (window_since_ && !restores_.empty()) {
    const Clock::time_point end = *window_since_ + kRestorePatience;
    if (!due || end < *due) due = end;
  }
  return due;
}

void Bans::each_held(const std::function<void(const Source&, const Ban&)>& visit) const {
  for (const auto& [source, ban] : bans_) {
    if (holds(ban)) visit(source, ban);
  }
}

void Bans::told_already(const Source& source, Now now) {
  const auto entry = bans_.find(source);
  if (entry != bans_.end()) entry->second.told_already = now.steady;
}

}  // namespace portsentry::monitor
