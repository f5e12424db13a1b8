#include "monitor/bans.h"

#include <algorithm>
#include <limits>

#include "common/ban_digest.h"

namespace portsentry::monitor {
namespace {

constexpr Clock::time_point kNever = Clock::time_point::max();

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

Clock::time_point end_of(const Bans::Ban& ban) {
  return ban.wish ? std::min(ban.wish->until, ban.term.until) : ban.term.until;
}

std::chrono::seconds remaining(const Bans::Ban& ban, Now now) {
  if (ban.term.permanent()) return std::chrono::seconds(0);
  const auto left = std::chrono::ceil<std::chrono::seconds>(ban.term.until - now.steady);
  return std::max(left, std::chrono::seconds(1));
}

Bans::Term Bans::Term::from(Now now, std::optional<std::chrono::seconds> duration) {
  if (!duration) return {};
  return {now.steady + *duration, now.wall + static_cast<std::time_t>(duration->count())};
}

// ---- the table ----------------------------------------------------------------------------------

const Bans::Ban* Bans::find(const Source& source) {
  const auto found = warm(source);
  return found == bans_.end() ? nullptr : &found->second;
}

const std::pair<const Source, Bans::Ban>* Bans::covering(const Address& address) {
  const auto host = warm(Source::of(address, true));
  if (host != bans_.end()) return &*host;
  const auto site = warm(Source::of(address, false));
  return site == bans_.end() ? nullptr : &*site;
}

bool Bans::full(BanClass of) const {
  const auto index = static_cast<std::size_t>(of);
  return pending_.at(index) >= kMaxPending.at(index) || size() >= kMaxBans;
}

Bans::Entry Bans::insert(const Source& source, Ban ban, Clock::time_point due) {
  counts_.at(static_cast<std::size_t>(ban.state)) += 1;
  if (ban.term.permanent()) permanent_ += 1;
  ban.number = ++made_;
  const Entry entry = bans_.emplace(source, std::move(ban)).first;
  recount(entry);
  set_due(entry, due);
  touched_.push_back(source);
  return entry;
}

// A request in flight keeps its id, so that its Outcome is still expected, and then means nothing.
void Bans::erase(Entry entry) {
  set_due(entry, kNever);
  set_state(entry, State::count_);
  if (entry->second.term.permanent()) permanent_ -= 1;
  bans_.erase(entry);
}

// `count_`: it is about to be forgotten.
void Bans::set_state(Entry entry, State state) {
  Ban& ban = entry->second;
  counts_.at(static_cast<std::size_t>(ban.state)) -= 1;
  if (state != State::count_) counts_.at(static_cast<std::size_t>(state)) += 1;
  ban.state = state;
  ban.unseen = false;
  recount(entry);
}

void Bans::set_due(Entry entry, Clock::time_point due) {
  Ban& ban = entry->second;
  if (ban.due != kNever) due_.erase({ban.due, entry->first});
  ban.due = due;
  if (due != kNever) due_.emplace(due, entry->first);
}

void Bans::set_term(Entry entry, const Term& term) {
  Ban& ban = entry->second;
  if (ban.term == term) return;
  if (ban.term.permanent()) permanent_ -= 1;
  if (term.permanent()) permanent_ += 1;
  ban.term = term;
  ban.row = Backend::none;
  recount(entry);
}

// What the sums say of this ban, after anything of it has changed.
void Bans::recount(Entry entry) {
  Ban& ban = entry->second;
  const bool pends =
      (ban.state == State::asked || ban.state == State::waiting || ban.state == State::refused) &&
      ban.origin == Origin::scan && !ban.recorded;
  if (pends != ban.pends) {
    std::size_t& sum = pending_.at(static_cast<std::size_t>(ban.of));
    sum = pends ? sum + 1 : sum - 1;
    ban.pends = pends;
  }
  const bool unverifiable = ban.by == Backend::command && holds(ban);
  if (unverifiable && !ban.unverifiable) by_command_ += 1;
  if (!unverifiable && ban.unverifiable) by_command_ -= 1;
  ban.unverifiable = unverifiable;
  const bool native =
      ban.by == Backend::nftables &&
      (ban.state == State::enforced || ban.state == State::changing || ban.state == State::lifting);
  const auto counted_in =
      native ? std::optional(set_of(entry->first, ban.term.permanent())) : std::nullopt;
  if (counted_in == ban.counted_in) return;
  if (ban.counted_in) {
    by_set_.at(*ban.counted_in) -= 1;
    native_.elements -= 1;
    native_.digest -= digest_of(entry->first);
  }
  if (counted_in) {
    by_set_.at(*counted_in) += 1;
    native_.elements += 1;
    native_.digest += digest_of(entry->first);
  }
  ban.counted_in = counted_in;
  native_changes_ += 1;
}

void Bans::queue(Entry entry) {
  const Ban& ban = entry->second;
  const bool first = ban.origin == Origin::hand || ban.recorded;
  const std::size_t lane = first ? 0 : kBanClasses - static_cast<std::size_t>(ban.of);
  asks_.at(lane).push_back(entry->first);
}

// Xorshift: nobody gains by guessing when a ban ends, and this must only not be in step.
std::uint64_t Bans::roll(std::uint64_t sides) {
  if (!dice_ || sides == 0) return 0;
  std::uint64_t x = *dice_ | 1U;
  x ^= x << 13U;
  x ^= x >> 7U;
  x ^= x << 17U;
  dice_ = x;
  return (x >> 11U) % sides;
}

// ---- what is wanted -----------------------------------------------------------------------------

Bans::Term Bans::granted(const Wanted& wanted, Now now) {
  auto duration = wanted.duration;
  if (duration && wanted.origin == Origin::scan) {
    const auto most = std::min<std::chrono::seconds>(*duration / 20, kMostSpread);
    *duration += std::chrono::seconds(roll(static_cast<std::uint64_t>(most.count()) + 1));
  }
  return Term::from(now, duration);
}

void Bans::ask(const Source& source, const Wanted& wanted, Now now) {
  const Term term = granted(wanted, now);
  const Entry entry = insert(source,
                             Ban{.state = State::asked,
                                 .address = wanted.address,
                                 .cause = wanted.cause,
                                 .term = term,
                                 .since = now.wall,
                                 .origin = wanted.origin,
                                 .proof = wanted.proof,
                                 .of = wanted.of,
                                 .offences = wanted.offences,
                                 .note = wanted.note},
                             term.until);
  queue(entry);
}

void Bans::hold(const Source& source, Now now) {
  const auto entry = warm(source);
  if (entry == bans_.end() || entry->second.state != State::asked || entry->second.id != 0) return;
  set_state(entry, State::waiting);
  Ban& ban = entry->second;
  ban.held_back = true;
  ban.held_since = now.steady;
  // It is not to be over before it began.
  if (!ban.term.permanent()) {
    set_term(entry, {ban.term.until + kLongestHold, *ban.term.wall + kLongestHold.count()});
  }
  set_due(entry, now.steady + kLongestHold);
}

void Bans::release(const Source& source, Now now) {
  const auto entry = warm(source);
  if (entry == bans_.end() || !std::exchange(entry->second.held_back, false)) return;
  Ban& ban = entry->second;
  if (!ban.term.permanent()) {
    const auto early = kLongestHold - (now.steady - ban.held_since);
    set_term(entry, {ban.term.until - early,
                     *ban.term.wall - std::chrono::floor<std::chrono::seconds>(early).count()});
  }
  set_state(entry, State::asked);
  set_due(entry, ban.term.until);
  queue(entry);
}

void Bans::take_over(Entry entry, const Wanted& wanted) {
  Ban& ban = entry->second;
  set_state(entry, ban.state);  // what it is counted by changes
  if (ban.pends) {
    pending_.at(static_cast<std::size_t>(ban.of)) -= 1;
    ban.pends = false;
  }
  ban.of = wanted.of;
  ban.proof = wanted.proof;
  ban.origin = wanted.origin;
  ban.offences = wanted.offences;
  ban.pardon = Pardon::none;
  ban.row = Backend::none;
  if (wanted.origin == Origin::scan) {
    ban.address = wanted.address;
    ban.cause = wanted.cause;
  } else {
    ban.note = wanted.note;
  }
  recount(entry);
}

Bans::Changed Bans::change(const Source& source, const Wanted& wanted, Now now) {
  const auto entry = warm(source);
  if (entry == bans_.end()) return Changed::unknown;
  Ban& ban = entry->second;
  if (ban.state == State::lifting && ban.id != 0) return Changed::busy;
  take_over(entry, wanted);
  const Term term = granted(wanted, now);
  switch (ban.state) {
    case State::enforced:
    case State::lifting:
    case State::stuck:
      if (ends_by_undo(ban)) {
        set_state(entry, State::enforced);
        set_term(entry, term);
        set_due(entry, term.until);
        return Changed::done;
      }
      [[fallthrough]];
    case State::changing:
      ban.wish = term;
      if (ban.id != 0) break;  // its answer sees that there is another wish
      set_state(entry, State::changing);
      ban.back_off = {};
      set_due(entry, end_of(ban));
      queue(entry);
      break;
    case State::restoring:
    case State::asked:
      if (ban.id != 0) {
        ban.wish = term;
        break;
      }
      set_term(entry, term);
      set_due(entry, term.until);
      // Its turn may have come while its time was over, and been skipped.
      if (ban.state == State::restoring) {
        restores_.push_back(source);
      } else {
        queue(entry);
      }
      break;
    case State::waiting:
      set_term(entry, term);
      set_due(entry, std::min(ban.due, term.until));
      break;
    case State::refused:
      set_term(entry, term);
      set_state(entry, State::asked);
      set_due(entry, term.until);
      queue(entry);
      break;
    case State::count_:
      break;
  }
  return Changed::asked;
}

void Bans::begin_lift(Entry entry) {
  Ban& ban = entry->second;
  set_state(entry, State::lifting);
  ban.wish.reset();
  ban.back_off = {};
  // What should have ended earlier than the kernel knows does not end by itself.
  const bool by_itself = !ends_by_undo(ban) && ban.pardon != Pardon::over;
  set_due(entry, by_itself ? ban.term.until : kNever);
  lifts_.push_back(entry->first);
}

Bans::Lift Bans::lift(const Source& source, Pardon why, Now) {
  const auto entry = warm(source);
  if (entry == bans_.end()) return Lift::unknown;
  Ban& ban = entry->second;
  ban.pardon = why;
  if (ban.id != 0) return Lift::asked;  // its answer sees that
  switch (ban.state) {
    case State::enforced:
    case State::changing:
    case State::restoring:
    case State::stuck:
      begin_lift(entry);
      return Lift::asked;
    case State::asked:
    case State::waiting:
    case State::refused:
      if (ban.clear_first) ban.by = Backend::command;
      // It held once, and may do so still.
      if (ban.by != Backend::none) {
        begin_lift(entry);
        return Lift::asked;
      }
      erase(entry);
      return Lift::gone;
    case State::lifting:
      return Lift::asked;
    case State::count_:
      break;
  }
  return Lift::unknown;
}

void Bans::forget(const Source& source) {
  const auto entry = warm(source);
  if (entry != bans_.end()) erase(entry);
}

void Bans::wrapped(const Source& source) {
  const auto entry = warm(source);
  if (entry != bans_.end()) entry->second.wrapped = true;
}

void Bans::acknowledge(const Source& source) {
  const auto entry = warm(source);
  if (entry != bans_.end()) entry->second.acknowledged = true;
}

void Bans::has_row(const Source& source, Backend by) {
  const auto entry = warm(source);
  if (entry != bans_.end()) entry->second.row = by;
}

void Bans::commands_changed(Now now) {
  for (auto entry = bans_.begin(); entry != bans_.end();) {
    const auto here = entry++;
    if (here->second.state == State::stuck) {
      set_state(here, State::lifting);
      set_due(here, now.steady);
    } else if (here->second.state == State::refused &&
               here->second.last_no == Verdict::no_command) {
      erase(here);
    }
  }
}

// ---- time ---------------------------------------------------------------------------------------

void Bans::clock_set(std::time_t shift) {
  const auto move = [shift](Term& term) {
    if (term.wall) term.wall = *term.wall + shift;
  };
  for (auto& [source, ban] : bans_) {
    move(ban.term);
    move(ban.sent);
    if (ban.wish) move(*ban.wish);
    // It moves along: what a row says is never longer than from here to its end.
    ban.since += shift;
    ban.row = Backend::none;
  }
  const auto moved = [shift](std::time_t at) {
    return std::clamp<std::time_t>(at + shift, 0, std::numeric_limits<std::uint32_t>::max());
  };
  settled_.change_each([&](const Source&, SettledBan& ban) {
    if (ban.wall) ban.wall = moved(*ban.wall);
    ban.since = moved(ban.since);
    ban.has_row = false;
    return true;
  });
}

// Enforced, and nothing to do before its end, or before the kernel's time is half over.
void Bans::enforced_until_due(Entry entry) {
  set_state(entry, State::enforced);
  const Ban& ban = entry->second;
  const bool native = ban.by == Backend::nftables;
  set_due(entry, native ? settled_.due_of(ban.term.until, ban.kernel_until) : ban.term.until);
}

namespace {

// It is to end earlier than the kernel, which nobody could tell in time, will end it.
bool kernel_holds_too_long(const Bans::Ban& ban, Now now) {
  const bool over = ban.term.until <= now.steady;
  if (!over && ban.wish && ban.wish->until <= now.steady) return true;
  return (over || ban.state == Bans::State::refused) && ban.by == Backend::nftables &&
         ban.kernel_until > now.steady + Bans::kLastMoment;
}

}  // namespace

std::vector<Bans::Ended> Bans::expire(Now now, std::size_t limit) {
  std::vector<Ended> ended;
  for (const Source& source : settled_.due(now.steady, limit))
    static_cast<void>(warm(source));
  for (std::size_t i = 0; i < limit && !due_.empty() && due_.begin()->first <= now.steady; ++i) {
    const Entry entry = bans_.find(due_.begin()->second);
    const Source source = entry->first;
    Ban& ban = entry->second;
    const bool over = ban.term.until <= now.steady;
    if (ban.id != 0) {
      set_due(entry, kNever);  // the Outcome comes first; answer() ends it
    } else if (ban.state == State::lifting) {
      if (over && !ends_by_undo(ban) && ban.pardon != Pardon::over) {
        ended.push_back({source, true, ban.acknowledged, ban.wrapped, ban.of});
        erase(entry);
      } else {  // its back-off is over
        const bool by_itself = !ends_by_undo(ban) && ban.pardon != Pardon::over;
        set_due(entry, by_itself ? ban.term.until : kNever);
        lifts_.push_back(source);
      }
    } else if (over && ban.state == State::changing && ban.wish && ban.wish->until > now.steady) {
      // Its old time ended before the new one was confirmed: nothing holds until it is.
      set_term(entry, *ban.wish);
      ban.wish.reset();
      set_state(entry, State::asked);
      set_due(entry, ban.term.until);
      queue(entry);
    } else if (kernel_holds_too_long(ban, now)) {
      ban.pardon = Pardon::over;
      begin_lift(entry);
    } else if (over && (ends_by_undo(ban) || ban.clear_first)) {
      ban.by = Backend::command;
      begin_lift(entry);
    } else if (over || ban.state == State::refused) {
      ended.push_back({source, holds(ban), ban.acknowledged, ban.wrapped, ban.of});
      erase(entry);
    } else if (ban.state == State::enforced || ban.state == State::changing) {
      // Half of the kernel's time is over, or a back-off.
      set_state(entry, State::changing);
      set_due(entry, end_of(ban));
      queue(entry);
    } else {  // a try whose back-off is over, or who was held back for long enough
      ban.held_back = false;
      set_state(entry, State::asked);
      set_due(entry, ban.term.until);
      queue(entry);
    }
  }
  return ended;
}

std::optional<Clock::time_point> Bans::next_due() const {
  std::optional<Clock::time_point> due;
  if (!due_.empty()) due = due_.begin()->first;
  if (const auto settled = settled_.next_due(); settled && (!due || *settled < *due)) due = settled;
  const bool restores = !restores_.empty() || (settled_.to_restore() > 0 && !asks_settled_);
  if (window_since_ && restores && backend_ != Backend::none) {
    const Clock::time_point end = *window_since_ + kRestorePatience;
    if (!due || end < *due) due = end;
  }
  return due;
}

void Bans::each_held(const std::function<void(const Source&, const Ban&)>& visit) const {
  each_after(std::nullopt, [&visit](const Source& source, const Ban& ban) {
    if (holds(ban)) visit(source, ban);
    return true;
  });
}

void Bans::each_after(const std::optional<Source>& after,
                      const std::function<bool(const Source&, const Ban&)>& visit) const {
  auto entry = after ? bans_.upper_bound(*after) : bans_.begin();
  bool goes_on = true;
  settled_.each_after(after, [&](const Source& source, const SettledBan& settled) {
    for (; goes_on && entry != bans_.end() && entry->first < source; ++entry)
      goes_on = visit(entry->first, entry->second);
    goes_on = goes_on && visit(source, shown(source, settled));
    return goes_on;
  });
  for (; goes_on && entry != bans_.end(); ++entry)
    goes_on = visit(entry->first, entry->second);
}

void Bans::told_already(const Source& source, Now now) {
  const auto entry = warm(source);
  if (entry != bans_.end()) entry->second.told_already = now.steady;
}

}  // namespace portsentry::monitor
