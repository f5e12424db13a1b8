// How many bans scans may cause: one token bucket for each class of evidence, so that a flood of
// single forged packets, which costs its sender nothing, cannot spend what is kept for those who
// scan port after port or have proven to be where they say. What is beyond is told, and not banned.
// Pure.
//
// Together they stay below what the enforcer's guard grants (100 a second, 1000 at once): the rest
// is for bans by hand and for repairs.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/event_loop.h"
#include "monitor/offences.h"

namespace portsentry::monitor {

class BanBudget {
 public:
  static constexpr unsigned kPerSecond = 30;  // of each class
  static constexpr unsigned kBurst = 300;
  // A budget that tripped has recovered once so much is back: it does not flap while a flood lasts.
  static constexpr unsigned kRecovered = kBurst / 2;
  static_assert(kBanClasses * kPerSecond < 100 && kBanClasses * kBurst < 1000,
                "less than the guard grants, see src/enforcer/guard.h");

  // There is room for one more ban.
  [[nodiscard]] bool has(BanClass how, Clock::time_point now) const;
  // One was asked for.
  void spend(BanClass how, Clock::time_point now);
  // One was not, because has() said no. True: that is news; say so, and recovered() will.
  [[nodiscard]] bool refused(BanClass how, Clock::time_point now);

  // Budgets that have recovered since the last call, and how many bans each did not grant.
  struct Recovery {
    BanClass how;
    std::uint64_t refused;
  };
  std::vector<Recovery> recovered(Clock::time_point now);
  // When recovered() may have something to tell; nothing: no budget is tripped.
  [[nodiscard]] std::optional<Clock::time_point> next_due() const;

  struct State {
    unsigned left = 0;          // whole bans, 0..kBurst
    bool tripped = false;       // and has not recovered
    std::uint64_t refused = 0;  // ever
  };
  [[nodiscard]] State state(BanClass how, Clock::time_point now) const;

 private:
  struct Bucket {
    // When it would be full: spending moves it away, time comes nearer. No fraction is ever lost.
    Clock::time_point full_at{};
    bool tripped = false;
    std::uint64_t refused_now = 0;  // since it tripped
    std::uint64_t refused_ever = 0;
  };
  [[nodiscard]] const Bucket& at(BanClass how) const {
    return buckets_.at(static_cast<std::size_t>(how));
  }
  [[nodiscard]] Bucket& at(BanClass how) { return buckets_.at(static_cast<std::size_t>(how)); }

  std::array<Bucket, kBanClasses> buckets_{};
};

}  // namespace portsentry::monitor
