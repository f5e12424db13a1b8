// What came of a request for a ban, and what is told of it.
#include <chrono>
#include <utility>

#include "monitor/command_words.h"
#include "monitor/history.h"
#include "monitor/log_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// A route, an address, a session: they come several at a time.
constexpr std::chrono::milliseconds kProtectionSettles{500};

// Bans that are judged anew in one turn (some milliseconds), and the pause before the next.
constexpr std::size_t kProtectedAtOnce = 4096;
constexpr std::chrono::milliseconds kProtectedRest{10};

// A ban that ends means that BLOCKED_FILE is written whole; the more bans, the less often.
std::chrono::milliseconds rewrite_delay(std::size_t bans) {
  return std::chrono::seconds(1) + std::chrono::milliseconds(bans / 5);
}

}  // namespace

bool Monitor::on_ban_outcome(const Outcome& outcome, Now now) {
  const auto answer = bans_.answer(outcome, now);
  if (!answer) return false;
  record_outcome(*answer, outcome, now);
  const Source& source = answer->source;
  switch (answer->change) {
    case Bans::Change::enforced:
      enforced(*answer, now);
      // A reload may have named it while it was asked for.
      lift_where_protected(source, now);
      break;
    case Bans::Change::put_back:
      if (restoring_ && answer->was_restore) restoring_->put_back += 1;
      if (answer->ban.row != answer->ban.by) remember(source, answer->ban);
      if (answer->news && !answer->was_restore) put_back_after_all(*answer, now);
      lift_where_protected(source, now);
      break;
    case Bans::Change::changed:
      changed(*answer);
      break;
    case Bans::Change::renewed:
      // Its time is the old one; who wants it, and why, may be new.
      if (answer->ban.state == Bans::State::enforced && answer->ban.row != answer->ban.by)
        remember(source, answer->ban);
      break;
    case Bans::Change::cleared:
      break;
    case Bans::Change::later:
      not_yet(*answer, outcome, now);
      break;
    case Bans::Change::refused:
      tally_.refused_guard += 1;
      if (answer->was_restore && restoring_) restoring_->failed += 1;
      not_made(*answer, outcome.verdict, now);
      if (narrow_after_refusal(*answer, now)) break;
      could_not_block(*answer, outcome, now);
      break;
    case Bans::Change::stuck:
      log_limited(source, lines_.not_undone(source), now);
      break;
    case Bans::Change::undo_failed:
      log_limited(
          source,
          lines_.error("the undo of the ban of " + source.text() + " fails (" +
                       words::command_refusal(outcome.verdict, outcome.error) +
                       "); the ban is taken for ended by hand: look whether the rule is gone"),
          now);
      tally_.undo_failed += 1;
      ban_over(source, false, answer->ban.wrapped, now);
      blocked_changed(now);
      break;
    case Bans::Change::lifted:
      lifted(source, answer->ban, now);
      break;
    case Bans::Change::over:
      ban_over(source, answer->ban.acknowledged, answer->ban.wrapped, now);
      if (!answer->ban.acknowledged) tally_.given_up += 1;
      break;
  }
  by_hand_answered(*answer, outcome, now);
  first_answer(*answer, now);
  tell_restored_when_done();
  return true;
}

// The kernel has confirmed it. People are told once the disk has it, too.
void Monitor::enforced(const Bans::Answer& answer, Now now) {
  tally_.confirmed += 1;
  remember(answer.source, answer.ban);
  std::optional<Detection> probe;
  if (const auto found = asked_for_.find(answer.source); found != asked_for_.end()) {
    probe = found->second;
  }
  const auto left = remaining(answer.ban, now);
  after_commit([this, source = answer.source, number = answer.ban.number, left,
                probe](Now then) { acknowledged(source, number, left, probe, then); },
               true);
  // The kernel's connections are asked for while the ban is on its way, and most often are faster.
  if (probe && probe->proof != Proof::forgeable)
    proven_after_all(*probe, {answer.source, answer.ban}, now);
}

std::string Monitor::how_blocked(const Source& source, const Bans::Ban& ban,
                                 std::chrono::seconds left) const {
  if (ban.by == Backend::nftables) return lines_.blocked_natively(source, left);
  return lines_.blocked_by_command(source, words::kill_route(setup_.config, source, ban.cause));
}

// People were told that it could not be, and history has it already.
void Monitor::put_back_after_all(const Bans::Answer& answer, Now now) {
  if (!answer.ban.acknowledged) return;
  log_limited(answer.source, how_blocked(answer.source, answer.ban, remaining(answer.ban, now)),
              now);
  blocked_changed(now);
}

