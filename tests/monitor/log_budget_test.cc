#include "monitor/log_budget.h"

#include <gtest/gtest.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

Now at(Clock::duration later) {
  return {Clock::time_point(1h) + later, 0};
}
Source numbered(unsigned i) {
  return host("198.51." + std::to_string(i / 256) + "." + std::to_string(i % 256));
}

TEST(LogBudget, OneSourceGetsTwentyLinesAMinute) {
  LogBudget budget;
  for (unsigned i = 0; i < LogBudget::kPerSource; ++i)
    EXPECT_TRUE(budget.allow(numbered(1), 1, at(0s)));
  EXPECT_FALSE(budget.allow(numbered(1), 1, at(59s)));
  EXPECT_TRUE(budget.allow(numbered(2), 1, at(59s))) << "another source has its own";
  EXPECT_TRUE(budget.allow(numbered(1), 1, at(60s)));
}

TEST(LogBudget, AllSourcesTogetherGetTwoHundredLinesAMinute) {
  LogBudget budget;
  for (unsigned i = 0; i < LogBudget::kInAll; ++i)
    EXPECT_TRUE(budget.allow(numbered(i), 1, at(0s)));
  EXPECT_FALSE(budget.allow(numbered(1000), 1, at(0s)));
  EXPECT_TRUE(budget.allow(numbered(1000), 1, at(60s)));
}

TEST(LogBudget, LinesThatBelongTogetherAreGrantedTogetherOrNotAtAll) {
  LogBudget budget;
  EXPECT_TRUE(budget.allow(numbered(1), LogBudget::kPerSource - 1, at(0s)));
  EXPECT_FALSE(budget.allow(numbered(1), 2, at(0s)));
  EXPECT_TRUE(budget.allow(numbered(1), 1, at(0s)));
}

TEST(LogBudget, WhatWasSuppressedIsToldOnceByReasonAMinuteAfterItBegan) {
  LogBudget budget;
  EXPECT_FALSE(budget.summary_due());
  EXPECT_FALSE(budget.allow(numbered(1), LogBudget::kPerSource + 1, at(5s)));
  EXPECT_FALSE(budget.allow(numbered(1), LogBudget::kPerSource + 2, at(7s)));
  EXPECT_EQ(budget.summary_due(), at(65s).steady);
  const auto told = budget.take_summary();
  EXPECT_EQ(told.by_source, 2 * LogBudget::kPerSource + 3);
  EXPECT_EQ(told.in_all, 0U);
  EXPECT_FALSE(budget.summary_due());
  EXPECT_FALSE(budget.take_summary().any());
  EXPECT_EQ(budget.suppressed_ever(), 2 * LogBudget::kPerSource + 3);
}

TEST(LogBudget, ASourceIsNewsOncePerKindOfScanAndMinute) {
  LogBudget budget;
  EXPECT_TRUE(budget.is_news(numbered(1), ScanKind::syn, at(0s)));
  EXPECT_FALSE(budget.is_news(numbered(1), ScanKind::syn, at(1s)));
  EXPECT_TRUE(budget.is_news(numbered(1), ScanKind::fin, at(1s)));
  EXPECT_TRUE(budget.is_news(numbered(2), ScanKind::syn, at(1s)));
  EXPECT_TRUE(budget.is_news(numbered(1), ScanKind::syn, at(60s)));
}

TEST(LogBudget, AFloodOfForgedSourcesIsNewsOnlyAsLongAsThereIsBudget) {
  LogBudget budget;
  unsigned news = 0;
  for (unsigned i = 0; i < 10000; ++i)
    news += budget.is_news(numbered(i), ScanKind::syn, at(0s)) ? 1 : 0;
  EXPECT_EQ(news, LogBudget::kInAll);
}

TEST(LogBudget, EveryKindOfScanIsNewsOfItsOwn) {
  LogBudget budget;
  for (const ScanKind kind : {ScanKind::syn, ScanKind::fin, ScanKind::null, ScanKind::xmas,
                              ScanKind::odd_flags, ScanKind::udp, ScanKind::connect}) {
    EXPECT_TRUE(budget.is_news(numbered(1), kind, at(0s))) << static_cast<int>(kind);
    EXPECT_FALSE(budget.is_news(numbered(1), kind, at(0s))) << static_cast<int>(kind);
  }
}

}  // namespace
}  // namespace portsentry::monitor
