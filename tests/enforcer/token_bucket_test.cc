#include "enforcer/token_bucket.h"

#include <gtest/gtest.h>

namespace portsentry::enforcer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TokenBucket::TimePoint kStart{std::chrono::hours(5)};

unsigned spend_all(TokenBucket& bucket, TokenBucket::TimePoint now) {
  unsigned spent = 0;
  while (spent < 100'000 && bucket.spend(now))
    ++spent;
  return spent;
}

TEST(TokenBucket, IsFullAtFirstAndHoldsNoMoreThanItsBurst) {
  TokenBucket bucket(kBansPerSecond, kBanBurst);
  EXPECT_EQ(spend_all(bucket, kStart), kBanBurst);
}

TEST(TokenBucket, GainsItsRateEverySecond) {
  TokenBucket bucket(100, 1000);
  spend_all(bucket, kStart);
  EXPECT_FALSE(bucket.spend(kStart + milliseconds(9)));
  EXPECT_TRUE(bucket.spend(kStart + milliseconds(10)));
  EXPECT_FALSE(bucket.spend(kStart + milliseconds(10)));
  EXPECT_EQ(spend_all(bucket, kStart + milliseconds(10) + seconds(1)), 100U);
}

TEST(TokenBucket, ALongSilenceSavesNoMoreThanOneBurst) {
  TokenBucket bucket(100, 1000);
  spend_all(bucket, kStart);
  EXPECT_EQ(spend_all(bucket, kStart + std::chrono::hours(24 * 365)), 1000U);
}

TEST(TokenBucket, AClockThatStepsBackGivesNothing) {
  TokenBucket bucket(100, 10);
  spend_all(bucket, kStart);
  EXPECT_EQ(spend_all(bucket, kStart - std::chrono::hours(1)), 0U);
  EXPECT_EQ(spend_all(bucket, kStart + seconds(1)), 10U);
}

TEST(TokenBucket, WorksFromTheFirstInstantOfTheClock) {
  TokenBucket bucket(1, 1);
  EXPECT_EQ(spend_all(bucket, TokenBucket::TimePoint{}), 1U);
}

}  // namespace
}  // namespace portsentry::enforcer
