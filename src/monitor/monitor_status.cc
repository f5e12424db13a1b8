// What `portsentryctl status` shows.
#include <algorithm>
#include <array>
#include <utility>

#include "common/text.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {

StatusReply Monitor::status() const {
  using State = Bans::State;
  const std::size_t held = bans_.count(State::enforced) + bans_.count(State::changing) +
                           bans_.count(State::lifting) + bans_.count(State::stuck);
  const std::size_t moving = bans_.count(State::asked) + bans_.count(State::restoring);
  const std::size_t failed = bans_.count(State::waiting) + bans_.count(State::refused);
  // While a successor takes over, it sees what its predecessor no longer tells.
  const bool watching =
      sensor_.phase == SensorPhase::ready || successor_.phase == SensorPhase::ready;
  StatusReply reply{.version = std::string(setup_.version),
                    .conf_path = plain_text(setup_.conf_path, kMaxText),
                    .started = started_,
                    .generation = generation_,
                    .active = watching && phase_ == Phase::serving,
                    .armed = setup_.config.armed(),
                    .file_tcp = static_cast<std::uint32_t>(setup_.config.block_tcp),
                    .file_udp = static_cast<std::uint32_t>(setup_.config.block_udp),
                    .backend = backend_,
                    .inbound_only = setup_.config.ban_scope == BanScope::inbound,
                    .holds = traps_,
                    // While the table is lost nothing is in force, whatever was confirmed before.
                    .enforced = table_lost_ ? 0 : held,
                    .pending = table_lost_ ? moving + held : moving,
                    .failed = failed,
                    .unrecorded = bans_unrecorded(),
                    .unverifiable = bans_.by_command(),
                    .permanent = bans_.permanent(),
                    .drift = drift(),
                    .compared = compared_,
                    .capacity_percent =
                        static_cast<std::uint32_t>(std::min<std::size_t>(100, capacity_percent())),
                    .sensor_restarts = tally_.sensor_restarts};
  reply.processes = processes();
  return reply;
}

StatusReply Monitor::status(Now now) const {
  StatusReply reply = status();
  const Mode mode = this->mode();
  reply.armed = mode.armed;
  reply.file_tcp = static_cast<std::uint32_t>(mode.file.tcp);
  reply.file_udp = static_cast<std::uint32_t>(mode.file.udp);
  reply.override_mode = override_shown();
  reply.allowed = allowed_.size();
  constexpr std::array<std::pair<BanClass, const char*>, kBanClasses> kClasses{
      {{BanClass::proven, "proven"}, {BanClass::spread, "spread"}, {BanClass::single, "single"}}};
  for (const auto& [how, name] : kClasses) {
    const BanBudget::State state = budget(how, now);
    reply.budgets.push_back({.name = name,
                             .left = state.left,
                             .burst = BanBudget::kBurst,
                             .per_second = BanBudget::kPerSecond,
                             .tripped = state.tripped,
                             .turned_away = state.refused});
  }
  reply.protected_entries = protected_entries(now).size();
  reply.scout = !protection_known() ? ScoutShown::unknown
                : scout_there_      ? ScoutShown::complete
                                    : ScoutShown::stale;
  reply.alarms = alarms(now);
  return reply;
}

// What somebody should look at, the worst first; few enough to fit (kMaxAlarms of wire_control.cc).
std::vector<std::string> Monitor::alarms(Now now) const {
  std::vector<std::string> out;
  if (table_lost_) out.emplace_back("the firewall table is lost: nothing is blocked");
  if (!protection_known()) {
    out.emplace_back("it is not known yet whom not to ban (portsentry-scout): nobody is banned");
  }
  if (sensor_.phase != SensorPhase::ready && successor_.phase != SensorPhase::ready)
    out.emplace_back("no sensor is classifying: nothing is seen");
  if (reconcile_.drifted()) out.emplace_back("the kernel does not hold what it should");
  if (capacity_percent() >= 80) out.emplace_back("a set of the kernel is 80 % full");
  if (effects_.losses().state_writes > 0 && !awaiting_.empty())
    out.emplace_back("the disk refuses: bans hold and are not recorded");
  if (const std::uint64_t lost = effects_.losses().events_lost; lost > 0) {
    out.emplace_back("history has lost " + std::to_string(lost) +
                     (lost == 1 ? " event" : " events") +
                     " since the start: the disk refused for too long");
  }
  for (const BanClass how : {BanClass::proven, BanClass::spread, BanClass::single}) {
    if (budget(how, now).tripped) {
      out.emplace_back("a budget of bans is spent: further scans of its class are only told");
      break;
    }
  }
  return out;
}