void Monitor::acknowledged(const Source& source, std::uint64_t number, std::chrono::seconds left,
                           const std::optional<Detection>& probe, Now now) {
  const Bans::Ban* known = bans_.find(source);
  // It was ended meanwhile: nothing was told of it, and nothing is.
  if (known == nullptr || known->number != number || known->acknowledged) return;
  bans_.acknowledge(source);
  const Bans::Ban ban = *known;
  std::string how = how_blocked(source, ban, left);
  const auto text = [lines = lines_, how = std::move(how), ban, probe](std::string_view host) {
    Text told{how, lines.blocked_compatible(ban.address, ban.cause, host)};
    if (probe) {
      for (std::string& line : lines.judged(*probe, Fate::blocked, host))
        told.push_back(std::move(line));
    }
    return told;
  };
  log_named(source, ban.address, text, now);
  with_name(
      ban.address,
      [this, ban](std::string_view host) {
        effects_.history(history_line(ban.since, ban.address, ban.cause, host));
      },
      now);
  effects_.blocked_append(blocked_line(source, ban.since));
  // Now that there is a row by which it is taken back. Where the first answer was a no, it has been
  // asked for already.
  if (probe && ban.wrapped) wrappers_.want(source, ban.cause, true);
}

// It holds until another time than before. Told as a new ban is: when the disk has it, and after that.
void Monitor::changed(const Bans::Answer& answer) {
  remember(answer.source, answer.ban);
  const auto tell = [this, source = answer.source, until = answer.ban.term.until](Now then) {
    const Bans::Ban* ban = bans_.find(source);
    if (ban == nullptr || ban->term.until != until) return;  // it has changed again
    log_limited(
        source,
        lines_.notice("the ban of " + source.text() + " holds " +
                      (ban->term.permanent()
                           ? std::string("for good now")
                           : "for " + words::duration(remaining(*ban, then)) + " from now on")),
        then);
  };
  after_commit(tell, true);
}

// Nobody made it, or ended it, and that is tried again.
void Monitor::not_yet(const Bans::Answer& answer, const Outcome& outcome, Now now) {
  const Source& source = answer.source;
  switch (answer.ban.state) {
    case Bans::State::lifting:
      if (!answer.news) return;
      return log_limited(
          source,
          lines_.could_not_lift(source, words::command_refusal(outcome.verdict, outcome.error)),
          now);
    case Bans::State::enforced:
    case Bans::State::changing:
      tally_.refused_kernel += 1;
      if (!answer.news) return;
      return log_limited(
          source,
          lines_.error("the ban of " + source.text() + " keeps the time that it has: " +
                       words::refusal(outcome.verdict, outcome.error)),
          now);
    case Bans::State::asked:
    case Bans::State::waiting:
    case Bans::State::restoring:
    case Bans::State::refused:
    case Bans::State::stuck:
    case Bans::State::count_:
      break;
  }
  tally_.refused_kernel += 1;
  if (answer.was_restore && restoring_) restoring_->failed += 1;
  not_made(answer, outcome.verdict, now);
  if (answer.news) could_not_block(answer, outcome, now);
}

// It was ended before its time.
void Monitor::lifted(const Source& source, const Bans::Ban& ban, Now now) {
  switch (ban.pardon) {
    case Bans::Pardon::ignored:
      log_limited(source, lines_.lifted_as_ignored(source), now);
      break;
    case Bans::Pardon::allowed:
      log_limited(
          source,
          lines_.notice("the ban of " + source.text() + " was lifted: the allow list names it now"),
          now);
      break;
    case Bans::Pardon::shielded:
      log_limited(source, lines_.lifted_as_protected(source), now);
      break;
    case Bans::Pardon::by_hand:
      log_limited(source,
                  lines_.notice("the ban of " + source.text() + " was ended by portsentryctl"),
                  now);
      break;
    case Bans::Pardon::none:
    case Bans::Pardon::over:
      break;
  }
  const bool expired = ban.pardon == Bans::Pardon::over && ban.acknowledged;
  ban_over(source, expired, ban.wrapped, now);
  blocked_changed(now);
}

void Monitor::could_not_block(const Bans::Answer& answer, const Outcome& outcome, Now now) {
  const std::string why =
      outcome.verdict == Verdict::no_command && !answer.source.is_v4()
          ? "KILL_ROUTE is for IPv4 only, and nothing is known that does the same for IPv6"
          : words::refusal(outcome.verdict, outcome.error);
  const Bans::Ban& ban = answer.ban;
  const auto probe = asked_for_.find(answer.source);
  if (probe != asked_for_.end()) {
    return log_named(
        answer.source, ban.address,
        [lines = lines_, probe = probe->second, why](std::string_view host) {
          return lines.judged(probe, Fate::failed, host, why);
        },
        now);
  }
  log_named(
      answer.source, ban.address,
      [lines = lines_, ban, why](std::string_view host) {
        return Text{lines.could_not_block(ban.address, ban.cause.protocol, why, host)};
      },
      now);
}

// `held`: people were told of it, and are told of its end.
void Monitor::ban_over(const Source& source, bool held, bool wrapped, Now now) {
  asked_for_.erase(source);
  hooks_.scan_over(source);
  forget(source);
  if (wrapped) unwrap(source, now);
  if (!held) return;
  tally_.expired += 1;
  log_limited(source, lines_.expired(source), now);
  blocked_changed(now);
}

