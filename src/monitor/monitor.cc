#include "monitor/monitor.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "monitor/history.h"
#include "monitor/log_words.h"

namespace portsentry::monitor {
namespace {

// When the enforcer is not reading: soon enough that a ban hardly waits, rarely enough to be idle.
constexpr std::chrono::milliseconds kSendAgain{10};
constexpr std::chrono::minutes kTellAlreadyEvery{1};
// The end of a sensor that hung up. The kernel takes its time to unmap a capture ring.
constexpr std::chrono::seconds kSensorEnds{5};

std::string_view backend_name(Backend backend) {
  switch (backend) {
    case Backend::none:
      return "none";
    case Backend::nftables:
      return "nftables";
    case Backend::command:
      return "command";
  }
  return "";
}

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
      // CommandOutput, the reload's four and the resolver's two.
      {.fresh = false, .adopting = false, .serving = true},
      {.fresh = false, .adopting = false, .serving = true},
      {.fresh = false, .adopting = false, .serving = true},
      {.fresh = false, .adopting = false, .serving = true},
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
  effects_.log(lines_.starting(setup_.version));
  if (!setup_.config.armed()) effects_.log(lines_.observing(setup_.conf_path));
  owed_.emplace_back(Accept{});
  pump(now);
}

void Monitor::shut_down() {
  effects_.log(lines_.shutting_down());
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
  backend_ = table.backend;
  if (!table.again) {
    phase_ = Phase::adopting;
    return true;
  }
  table_lost_ = false;
  tables_lost_ += 1;
  const std::size_t to_restore = bans_.table_created(table.backend, true, now);
  restoring_ = Restoring{};
  if (to_restore == 0) tell_restored_when_done();
  return true;
}

bool Monitor::on(const Adopted& adopted, Now now) {
  if (!bans_.adopt(adopted.source, adopted.remaining, setup_.config.block_time, now)) return true;
  // The administrator may have changed their mind, or the network its shape, since the last run. An
  // ignored host must not stay banned, nor a gateway.
  if (setup_.ignored.intersects(adopted.source.prefix(), now.wall)) {
    log_limited(adopted.source, lines_.lifted_as_ignored(adopted.source), now);
    bans_.lift(adopted.source);
  } else if (setup_.local.own_inside(adopted.source.prefix()) ||
             setup_.local.next_hop_inside(adopted.source.prefix())) {
    log_limited(adopted.source, lines_.lifted_as_protected(adopted.source), now);
    bans_.lift(adopted.source);
  } else {
    adopted_ += 1;
  }
  return true;
}

bool Monitor::on(const AdoptedDone&, Now now) {
  if (phase_ == Phase::adopting) {
    phase_ = Phase::serving;
    bans_.table_created(backend_, false, now);
    if (adopted_ > 0) effects_.log(lines_.adopted(adopted_));
    effects_.blocked_rewrite(blocked_view(bans_));
    announce_when_ready();
  }
  return true;
}

bool Monitor::on(const TableLost& lost, Now) {
  // The enforcer tries again by itself, and may say so each time: one line until it is back.
  if (!std::exchange(table_lost_, true)) effects_.log(lines_.table_lost(lost.error));
  return true;
}

bool Monitor::on(const Lifted& lifted, Now now) {
  const Bans::Ban* ban = bans_.find(lifted.source);
  // While a request of ours is under way, its answer decides.
  if (ban == nullptr || ban->state != Bans::State::enforced) return true;
  bans_.forget(lifted.source);
  lifted_by_hand_ += 1;
  log_limited(lifted.source, lines_.lifted_by_hand(lifted.source), now);
  blocked_changed(now);
  return true;
}

// Nothing of this was asked for.
bool Monitor::on(const CommandOutput&, Now) {
  return false;
}
bool Monitor::on(const ReloadFile&, Now) {
  return false;
}
bool Monitor::on(const ReloadOffer&, Now) {
  return false;
}
bool Monitor::on(const ReloadFailed&, Now) {
  return false;
}
bool Monitor::on(const ResolverChannel&, Now) {
  return false;
}
bool Monitor::on(const ResolverLost&, Now) {
  return false;
}

bool Monitor::on(const SensorChannel&, Now) {
  sensor_gone();
  sensor_phase_ = SensorPhase::configured;
  return true;
}

bool Monitor::on(const SensorLost& lost, Now) {
  sensor_gone();
  sensor_restarts_ += 1;
  effects_.log(lines_.sensor_lost(lost));
  return true;
}

bool Monitor::on(const Outcome& outcome, Now now) {
  const auto answer = bans_.answer(outcome, now);
  if (!answer) return false;
  switch (answer->change) {
    case Bans::Change::enforced:
      enforced(*answer, now);
      break;
    case Bans::Change::put_back:
      if (restoring_) restoring_->put_back += 1;
      break;
    case Bans::Change::later:
      if (answer->ban.state == Bans::State::lifting) {
        if (answer->news) {
          const std::string why = words::refusal(outcome.verdict, outcome.error);
          effects_.log(lines_.could_not_lift(answer->source, why));
        }
        break;
      }
      refused_kernel_ += 1;
      if (answer->was_restore && restoring_) restoring_->failed += 1;
      if (answer->news) {
        log_limited(answer->source,
                    lines_.could_not_block(answer->ban.address, answer->ban.cause.protocol,
                                           words::refusal(outcome.verdict, outcome.error)),
                    now);
      }
      break;
    case Bans::Change::refused:
      refused_guard_ += 1;
      if (answer->was_restore && restoring_) restoring_->failed += 1;
      if (narrow_after_refusal(*answer, now)) break;
      log_limited(answer->source,
                  lines_.could_not_block(answer->ban.address, answer->ban.cause.protocol,
                                         words::refusal(outcome.verdict, outcome.error)),
                  now);
      break;
    case Bans::Change::lifted:
      blocked_changed(now);
      break;
    case Bans::Change::stuck:
      break;
    case Bans::Change::over:
      if (answer->ban.recorded) {
        expired_ += 1;
        log_limited(answer->source, lines_.expired(answer->source), now);
        blocked_changed(now);
      } else {
        given_up_ += 1;
      }
      break;
  }
  tell_restored_when_done();
  return true;
}

void Monitor::enforced(const Bans::Answer& answer, Now now) {
  bans_confirmed_ += 1;
  const bool told = budget_.allow(answer.source, answer.ban.recorded ? 1 : 2, now);
  if (told) effects_.log(lines_.blocked_natively(answer.source, remaining(answer.ban, now)));
  if (answer.ban.recorded) {  // put back after a second try: history has it already
    blocked_changed(now);
    return;
  }
  if (told) effects_.log(lines_.blocked_compatible(answer.ban.address, answer.ban.cause));
  effects_.history(history_line(now.wall, answer.ban.address, answer.ban.cause));
  effects_.blocked_append(blocked_line(answer.source, answer.ban.since));
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
      return false;
  }
  const Source host = Source::of(answer.ban.address, true);
  bans_.forget(answer.source);
  if (bans_.find(host) != nullptr || bans_.full()) return false;
  narrowed_ += 1;
  log_limited(answer.source, lines_.narrowed(answer.source, answer.ban.address, why), now);
  bans_.ask(host, answer.ban.address, answer.ban.cause, remaining(answer.ban, now), now);
  return true;
}

