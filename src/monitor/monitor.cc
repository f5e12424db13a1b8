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

// A ban that ends means that BLOCKED_FILE is written whole; the more bans, the less often.
std::chrono::milliseconds rewrite_delay(std::size_t bans) {
  return std::chrono::seconds(1) + std::chrono::milliseconds(bans / 5);
}

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
  say(lines_.starting(setup_.version));
  if (!setup_.config.armed()) say(lines_.observing(setup_.conf_path));
  owe(Accept{.armed = setup_.config.armed()}, now);
}

void Monitor::shut_down() {
  queue_.flush();  // nobody waits for a name any more
  say(lines_.shutting_down());
}

// ---- channel A ----------------------------------------------------------------------------------

bool Monitor::on_enforcer(const EnforcerToMonitor& message, Now now) {
  if (!legal(message, phase_)) return false;
  const bool understood = std::visit([&](const auto& m) { return on(m, now); }, message);
  pump(now);
  return understood;
}

bool Monitor::on(const TableCreated& table, Now now) {
  if (table.again != (phase_ == Phase::serving)) return false;
  const Backend before = std::exchange(backend_, table.backend);
  if (!table.again) {
    phase_ = Phase::adopting;
    return true;
  }
  table_lost_ = false;
  const bool moved = before != table.backend;
  if (!moved) tally_.tables_lost += 1;
  const std::size_t to_restore = bans_.table_created(table.backend, true, now);
  restoring_ = Restoring{.why = moved ? Restoring::Why::moved : Restoring::Why::lost};
  if (to_restore == 0) tell_restored_when_done();
  return true;
}

bool Monitor::on(const Adopted& adopted, Now now) {
  const Source& source = adopted.source;
  if (!bans_.adopt(source, adopted.remaining, setup_.config.block_time, now)) return true;
  // Whether an earlier run added a line to hosts.deny nobody knows; taking back is harmless.
  if (!setup_.config.kill_hosts_deny.empty()) bans_.wrapped(source);
  // The administrator may have changed their mind, or the network its shape, since the last run.
  if (!lift_where_protected(source, now)) adopted_ += 1;
  return true;
}

bool Monitor::on(const AdoptedDone&, Now now) {
  if (phase_ == Phase::adopting) {
    phase_ = Phase::serving;
    recall(now);
    bans_.table_created(backend_, false, now);
    if (adopted_ > 0) say(lines_.adopted(adopted_));
    effects_.blocked_rewrite(blocked_view(bans_));
    await_scout(now);
    announce_when_ready(now);
  }
  return true;
}

bool Monitor::on(const TableLost& lost, Now) {
  // The enforcer tries again by itself, and may say so each time: one line until it is back.
  if (!std::exchange(table_lost_, true)) say(lines_.table_lost(lost.error));
  return true;
}

bool Monitor::on(const Lifted& lifted, Now now) {
  const Bans::Ban* ban = bans_.find(lifted.source);
  // While a request of ours is under way, its answer decides. And what a command holds is not in
  // the kernel's set.
  if (ban == nullptr || ban->state != Bans::State::enforced || ban->by == Backend::command) {
    return true;
  }
  const bool wrapped = ban->wrapped;
  bans_.forget(lifted.source);
  tally_.lifted_by_hand += 1;
  log_limited(lifted.source, lines_.lifted_by_hand(lifted.source), now);
  hooks_.scan_over(lifted.source);
  forget(lifted.source);
  if (wrapped) unwrap(lifted.source, now);
  blocked_changed(now);
  return true;
}

bool Monitor::on(const Outcome& outcome, Now now) {
  if (outcome.id >= Wrappers::kIds) return on_wrappers_outcome(outcome, now);
  if (runs_.contains(outcome.id)) return on_run_outcome(outcome, now);
  return on_ban_outcome(outcome, now);
}

bool Monitor::on(const Audited&, Now) {
  return false;
}

// ---- bans ---------------------------------------------------------------------------------------

