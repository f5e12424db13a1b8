// Bans: what is asked of the enforcer, and what its answers mean.
#include <algorithm>
#include <utility>

#include "monitor/bans.h"

namespace portsentry::monitor {
namespace {

constexpr Clock::time_point kNever = Clock::time_point::max();

bool ends_by_undo(const Bans::Ban& ban) {
  return ban.by == Backend::command;
}

// A command that did not end by itself may have done its work all the same.
bool may_have_worked(Verdict verdict) {
  return verdict == Verdict::command_timed_out || verdict == Verdict::command_killed;
}

}  // namespace

std::size_t Bans::table_created(Backend backend, bool again, Now now) {
  backend_ = backend;
  table_exists_ = true;
  windows_ += 1;
  listing_ = false;
  if (!window_since_) window_since_ = now.steady;
  if (!again) return 0;
  std::size_t put_back = 0;
  for (auto entry = bans_.begin(); entry != bans_.end(); ++entry) {
    Ban& ban = entry->second;
    ban.unseen = false;
    switch (ban.state) {
      case State::enforced:
      case State::changing:
        // What a command did is not gone because a table is; and where nothing bans any more, what
        // holds is left to its own end. A request under way is about this table: the enforcer takes
        // requests in order, and has made the table before it answers.
        if (backend == Backend::none || (backend == Backend::command && ends_by_undo(ban))) break;
        if (ban.id != 0) break;
        set_state(entry, State::restoring);
        ban.kernel_until = now.steady;  // as far as is known
        set_due(entry, end_of(ban));
        restores_.push_back(entry->first);
        put_back += 1;
        break;
      case State::restoring:
        // Queued or in flight since the table before this one: see above.
        put_back += 1;
        break;
      case State::waiting:
        if (!ban.held_back) set_due(entry, now.steady);
        break;
      case State::asked:    // its answer is still to come
      case State::lifting:  // the answer to Unban is ok whether or not the source was there
      case State::refused:
      case State::stuck:
      case State::count_:
        break;
    }
  }
  return put_back + (backend == Backend::none ? 0 : restore_settled(now));
}

// The window is nearly over: the rest is asked for as new bans are.
void Bans::restore_as_bans() {
  for (const Source& source : restores_) {
    const auto entry = bans_.find(source);
    if (entry == bans_.end() || entry->second.state != State::restoring || entry->second.id != 0) {
      continue;
    }
    entry->second.repair = true;
    if (entry->second.wish) set_term(entry, *std::exchange(entry->second.wish, std::nullopt));
    set_state(entry, State::asked);
    set_due(entry, entry->second.term.until);
    queue(entry);
  }
  restores_.clear();
  if (settled_.to_restore() == 0 || std::exchange(asks_settled_, true)) return;
  counts_.at(static_cast<std::size_t>(State::restoring)) -= settled_.to_restore();
  counts_.at(static_cast<std::size_t>(State::asked)) += settled_.to_restore();
}

bool Bans::clears(const Ban& ban) const {
  return ban.state == State::asked && ban.clear_first && backend_ == Backend::command;
}

MonitorToEnforcer Bans::request(const Source& source, const Ban& ban, Now now) const {
  if (ban.state == State::lifting || clears(ban)) return Unban{ban.id, source};
  std::chrono::seconds time{0};
  if (!ban.sent.permanent()) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(ban.sent.until - now.steady);
    const auto most = backend_ == Backend::nftables ? kKernelTime : kMaxBan;
    time = std::clamp(left, std::chrono::seconds(1), most);
  }
  if (ban.state == State::restoring) return Restore{ban.id, source, time};
  return portsentry::Ban{ban.id, source, time, ban.cause};
}

bool Bans::send_queue(std::deque<Source>& queue, State expected, std::size_t most, Now now,
                      const Send& send) {
  const bool undo = expected == State::lifting;
  while (!queue.empty() && in_flight_.size() < kMaxInFlight &&
         (undo ? undos_in_flight_ : in_flight_.size() - undos_in_flight_) < most) {
    const Source source = queue.front();
    const auto entry = bans_.find(source);
    const auto stale = [&] {  // ended, or already on its way, since it was queued
      if (entry == bans_.end() || entry->second.id != 0) return true;
      const Ban& ban = entry->second;
      // The lanes hold new bans and changes.
      const bool here = expected == State::asked
                            ? ban.state == State::asked || ban.state == State::changing
                            : ban.state == expected;
      if (!here) return true;
      if (undo)
        return ban.term.until <= now.steady && !ends_by_undo(ban) && ban.pardon != Pardon::over;
      return ban.wish.value_or(ban.term).until <= now.steady;
    };
    if (!stale()) {
      Ban& ban = entry->second;
      const bool clear = clears(ban);
      ban.id = next_id_;
      ban.sent = ban.wish.value_or(ban.term);
      const MonitorToEnforcer message = request(source, ban, now);
      if (!send(message)) {
        ban.id = 0;
        return false;
      }
      ban.sent_to = backend_;
      ban.sent_kernel_until = ban.sent.until;
      if (const auto* made = std::get_if<portsentry::Ban>(&message); made && !ban.sent.permanent())
        ban.sent_kernel_until = now.steady + made->duration;
      if (const auto* made = std::get_if<Restore>(&message); made && !ban.sent.permanent())
        ban.sent_kernel_until = now.steady + made->remaining;
      in_flight_.emplace(next_id_, Asked{source, undo || clear});
      if (undo || clear) undos_in_flight_ += 1;
      next_id_ += 1;
    }
    queue.pop_front();
  }
  return true;
}