std::vector<ProcessShown> Monitor::processes() const {
  const auto state = [](SensorPhase phase) {
    switch (phase) {
      case SensorPhase::none:
      case SensorPhase::silent:
        return ProcessState::down;
      case SensorPhase::configured:
        return ProcessState::starting;
      case SensorPhase::ready:
      case SensorPhase::handing_over:
        break;
    }
    return ProcessState::running;
  };
  // What the monitor can know: its own pid and its parent's, and whose channel is open. Without the
  // launcher or the enforcer it would not run.
  return {{.name = "launcher", .pid = setup_.launcher},
          {.name = "enforcer"},
          {.name = "monitor", .pid = setup_.self},
          {.name = "sensor", .state = state(sensor_.phase), .restarts = tally_.sensor_restarts},
          {.name = "scout",
           .state = !scout_there_  ? ProcessState::down
                    : scout_spoke_ ? ProcessState::running
                                   : ProcessState::starting,
           .restarts = scout_restarts_},
          {.name = "resolver",
           .state = resolver_.there()            ? ProcessState::running
                    : setup_.config.resolve_host ? ProcessState::down
                                                 : ProcessState::not_wanted}};
}

std::vector<NamedCount> Monitor::counters() const {
  std::vector<NamedCount> counters;
  const auto add = [&](std::string name, std::uint64_t value) {
    counters.push_back({std::move(name), value});
  };
  add("detections", tally_.detections);
  for (std::size_t i = 0; i < kReasons; ++i) {
    add("decision_" + std::string(kReasonNames.at(i)), decisions_.at(i));
  }
  const Effects::Losses losses = effects_.losses();
  add("bans_confirmed", tally_.confirmed);
  add("bans_adopted", adopted_);
  add("bans_recovered", recovered_);
  add("bans_permanent", bans_.permanent());
  add("bans_unrecorded", bans_unrecorded());
  add("bans_unverifiable", bans_.by_command());
  add("bans_found_missing", tally_.missing);
  add("drift", reconcile_.drifted() ? 1 : 0);
  add("drifts", tally_.drifts);
  add("capacity_percent", capacity_percent());
  add("bans_narrowed", tally_.narrowed);
  add("bans_refused_by_guard", tally_.refused_guard);
  add("bans_refused_by_kernel", tally_.refused_kernel);
  add("bans_expired", tally_.expired);
  add("bans_lifted_by_hand", tally_.lifted_by_hand);
  add("bans_given_up", tally_.given_up);
  add("bans_undo_failed", tally_.undo_failed);
  add("bans_without_undo", bans_.count(Bans::State::stuck));
  add("firewall_restores", tally_.tables_lost);
  add("traps", traps_ ? 1 : 0);
  add("holds_banned", tally_.holds_banned);
  add("holds_released", tally_.holds_released);
  add("holds_left_to_end", tally_.holds_left);
  add("commands_run", tally_.commands_ok);
  add("commands_failed", tally_.commands_failed);
  add("commands_same_scan", tally_.commands_same_scan);
  add("commands_over_budget", tally_.commands_over_budget);
  add("command_outputs_unread", losses.command_outputs);
  add("hosts_deny_added", tally_.hosts_deny_added);
  add("hosts_deny_removed", tally_.hosts_deny_removed);
  add("hosts_deny_failed", tally_.hosts_deny_failed);
  add("generation", generation_);
  add("reloads_refused", tally_.reloads_refused);
  add("ports_not_bound", tally_.bind_failures);
  add("log_lines_suppressed", budget_.suppressed_ever());
  add("log_lines_lost", losses.log_lines);
  add("history_write_errors", losses.history_writes);
  add("blocked_write_errors", losses.blocked_writes);
  add("state_write_errors", losses.state_writes);
  add("control_strangers", losses.control_strangers);
  add("control_no_seat", losses.control_no_seat);
  add("control_malformed", losses.control_malformed);
  add("control_not_permitted", losses.control_not_permitted);
  add("control_silent", losses.control_silent);
  add("watch_events_missed", losses.events_missed);
  add("history_events_lost", losses.events_lost);
  for (std::size_t i = 0; i < kSensorCounters; ++i) {
    add("sensor_" + std::string(kSensorCounterNames.at(i)),
        sensor_before_.at(i) + sensor_.counts.at(i) + successor_.counts.at(i));
  }
  return counters;
}

}  // namespace portsentry::monitor
