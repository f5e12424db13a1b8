#include "sensor/rate_budget.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Clock::time_point kStart{std::chrono::hours(1)};

unsigned granted(RateBudget& budget, unsigned asked, Clock::time_point now,
                 unsigned percent = 100) {
  unsigned count = 0;
  for (unsigned i = 0; i < asked; ++i)
    count += budget.take(now, percent) ? 1 : 0;
  return count;
}

TEST(SensorRateBudget, GivesOneBurstAtOnceAndNoMore) {
  RateBudget budget(1000, 50);
  EXPECT_EQ(granted(budget, 500, kStart), 50U);
  EXPECT_EQ(granted(budget, 500, kStart), 0U);
}

TEST(SensorRateBudget, RefillsWithTimeUpToOneBurst) {
  RateBudget budget(1000, 50);
  EXPECT_EQ(granted(budget, 500, kStart), 50U);
  EXPECT_EQ(granted(budget, 500, kStart + milliseconds(10)), 10U);
  EXPECT_EQ(granted(budget, 500, kStart + seconds(3600)), 50U);
}

TEST(SensorRateBudget, HoldsItsRateOverASecondOfFlood) {
  RateBudget budget(20'000, 2'000);
  unsigned total = 0;
  for (int i = 0; i < 1000; ++i)
    total += granted(budget, 1000, kStart + milliseconds(i));
  EXPECT_GE(total, 20'000U);
  EXPECT_LE(total, 22'000U);
}

TEST(SensorRateBudget, WhoeverDeservesItLessCannotTakeTheLastOfIt) {
  RateBudget budget(1000, 100);
  EXPECT_EQ(granted(budget, 500, kStart, 50), 50U);
  EXPECT_EQ(granted(budget, 500, kStart, 75), 25U);
  EXPECT_EQ(granted(budget, 500, kStart), 25U);
}

TEST(SensorRateBudget, ALongFloodOfThemLeavesTheOthersTheirPart) {
  RateBudget budget(1000, 100);
  for (int i = 0; i < 10'000; ++i) {
    const auto now = kStart + milliseconds(i);
    granted(budget, 20, now, 50);
    if (i % 100 != 0) continue;
    ASSERT_TRUE(budget.take(now)) << i;
  }
}

TEST(SensorRateBudget, SaysWhenItHasOneToSpendAgain) {
  RateBudget budget(20, 5);
  EXPECT_LE(budget.ready_at(), kStart);
  EXPECT_EQ(granted(budget, 9, kStart), 5U);
  const auto ready = budget.ready_at();
  EXPECT_GT(ready, kStart);
  EXPECT_FALSE(budget.take(ready - milliseconds(1)));
  EXPECT_TRUE(budget.take(ready));
}

}  // namespace
}  // namespace portsentry::sensor
