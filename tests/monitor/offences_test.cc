#include "monitor/offences.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kWeek{7 * 24 * 3600};
constexpr std::time_t kNow = 1'756'178'490;
constexpr std::time_t kFirst = std::numeric_limits<std::time_t>::min();
constexpr std::time_t kLast = std::numeric_limits<std::time_t>::max();

Detection with(Proof proof, std::uint32_t ports) {
  Detection detection = probe("198.51.100.7");
  detection.proof = proof;
  detection.distinct_ports = ports;
  return detection;
}

// ---- class --------------------------------------------------------------------------------------

TEST(BanClass, FivePortsOfWhoeverThatIsAreSpreadAndFourAreSingle) {
  EXPECT_EQ(class_of(with(Proof::forgeable, 1)), BanClass::single);
  EXPECT_EQ(class_of(with(Proof::forgeable, 4)), BanClass::single);
  EXPECT_EQ(class_of(with(Proof::forgeable, 5)), BanClass::spread);
  EXPECT_EQ(class_of(with(Proof::forgeable, kMaxTrigger)), BanClass::spread);
}

TEST(BanClass, AConnectionProvesASourceHoweverFewItsPorts) {
  EXPECT_EQ(class_of(with(Proof::handshake, 1)), BanClass::proven);
  EXPECT_EQ(class_of(with(Proof::established, 1)), BanClass::proven);
  EXPECT_EQ(class_of(with(Proof::established, 9)), BanClass::proven);
}

// ---- duration -----------------------------------------------------------------------------------

TEST(BanDuration, ARepeaterGetsFourTimesAsLongUpToTheLongest) {
  const Config config;
  const std::chrono::seconds expected[] = {30min, 2h, 8h, 32h, 128h, kWeek, kWeek};
  for (std::uint32_t offences = 0; offences < std::size(expected); ++offences)
    EXPECT_EQ(ban_duration(BanClass::proven, offences, config), expected[offences]) << offences;
}

TEST(BanDuration, WhatCanBeForgedIsNeverMultiplied) {
  const Config config;
  for (const BanClass how : {BanClass::single, BanClass::spread}) {
    for (const std::uint32_t offences : {0U, 1U, 1000U, UINT32_MAX})
      EXPECT_EQ(ban_duration(how, offences, config), 10min);
  }
}

TEST(BanDuration, ALongestBelowTheShortestMeansTheShortest) {
  Config config;
  config.block_time = 1h;
  config.block_time_max = 10min;
  for (const std::uint32_t offences : {0U, 1U, 7U})
    EXPECT_EQ(ban_duration(BanClass::proven, offences, config), 1h);
}

TEST(BanDuration, NothingOverflowsWhateverTheNumbers) {
  const auto longest = std::chrono::seconds::max();
  EXPECT_EQ(escalated(1s, longest, UINT32_MAX), longest);
  EXPECT_EQ(escalated(1s, longest, 31), std::chrono::seconds(std::int64_t{1} << 62U));
  EXPECT_EQ(escalated(1s, longest, 32), longest);
  EXPECT_EQ(escalated(longest, longest, 3), longest);
  EXPECT_EQ(escalated(longest - 1s, longest, 1), longest);
  EXPECT_EQ(escalated(longest, 0s, 1), longest);
  EXPECT_EQ(escalated(std::chrono::seconds::min(), std::chrono::seconds::min(), UINT32_MAX), 1s);
  EXPECT_EQ(escalated(0s, 100s, 2), 16s);
  EXPECT_EQ(escalated(30s, 100s, 1), 100s) << "the last step is cut";
  EXPECT_EQ(escalated(25s, 100s, 1), 100s);
  EXPECT_EQ(escalated(24s, 100s, 1), 96s);
}

TEST(BanDuration, NoBanOfAnyConfigurationIsLongerThanTheGuardAllows) {
  Config config;
  config.block_time = config.block_time_max = config.block_time_forgeable = kMaxBan;
  for (const BanClass how : {BanClass::single, BanClass::spread, BanClass::proven})
    EXPECT_LE(ban_duration(how, UINT32_MAX, config), kMaxBan);
}

// ---- decay --------------------------------------------------------------------------------------

TEST(Decay, EachFullQuietTimeHalvesTheCount) {
  const std::time_t week = kWeek.count();
  EXPECT_EQ(decayed(5, kNow, kNow, kWeek), 5U);
  EXPECT_EQ(decayed(5, kNow, kNow + week - 1, kWeek), 5U);
  EXPECT_EQ(decayed(5, kNow, kNow + week, kWeek), 2U);
  EXPECT_EQ(decayed(5, kNow, kNow + 2 * week, kWeek), 1U);
  EXPECT_EQ(decayed(5, kNow, kNow + 3 * week, kWeek), 0U);
}