// Ends the ban of `source`, or what became of it so far.
void Monitor::lift(const Source& source, Bans::Pardon why, Now now) {
  const Bans::Ban* ban = bans_.find(source);
  if (ban == nullptr) return;
  Bans::Ban before = *ban;
  before.pardon = why;
  if (bans_.lift(source, why, now) == Bans::Lift::gone) lifted(source, before, now);
}

// An ignored host must not stay banned, nor a gateway.
bool Monitor::lift_where_protected(const Source& source, Now now) {
  const Bans::Pardon why = why_not_to_hold(source, now);
  if (why == Bans::Pardon::none) return false;
  const Bans::Ban* ban = bans_.find(source);
  if (ban == nullptr || ban->pardon != Bans::Pardon::none) return false;
  lift(source, why, now);
  return true;
}

Bans::Pardon Monitor::why_not_to_hold(const Source& source, Now now) const {
  if (setup_.ignored.intersects(source.prefix(), now.wall)) return Bans::Pardon::ignored;
  if (allowed_.overlap(source.prefix()) != nullptr) return Bans::Pardon::allowed;
  const bool shielded = protection(source.prefix(), shield()) != Protection::none;
  return shielded ? Bans::Pardon::shielded : Bans::Pardon::none;
}

void Monitor::lift_protected(Now now) {
  lift_protected_at_.reset();
  tell_exempt(now);
  lift_after_.reset();
  lift_some_protected(now);
}

// Each ban is judged anew, a part of them at a time: nobody waits for the judgement of a million.
void Monitor::lift_some_protected(Now now) {
  std::vector<Source> not_to_hold;
  std::size_t looked_at = 0;
  std::optional<Source> last;
  bans_.each_after(lift_after_, [&](const Source& source, const Bans::Ban& ban) {
    if (looked_at == kProtectedAtOnce) return false;
    looked_at += 1;
    last = source;
    if (ban.pardon == Bans::Pardon::none && why_not_to_hold(source, now) != Bans::Pardon::none)
      not_to_hold.push_back(source);
    return true;
  });
  for (const Source& source : not_to_hold)
    lift_where_protected(source, now);
  lift_after_ = looked_at == kProtectedAtOnce ? last : std::nullopt;
  if (lift_after_) lift_some_at_ = now.steady + kProtectedRest;
}

void Monitor::protection_changed(Now now) {
  // Every ban is looked at: the more of them, the less often.
  const auto settles = kProtectionSettles + std::chrono::milliseconds(bans_.size() / 100);
  if (!lift_protected_at_) lift_protected_at_ = now.steady + settles;
}

// A /64 that holds somebody who must not be banned: the host alone can still be.
bool Monitor::narrow_after_refusal(const Bans::Answer& answer, Now now) {
  if (answer.source.prefix().is_host() || answer.ban.recorded) return false;
  Narrowed why = Narrowed::no;
  switch (answer.ban.last_no) {
    case Verdict::own_address:
      why = Narrowed::own_address;
      break;
    case Verdict::next_hop:
      why = Narrowed::next_hop;
      break;
    case Verdict::shared_prefix:
      why = Narrowed::shared_prefix;
      break;
    case Verdict::ok:
    case Verdict::kernel_refused:
    case Verdict::no_firewall:
    case Verdict::command_failed:
    case Verdict::command_killed:
    case Verdict::command_timed_out:
    case Verdict::command_not_run:
    case Verdict::no_command:
    case Verdict::not_unicast:
    case Verdict::bad_duration:
    case Verdict::over_budget:
    case Verdict::view_unknown:
    case Verdict::not_read_back:
      return false;
    case Verdict::protected_network:
      why = Narrowed::protected_network;
      break;
    case Verdict::container_network:
      why = Narrowed::container_network;
      break;
  }
  const Source host = Source::of(answer.ban.address, true);
  bans_.forget(answer.source);
  if (bans_.find(host) != nullptr || bans_.full(answer.ban.of)) return false;
  tally_.narrowed += 1;
  log_limited(answer.source, lines_.narrowed(answer.source, answer.ban.address, why), now);
  if (auto probe = asked_for_.extract(answer.source)) {
    probe.key() = host;
    asked_for_.insert(std::move(probe));
  }
  const auto left = remaining(answer.ban, now);
  bans_.ask(host,
            {.address = answer.ban.address,
             .cause = answer.ban.cause,
             .duration = answer.ban.term.permanent() ? std::nullopt : std::optional(left),
             .of = answer.ban.of,
             .proof = answer.ban.proof,
             .origin = answer.ban.origin,
             .offences = answer.ban.offences,
             .note = answer.ban.note},
            now);
  return true;
}

void Monitor::blocked_changed(Now now) {
  if (!rewrite_blocked_) rewrite_blocked_ = now.steady + rewrite_delay(bans_.size());
}

}  // namespace portsentry::monitor
