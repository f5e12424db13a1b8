#include "monitor/scouted.h"

#include <gtest/gtest.h>

#include <array>
#include <ctime>
#include <vector>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;
using Heard = Scouted::Heard;

Now at(Clock::duration passed) {
  return {Clock::time_point(1h) + passed, 1'000'000};
}

Found resolver(std::string_view text) {
  return {address(text), FoundIn::resolv_conf};
}
Found login(std::string_view text, FoundIn where = FoundIn::utmp) {
  return {address(text), where, 999'000};
}

class ScoutedTest : public ::testing::Test {
 protected:
  Heard tell(const std::vector<Found>& found, Clock::duration when = 0s, std::uint32_t files = 1) {
    EXPECT_EQ(scouted_.hear(SnapshotBegin{}, at(when)), Heard::more);
    for (const Found& one : found)
      EXPECT_EQ(scouted_.hear(one, at(when)), Heard::more);
    return scouted_.hear(SnapshotEnd{files}, at(when));
  }
  bool inside(std::string_view prefix, bool sessions = true) const {
    return scouted_.first_inside(*Prefix::parse(prefix), sessions).has_value();
  }
  Scouted scouted_;
};

TEST_F(ScoutedTest, ASnapshotCountsWhenItIsCompleteAndNotBefore) {
  scouted_.hear(SnapshotBegin{}, at(0s));
  scouted_.hear(resolver("192.0.2.53"), at(0s));
  EXPECT_FALSE(inside("192.0.2.53"));
  EXPECT_EQ(scouted_.hear(SnapshotEnd{3}, at(0s)), Heard::changed);
  EXPECT_TRUE(inside("192.0.2.53"));
  EXPECT_TRUE(scouted_.known());
  EXPECT_EQ(scouted_.files(), 3U);
}

TEST_F(ScoutedTest, ASnapshotTakesThePlaceOfTheOneBefore) {
  tell({resolver("192.0.2.53")});
  EXPECT_EQ(tell({resolver("192.0.2.54")}), Heard::changed);
  EXPECT_FALSE(inside("192.0.2.53"));
  EXPECT_TRUE(inside("192.0.2.54"));
  EXPECT_EQ(tell({resolver("192.0.2.54")}), Heard::same);
}

TEST_F(ScoutedTest, AScoutThatDiesInTheMiddleTakesNothingAway) {
  tell({resolver("192.0.2.53")});
  scouted_.hear(SnapshotBegin{}, at(1s));
  scouted_.lost();
  EXPECT_TRUE(inside("192.0.2.53"));
  EXPECT_EQ(tell({resolver("192.0.2.53")}, 2s), Heard::same);  // its successor begins anew
}

TEST_F(ScoutedTest, WhatComesOutOfTurnIsWrong) {
  EXPECT_EQ(scouted_.hear(resolver("192.0.2.53"), at(0s)), Heard::wrong);
  EXPECT_EQ(scouted_.hear(SnapshotEnd{1}, at(0s)), Heard::wrong);
  EXPECT_FALSE(scouted_.known());
  scouted_.hear(SnapshotBegin{}, at(0s));
  EXPECT_EQ(scouted_.hear(SnapshotBegin{}, at(0s)), Heard::wrong);
  EXPECT_EQ(scouted_.hear(resolver("192.0.2.53"), at(0s)), Heard::more);
  EXPECT_EQ(scouted_.hear(resolver("192.0.2.53"), at(0s)), Heard::wrong);  // twice
}

TEST_F(ScoutedTest, ASnapshotWithoutEndIsWrongAtItsLimit) {
  scouted_.hear(SnapshotBegin{}, at(0s));
  for (unsigned i = 0; i < kMaxFound; ++i) {
    const auto a = Address::v4(10, 0, static_cast<std::uint8_t>(i >> 8U),
                               static_cast<std::uint8_t>(i & 0xffU));
    ASSERT_EQ(scouted_.hear(Found{a, FoundIn::utmp}, at(0s)), Heard::more);
  }
  EXPECT_EQ(scouted_.hear(resolver("192.0.2.53"), at(0s)), Heard::wrong);
}

TEST_F(ScoutedTest, ALoginProtectsForAnHourAfterItsEnd) {
  tell({login("198.51.100.7")});
  EXPECT_FALSE(scouted_.next_due());
  EXPECT_EQ(tell({}, 1min), Heard::changed);
  EXPECT_TRUE(inside("198.51.100.7"));
  EXPECT_TRUE(scouted_.first_inside(*Prefix::parse("198.51.100.7"), true)->ended);
  EXPECT_EQ(scouted_.next_due(), at(61min).steady);
  EXPECT_EQ(tell({}, 30min), Heard::same);  // the hour does not begin anew
  EXPECT_FALSE(scouted_.expire(at(61min - 1s)));
  EXPECT_TRUE(inside("198.51.100.7"));
  EXPECT_TRUE(scouted_.expire(at(61min)));
  EXPECT_FALSE(inside("198.51.100.7"));
  EXPECT_FALSE(scouted_.next_due());
}

TEST_F(ScoutedTest, WhoComesBackWithinTheHourIsLoggedInAgain) {
  tell({login("198.51.100.7")});
  tell({}, 1min);
  tell({login("198.51.100.7")}, 2min);
  EXPECT_FALSE(scouted_.next_due());
  EXPECT_FALSE(scouted_.first_inside(*Prefix::parse("198.51.100.7"), true)->ended);
}

TEST_F(ScoutedTest, AResolverThatIsGoneIsGoneAtOnce) {
  tell({resolver("192.0.2.53")});
  tell({}, 1s);
  EXPECT_FALSE(inside("192.0.2.53"));
}

TEST_F(ScoutedTest, OfEndedLoginsTheLatestAreKept) {
  std::vector<Found> many;
  for (unsigned i = 0; i < 2 * kMostEnded; ++i)
    many.push_back({Address::v4(10, 1, static_cast<std::uint8_t>(i >> 8U),
                                static_cast<std::uint8_t>(i & 0xffU)),
                    FoundIn::utmp});
  tell({login("198.51.100.7")});
  tell(many, 1min);
  tell({}, 2min);
  EXPECT_EQ(scouted_.size(), kMostEnded);
  EXPECT_FALSE(inside("198.51.100.7"));  // ended a minute before the others
}

TEST_F(ScoutedTest, SessionsCanBeLeftOutAndAskedFor) {
  tell({login("198.51.100.7"), resolver("198.51.100.8")});
  EXPECT_FALSE(inside("198.51.100.7", false));
  EXPECT_TRUE(inside("198.51.100.0/24", false));
  EXPECT_TRUE(scouted_.session_inside(*Prefix::parse("198.51.100.7")));
  EXPECT_FALSE(scouted_.session_inside(*Prefix::parse("198.51.100.8")));
}

// Both families are kept in one order of bytes, in which 32.1.13.184 stands before 2001:db8::53.
TEST_F(ScoutedTest, AnAddressOfTheOtherFamilyHidesNobody) {
  tell({resolver("32.1.13.184"), resolver("2001:db8::53")});
  EXPECT_TRUE(inside("2001:db8::/64"));
  EXPECT_FALSE(inside("2001:db8:0:1::/64"));
  EXPECT_TRUE(inside("32.1.13.184"));
}

// By a captured scout: each probe from an IPv4 address would have to walk by all of them.
TEST_F(ScoutedTest, AsManyOfTheOtherFamilyAsItMayTellCostNobodyTime) {
  std::vector<Found> all;
  for (std::size_t i = 0; i < kMaxFound; ++i) {
    std::array<std::byte, 16> bytes{std::byte{0x20}, std::byte{0x01}};
    bytes[14] = static_cast<std::byte>(i >> 8U);
    bytes[15] = static_cast<std::byte>(i & 0xffU);
    all.push_back({*Address::from_bytes(bytes), FoundIn::resolv_conf});
  }
  ASSERT_EQ(tell(all), Heard::changed);
  const Prefix neighbour = *Prefix::parse("32.0.255.255");
  const std::clock_t began = std::clock();  // of ours alone, however busy the machine is
  for (int i = 0; i < 100'000; ++i)
    ASSERT_FALSE(scouted_.first_inside(neighbour, true) || scouted_.session_inside(neighbour));
  EXPECT_LT(std::clock() - began, 2 * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace portsentry::monitor
