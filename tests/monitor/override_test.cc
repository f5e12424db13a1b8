#include "monitor/override.h"

#include <gtest/gtest.h>

#include <limits>

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;
using Mode = Override::Mode;

constexpr BlockModes kWatch{BlockMode::observe, BlockMode::observe};
constexpr BlockModes kBan{BlockMode::ban, BlockMode::ban};
constexpr std::time_t kThen = 1'756'178'490;
constexpr Clock::time_point kSteady{1h};

Override armed(std::time_t confirm_within) {
  return {.mode = Mode::arm, .since = kThen, .confirm_by = kThen + confirm_within};
}

TEST(ModeOverride, WithoutOneTheFileCounts) {
  EXPECT_EQ(in_force(kWatch, {}), kWatch);
  EXPECT_EQ(in_force(kBan, {}), kBan);
}

TEST(ModeOverride, ObservingArmsNothingNotEvenCommands) {
  const Override observe{.mode = Mode::observe, .since = kThen, .confirm_by = {}};
  EXPECT_EQ(in_force(kBan, observe), kWatch);
  EXPECT_EQ(in_force({BlockMode::command_only, BlockMode::ban}, observe), kWatch);
}

TEST(ModeOverride, ArmingBansWhereTheFileOnlyWatches) {
  const Override arm{.mode = Mode::arm, .since = kThen, .confirm_by = {}};
  EXPECT_EQ(in_force(kWatch, arm), kBan);
  EXPECT_EQ(in_force({BlockMode::observe, BlockMode::command_only}, arm),
            (BlockModes{BlockMode::ban, BlockMode::command_only}));
}

TEST(ModeOverride, AnArmingForNowEndsWhenItsTimeIsOver) {
  EXPECT_EQ(reverts_at(armed(300), {kSteady, kThen}), kSteady + 300s);
  EXPECT_EQ(reverts_at(armed(300), {kSteady, kThen + 100}), kSteady + 200s) << "after a restart";
  EXPECT_EQ(reverts_at(armed(300), {kSteady, kThen + 5000}), kSteady) << "while nobody was there";
  EXPECT_FALSE(reverts_at({.mode = Mode::arm, .since = kThen, .confirm_by = {}}, {kSteady, kThen}));
  EXPECT_FALSE(
      reverts_at({.mode = Mode::observe, .since = kThen, .confirm_by = kThen}, {kSteady, kThen}));
}

TEST(ModeOverride, AWallClockThatIsSetBackNeverMakesItLonger) {
  EXPECT_EQ(reverts_at(armed(300), {kSteady, kThen - 100'000}), kSteady + 300s);
  EXPECT_EQ(reverts_at(armed(300), {kSteady, 0}), kSteady + 300s);
  EXPECT_EQ(reverts_at(armed(300), {kSteady, std::numeric_limits<std::time_t>::min()}),
            kSteady + 300s);
  EXPECT_EQ(reverts_at(armed(300), {kSteady, std::numeric_limits<std::time_t>::max()}), kSteady);
  EXPECT_EQ(reverts_at(armed(-5), {kSteady, kThen}), kSteady) << "an impossible row";
}

TEST(ModeOverride, WhatNobodyConfirmedLeavesNobodyArmed) {
  EXPECT_FALSE(after_revert(kWatch, kThen)) << "the file does not arm anything";
  for (const BlockModes& file : {kBan, BlockModes{BlockMode::ban, BlockMode::observe},
                                 BlockModes{BlockMode::observe, BlockMode::command_only}}) {
    const auto after = after_revert(file, kThen);
    ASSERT_TRUE(after);
    EXPECT_EQ(in_force(file, after), kWatch);
  }
}

TEST(ModeOverride, OnlyALoginThatCameAfterwardsConfirms) {
  EXPECT_EQ(confirmation(armed(300), kThen + 1), Confirmation::confirmed);
  EXPECT_EQ(confirmation(armed(300), kThen), Confirmation::session_too_old);
  EXPECT_EQ(confirmation(armed(300), 0), Confirmation::session_too_old);
  EXPECT_EQ(confirmation({}, kThen + 1), Confirmation::nothing_to_confirm);
  EXPECT_EQ(confirmation(Override{.mode = Mode::arm, .since = kThen, .confirm_by = {}}, kThen + 1),
            Confirmation::nothing_to_confirm);
}

}  // namespace
}  // namespace portsentry::monitor
