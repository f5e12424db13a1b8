// At most so many a second of something that costs, in bursts of at most `burst`. Whoever deserves
// it less may take only as long as part of the burst is left: the rest is for the others, however
// many of the first kind come. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/event_loop.h"

namespace portsentry::sensor {

class RateBudget {
 public:
  RateBudget(std::uint32_t per_second, std::uint32_t burst)
      : cost_(Clock::duration(std::chrono::seconds(1)) / per_second), most_ahead_(cost_ * burst) {}

  // True: one may be spent now. `percent` of the burst, 1..100, is open to who asks.
  [[nodiscard]] bool take(Clock::time_point now, unsigned percent = 100) {
    const auto after = std::max(paid_until_, now) + cost_;
    if (after - now > most_ahead_ / 100 * percent) return false;
    paid_until_ = after;
    return true;
  }
  // When the whole burst has one to spend.
  [[nodiscard]] Clock::time_point ready_at() const { return paid_until_ + cost_ - most_ahead_; }

 private:
  Clock::duration cost_;
  Clock::duration most_ahead_;
  // Each pays `cost_` of time, at most `most_ahead_` in advance.
  Clock::time_point paid_until_{};
};

}  // namespace portsentry::sensor