bool Monitor::on_ban_outcome(const Outcome& outcome, Now now) {
  const auto answer = bans_.answer(outcome, now);
  if (!answer) return false;
  switch (answer->change) {
    case Bans::Change::enforced:
      enforced(*answer, now);
      // A reload may have named it while it was asked for.
      lift_where_protected(answer->source, now);
      break;
    case Bans::Change::put_back:
      if (restoring_) restoring_->put_back += 1;
      remember(answer->source, answer->ban, now);
      lift_where_protected(answer->source, now);
      break;
    case Bans::Change::later:
      if (answer->ban.state == Bans::State::lifting) {
        if (answer->news) {
          const std::string why = words::command_refusal(outcome.verdict, outcome.error);
          log_limited(answer->source, lines_.could_not_lift(answer->source, why), now);
        }
        break;
      }
      tally_.refused_kernel += 1;
      if (answer->was_restore && restoring_) restoring_->failed += 1;
      not_made(*answer, outcome.verdict, now);
      if (answer->news) could_not_block(*answer, outcome, now);
      break;
    case Bans::Change::refused:
      tally_.refused_guard += 1;
      if (answer->was_restore && restoring_) restoring_->failed += 1;
      not_made(*answer, outcome.verdict, now);
      if (narrow_after_refusal(*answer, now)) break;
      could_not_block(*answer, outcome, now);
      break;
    case Bans::Change::stuck:
      log_limited(answer->source, lines_.not_undone(answer->source), now);
      break;
    case Bans::Change::undo_failed:
      log_limited(
          answer->source,
          lines_.error("the undo of the ban of " + answer->source.text() + " fails (" +
                       words::command_refusal(outcome.verdict, outcome.error) +
                       "); the ban is taken for ended by hand: look whether the rule is gone"),
          now);
      tally_.undo_failed += 1;
      ban_over(answer->source, false, answer->ban.wrapped, now);
      blocked_changed(now);
      break;
    case Bans::Change::lifted:
      log_limited(answer->source,
                  answer->ban.pardon == Bans::Pardon::ignored
                      ? lines_.lifted_as_ignored(answer->source)
                      : lines_.lifted_as_protected(answer->source),
                  now);
      ban_over(answer->source, false, answer->ban.wrapped, now);
      blocked_changed(now);
      break;
    case Bans::Change::over:
      ban_over(answer->source, answer->ban.recorded, answer->ban.wrapped, now);
      if (!answer->ban.recorded) tally_.given_up += 1;
      break;
  }
  first_answer(*answer, now);
  tell_restored_when_done();
  return true;
}

