// The orderly stop, which asks the sensor what it knows; and the start, which tells the next one.
#include <algorithm>
#include <utility>

#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// How long the sensor may take. The launcher kills whoever is not gone after 0.8 s, and what was
// heard is yet to be written.
constexpr std::chrono::milliseconds kLastWords{250};
// The sensor's channel was full.
constexpr std::chrono::milliseconds kTellAgain{20};

}  // namespace

void Monitor::stop(Now now) {
  if (stopping_) return;
  stopping_ = Stopping{.until = now.steady};
  // In the middle of a reload two sensors share what is known: then it is lost.
  const bool can_tell = sensor_.phase == SensorPhase::ready && !reload_ && setup_.has_memory;
  if (!can_tell || !effects_.to_sensor(SensorRole::current, HandOver{})) return stop_when_told(now);
  sensor_.phase = SensorPhase::handing_over;
  stopping_->until = now.steady + kLastWords;
  stopping_->hearing = true;
  for (const Evidence& untold : std::exchange(to_tell_, {}))
    stopping_->scores.add(untold, now.wall);
}

// Ends it when the sensor has told everything, is gone, or takes too long.
void Monitor::stop_when_told(Now now) {
  if (!stopping_ || stopping_->over) return;
  if (stopping_->hearing && sensor_.phase == SensorPhase::handing_over &&
      now.steady < stopping_->until) {
    return;
  }
  // Scores that the file has are better than none, where nothing was heard.
  if (stopping_->hearing) effects_.note(PutScores{stopping_->scores.take()});
  stopping_->over = true;
}

// To the first sensor of this run. A later one follows one that has died, with all that it knew.
void Monitor::tell_scores(Now now) {
  if (sensor_.phase != SensorPhase::ready || reload_) return;
  if (!setup_.remembered.scores.empty()) {
    to_tell_ = as_evidence(std::exchange(setup_.remembered.scores, {}), now.wall);
    std::reverse(to_tell_.begin(), to_tell_.end());  // the strongest go first, from the end
  }
  tell_again_.reset();
  while (!to_tell_.empty()) {
    if (!effects_.to_sensor(SensorRole::current, to_tell_.back())) {
      tell_again_ = now.steady + kTellAgain;
      return;
    }
    to_tell_.pop_back();
  }
}

}  // namespace portsentry::monitor
