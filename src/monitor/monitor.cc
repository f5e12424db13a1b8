#include "monitor/monitor.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "monitor/command_words.h"
#include "monitor/history.h"
#include "monitor/log_words.h"

namespace portsentry::monitor {
namespace {

// When somebody is not reading: soon enough that a ban hardly waits, rarely enough to be idle.
constexpr std::chrono::milliseconds kSendAgain{10};

}  // namespace

// Which message of the enforcer is legal when. One row per verb, in the order of EnforcerToMonitor.
bool Monitor::legal(const EnforcerToMonitor& message, Phase phase) {
  struct Row {
    bool fresh, adopting, serving;
  };
  static constexpr std::array<Row, std::variant_size_v<EnforcerToMonitor>> kLegal{{
      {.fresh = false, .adopting = false, .serving = true},  // Outcome: nothing was asked before
      {.fresh = true,
       .adopting = false,
       .serving = true},  // TableCreated: first, then only `again`
      // Adopted, AdoptedDone: also after a table was made again, whose sets may have survived.
      {.fresh = false, .adopting = true, .serving = true},
      {.fresh = false, .adopting = true, .serving = true},
      {.fresh = true, .adopting = true, .serving = true},   // SensorChannel: sensors have own lives
      {.fresh = true, .adopting = true, .serving = true},   // SensorLost
      {.fresh = true, .adopting = true, .serving = true},   // TableLost
      {.fresh = false, .adopting = true, .serving = true},  // Lifted
      // CommandOutput: of a command that was asked for. A reload's three: the launcher can be told to
      // reload at any time, but it waits until everything stands.
      {.fresh = false, .adopting = false, .serving = true},
      {.fresh = false, .adopting = false, .serving = true},
      {.fresh = false, .adopting = false, .serving = true},
      {.fresh = false, .adopting = false, .serving = true},
      // ResolverChannel, ResolverLost: a life of its own.
      {.fresh = true, .adopting = true, .serving = true},
      {.fresh = true, .adopting = true, .serving = true},
      {.fresh = false, .adopting = false, .serving = true},  // Audited: in answer
      // ScoutChannel, ScoutLost: as the resolver's.
      {.fresh = true, .adopting = true, .serving = true},
      {.fresh = true, .adopting = true, .serving = true},
      {.fresh = false, .adopting = false, .serving = true},  // ReloadFollowed
  }};
  const Row& row = kLegal.at(message.index());
  switch (phase) {
    case Phase::fresh:
      return row.fresh;
    case Phase::adopting:
      return row.adopting;
    case Phase::serving:
      return row.serving;
  }
  return false;
}

void Monitor::start(Now now) {
  started_ = now.wall;
  recall_allowed(now);
  say(lines_.starting(setup_.version));
  recall_override(now);
  recall_offences(now);
  if (!setup_.config.armed() && !word_) say(lines_.observing(setup_.conf_path));
  told_armed_ = setup_.config.armed();
  owe(Accept{.armed = told_armed_}, now);
}

void Monitor::shut_down() {
  queue_.flush();  // nobody waits for a name any more
  say(lines_.shutting_down());
}

// ---- channel A ----------------------------------------------------------------------------------

bool Monitor::on_enforcer(const EnforcerToMonitor& message, Now now) {
  if (!legal(message, phase_)) return false;
  look_at_clock(now);
  const bool understood = std::visit([&](const auto& m) { return on(m, now); }, message);
  reconcile(now);
  pump(now);
  return understood;
}

bool Monitor::on(const Outcome& outcome, Now now) {
  if (outcome.id >= Wrappers::kIds) return on_wrappers_outcome(outcome, now);
  if (runs_.contains(outcome.id)) return on_run_outcome(outcome, now);
  if (releases_.contains(outcome.id)) return on_release_outcome(outcome);
  if (outcome.id == firewall_test_) return on_test_outcome(outcome, now);
  return on_ban_outcome(outcome, now);
}

// ---- time ---------------------------------------------------------------------------------------

// Behind whatever waits for a name.
void Monitor::say(std::string_view line) {
  queue_.tell([this, line = std::string(line)](std::string_view) { effects_.log(line); });
}

void Monitor::log_limited(const Source& source, std::string_view line, Now now) {
  if (budget_.allow(source, 1, now)) say(line);
}

void Monitor::log_limited(const Source& source, const Text& text, Now now) {
  if (!text.empty() && budget_.allow(source, static_cast<unsigned>(text.size()), now))
    log_all(text);
}

void Monitor::log_all(const Text& text) {
  for (const std::string& line : text)
    say(line);
}

void Monitor::owe(MonitorToEnforcer message, Now now) {
  owed_.push_back(std::move(message));
  pump(now);
}

void Monitor::pump(Now now) {
  const auto send = [this](const MonitorToEnforcer& message) {
    return effects_.to_enforcer(message);
  };
  relay(now);
  while (!owed_.empty() && send(owed_.front()))
    owed_.pop_front();
  // Wrappers come last: they are an addition.
  const auto send_ban = [&](const MonitorToEnforcer& message) {
    remember_asked(message);
    return send(with_sessions(message));
  };
  const bool drained = owed_.empty() && bans_.pump(now, send_ban) && wrappers_.pump(send);
  retry_send_ = drained && !holding_back() ? std::nullopt : std::optional(now.steady + kSendAgain);
}

void Monitor::tick(Now now) {
  look_at_clock(now);
  // While the kernel tells what it holds, what ended meanwhile is still expected.
  const bool started = phase_ == Phase::serving;
  for (const Bans::Ended& ended : started ? bans_.expire(now) : std::vector<Bans::Ended>{}) {
    const bool told = ended.held && ended.acknowledged;
    if (!told) tally_.given_up += 1;
    if (ended.held) record_end(EventKind::expired, ended.source, ended.of, "", now);
    ban_over(ended.source, told, ended.wrapped, now);
    by_hand_settled(ended.source, true);
  }
  if (lift_protected_at_ && *lift_protected_at_ <= now.steady) lift_protected(now);
  if (lift_some_at_ && *lift_some_at_ <= now.steady) {
    lift_some_at_.reset();
    lift_some_protected(now);
  }
  if (rewrite_some_at_ && *rewrite_some_at_ <= now.steady) rewrite_some_rows(now);
  reconcile(now);
  by_hand_overdue(now);
  if (waits_for_nothing()) on_committed(committed_, now);
  wrappers_.retry(now);
  queue_.tick(now);
  scout_tick(now);
  if (tell_again_ && *tell_again_ <= now.steady) tell_scores(now);
  stop_when_told(now);
  tell_recovered(now);
  if (reverts_at_ && *reverts_at_ <= now.steady) revert(now);
  if (forget_offences_at_ && *forget_offences_at_ <= now.steady) forget_offences(now);
  tell_restored_when_done();
  if (sensor_must_end_by_ && *sensor_must_end_by_ <= now.steady) {
    sensor_broken("it closed its channel and did not end", now);
  }
  if (reload_ && reload_->deadline && *reload_->deadline <= now.steady) reload_overdue(now);
  control_tick(now);
  if (following_ && following_->until <= now.steady) reload_unfollowed();
  if (const auto due = budget_.summary_due(); due && *due <= now.steady) {
    const LogBudget::Suppressed suppressed = budget_.take_summary();
    if (suppressed.by_source > 0) {
      say(lines_.suppressed(suppressed.by_source, "more than 20 a minute about one source"));
    }
    if (suppressed.in_all > 0) {
      say(lines_.suppressed(suppressed.in_all, "more than 200 a minute in all"));
    }
  }
  if (const auto due = hooks_.summary_due(); due && *due <= now.steady) {
    say(lines_.suppressed_commands(hooks_.take_summary(), "more than ten a minute"));
  }
  if (rewrite_blocked_ && *rewrite_blocked_ <= now.steady) {
    rewrite_blocked_.reset();
    effects_.blocked_rewrite(blocked_view(bans_));
  }
  pump(now);
}

std::optional<Clock::time_point> Monitor::wake_at() const {
  std::optional<Clock::time_point> first;
  const auto stop_due =
      stopping_ && !stopping_->over ? std::optional(stopping_->until) : std::nullopt;
  const auto reload_due = reload_ ? reload_->deadline : std::nullopt;
  const auto follow_due = following_ ? std::optional(following_->until) : std::nullopt;
  const auto bans_due = phase_ == Phase::serving ? bans_.next_due() : std::nullopt;
  const auto answers_due = waits_for_nothing() ? std::optional(Clock::time_point()) : std::nullopt;
  for (const auto& due : {bans_due,
                          reconcile_due(),
                          by_hand_due(),
                          answers_due,
                          lift_protected_at_,
                          wrappers_.next_due(),
                          budget_.summary_due(),
                          hooks_.summary_due(),
                          retry_send_,
                          rewrite_blocked_,
                          queue_.next_due(),
                          sensor_must_end_by_,
                          reload_due,
                          follow_due,
                          scout_due(),
                          tell_again_,
                          stop_due,
                          control_due(),
                          reverts_at_,
                          ban_budget_.next_due(),
                          forget_offences_at_,
                          lift_some_at_,
                          rewrite_some_at_}) {
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

}  // namespace portsentry::monitor
