#include "monitor/wrappers.h"

#include <gtest/gtest.h>

#include <vector>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

class WrappersTest : public ::testing::Test {
 protected:
  static Now at(Clock::duration later) {
    return {Clock::time_point(std::chrono::hours(5)) + later, 1'000'000};
  }
  void want(std::string_view who, bool present) {
    wrappers_.want(host(who), {Protocol::tcp, *Port::make(23)}, present);
  }
  std::vector<RunCommand> pump() {
    std::vector<RunCommand> sent;
    wrappers_.pump([&](const MonitorToEnforcer& message) {
      if (room_ == 0) return false;
      room_ -= 1;
      sent.push_back(std::get<RunCommand>(message));
      return true;
    });
    return sent;
  }
  Wrappers wrappers_;
  std::size_t room_ = SIZE_MAX;
};

TEST_F(WrappersTest, ALineIsAskedForOnceAndForgottenWhenItIsThere) {
  want("198.51.100.7", true);
  want("198.51.100.7", true);
  const auto sent = pump();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].command, Command::hosts_deny_add);
  EXPECT_EQ(sent[0].source, host("198.51.100.7"));
  EXPECT_GE(sent[0].id, Wrappers::kIds);
  EXPECT_EQ(wrappers_.asked(sent[0].id), host("198.51.100.7"));
  const auto answer = wrappers_.answer({sent[0].id, Verdict::ok, 0}, at(0s));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->done && answer->added);
  EXPECT_EQ(wrappers_.unsettled(), 0U);
  EXPECT_FALSE(wrappers_.answer({sent[0].id, Verdict::ok, 0}, at(0s))) << "twice";
}

TEST_F(WrappersTest, ABanThatEndsWhileItsLineIsBeingAddedHasItRemovedAfterwards) {
  want("198.51.100.7", true);
  const auto add = pump();
  want("198.51.100.7", false);
  EXPECT_TRUE(pump().empty()) << "one at a time";
  EXPECT_TRUE(wrappers_.answer({add.at(0).id, Verdict::ok, 0}, at(0s))->added);
  const auto remove = pump();
  ASSERT_EQ(remove.size(), 1U);
  EXPECT_EQ(remove[0].command, Command::hosts_deny_remove);
  EXPECT_FALSE(wrappers_.answer({remove[0].id, Verdict::ok, 0}, at(0s))->added);
  EXPECT_EQ(wrappers_.unsettled(), 0U);
}

TEST_F(WrappersTest, AFailureIsToldAtTheFirstAndTheLastTryAndThenGivenUp) {
  want("198.51.100.7", true);
  Clock::duration t = 0s;
  for (unsigned i = 1; i <= Wrappers::kTries; ++i) {
    const auto sent = pump();
    ASSERT_EQ(sent.size(), 1U) << i;
    const auto answer = wrappers_.answer({sent[0].id, Verdict::command_failed, 1}, at(t));
    EXPECT_EQ(answer->news, i == 1 || i == Wrappers::kTries);
    EXPECT_EQ(answer->gave_up, i == Wrappers::kTries);
    EXPECT_TRUE(pump().empty()) << "not at once";
    if (wrappers_.next_due()) t = *wrappers_.next_due() - at(0s).steady;
    wrappers_.retry(at(t));
  }
  EXPECT_TRUE(pump().empty());
  EXPECT_FALSE(wrappers_.next_due());
}

TEST_F(WrappersTest, WhatTheBudgetTurnsAwayIsNoFailureAndTriedForAsLongAsItTakes) {
  want("198.51.100.7", true);
  Clock::duration t = 0s;
  for (int i = 0; i < 20; ++i) {
    const auto sent = pump();
    ASSERT_EQ(sent.size(), 1U);
    const auto answer = wrappers_.answer({sent[0].id, Verdict::over_budget, 0}, at(t));
    EXPECT_FALSE(answer->news || answer->gave_up);
    EXPECT_LE(*wrappers_.next_due(), at(t + 60s).steady);
    t = *wrappers_.next_due() - at(0s).steady;
    wrappers_.retry(at(t));
  }
}

TEST_F(WrappersTest, ARefusalByTheGuardIsForGood) {
  want("198.51.100.7", true);
  EXPECT_TRUE(wrappers_.answer({pump().at(0).id, Verdict::own_address, 0}, at(0s))->gave_up);
  EXPECT_EQ(wrappers_.unsettled(), 0U);
}

TEST_F(WrappersTest, AWishThatChangesWhileAFailureWaitsIsActedOnAtOnce) {
  want("198.51.100.7", true);
  wrappers_.answer({pump().at(0).id, Verdict::command_failed, 1}, at(0s));
  want("198.51.100.7", false);
  EXPECT_FALSE(wrappers_.next_due());
  EXPECT_EQ(pump().at(0).command, Command::hosts_deny_remove);
}

TEST_F(WrappersTest, AFullChannelLosesNothingAndTheFlightIsBounded) {
  for (int i = 0; i < 100; ++i)
    want("198.51.100." + std::to_string(i), true);
  room_ = 3;
  EXPECT_EQ(pump().size(), 3U);
  room_ = SIZE_MAX;
  EXPECT_EQ(pump().size(), Wrappers::kMaxInFlight - 3);
  EXPECT_EQ(wrappers_.unsettled(), 100U);
}

}  // namespace
}  // namespace portsentry::monitor
