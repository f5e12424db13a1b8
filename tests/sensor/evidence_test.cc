#include "sensor/evidence.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace portsentry::sensor {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point kStart{std::chrono::hours(1)};

Source source(std::uint32_t number) {
  return Source::of(
      Address::v4(10, static_cast<std::uint8_t>(number >> 16U),
                  static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)),
      false);
}

class Evidence : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kMax = 64;

  EvidenceTable::Touched touch(std::uint32_t number, std::uint32_t port) {
    now_ += 1us;
    return table_.touch(source(number), Protocol::tcp, *Port::make(port), now_);
  }
  bool known(std::uint32_t number) { return table_.find(source(number)) != nullptr; }

  Clock::time_point now_ = kStart;
  EvidenceTable table_{{.max_sources = kMax, .enough = 3, .window = 60s, .seed = {1, 2}}};
};

TEST_F(Evidence, OfSingleHitSourcesTheLongestIdleGivesWay) {
  for (std::uint32_t i = 0; i < kMax; ++i)
    touch(i, 23);
  touch(0, 23);  // a repetition: no more evidence, but not idle
  EXPECT_EQ(touch(1000, 23).evicted, 1U);
  EXPECT_TRUE(known(0));
  EXPECT_FALSE(known(1));
  EXPECT_TRUE(known(2));
  EXPECT_EQ(table_.size(), kMax);
}

TEST_F(Evidence, FewerPortsGiveWayBeforeLongerIdleness) {
  touch(0, 21);
  touch(0, 22);
  for (std::uint32_t i = 1; i < 10 * kMax; ++i)
    touch(i, 23);
  EXPECT_TRUE(known(0));
}

TEST_F(Evidence, AFloodOfTwoHitSourcesCannotShutNewcomersOut) {
  for (std::uint32_t i = 0; i < 10 * kMax; ++i) {
    touch(i, 21);
    touch(i, 22);
  }
  touch(5000, 21);
  touch(5001, 21);  // another newcomer in between
  EXPECT_EQ(touch(5000, 22).distinct, 2U);
  touch(5001, 22);
  EXPECT_EQ(touch(5000, 23).distinct, 3U);
}

TEST_F(Evidence, AmongStrongSourcesTheOneWithFewestPortsGivesWay) {
  for (std::uint32_t port = 1; port <= 3; ++port)
    touch(0, port);
  for (std::uint32_t i = 1; i < 10 * kMax; ++i) {
    touch(i, 21);
    touch(i, 22);
  }
  EXPECT_TRUE(known(0));
}

TEST_F(Evidence, WhoWasSilentForAWindowGivesWayBeforeAnybody) {
  for (std::uint32_t port = 1; port <= 10; ++port)
    touch(0, port);
  now_ += 61s;
  EXPECT_EQ(touch(1, 23).evicted, 0U);
  EXPECT_FALSE(known(0));
  EXPECT_EQ(table_.size(), 1U);
}

TEST_F(Evidence, TheSilentAreForgottenFasterThanOthersArrive) {
  for (std::uint32_t i = 0; i < kMax; ++i)
    touch(i, 23);
  now_ += 61s;
  for (std::uint32_t i = 0; i < kMax / 2; ++i)
    touch(1000 + i, 23);
  EXPECT_EQ(table_.size(), kMax / 2);
}

TEST_F(Evidence, EagerScannersCannotTakeThePlacesThatOthersNeedToReachTheTrigger) {
  for (std::uint32_t i = 0; i < 8; ++i) {
    for (std::uint32_t port = 1; port <= 2000; ++port)
      touch(i, port);
  }
  for (std::uint32_t i = 100; i < 140; ++i) {
    for (std::uint32_t port = 1; port <= 3; ++port)
      EXPECT_EQ(touch(i, port).evicted, 0U);
    EXPECT_TRUE(known(i));
  }
  EXPECT_TRUE(known(0));
}