void Monitor::tell_restored_when_done() {
  if (!restoring_ || bans_.being_restored() > 0) return;
  effects_.log(lines_.table_restored(restoring_->put_back, restoring_->failed));
  restoring_.reset();
}

// ---- channel B ----------------------------------------------------------------------------------

SensorConfig Monitor::sensor_config() const {
  const Config& config = setup_.config;
  return {.scan_trigger = config.scan_trigger,
          .scan_window = config.scan_window,
          .max_sources = config.max_sources,
          .interfaces = config.interfaces};
}

void Monitor::sensor_broken(std::string_view what, Now now) {
  effects_.log(lines_.sensor_broken(what));
  sensor_gone();
  if (owed_.empty()) owed_.emplace_back(DropSensor{});
  pump(now);
}

void Monitor::sensor_hung_up(Now now) {
  const bool known = sensor_phase_ == SensorPhase::none;  // SensorLost was faster
  sensor_gone();
  if (!known) sensor_must_end_by_ = now.steady + kSensorEnds;
}

void Monitor::sensor_gone() {
  sensor_phase_ = SensorPhase::none;
  sensor_must_end_by_.reset();
  for (std::size_t i = 0; i < kSensorCounters; ++i) {
    sensor_before_.at(i) += std::exchange(sensor_now_.at(i), 0);
  }
}