bool Bans::pump(Now now, const Send& send) {
  settle();  // what is to be restored and in no queue is drawn from there
  if (!table_exists_) return true;
  const bool by_command = backend_ == Backend::command;
  const std::size_t most = by_command ? kMaxCommandsInFlight : kMaxInFlight;
  if (backend_ == Backend::none) {
    // Nothing makes bans. What an earlier run left stays in our records until something does.
    for (; windows_ > 0; --windows_) {
      if (!send(RestoreDone{})) return false;
    }
    window_since_.reset();
  } else {
    if (window_since_ && now.steady >= *window_since_ + kRestorePatience) restore_as_bans();
    do {
      if (!asks_settled_) draw_settled(most);
      if (!send_queue(restores_, State::restoring, most, now, send)) return false;
    } while (!asks_settled_ && settled_.to_restore() > 0 && restores_.empty() &&
             in_flight_.size() < most);
    const bool restored = restores_.empty() && (asks_settled_ || settled_.to_restore() == 0);
    while (windows_ > 0 && restored) {
      if (!send(RestoreDone{})) return false;
      windows_ -= 1;
      window_since_.reset();
    }
    // New bans wait for the end of the restore window: what held before is put back first.
    if (windows_ > 0) return true;
    if (asks_settled_) draw_settled(most);
  }
  for (std::deque<Source>& lane : asks_) {
    if (!send_queue(lane, State::asked, most, now, send)) return false;
  }
  const std::size_t most_undos = by_command ? kMaxUndosInFlight : kMaxInFlight;
  return send_queue(lifts_, State::lifting, most_undos, now, send);
}

std::optional<Bans::Asked> Bans::asked(std::uint64_t id) const {
  const auto flight = in_flight_.find(id);
  if (flight == in_flight_.end()) return std::nullopt;
  return flight->second;
}

Bans::Answer Bans::tell(Entry entry, Change change, bool news) {
  return {entry->first, entry->second, change, news, false};
}

Bans::Answer Bans::end(Entry entry, Change change, bool news) {
  Answer ended = tell(entry, change, news);
  erase(entry);
  return ended;
}

Bans::Answer Bans::try_later(Entry entry, Verdict verdict, bool news, Now now) {
  Ban& ban = entry->second;
  ban.last_no = verdict;
  ban.back_off = std::clamp(ban.back_off * 2, kFirstBackOff, kLastBackOff);
  // Many that were turned away together must not come back together.
  const auto spread = std::chrono::milliseconds(
      roll(static_cast<std::uint64_t>(std::chrono::milliseconds(ban.back_off).count() / 2)));
  const Clock::time_point then = now.steady + ban.back_off + spread;
  const bool by_itself = !ends_by_undo(ban) && ban.pardon != Pardon::over;
  set_due(entry, by_itself ? std::min(end_of(ban), then) : then);
  return tell(entry, Change::later, news);
}

std::optional<Bans::Answer> Bans::answer(const Outcome& outcome, Now now) {
  const auto flight = in_flight_.find(outcome.id);
  if (flight == in_flight_.end()) return std::nullopt;
  const Source source = flight->second.source;
  const bool undo = flight->second.undo;
  if (undo) undos_in_flight_ -= 1;
  in_flight_.erase(flight);

  const auto entry = warm(source);
  if (entry == bans_.end() || entry->second.id != outcome.id) {
    const Ban gone{.address = source.prefix().address(), .cause = {Protocol::tcp, *Port::make(1)}};
    return Answer{source, gone, Change::over, false, false};
  }
  Ban& ban = entry->second;
  ban.id = 0;
  const bool news = ban.last_no != outcome.verdict;
  const bool was_restore = ban.state == State::restoring;
  Answer answer = [&] {
    if (ban.state == State::lifting) return answer_lift(entry, outcome.verdict, news, now);
    if (undo) return answer_clear(entry, outcome.verdict, news, now);
    if (ban.pardon != Pardon::none) return answer_pardoned(entry, outcome.verdict);
    if (outcome.verdict == Verdict::ok) return answer_ok(entry, news, now);
    return answer_no(entry, outcome.verdict, news, now);
  }();
  answer.was_restore = was_restore;
  return answer;
}

Bans::Answer Bans::answer_lift(Entry entry, Verdict verdict, bool news, Now now) {
  Ban& ban = entry->second;
  const bool over = ban.term.until <= now.steady;
  if (verdict == Verdict::ok || (over && !ends_by_undo(ban) && ban.pardon != Pardon::over))
    return end(entry, over ? Change::over : Change::lifted, news);
  if (verdict == Verdict::command_failed && ++ban.undo_failures >= kUndoTries)
    return end(entry, Change::undo_failed, news);
  if (verdict != Verdict::no_command) return try_later(entry, verdict, news, now);
  ban.last_no = verdict;
  set_state(entry, State::stuck);
  set_due(entry, kNever);
  return tell(entry, Change::stuck, news);
}

