#include "monitor/ban_budget.h"

#include <gtest/gtest.h>

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point kStart{1h};

unsigned take(BanBudget& budget, BanClass how, Clock::time_point now, unsigned wanted) {
  unsigned got = 0;
  for (unsigned i = 0; i < wanted; ++i) {
    if (!budget.has(how, now)) continue;
    budget.spend(how, now);
    got += 1;
  }
  return got;
}

TEST(BanBudget, ABurstIsGrantedAndThenThirtyASecond) {
  BanBudget budget;
  EXPECT_EQ(take(budget, BanClass::single, kStart, 100'000), BanBudget::kBurst);
  EXPECT_EQ(take(budget, BanClass::single, kStart + 33ms, 10), 0U);
  EXPECT_EQ(take(budget, BanClass::single, kStart + 34ms, 10), 1U);
  EXPECT_EQ(take(budget, BanClass::single, kStart + 1s + 1ms, 100), BanBudget::kPerSecond - 1);
  EXPECT_EQ(take(budget, BanClass::single, kStart + 1h, 100'000), BanBudget::kBurst);
}

TEST(BanBudget, AFloodOfOneClassSpendsNothingOfTheOthers) {
  BanBudget budget;
  take(budget, BanClass::single, kStart, 1'000'000);
  EXPECT_EQ(take(budget, BanClass::spread, kStart, 1000), BanBudget::kBurst);
  EXPECT_EQ(take(budget, BanClass::proven, kStart, 1000), BanBudget::kBurst);
}

TEST(BanBudget, AMinuteOfFloodStaysBelowWhatTheGuardGrants) {
  BanBudget budget;
  unsigned granted = 0;
  for (auto at = 0ms; at < 60s; at += 10ms) {
    for (const BanClass how : {BanClass::single, BanClass::spread, BanClass::proven})
      granted += take(budget, how, kStart + at, 50);
  }
  EXPECT_LE(granted, 1000U + 100U * 60U);
  EXPECT_GE(granted, 900U + 90U * 59U);
}

TEST(BanBudget, TrippingIsNewsOnceAndRecoveryIsToldOnceTheFloodIsOver) {
  BanBudget budget;
  take(budget, BanClass::single, kStart, 300);
  EXPECT_FALSE(budget.next_due());
  EXPECT_TRUE(budget.refused(BanClass::single, kStart));
  EXPECT_FALSE(budget.refused(BanClass::single, kStart));
  EXPECT_TRUE(budget.state(BanClass::single, kStart).tripped);
  // As long as the flood takes what comes back, nothing has recovered.
  for (auto at = 1s; at < 60s; at += 1s) {
    take(budget, BanClass::single, kStart + at, 1000);
    EXPECT_FALSE(budget.refused(BanClass::single, kStart + at));
    EXPECT_TRUE(budget.recovered(kStart + at).empty());
  }
  ASSERT_TRUE(budget.next_due());
  EXPECT_TRUE(budget.recovered(*budget.next_due() - 1ms).empty());
  const auto told = budget.recovered(*budget.next_due());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].how, BanClass::single);
  EXPECT_EQ(told[0].refused, 61U);
  EXPECT_FALSE(budget.next_due());
  EXPECT_TRUE(budget.refused(BanClass::single, kStart + 120s)) << "the next time is news again";
}

TEST(BanBudget, TheStateShowsWhatIsLeftAndWhatWasRefusedEver) {
  BanBudget budget;
  EXPECT_EQ(budget.state(BanClass::proven, kStart).left, BanBudget::kBurst);
  take(budget, BanClass::proven, kStart, 100);
  EXPECT_EQ(budget.state(BanClass::proven, kStart).left, BanBudget::kBurst - 100);
  take(budget, BanClass::proven, kStart, 1000);
  EXPECT_EQ(budget.state(BanClass::proven, kStart).left, 0U);
  EXPECT_TRUE(budget.refused(BanClass::proven, kStart));
  EXPECT_EQ(budget.recovered(kStart + 10s).size(), 1U);
  EXPECT_EQ(budget.state(BanClass::proven, kStart + 10s).refused, 1U);
  EXPECT_FALSE(budget.state(BanClass::proven, kStart + 10s).tripped);
  EXPECT_EQ(budget.state(BanClass::proven, kStart + 10s).left, BanBudget::kBurst);
}

}  // namespace
}  // namespace portsentry::monitor