bool Monitor::on_sensor(const SensorToMonitor& message, Now now) {
  if (const auto* detection = std::get_if<Detection>(&message)) {
    if (sensor_phase_ != SensorPhase::ready) return false;
    detected(*detection, now);
    return true;
  }
  if (const auto* counters = std::get_if<SensorCounters>(&message)) {
    if (sensor_phase_ != SensorPhase::ready || counters->values.size() != kSensorCounters)
      return false;
    std::copy(counters->values.begin(), counters->values.end(), sensor_now_.begin());
    return true;
  }
  if (!std::holds_alternative<SensorReady>(message)) return false;
  if (sensor_phase_ != SensorPhase::configured) return false;
  sensor_phase_ = SensorPhase::ready;
  if (announced_) {
    effects_.log(lines_.sensor_back());
  } else {
    announce_when_ready();
  }
  return true;
}

// The readiness line is true only when packets are classified and bans can be made.
void Monitor::announce_when_ready() {
  if (announced_ || phase_ != Phase::serving || sensor_phase_ != SensorPhase::ready) return;
  announced_ = true;
  log_all(lines_.listening(setup_.config, {}));
  effects_.log(lines_.active());
}

void Monitor::detected(const Detection& detection, Now now) {
  detections_ += 1;
  const Decision decision = decide(detection, {.config = setup_.config,
                                               .ignored = setup_.ignored,
                                               .local = setup_.local,
                                               .bans = bans_,
                                               .wall = now.wall,
                                               .interface = {}});
  decisions_.at(static_cast<std::size_t>(decision.reason)) += 1;
  const Source& source = detection.source;

  switch (decision.reason) {
    case Reason::ignored:
      return;
    case Reason::ban:
      // The ban is on its way before anything is written: the scanner does not wait for our disk.
      bans_.ask(decision.target, detection.address, {detection.protocol, detection.port},
                setup_.config.block_time, now, urgency(detection, setup_.config));
      pump(now);
      budget_.is_news(source, detection.kind, now);  // told here; not again when it is banned
      tell_event(detection, now);
      if (decision.narrowed != Narrowed::no) {
        narrowed_ += 1;
        log_limited(source, lines_.narrowed(source, detection.address, decision.narrowed), now);
      }
      return;
    case Reason::already_banned: {
      if (budget_.is_news(source, detection.kind, now)) tell_event(detection, now);
      const auto* known = bans_.covering(detection.address);
      const auto& told = known->second.told_already;
      if (!told || now.steady >= *told + kTellAlreadyEvery) {
        bans_.told_already(known->first, now);
        const Text text = lines_.judged(detection, Fate::already_blocked);
        if (budget_.allow(source, static_cast<unsigned>(text.size()), now)) log_all(text);
      }
      return;
    }
    case Reason::already_asked:
    case Reason::refused_before:
    case Reason::over_budget:
      // Nothing new to say but the scan itself: 1.2's "already blocked" would not be true.
      if (budget_.is_news(source, detection.kind, now)) tell_event(detection, now);
      return;
    case Reason::not_unicast:
    case Reason::own_address:
    case Reason::next_hop:
      return tell_refusal(detection, words::refusal(decision.reason), now);
    case Reason::observe:
    case Reason::command_only:
      if (!budget_.is_news(source, detection.kind, now)) return;
      tell_event(detection, now);
      if (!budget_.allow(source, 2, now)) return;
      if (decision.reason == Reason::command_only) {
        log_all(lines_.judged(detection, Fate::commanded));
        return;
      }
      log_all(lines_.judged(detection, Fate::observed));
      effects_.log(lines_.would_ban(decision.target, setup_.config.block_time, detection.protocol,
                                    setup_.config.firewall == Firewall::none, setup_.conf_path));
      return;
    case Reason::count_:
      return;
  }
}

void Monitor::tell_event(const Detection& detection, Now now) {
  const Text text = lines_.seen(detection);
  if (budget_.allow(detection.source, static_cast<unsigned>(text.size()), now)) log_all(text);
}

void Monitor::log_all(const Text& text) {
  for (const std::string& line : text)
    effects_.log(line);
}

void Monitor::tell_refusal(const Detection& detection, std::string_view reason, Now now) {
  if (!budget_.is_news(detection.source, detection.kind, now)) return;
  tell_event(detection, now);
  const BlockMode mode =
      detection.protocol == Protocol::tcp ? setup_.config.block_tcp : setup_.config.block_udp;
  if (mode != BlockMode::ban) {
    log_limited(detection.source, lines_.would_not_ban(detection.address, reason), now);
    return;
  }
  const Text text = lines_.judged(detection, Fate::failed, {}, reason);
  if (budget_.allow(detection.source, static_cast<unsigned>(text.size()), now)) log_all(text);
}

