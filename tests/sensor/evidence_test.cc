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

TEST_F(Evidence, AFloodOfThreeHitSourcesDoesNotCatchWhoIsOnTheWayFromTwoToThree) {
  const auto flood = [this](std::uint32_t from) {
    for (std::uint32_t i = from; i < from + kMax / 8; ++i) {
      for (std::uint32_t port = 21; port <= 23; ++port)
        touch(i, port);
    }
  };
  for (std::uint32_t i = 0; i < 20; ++i)
    flood(1000 + i * 100);
  for (std::uint32_t port = 1; port <= 5; ++port) {
    EXPECT_EQ(touch(0, port).distinct, port);
    flood(5000 + port * 100);
  }
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

// ---- From one table to another ------------------------------------------------------------------

std::vector<EvidenceTable::Remembered> all_of(const EvidenceTable& table, std::size_t most,
                                              Clock::time_point now) {
  std::vector<EvidenceTable::Remembered> all;
  auto cursor = table.walk();
  while (const auto next = table.next(cursor, most, now))
    all.push_back(*next);
  return all;
}

TEST_F(Evidence, AWalkGoesFromTheLastTouchedToTheLongestIdle) {
  touch(1, 21);
  touch(2, 21);
  touch(3, 21);
  touch(1, 22);
  const auto all = all_of(table_, 128, now_);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].source, source(1));
  ASSERT_EQ(all[0].touches.size(), 2U);
  EXPECT_EQ(all[0].touches[0].port.number(), 22);
  EXPECT_EQ(all[0].touches[1].port.number(), 21);
  EXPECT_EQ(all[1].source, source(3));
  EXPECT_EQ(all[2].source, source(2));
}

TEST_F(Evidence, ASourceWithManyTouchesComesInSeveralParts) {
  for (std::uint32_t port = 1; port <= 7; ++port)
    touch(1, port);
  touch(2, 1);
  const auto all = all_of(table_, 3, now_);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].touches.size(), 1U);
  std::set<unsigned> ports;
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_EQ(all[i].source, source(1));
    for (const auto& memory : all[i].touches)
      ports.insert(memory.port.number());
  }
  EXPECT_EQ(ports.size(), 7U);
}

TEST_F(Evidence, WhatFellOutOfTheWindowIsNotTold) {
  touch(1, 21);
  touch(2, 21);
  now_ += 30s;
  touch(2, 22);
  now_ += 40s;
  const auto all = all_of(table_, 128, now_);
  ASSERT_EQ(all.size(), 1U);
  ASSERT_EQ(all[0].touches.size(), 1U);
  EXPECT_EQ(all[0].touches[0].port.number(), 22);
}

TEST_F(Evidence, AnEmptyTableHasNothingToTell) {
  EXPECT_TRUE(all_of(table_, 128, now_).empty());
}

TEST_F(Evidence, AFullTableMakesRoomForWhoHasMorePortsThanItsWeakest) {
  for (std::uint32_t i = 0; i < kMax; ++i)
    touch(i, 23);
  const auto memory = [&](std::uint32_t number, std::uint32_t ports) {
    EvidenceTable::Remembered other{.source = source(number), .reported = false, .touches = {}};
    for (std::uint32_t port = 1; port <= ports; ++port) {
      other.touches.push_back({.protocol = Protocol::tcp, .port = *Port::make(port), .at = now_});
    }
    return other;
  };
  EXPECT_EQ(table_.merge(memory(1000, 1), now_).reports, nullptr);
  EXPECT_FALSE(known(1000));
  const auto merged = table_.merge(memory(1001, 2), now_);
  EXPECT_EQ(merged.distinct, 2U);
  EXPECT_EQ(merged.evicted, 1U);
  EXPECT_TRUE(known(1001));
  EXPECT_FALSE(known(0));
  EXPECT_EQ(table_.size(), kMax);
}

TEST_F(Evidence, NothingOfWhatCannotBeKeptStays) {
  now_ += 1h;
  const EvidenceTable::Remembered old{
      .source = source(1),
      .reported = true,
      .touches = {{.protocol = Protocol::tcp, .port = *Port::make(1), .at = now_ - 61s},
                  {.protocol = Protocol::tcp, .port = *Port::make(2), .at = now_ + 1s}}};
  EXPECT_EQ(table_.merge(old, now_).reports, nullptr);
  EXPECT_EQ(table_.size(), 0U);
}

TEST_F(Evidence, TheLaterOfTwoTouchesOfOnePortCounts) {
  touch(1, 21);
  const auto first = now_;
  now_ += 50s;
  touch(1, 22);
  const EvidenceTable::Remembered other{
      .source = source(1),
      .reported = false,
      .touches = {{.protocol = Protocol::tcp, .port = *Port::make(21), .at = now_ - 10s},
                  {.protocol = Protocol::tcp, .port = *Port::make(22), .at = first}}};
  EXPECT_EQ(table_.merge(other, now_).distinct, 2U);
  now_ += 45s;
  EXPECT_EQ(touch(1, 23).before, 2U) << "21 was touched 55 s ago, 22 45 s ago";
  now_ += 10s;
  EXPECT_EQ(touch(1, 24).before, 2U) << "21 is too old now";
}

// A stream of touches is cut at random; whoever hears the second half alone and is then told what
// the first half left says what one table says that heard it all.
TEST_F(Evidence, TwoTablesMergedAreOneThatSawEverything) {
  std::mt19937 engine(1234);
  const auto below = [&engine](std::uint32_t bound) {
    return static_cast<std::uint32_t>(engine() % bound);
  };
  const EvidenceTable::Settings settings{
      .max_sources = 512, .enough = 3, .window = 60s, .seed = {3, 4}};
  for (int round = 0; round < 50; ++round) {
    EvidenceTable whole(settings);
    EvidenceTable before(settings);
    EvidenceTable after(settings);
    const std::uint32_t cut = below(2000);
    const std::uint32_t overlap = below(50);  // heard by both
    for (std::uint32_t i = 0; i < 2000; ++i) {
      now_ += std::chrono::milliseconds(below(100));
      const Source from = source(below(200));
      const Port port = *Port::make(1 + below(20));
      whole.touch(from, Protocol::tcp, port, now_);
      if (i < cut + overlap) before.touch(from, Protocol::tcp, port, now_);
      if (i >= cut) after.touch(from, Protocol::tcp, port, now_);
    }
    for (const auto& remembered : all_of(before, 1 + below(5), now_))
      after.merge(remembered, now_);
    std::map<Source, std::map<unsigned, Clock::time_point>> expected;
    std::map<Source, std::map<unsigned, Clock::time_point>> merged;
    for (const auto& [table, into] : {std::pair(&whole, &expected), std::pair(&after, &merged)}) {
      Clock::time_point last = now_;
      for (const auto& remembered : all_of(*table, 128, now_)) {
        EXPECT_LE(remembered.touches.front().at, last) << "by age";
        last = remembered.touches.front().at;
        for (const auto& memory : remembered.touches)
          (*into)[remembered.source][memory.port.number()] = memory.at;
      }
    }
    ASSERT_EQ(merged, expected) << "round " << round;
  }
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
