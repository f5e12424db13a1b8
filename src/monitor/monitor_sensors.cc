// Channel B: the sensor that serves, and during a reload its successor.
#include <algorithm>
#include <utility>
#include <variant>

#include "common/log.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// The end of a sensor that hung up. The kernel takes its time to unmap a capture ring.
constexpr std::chrono::seconds kSensorEnds{5};
// Ports that could not be bound: as many are told one by one, the rest is a count.
constexpr std::size_t kToldUnbound = 20;

// What is left of `ports` without `taken`.
bool any_left(PortSet ports, const PortSet& taken) {
  ports.remove(taken);
  return !ports.empty();
}

}  // namespace

SensorConfig Monitor::sensor_config(SensorRole role) const {
  const Config& config =
      role == SensorRole::successor && reload_ ? reload_->next.config : setup_.config;
  SensorConfig told = sensor_config_of(config);
  told.traps = sensor(role).traps;
  return told;
}

SensorConfig sensor_config_of(const Config& config) {
  return {.scan_trigger = config.scan_trigger,
          .scan_window = config.scan_window,
          .max_sources = config.max_sources,
          .interfaces = config.interfaces,
          .local_check = config.local_check,
          .service_check = config.service_check};
}

bool Monitor::on(const SensorChannel& channel, Now now) {
  if (channel.successor) {
    // One that was abandoned meanwhile is on its way to its end; its channel is not taken.
    successor_ = {};
    if (!reload_ || !reload_->deadline || reload_->handing_over) return true;
    successor_.phase = SensorPhase::configured;
    successor_.traps = traps_;
    await_successor(now);
    return true;
  }
  sensor_gone();
  sensor_.phase = SensorPhase::configured;
  sensor_.traps = traps_;
  return true;
}

bool Monitor::on(const SensorLost& lost, Now now) {
  if (lost.successor) {
    if (reload_ && reload_->deadline) {
      reload_over("the new sensor ended " +
                      std::string(lost.by_signal ? "by signal " : "with status ") +
                      std::to_string(lost.code),
                  false, now);
    }
    return true;
  }
  sensor_gone();
  tally_.sensor_restarts += 1;
  say(lines_.sensor_lost(lost));
  stop_when_told(now);
  relay(now);
  return true;
}

void Monitor::sensor_broken(std::string_view what, Now now, SensorRole role) {
  if (role == SensorRole::successor) {
    if (reload_) reload_over("the new sensor is broken (" + std::string(what) + ")", true, now);
    return;
  }
  say(lines_.sensor_broken(what));
  sensor_gone();
  const bool owed = std::any_of(owed_.begin(), owed_.end(), [](const MonitorToEnforcer& m) {
    return std::holds_alternative<DropSensor>(m);
  });
  if (!owed) owed_.emplace_back(DropSensor{});
  pump(now);
}

void Monitor::sensor_hung_up(Now now, SensorRole role) {
  if (role == SensorRole::successor) return;              // SensorLost tells, or its time runs out
  const bool known = sensor_.phase == SensorPhase::none;  // SensorLost was faster
  sensor_gone();
  if (!known) sensor_must_end_by_ = now.steady + kSensorEnds;
  stop_when_told(now);
  relay(now);
}

void Monitor::sensor_gone() {
  for (std::size_t i = 0; i < kSensorCounters; ++i)
    sensor_before_.at(i) += sensor_.counts.at(i);
  sensor_ = {};
  sensor_must_end_by_.reset();
  to_tell_.clear();
  tell_again_.reset();
  sensor_test_over();
}

bool Monitor::on_sensor(const SensorToMonitor& message, Now now, SensorRole role) {
  // Of one that is to be killed, and was not at fault (follow_with_sensor()).
  if (sensor(role).dropped) return true;
  look_at_clock(now);
  const bool understood = std::visit([&](const auto& m) { return hear(m, role, now); }, message);
  pump(now);
  return understood;
}

// ---- before it is ready -------------------------------------------------------------------------

bool Monitor::hear(const BindFailed& failed, SensorRole role, Now now) {
  Sensor& from = sensor(role);
  if (from.phase != SensorPhase::configured) return false;
  const bool tcp = failed.protocol == Protocol::tcp;
  PortSet& unbound = tcp ? from.unbound.tcp : from.unbound.udp;
  if (unbound.contains(failed.port)) return false;
  unbound.add(failed.port);
  tally_.bind_failures += 1;
  if (role == SensorRole::successor) await_successor(now);
  // A sensor that is started again after a crash has no news.
  if (told_unbound_.of(failed.protocol).contains(failed.port)) return true;
  if (from.told >= kToldUnbound) {
    (tcp ? from.untold_tcp : from.untold_udp) += 1;
    return true;
  }
  from.told += 1;
  say(lines_.could_not_bind(failed.protocol, failed.port, failed.error));
  return true;
}

