#include "monitor/reconcile.h"

#include <gtest/gtest.h>

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;
using Found = Reconcile::Found;

class ReconcileTest : public ::testing::Test {
 protected:
  Now at(Clock::duration t) const { return {Clock::time_point(1h) + t, 1'700'000'000}; }
  // Time passes until it asks, if it does within `patience`.
  std::optional<std::uint64_t> ask(Clock::duration patience = 90s) {
    for (const Clock::duration end = t_ + patience; t_ <= end; t_ += 500ms) {
      if (restless_) view_.changes += 1;
      if (const auto id = reconcile_.begin(view_, at(t_))) return id;
    }
    return std::nullopt;
  }
  std::optional<Found> answer(std::uint64_t id, std::uint64_t elements, std::uint64_t digest) {
    return reconcile_.audited({.id = id, .elements = elements, .digest = digest}, view_, at(t_));
  }

  Reconcile reconcile_;
  Reconcile::View view_{.native = {.elements = 10, .digest = 77}, .changes = 5};
  Clock::duration t_{};
  bool restless_ = false;
};

TEST_F(ReconcileTest, NothingIsAskedBeforeEverythingIsRestored) {
  EXPECT_FALSE(ask());
  reconcile_.restored(true, at(t_));
  EXPECT_TRUE(ask());
  reconcile_.restored(false, at(t_));
  EXPECT_FALSE(ask());
}

TEST_F(ReconcileTest, WhatAgreesIsLookedAtAgainAMinuteLater) {
  reconcile_.restored(true, at(t_));
  EXPECT_EQ(answer(*ask(), 10, 77), Found::same);
  EXPECT_FALSE(ask(59s));
  EXPECT_TRUE(ask(5s));
}

TEST_F(ReconcileTest, OneDifferenceIsNoDriftAndTwoAre) {
  reconcile_.restored(true, at(t_));
  EXPECT_EQ(answer(*ask(), 9, 77), Found::differs);
  EXPECT_FALSE(reconcile_.drifted());
  const auto again = ask(3s);
  ASSERT_TRUE(again) << "soon";
  EXPECT_EQ(answer(*again, 10, 78), Found::drift) << "as many, and others";
  EXPECT_TRUE(reconcile_.drifted());
  EXPECT_EQ(answer(*ask(), 10, 77), Found::same);
  EXPECT_FALSE(reconcile_.drifted());
}

TEST_F(ReconcileTest, ADifferenceThatIsGoneBeforeItIsSeenTwiceWasNone) {
  reconcile_.restored(true, at(t_));
  EXPECT_EQ(answer(*ask(), 9, 77), Found::differs);
  EXPECT_EQ(answer(*ask(), 10, 77), Found::same);
  EXPECT_EQ(answer(*ask(), 9, 77), Found::differs);
}

TEST_F(ReconcileTest, AmongManyChangesOnlyWhatTheyCannotExplainDiffers) {
  reconcile_.restored(true, at(t_));
  restless_ = true;
  const auto id = ask();
  ASSERT_TRUE(id) << "it does not wait for calm for ever";
  view_.changes += 20;
  EXPECT_EQ(answer(*id, 10 + 20 + Reconcile::kRough, 1), Found::same);
  const auto next = ask();
  EXPECT_EQ(answer(*next, 100'000, 1), Found::differs);
}

TEST_F(ReconcileTest, AChangeWhileTheSetsAreReadIsNoDifference) {
  reconcile_.restored(true, at(t_));
  const auto id = ask();
  view_ = {.native = {.elements = 11, .digest = 99}, .changes = 6};
  EXPECT_EQ(answer(*id, 10, 77), Found::same);
}

TEST_F(ReconcileTest, AnAnswerToNothingIsNotAcceptedAndALateOneMeansNothing) {
  EXPECT_FALSE(answer(1, 10, 77));
  EXPECT_FALSE(answer(0, 10, 77));
  reconcile_.restored(true, at(t_));
  const auto id = ask();
  reconcile_.restored(true, at(t_));
  EXPECT_EQ(answer(*id, 3, 3), Found::stale);
  EXPECT_FALSE(answer(*id + 1, 3, 3));
}

TEST_F(ReconcileTest, AnAnswerThatNeverComesIsNotWaitedForForEver) {
  reconcile_.restored(true, at(t_));
  const auto id = ask();
  EXPECT_FALSE(ask(100s));
  const auto other = ask(60s);
  ASSERT_TRUE(other);
  EXPECT_NE(*other, *id);
}

}  // namespace
}  // namespace portsentry::monitor
