#include "enforcer/enforcer.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace portsentry::enforcer {
namespace {

constexpr std::chrono::milliseconds kFirstWait{100};
constexpr std::chrono::milliseconds kLongestWait{30'000};
constexpr std::chrono::seconds kLongLife{60};

}  // namespace

std::chrono::milliseconds Backoff::next(Clock::duration lived) {
  wait_ = wait_.count() == 0 || lived >= kLongLife ? kFirstWait : std::min(wait_ * 2, kLongestWait);
  return wait_;
}

// By this: to restart the sensor, which it could also ignore. Once per sensor: how often the
// launcher is asked is not for the monitor to say.
void Enforcer::handle(const DropSensor&) {
  if (std::exchange(sensor_runs_, false)) ask(LauncherOp::kill_sensor);
}

void Enforcer::start_sensor() {
  sensor_since_ = Clock::now();
  ask(LauncherOp::spawn_sensor);
}

void Enforcer::start_sensor_after(Clock::duration wait) {
  if (sensor_due_) parts_.loop.cancel(*sensor_due_);
  sensor_due_ = parts_.loop.after(wait, [this] {
    sensor_due_.reset();
    start_sensor();
  });
}

void Enforcer::sensor_started(int channel) {
  if (channel < 0) fatal("the launcher started a sensor without a channel: stopping");
  sensor_runs_ = true;
  tell(SensorChannel{.successor = false}, channel);
}

void Enforcer::sensor_ended(const LauncherEvent& event) {
  // The predecessor's end, on the way when the switch was asked for.
  if (offer_ == Offer::committing && successor_takes_over_) return;
  sensor_runs_ = false;
  // Its successor is up, and the monitor, which sees it hang up, may be switching already: it would
  // take this for the end of the one that it has switched to.
  if (offer_ == Offer::accepted && successor_runs_) {
    predecessor_lost_ = event;
    return;
  }
  sensor_lost(event);
}

void Enforcer::sensor_lost(const LauncherEvent& event) {
  const auto wait = sensor_backoff_.next(Clock::now() - sensor_since_);
  tell(SensorLost{.by_signal = event.by_signal != 0,
                  .code = event.code & 0xff,
                  .retry_in = wait,
                  .successor = false});
  start_sensor_after(wait);
}

void Enforcer::successor_started(int channel) {
  if (channel < 0) fatal("the launcher started a successor without a channel: stopping");
  successor_since_ = Clock::now();
  // Abandoned meanwhile: its end will not be told either, and nobody is to wait for it.
  if (offer_ != Offer::accepted) return;
  successor_runs_ = true;
  tell(SensorChannel{.successor = true}, channel);
}

void Enforcer::successor_ended(const LauncherEvent& event) {
  // Too late to take the switch back: the launcher will say that there is no sensor, and another
  // follows.
  if (offer_ != Offer::accepted) return;
  crossed_ = offered_;
  reload_over();
  tell(SensorLost{.by_signal = event.by_signal != 0,
                  .code = event.code & 0xff,
                  .retry_in = {},
                  .successor = true});
  successor_gone();
}

// The one that was to be followed is the sensor again, or was.
void Enforcer::successor_gone() {
  successor_runs_ = false;
  if (const auto lost = std::exchange(predecessor_lost_, std::nullopt)) sensor_lost(*lost);
}

// ---- the resolver -------------------------------------------------------------------------------

void Enforcer::start_resolver() {
  resolver_since_ = Clock::now();
  resolver_runs_ = true;
  ask(LauncherOp::spawn_resolver);
}

void Enforcer::resolver_ended() {
  resolver_runs_ = false;
  tell(ResolverLost{});
  if (resolver_due_) return;
  resolver_due_ = true;
  parts_.loop.after(resolver_backoff_.next(Clock::now() - resolver_since_), [this] {
    resolver_due_ = false;
    if (resolver_wanted_ && !resolver_runs_) start_resolver();
  });
}

}  // namespace portsentry::enforcer