TEST(Decay, AClockThatWasSetBackChangesNothing) {
  EXPECT_EQ(decayed(5, kNow, kNow - 1, kWeek), 5U);
  EXPECT_EQ(decayed(5, kNow, 0, kWeek), 5U);
  EXPECT_EQ(decayed(5, kLast, kFirst, kWeek), 5U);
}

TEST(Decay, NoInstantAndNoQuietTimeOverflows) {
  EXPECT_EQ(decayed(UINT32_MAX, kFirst, kLast, 1s), 0U);
  EXPECT_EQ(decayed(UINT32_MAX, kFirst, kLast, std::chrono::seconds::max()), UINT32_MAX >> 2U);
  EXPECT_EQ(decayed(UINT32_MAX, kNow, kNow + 31, 1s), 1U);
  EXPECT_EQ(decayed(UINT32_MAX, kNow, kNow + 32, 1s), 0U);
  EXPECT_EQ(decayed(UINT32_MAX, kNow, kNow + 1, 0s), UINT32_MAX >> 1U);
}

// ---- the book -----------------------------------------------------------------------------------

TEST(OffenceBook, AStrangerHasNone) {
  EXPECT_EQ(OffenceBook().count(host("198.51.100.7"), kNow, kWeek), 0U);
}

TEST(OffenceBook, EachConfirmedBanIsOneMoreAndTimeTakesThemAway) {
  OffenceBook book;
  const Source who = host("198.51.100.7");
  EXPECT_EQ(book.confirmed(who, kNow + 1800, kNow, kWeek).count, 1U);
  EXPECT_EQ(book.confirmed(who, kNow + 9000, kNow + 1800, kWeek).count, 2U);
  EXPECT_EQ(book.count(who, kNow + 9000, kWeek), 2U);
  EXPECT_EQ(book.count(who, kNow + 9000 + kWeek.count(), kWeek), 1U);
  // What decayed stays decayed: a new ban counts from there.
  EXPECT_EQ(book.confirmed(who, kNow + 900'000, kNow + 9000 + kWeek.count(), kWeek).count, 2U);
  EXPECT_EQ(book.count(host("198.51.100.8"), kNow, kWeek), 0U);
}

TEST(OffenceBook, TheCountSaturates) {
  OffenceBook book;
  const Source who = host("198.51.100.7");
  book.recall(who, {UINT32_MAX, kNow});
  EXPECT_EQ(book.confirmed(who, kNow, kNow, kWeek).count, UINT32_MAX);
}

TEST(OffenceBook, TheQuietTimeRunsFromTheRealEndOfABan) {
  OffenceBook book;
  const Source who = host("198.51.100.7");
  EXPECT_FALSE(book.ends(who, kNow));
  book.confirmed(who, kNow + 1800, kNow, kWeek);
  EXPECT_EQ(book.ends(who, kNow + 60), (OffenceBook::Record{1, kNow + 60}));
  EXPECT_EQ(book.count(who, kNow + 60 + kWeek.count(), kWeek), 0U);
}

TEST(OffenceBook, WhatDecayedToNothingIsForgottenAndNothingElse) {
  OffenceBook book;
  book.recall(host("198.51.100.1"), {.count = 1, .last_end = kNow});
  book.recall(host("198.51.100.2"), {.count = 9, .last_end = kNow});
  book.recall(host("198.51.100.3"), {.count = 1, .last_end = kNow + 5});
  book.recall(host("198.51.100.4"), {.count = 0, .last_end = kNow});
  EXPECT_EQ(book.size(), 3U) << "none is none";
  EXPECT_TRUE(book.sweep(kNow, kWeek).empty());
  EXPECT_EQ(book.sweep(kNow + kWeek.count(), kWeek), std::vector{host("198.51.100.1")});
  EXPECT_EQ(book.sweep(kNow + 5 + kWeek.count(), kWeek), std::vector{host("198.51.100.3")});
  EXPECT_EQ(book.size(), 1U);
}

TEST(OffenceBook, BeyondItsBoundWhoseBanEndedLongestAgoIsForgotten) {
  OffenceBook book;
  const auto nth = [](std::uint32_t i) {
    return host("10." + std::to_string(i >> 16U) + "." + std::to_string((i >> 8U) & 255U) + "." +
                std::to_string(i & 255U));
  };
  for (std::uint32_t i = 0; i < OffenceBook::kMaxOffences + 2; ++i)
    book.confirmed(nth(i), kNow + i, kNow, kWeek);
  EXPECT_EQ(book.sweep(kNow, kWeek), (std::vector{nth(0), nth(1)}));
  EXPECT_EQ(book.size(), OffenceBook::kMaxOffences);
}

}  // namespace
}  // namespace portsentry::monitor
