// Holds: the kernel's traps have cut a source off before anybody judged it. Here it becomes a ban, or its
// hold ends; and the traps are told whom never to hold.
#include <utility>
#include <vector>

#include "monitor/exempt.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// Not answered yet. A hold beyond these ends by itself, ten seconds after it began.
constexpr std::size_t kMaxReleases = 256;

}  // namespace

// The table has traps now, or has none (any more). A sensor that has closed its capture sees nothing
// without them, and cannot open it again.
void Monitor::follow_traps(bool traps, Now now) {
  traps_ = traps;
  if (traps) {
    exempt_told_.reset();  // that table knows nobody yet
    tell_exempt(now);
  }
  follow_with_sensor(now);
}

void Monitor::follow_with_sensor(Now now) {
  if (sensor_.phase != SensorPhase::ready || sensor_.traps == traps_) return;
  if (traps_) {
    sensor_.traps = effects_.to_sensor(SensorRole::current, UseTraps{});
    if (sensor_.traps) return;
  }
  say(lines_.notice(traps_ ? "the sensor is started anew: it does not listen"
                           : "the sensor is started anew: there are no traps, it captures"));
  sensor_gone();
  sensor_.dropped = true;
  owe(DropSensor{}, now);
}

// Whoever calls this may have changed nothing: that is seen here.
void Monitor::tell_exempt(Now now) {
  // Before the first snapshot of the scout nobody is banned, and nobody held.
  if (!traps_ || phase_ == Phase::fresh || !protection_known()) return;
  std::vector<Prefix> networks = exempt_networks(shield(), setup_.ignored, allowed_, now);
  if (exempt_told_ == networks) return;
  std::size_t at = 0;
  do {
    const std::size_t count = std::min(kMaxExempt, networks.size() - at);
    const auto begin = networks.begin() + static_cast<std::ptrdiff_t>(at);
    at += count;
    owed_.emplace_back(Exempt{.networks = {begin, begin + static_cast<std::ptrdiff_t>(count)},
                              .more = at < networks.size()});
  } while (at < networks.size());
  exempt_told_ = std::move(networks);
  pump(now);
}

bool Monitor::hear(const Acquitted& acquitted, SensorRole role, Now now) {
  const SensorPhase phase = sensor(role).phase;
  if (phase != SensorPhase::ready && phase != SensorPhase::handing_over) return false;
  release(acquitted.source, now);
  return true;
}

// After the detection has been judged.
void Monitor::judge_hold(const Detection& detection, Now now) {
  const auto* ban = bans_.covering(detection.address);
  // One that was narrowed to an address is not a reason to hold the others of its site.
  if (ban != nullptr && ban->first == detection.source) {
    tally_.holds_banned += 1;
    return;
  }
  release(detection.source, now);
}

void Monitor::release(const Source& source, Now now) {
  if (!traps_ || releases_.size() >= kMaxReleases) {
    tally_.holds_left += 1;
    return;
  }
  // The same numbers as RunCommand's, so that an Outcome tells whose it is.
  const std::uint64_t id = next_run_++;
  releases_.insert(id);
  owe(Release{.id = id, .source = source}, now);
}

bool Monitor::on_release_outcome(const Outcome& outcome) {
  releases_.erase(outcome.id);
  (outcome.verdict == Verdict::ok ? tally_.holds_released : tally_.holds_left) += 1;
  return true;
}

}  // namespace portsentry::monitor