// ---- time ---------------------------------------------------------------------------------------

void Monitor::log_limited(const Source& source, std::string_view line, Now now) {
  if (budget_.allow(source, 1, now)) effects_.log(line);
}

void Monitor::blocked_changed(Now now) {
  if (!rewrite_blocked_) rewrite_blocked_ = now.steady + rewrite_delay(bans_.size());
}

void Monitor::pump(Now now) {
  const auto send = [this](const MonitorToEnforcer& message) {
    return effects_.to_enforcer(message);
  };
  while (!owed_.empty() && send(owed_.front()))
    owed_.pop_front();
  const bool drained = owed_.empty() && bans_.pump(now, send);
  retry_send_ = drained ? std::nullopt : std::optional(now.steady + kSendAgain);
}

void Monitor::tick(Now now) {
  for (const Bans::Ended& ended : bans_.expire(now)) {
    if (ended.held) {
      expired_ += 1;
      log_limited(ended.source, lines_.expired(ended.source), now);
      blocked_changed(now);
    } else {
      given_up_ += 1;
    }
  }
  tell_restored_when_done();
  if (sensor_must_end_by_ && *sensor_must_end_by_ <= now.steady) {
    sensor_broken("it closed its channel and did not end", now);
  }
  if (const auto due = budget_.summary_due(); due && *due <= now.steady) {
    const LogBudget::Suppressed suppressed = budget_.take_summary();
    if (suppressed.by_source > 0) {
      effects_.log(
          lines_.suppressed(suppressed.by_source, "more than 20 a minute about one source"));
    }
    if (suppressed.in_all > 0) {
      effects_.log(lines_.suppressed(suppressed.in_all, "more than 200 a minute in all"));
    }
  }
  if (rewrite_blocked_ && *rewrite_blocked_ <= now.steady) {
    rewrite_blocked_.reset();
    effects_.blocked_rewrite(blocked_view(bans_));
  }
  pump(now);
}

std::optional<Clock::time_point> Monitor::wake_at() const {
  std::optional<Clock::time_point> first;
  for (const auto& due : {bans_.next_due(), budget_.summary_due(), retry_send_, rewrite_blocked_,
                          sensor_must_end_by_}) {
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

// ---- channel C ----------------------------------------------------------------------------------

StatusReply Monitor::status() const {
  using State = Bans::State;
  const std::size_t held = bans_.count(State::enforced) + bans_.count(State::lifting);
  const std::size_t moving = bans_.count(State::asked) + bans_.count(State::restoring);
  const std::size_t failed = bans_.count(State::waiting) + bans_.count(State::refused);
  StatusReply reply{.active = sensor_phase_ == SensorPhase::ready && phase_ == Phase::serving,
                    .observing = !setup_.config.armed(),
                    .firewall = std::string(backend_name(backend_)),
                    // While the table is lost nothing is in force, whatever was confirmed before.
                    .enforced = table_lost_ ? 0 : held,
                    .pending = table_lost_ ? moving + held : moving,
                    .failed = failed,
                    .sensor_restarts = sensor_restarts_,
                    .counters = {}};
  const auto add = [&](std::string name, std::uint64_t value) {
    reply.counters.push_back({std::move(name), value});
  };
  // At most 64 of these, see control.proto.
  add("detections", detections_);
  for (std::size_t i = 0; i < kReasons; ++i) {
    add("decision_" + std::string(kReasonNames.at(i)), decisions_.at(i));
  }
  const Effects::Losses losses = effects_.losses();
  add("bans_confirmed", bans_confirmed_);
  add("bans_adopted", adopted_);
  add("bans_narrowed", narrowed_);
  add("bans_refused_by_guard", refused_guard_);
  add("bans_refused_by_kernel", refused_kernel_);
  add("bans_expired", expired_);
  add("bans_lifted_by_hand", lifted_by_hand_);
  add("bans_given_up", given_up_);
  add("firewall_restores", tables_lost_);
  add("log_lines_suppressed", budget_.suppressed_ever());
  add("log_lines_lost", losses.log_lines);
  add("history_write_errors", losses.history_writes);
  add("blocked_write_errors", losses.blocked_writes);
  for (std::size_t i = 0; i < kSensorCounters; ++i) {
    add("sensor_" + std::string(kSensorCounterNames.at(i)),
        sensor_before_.at(i) + sensor_now_.at(i));
  }
  return reply;
}

}  // namespace portsentry::monitor