TEST_F(Evidence, WhenThePoolRunsLowTheCountStopsButStaysAboveTheTrigger) {
  for (std::uint32_t i = 0; i < 8; ++i) {
    for (std::uint32_t port = 1; port <= 2000; ++port)
      touch(i, port);
  }
  EXPECT_EQ(touch(7, 3000).distinct, 3U);
  EXPECT_TRUE(touch(7, 3000).repeated);
  EXPECT_FALSE(touch(7, 1).repeated);  // long replaced
}

TEST_F(Evidence, MemoryStaysWithinTheStatedBound) {
  for (const std::uint32_t max_sources : {16U, 1000U, 65536U, kMaxSources}) {
    const EvidenceTable table(
        {.max_sources = max_sources, .enough = 3, .window = 60s, .seed = {1, 2}});
    EXPECT_LE(table.bytes(), EvidenceTable::kBytesPerSource * max_sources + 128 * 1024)
        << max_sources;
  }
}

TEST_F(Evidence, TooSmallATableIsTakenAsTheSmallest) {
  EvidenceTable table({.max_sources = 0, .enough = 1, .window = 60s, .seed = {}});
  for (std::uint32_t i = 0; i < 100; ++i)
    table.touch(source(i), Protocol::udp, *Port::make(1), kStart);
  EXPECT_EQ(table.size(), EvidenceTable::kMinSources);
}

// A plain model of what a table without limits would say, and the limits, under random load.
TEST_F(Evidence, AgreesWithAPlainCountAsLongAsASourceIsNotForgotten) {
  std::mt19937 engine(4711);
  const auto below = [&engine](std::uint32_t bound) {
    return static_cast<std::uint32_t>(engine() % bound);
  };
  std::map<std::uint32_t, std::map<std::uint32_t, Clock::time_point>> model;
  std::uint64_t compared = 0;
  const std::size_t reserved = table_.bytes();
  for (int i = 0; i < 200'000; ++i) {
    // A few sources touch often, many rarely.
    const std::uint32_t number = below(4) != 0 ? below(20) : below(2000);
    const std::uint32_t port = 1 + below(6);
    now_ += std::chrono::milliseconds(below(2000));
    if (!known(number)) model.erase(number);
    auto& ports = model[number];
    std::erase_if(ports, [&](const auto& p) { return now_ + 1us - p.second > 60s; });
    const std::size_t before = ports.size();
    const bool repeated = ports.contains(port);

    const auto touched = touch(number, port);
    ports[port] = now_;
    ASSERT_EQ(touched.before, before) << i;
    ASSERT_EQ(touched.repeated, repeated) << i;
    ASSERT_EQ(touched.distinct, ports.size()) << i;
    ASSERT_LE(table_.size(), kMax);
    compared += before > 0;
  }
  EXPECT_GT(compared, 50'000U);
  EXPECT_EQ(table_.bytes(), reserved);
}

// The same with more ports than the pool holds: only the limits are promised.
TEST_F(Evidence, KeepsItsLimitsWhenEveryPoolIsFull) {
  std::mt19937 engine(1147);
  const auto below = [&engine](std::uint32_t bound) {
    return static_cast<std::uint32_t>(engine() % bound);
  };
  const std::size_t reserved = table_.bytes();
  for (int i = 0; i < 300'000; ++i) {
    const std::uint32_t number = below(below(8) != 0 ? 10 : 500);
    const std::uint32_t port = 1 + below(3000);
    const auto touched = touch(number, port);
    ASSERT_GE(touched.distinct, 1U);
    ASSERT_LE(touched.distinct, kMaxTrigger);
    ASSERT_LE(touched.distinct, touched.before + 1);
    ASSERT_LE(table_.size(), kMax);
    ASSERT_LE(touched.evicted, 2U);
  }
  EXPECT_EQ(table_.bytes(), reserved);
}

}  // namespace
}  // namespace portsentry::sensor
