#include "sensor/trap_gaps.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

TEST(TrapGaps, CountWhatTheKernelDroppedExactlyOnceItShows) {
  TrapGaps gaps;
  gaps.read(10);
  gaps.overrun();
  EXPECT_EQ(gaps.lost(), 1U) << "at least one, though none may ever come after it";
  gaps.read(11);  // waited in the queue already
  gaps.read(17);
  EXPECT_EQ(gaps.lost(), 5U);
  // It says so once, until the queue was empty.
  gaps.read(20);
  EXPECT_EQ(gaps.lost(), 7U);
}

TEST(TrapGaps, StillCountTheGapBehindAnEmptyQueue) {
  TrapGaps gaps;
  gaps.read(1);
  gaps.overrun();
  gaps.ran_dry();
  gaps.read(4);
  EXPECT_EQ(gaps.lost(), 2U);
  gaps.read(9);
  EXPECT_EQ(gaps.lost(), 2U) << "nothing was said of dropping since";
}

TEST(TrapGaps, AreASuccessorsReadingWhereNothingWasDropped) {
  TrapGaps gaps;
  gaps.read(1);
  gaps.read(5);
  gaps.ran_dry();
  gaps.read(500);
  EXPECT_EQ(gaps.lost(), 0U);
}

TEST(TrapGaps, WrapAround) {
  TrapGaps gaps;
  gaps.read(0xfffffffe);
  gaps.overrun();
  gaps.read(2);
  EXPECT_EQ(gaps.lost(), 3U);
}

TEST(TrapGaps, BeforeTheFirstMessageAreOneLoss) {
  TrapGaps gaps;
  gaps.overrun();
  gaps.overrun();
  gaps.read(1'000'000);
  EXPECT_EQ(gaps.lost(), 1U);
}

}  // namespace
}  // namespace portsentry::sensor
