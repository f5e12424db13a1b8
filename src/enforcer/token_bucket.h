// How many bans the enforcer carries out for the monitor, however many it asks for. Pure.
#pragma once

#include <algorithm>
#include <chrono>

namespace portsentry::enforcer {

// A bucket that holds `burst` tokens and gains `rate` of them a second. Kept as one instant, the
// time at which the bucket would be full again: nothing to refill, nothing to overflow.
class TokenBucket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Full at first. `rate` and `burst`: at least 1.
  constexpr TokenBucket(unsigned rate, unsigned burst)
      : interval_(std::chrono::nanoseconds(std::chrono::seconds(1)) / rate),
        depth_(interval_ * burst) {}

  // Takes a token; false when there is none. A clock that steps back gives no tokens.
  [[nodiscard]] constexpr bool spend(TimePoint now) {
    const TimePoint full = std::max(full_at_, now) + interval_;
    if (full - now > depth_) return false;
    full_at_ = full;
    return true;
  }

 private:
  std::chrono::nanoseconds interval_;
  std::chrono::nanoseconds depth_;
  TimePoint full_at_ = TimePoint::min();
};

// Bans only. Restore puts back what was once paid for, is legal only in its short window, and
// spends nothing (ARCHITECTURE section 4).
inline constexpr unsigned kBansPerSecond = 100;
inline constexpr unsigned kBanBurst = 1000;

}  // namespace portsentry::enforcer
