#include "sensor/capture_pace.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

using namespace std::chrono_literals;
using Look = CapturePace::Look;

class CapturePaceTest : public testing::Test {
 protected:
  // Looks that find `each` packets, `apart` from each other, for `time`.
  Look arrive(unsigned each, Clock::duration apart, Clock::duration time) {
    Look look = last_;
    for (const auto end = now_ + time; now_ < end;) {
      now_ += apart;
      look = pace_.looked(each, now_);
      changes_ += look != last_ ? 1 : 0;
      last_ = look;
    }
    return look;
  }

  CapturePace pace_;
  Clock::time_point now_{1h};
  Look last_ = Look::at_once;
  int changes_ = 0;
};

TEST_F(CapturePaceTest, APacketNowAndThenIsSeenAtOnce) {
  EXPECT_EQ(arrive(1, 1s, 60s), Look::at_once);
  EXPECT_EQ(arrive(1, 100us, 1s), Look::at_once) << "10,000 a second";
  EXPECT_EQ(changes_, 0);
}

TEST_F(CapturePaceTest, ABurstAfterALongSilenceChangesNothing) {
  arrive(1, 1h, 1h);
  EXPECT_EQ(arrive(256, 100us, 1ms), Look::at_once);
  EXPECT_EQ(arrive(256, 1h, 1h), Look::at_once);
}

TEST_F(CapturePaceTest, AFloodIsDrainedByTheTimerWithinTwoWindows) {
  arrive(1, 1h, 1h);
  EXPECT_EQ(arrive(2, 10us, 2 * CapturePace::kWindow), Look::by_timer);
  EXPECT_EQ(pace_.busy(), 1U);
  EXPECT_EQ(arrive(200, 1ms, 10s), Look::by_timer);
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(pace_.busy(), 1U) << "once a flood";
}

TEST_F(CapturePaceTest, WhenTheFloodIsOverTheNextPacketIsSeenAtOnceWithinTwoWindows) {
  arrive(200, 1ms, 1s);
  ASSERT_EQ(last_, Look::by_timer);
  EXPECT_EQ(arrive(0, 1ms, 2 * CapturePace::kWindow), Look::at_once)
      << "or an idle sensor would wake up for ever";
}

TEST_F(CapturePaceTest, ASteadyRateNearALimitDoesNotSwingBetweenTheTwo) {
  for (unsigned each = 1; each <= 40; ++each) {
    arrive(each, 1ms, 100ms);
    changes_ = 0;
    arrive(each, 1ms, 10s);
    EXPECT_EQ(changes_, 0) << each << " packets a millisecond";
  }
}

TEST_F(CapturePaceTest, AClockThatStandsStillHarmsNothing) {
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(pace_.looked(1000, Clock::time_point{}), Look::at_once);
}

}  // namespace
}  // namespace portsentry::sensor