// What a command may have left is undone, or was not there.
Bans::Answer Bans::answer_clear(Entry entry, Verdict verdict, bool news, Now now) {
  Ban& ban = entry->second;
  if (ban.wish) set_term(entry, *std::exchange(ban.wish, std::nullopt));
  const bool done = verdict == Verdict::ok || verdict == Verdict::command_failed ||
                    verdict == Verdict::no_command;
  if (done) {
    ban.clear_first = false;
    if (ban.pardon != Pardon::none) return end(entry, Change::lifted, news);
    if (ban.term.until <= now.steady) return end(entry, Change::over, news);
    set_due(entry, ban.term.until);
    queue(entry);
    return tell(entry, Change::cleared, news);
  }
  if (ban.pardon != Pardon::none) {
    ban.by = Backend::command;
    begin_lift(entry);
    return tell(entry, Change::cleared, news);
  }
  set_state(entry, State::waiting);
  return try_later(entry, verdict, news, now);
}

// It was to be lifted while it was asked for.
Bans::Answer Bans::answer_pardoned(Entry entry, Verdict verdict) {
  Ban& ban = entry->second;
  if (verdict == Verdict::ok) ban.by = ban.sent_to;
  if (ban.sent_to == Backend::command && may_have_worked(verdict)) ban.by = Backend::command;
  if (ban.by == Backend::none) return end(entry, Change::lifted, false);
  begin_lift(entry);
  return tell(entry, Change::renewed, false);
}

Bans::Answer Bans::answer_ok(Entry entry, bool news, Now now) {
  Ban& ban = entry->second;
  const bool goes_on = ban.wish && ban.wish->until > now.steady;
  ban.by = ban.sent_to;
  if (ban.sent.until <= now.steady && !goes_on && !ends_by_undo(ban))
    return end(entry, Change::over, news);
  Change change = Change::enforced;
  if (ban.state == State::changing) {
    change = ban.term == ban.sent ? Change::renewed : Change::changed;
  } else if (ban.state == State::restoring || ban.repair) {
    change = Change::put_back;
  }
  set_term(entry, ban.sent);
  ban.kernel_until = ban.by == Backend::nftables ? ban.sent_kernel_until : kNever;
  ban.last_no = Verdict::ok;
  ban.back_off = std::chrono::seconds(0);
  ban.clear_first = false;
  if (ban.wish == ban.sent) ban.wish.reset();
  if (ban.wish && ends_by_undo(ban)) {  // its time is ours alone
    set_term(entry, *std::exchange(ban.wish, std::nullopt));
  }
  if (ban.wish) {
    set_state(entry, State::changing);
    set_due(entry, ban.term.until);
  } else {
    enforced_until_due(entry);
  }
  Answer done = tell(entry, change, news);
  ban.recorded = true;
  ban.repair = false;
  if (ban.wish) queue(entry);
  return done;
}

Bans::Answer Bans::answer_no(Entry entry, Verdict verdict, bool news, Now now) {
  Ban& ban = entry->second;
  const bool by_command = ban.sent_to == Backend::command;
  if (ban.state == State::changing) {
    const bool goes_on = ban.wish && ban.wish->until > now.steady;
    if (ban.term.until <= now.steady && !goes_on) return end(entry, Change::over, news);
    if (verdict == Verdict::bad_duration) {  // the old one stays
      ban.wish.reset();
      ban.last_no = verdict;
      set_state(entry, State::enforced);
      set_due(entry, ban.term.until);
      return tell(entry, Change::later, news);
    }
    if (by_nature(verdict) && verdict != Verdict::no_command) {
      ban.pardon = Pardon::shielded;
      begin_lift(entry);
      return tell(entry, Change::renewed, news);
    }
    return try_later(entry, verdict, news, now);
  }
  if (ban.wish) set_term(entry, *std::exchange(ban.wish, std::nullopt));
  if (by_command && may_have_worked(verdict)) ban.clear_first = true;
  if (ban.term.until <= now.steady) {
    if (!ban.clear_first) return end(entry, Change::over, news);
    ban.by = Backend::command;
    begin_lift(entry);
    return tell(entry, Change::cleared, news);
  }
  // A command that names the probe's port can be run again only as a new ban, which tells it.
  if (ban.state == State::restoring && verdict == Verdict::no_command) {
    ban.repair = true;
    set_state(entry, State::waiting);
    set_due(entry, now.steady);
    return tell(entry, Change::later, news);
  }
  if (ban.state == State::restoring) ban.repair = true;
  if (by_nature(verdict)) {
    ban.last_no = verdict;
    set_state(entry, State::refused);
    set_due(entry, std::min(ban.term.until, now.steady + kRefusalStands));
    return tell(entry, Change::refused, news);
  }
  set_state(entry, State::waiting);
  return try_later(entry, verdict, news, now);
}

}  // namespace portsentry::monitor