// Tells what could not be bound; false: nothing is left that this sensor could watch.
bool Monitor::check_bound(const Sensor& from, const Config& config) {
  if (from.untold_tcp > 0) {
    say(lines_.could_not_bind_more(Protocol::tcp, from.untold_tcp));
  }
  if (from.untold_udp > 0) {
    say(lines_.could_not_bind_more(Protocol::udp, from.untold_udp));
  }
  const PortSets bind = config.watched_bind();
  bool some = !config.watched_capture().empty();
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    if (bind.of(protocol).empty()) continue;
    if (any_left(bind.of(protocol), from.unbound.of(protocol))) {
      some = true;
    } else {
      say(lines_.could_not_bind_any(protocol));
    }
  }
  return some;
}

bool Monitor::hear(const SensorReady&, SensorRole role, Now now) {
  Sensor& from = sensor(role);
  if (from.phase != SensorPhase::configured) return false;
  from.phase = SensorPhase::ready;
  if (stopping_) return true;
  if (role == SensorRole::successor) {
    if (!check_bound(from, reload_->next.config)) {
      reload_over("nothing of it could be listened on", true, now);
      return true;
    }
    hand_over(now);
    return true;
  }
  const bool watching = check_bound(from, setup_.config);
  told_unbound_ = from.unbound;
  if (!watching) {
    say(lines_.error("nothing is left to watch"));
    say(lines_.shutting_down());
    effects_.end(kExitRuntime, "nothing is left to watch: no port could be listened on");
    return true;
  }
  if (announced_) {
    say(lines_.sensor_back());
  } else {
    announce_when_ready(now);
  }
  tell_scores(now);
  follow_with_sensor(now);
  return true;
}

// The readiness line is true only when packets are classified and bans can be made.
void Monitor::announce_when_ready(Now now) {
  if (announced_ || phase_ != Phase::serving || sensor_.phase != SensorPhase::ready) return;
  if (!scouted_.known() && !scout_overdue_.told) return;
  announced_ = true;
  log_all(lines_.listening(setup_.config, sensor_.unbound));
  say(lines_.active());
  owe(Ready{}, now);
}

// ---- serving ------------------------------------------------------------------------------------

// A sensor that is handing over may have reported something before it heard of that.
bool Monitor::hear(const Detection& detection, SensorRole role, Now now) {
  const SensorPhase phase = sensor(role).phase;
  if (phase != SensorPhase::ready && phase != SensorPhase::handing_over) return false;
  detected(detection, now);
  if (detection.held) judge_hold(detection, now);
  return true;
}

bool Monitor::hear(const SensorCounters& counters, SensorRole role, Now) {
  Sensor& from = sensor(role);
  if (from.phase != SensorPhase::ready && from.phase != SensorPhase::handing_over) return false;
  if (counters.values.size() != kSensorCounters) return false;
  std::copy(counters.values.begin(), counters.values.end(), from.counts.begin());
  return true;
}

// ---- from one sensor to the next ----------------------------------------------------------------

bool Monitor::hear(const Evidence& evidence, SensorRole role, Now now) {
  if (role != SensorRole::current || sensor_.phase != SensorPhase::handing_over) return false;
  if (stopping_) {
    stopping_->scores.add(evidence, now.wall);
    return true;
  }
  if (relayed_) return false;  // it is not read while we hold this
  relayed_ = evidence;
  relay(now);
  return true;
}

bool Monitor::hear(const HandedOver&, SensorRole role, Now now) {
  if (role != SensorRole::current || sensor_.phase != SensorPhase::handing_over) return false;
  sensor_.phase = SensorPhase::silent;
  if (stopping_) {
    stop_when_told(now);
    return true;
  }
  relay(now);
  return true;
}

// Passes on what is held back. When the old sensor has nothing more to say, the new one serves.
void Monitor::relay(Now now) {
  if (relayed_ && effects_.to_sensor(SensorRole::successor, *relayed_)) relayed_.reset();
  if (!reload_ || !reload_->handing_over || relayed_) return;
  if (sensor_.phase != SensorPhase::handing_over) commit(now);
}

}  // namespace portsentry::monitor
