#include "monitor/hooks.h"

#include <gtest/gtest.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;
using Kind = Hooks::Kind;
using Answer = Hooks::Answer;

Now at(Clock::duration later) {
  return {Clock::time_point(std::chrono::hours(5)) + later, 1'000'000};
}

Source numbered(unsigned i) {
  return host("203.0." + std::to_string(i / 256) + "." + std::to_string(i % 256));
}

TEST(Hooks, ACommandRunsOncePerSourceAndScanHoweverLongTheScanLasts) {
  Hooks hooks;
  EXPECT_EQ(hooks.may_run(Kind::external, host("198.51.100.7"), at(0s)), Answer::run);
  for (Clock::duration t = 1min; t < 3h; t += 9min) {
    EXPECT_EQ(hooks.may_run(Kind::external, host("198.51.100.7"), at(t)), Answer::same_scan);
  }
}

TEST(Hooks, ASourceThatWasQuietForTenMinutesScansAnew) {
  Hooks hooks;
  hooks.may_run(Kind::external, host("198.51.100.7"), at(0s));
  EXPECT_EQ(hooks.may_run(Kind::external, host("198.51.100.7"), at(10min - 1ms)),
            Answer::same_scan);
  EXPECT_EQ(hooks.may_run(Kind::external, host("198.51.100.7"), at(20min)), Answer::run);
}

TEST(Hooks, WhatIsSeenOfABannedSourceKeepsItsScanGoing) {
  Hooks hooks;
  hooks.may_run(Kind::run_cmd, host("198.51.100.7"), at(0s));
  hooks.seen(host("198.51.100.7"), at(9min));
  EXPECT_EQ(hooks.may_run(Kind::run_cmd, host("198.51.100.7"), at(18min)), Answer::same_scan);
}

TEST(Hooks, TheEndOfABanEndsTheScan) {
  Hooks hooks;
  hooks.may_run(Kind::run_cmd, host("198.51.100.7"), at(0s));
  hooks.scan_over(host("198.51.100.7"));
  EXPECT_EQ(hooks.may_run(Kind::run_cmd, host("198.51.100.7"), at(1s)), Answer::run);
}

TEST(Hooks, TheTwoKindsAndTheSourcesHaveTheirOwnScans) {
  Hooks hooks;
  EXPECT_EQ(hooks.may_run(Kind::external, host("198.51.100.7"), at(0s)), Answer::run);
  EXPECT_EQ(hooks.may_run(Kind::run_cmd, host("198.51.100.7"), at(0s)), Answer::run);
  EXPECT_EQ(hooks.may_run(Kind::external, host("198.51.100.8"), at(0s)), Answer::run);
}

TEST(Hooks, TenAMinuteOfEachKindAndTheRestIsCountedAndToldOnce) {
  Hooks hooks;
  for (unsigned i = 0; i < 10; ++i)
    EXPECT_EQ(hooks.may_run(Kind::external, numbered(i), at(0s)), Answer::run);
  EXPECT_FALSE(hooks.summary_due());
  for (unsigned i = 10; i < 30; ++i)
    EXPECT_EQ(hooks.may_run(Kind::external, numbered(i), at(1s)), Answer::over_budget);
  EXPECT_EQ(hooks.may_run(Kind::run_cmd, numbered(0), at(1s)), Answer::run);
  EXPECT_EQ(hooks.summary_due(), at(61s).steady);
  EXPECT_EQ(hooks.take_summary(), 20U);
  EXPECT_FALSE(hooks.summary_due());
}

TEST(Hooks, AScanThatOutlastsTheBudgetHasItsTurn) {
  Hooks hooks;
  for (unsigned i = 0; i < 10; ++i)
    hooks.may_run(Kind::external, numbered(i), at(0s));
  EXPECT_EQ(hooks.may_run(Kind::external, numbered(10), at(30s)), Answer::over_budget);
  EXPECT_EQ(hooks.may_run(Kind::external, numbered(10), at(61s)), Answer::run);
}

TEST(Hooks, AFloodOfSourcesForgetsTheOneThatWasQuietForLongest) {
  Hooks hooks;
  hooks.may_run(Kind::external, host("198.51.100.7"), at(0s));
  hooks.may_run(Kind::external, host("198.51.100.8"), at(1s));
  hooks.seen(host("198.51.100.7"), at(2s));
  for (unsigned i = 0; i < Hooks::kMaxScans - 1; ++i)
    hooks.may_run(Kind::external, numbered(i), at(3s));
  EXPECT_EQ(hooks.may_run(Kind::external, host("198.51.100.7"), at(70s)), Answer::same_scan);
  EXPECT_EQ(hooks.may_run(Kind::external, host("198.51.100.8"), at(70s)), Answer::run);
}

}  // namespace
}  // namespace portsentry::monitor