void Monitor::enforced(const Bans::Answer& answer, Now now) {
  tally_.confirmed += 1;
  const Bans::Ban& ban = answer.ban;
  std::string how =
      ban.by == Backend::command
          ? lines_.blocked_by_command(answer.source,
                                      words::kill_route(setup_.config, answer.source, ban.cause))
          : lines_.blocked_natively(answer.source, remaining(ban, now));
  remember(answer.source, ban, now);
  if (ban.recorded) {  // put back after a second try: history has it already
    log_limited(answer.source, how, now);
    return blocked_changed(now);
  }
  std::optional<Detection> probe;
  if (const auto found = asked_for_.find(answer.source); found != asked_for_.end()) {
    probe = found->second;
  }
  const auto text = [lines = lines_, how = std::move(how), ban, probe](std::string_view host) {
    Text told{how, lines.blocked_compatible(ban.address, ban.cause, host)};
    if (probe) {
      for (std::string& line : lines.judged(*probe, Fate::blocked, host))
        told.push_back(std::move(line));
    }
    return told;
  };
  log_named(answer.source, ban.address, text, now);
  with_name(
      ban.address,
      [this, ban, wall = now.wall](std::string_view host) {
        effects_.history(history_line(wall, ban.address, ban.cause, host));
      },
      now);
  effects_.blocked_append(blocked_line(answer.source, ban.since));
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

// An ignored host must not stay banned, nor a gateway.
bool Monitor::lift_where_protected(const Source& source, Now now) {
  const Bans::Ban* ban = bans_.find(source);
  if (ban == nullptr || ban->state != Bans::State::enforced) return false;
  if (setup_.ignored.intersects(source.prefix(), now.wall)) {
    bans_.lift(source, Bans::Pardon::ignored);
  } else if (protection(source.prefix(), shield()) != Protection::none) {
    bans_.lift(source, Bans::Pardon::shielded);
  } else {
    return false;
  }
  return true;
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
  if (bans_.find(host) != nullptr || bans_.full()) return false;
  tally_.narrowed += 1;
  log_limited(answer.source, lines_.narrowed(answer.source, answer.ban.address, why), now);
  if (auto probe = asked_for_.extract(answer.source)) {
    probe.key() = host;
    asked_for_.insert(std::move(probe));
  }
  bans_.ask(host, answer.ban.address, answer.ban.cause, remaining(answer.ban, now), now);
  return true;
}

void Monitor::tell_restored_when_done() {
  if (!restoring_ || bans_.being_restored() > 0) return;
  const Restoring done = *std::exchange(restoring_, std::nullopt);
  const std::string failed =
      done.failed > 0 ? ", " + std::to_string(done.failed) + " not yet" : std::string();
  switch (done.why) {
    case Restoring::Why::lost:
      return say(lines_.table_restored(done.put_back, done.failed));
    case Restoring::Why::start:
      effects_.note(BootRestored{});
      return say(lines_.notice(std::to_string(done.put_back) +
                               (done.put_back == 1 ? " ban" : " bans") +
                               " of an earlier run made again" + failed));
    case Restoring::Why::moved:
      break;
  }
  switch (backend_) {
    case Backend::none:
      say(lines_.notice("bans are made no more; those in force stay until they end"));
      break;
    case Backend::nftables:
      say(lines_.notice("bans are made by nftables now; " + std::to_string(done.put_back) +
                        " taken over" + failed));
      break;
    case Backend::command:
      say(lines_.notice("bans are made by KILL_ROUTE now; " + std::to_string(done.put_back) +
                        " taken over" + failed));
      break;
  }
}

void Monitor::blocked_changed(Now now) {
  if (!rewrite_blocked_) rewrite_blocked_ = now.steady + rewrite_delay(bans_.size());
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
  owed_.push_back(message);
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
    remember_asked(message, now);
    return send(message);
  };
  const bool drained = owed_.empty() && bans_.pump(now, send_ban) && wrappers_.pump(send);
  retry_send_ = drained && !holding_back() ? std::nullopt : std::optional(now.steady + kSendAgain);
}

void Monitor::tick(Now now) {
  for (const Bans::Ended& ended : bans_.expire(now)) {
    if (!ended.held) tally_.given_up += 1;
    ban_over(ended.source, ended.held, ended.wrapped, now);
  }
  wrappers_.retry(now);
  queue_.tick(now);
  scout_tick(now);
  if (tell_again_ && *tell_again_ <= now.steady) tell_scores(now);
  stop_when_told(now);
  tell_restored_when_done();
  if (sensor_must_end_by_ && *sensor_must_end_by_ <= now.steady) {
    sensor_broken("it closed its channel and did not end", now);
  }
  if (reload_ && reload_->deadline && *reload_->deadline <= now.steady) reload_overdue(now);
  if (before_until_ && *before_until_ <= now.steady) {
    before_.reset();
    before_until_.reset();
  }
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
  for (const auto& due : {bans_.next_due(), wrappers_.next_due(), budget_.summary_due(),
                          hooks_.summary_due(), retry_send_, rewrite_blocked_, queue_.next_due(),
                          sensor_must_end_by_, reload_due, before_until_, scout_due(),
                          tell_again_, stop_due}) {
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

}  // namespace portsentry::monitor
