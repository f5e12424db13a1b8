#include "monitor/ban_budget.h"

#include <algorithm>
#include <utility>

namespace portsentry::monitor {
namespace {

using Nanoseconds = std::chrono::nanoseconds;

constexpr Nanoseconds kOne = Nanoseconds(std::chrono::seconds(1)) / BanBudget::kPerSecond;
constexpr Nanoseconds kWhole = kOne * BanBudget::kBurst;
// What is missing from a bucket that has recovered.
constexpr Nanoseconds kMissing = kWhole - kOne * BanBudget::kRecovered;

// How far from full.
Nanoseconds missing(Clock::time_point full_at, Clock::time_point now) {
  return std::max<Nanoseconds>(full_at - now, Nanoseconds(0));
}

}  // namespace

bool BanBudget::has(BanClass how, Clock::time_point now) const {
  return missing(at(how).full_at, now) + kOne <= kWhole;
}

void BanBudget::spend(BanClass how, Clock::time_point now) {
  Bucket& bucket = at(how);
  bucket.full_at = std::max(bucket.full_at, now) + kOne;
}

bool BanBudget::refused(BanClass how, Clock::time_point) {
  Bucket& bucket = at(how);
  bucket.refused_now += 1;
  bucket.refused_ever += 1;
  return !std::exchange(bucket.tripped, true);
}

std::vector<BanBudget::Recovery> BanBudget::recovered(Clock::time_point now) {
  std::vector<Recovery> found;
  for (std::size_t i = 0; i < kBanClasses; ++i) {
    Bucket& bucket = buckets_.at(i);
    if (!bucket.tripped || missing(bucket.full_at, now) > kMissing) continue;
    found.push_back({static_cast<BanClass>(i), bucket.refused_now});
    bucket.tripped = false;
    bucket.refused_now = 0;
  }
  return found;
}

std::optional<Clock::time_point> BanBudget::next_due() const {
  std::optional<Clock::time_point> first;
  for (const Bucket& bucket : buckets_) {
    if (!bucket.tripped) continue;
    const Clock::time_point due =
        bucket.full_at - std::chrono::duration_cast<Clock::duration>(kMissing);
    if (!first || due < *first) first = due;
  }
  return first;
}

BanBudget::State BanBudget::state(BanClass how, Clock::time_point now) const {
  const Bucket& bucket = at(how);
  const Nanoseconds left = kWhole - std::min(missing(bucket.full_at, now), kWhole);
  return {.left = static_cast<unsigned>(left / kOne),
          .tripped = bucket.tripped,
          .refused = bucket.refused_ever};
}

}  // namespace portsentry::monitor
