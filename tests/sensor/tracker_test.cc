#include "sensor/tracker.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

using namespace std::chrono_literals;
using Verdict = Tracker::Verdict;

constexpr Clock::time_point kStart{std::chrono::hours(1)};

Source scanner() {
  return Source::of(Address::v4(198, 51, 100, 7), false);
}
Source other() {
  return Source::of(Address::v4(198, 51, 100, 8), false);
}
Source scanner6() {
  return Source::of(*Address::parse("2001:db8:bad::7"), false);
}

class TrackerTest : public ::testing::Test {
 protected:
  static Tracker make(std::uint32_t trigger, std::chrono::seconds window = 1h) {
    return Tracker({.trigger = trigger, .window = window, .max_sources = 64, .seed = {1, 2}});
  }

  Tracker::Hit hit(Tracker& tracker, const Source& source, std::uint32_t port,
                   Clock::duration after = 0s, Protocol protocol = Protocol::tcp) {
    return tracker.add(source, protocol, *Port::make(port), kStart + after, tally_);
  }

  SensorTally tally_;
};

TEST_F(TrackerTest, ATriggerOfOneReportsTheFirstHit) {
  Tracker tracker = make(1);
  const auto first = hit(tracker, scanner(), 23);
  EXPECT_EQ(first.verdict, Verdict::report_first);
  EXPECT_EQ(first.distinct_ports, 1U);
}

TEST_F(TrackerTest, TheNthDistinctPortReports) {
  Tracker tracker = make(3);
  EXPECT_EQ(hit(tracker, scanner(), 21).verdict, Verdict::counted);
  EXPECT_EQ(hit(tracker, scanner(), 22).verdict, Verdict::counted);
  const auto third = hit(tracker, scanner(), 23);
  EXPECT_EQ(third.verdict, Verdict::report_first);
  EXPECT_EQ(third.distinct_ports, 3U);
  EXPECT_EQ(tally_.get(SensorCounter::probes), 3U);
}

TEST_F(TrackerTest, AReportThatIsAwaitedIsNotWithheld) {
  Tracker tracker = make(1);
  hit(tracker, scanner(), 23);
  const auto now = kStart + 1ms;
  const auto awaited = tracker.add(scanner(), Protocol::tcp, *Port::make(24), now, tally_, true);
  EXPECT_EQ(awaited.verdict, Verdict::report_again);
  EXPECT_TRUE(awaited.early);
  EXPECT_EQ(tally_.get(SensorCounter::updates_withheld), 0U);
  EXPECT_EQ(hit(tracker, scanner(), 25, 1s).verdict, Verdict::withheld)
      << "its second is a new one";
  // Below the trigger there is nothing to report, whoever waits.
  Tracker patient = make(2);
  EXPECT_EQ(patient.add(scanner(), Protocol::tcp, *Port::make(23), now, tally_, true).verdict,
            Verdict::counted);
}

TEST_F(TrackerTest, ThreeRetransmittedSynsAreOneHit) {
  Tracker tracker = make(2);
  EXPECT_EQ(hit(tracker, scanner(), 23).verdict, Verdict::counted);
  EXPECT_EQ(hit(tracker, scanner(), 23, 1s).verdict, Verdict::repeated);
  EXPECT_EQ(hit(tracker, scanner(), 23, 3s).verdict, Verdict::repeated);
  EXPECT_EQ(hit(tracker, scanner(), 23, 7s).distinct_ports, 1U);
  EXPECT_EQ(tally_.get(SensorCounter::probes), 1U);
  EXPECT_EQ(tally_.get(SensorCounter::repeated), 3U);
}

TEST_F(TrackerTest, OneNumberInTwoProtocolsIsTwoPorts) {
  Tracker tracker = make(2);
  hit(tracker, scanner(), 53, 0s, Protocol::tcp);
  EXPECT_EQ(hit(tracker, scanner(), 53, 0s, Protocol::udp).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, SourcesAreCountedApart) {
  Tracker tracker = make(2);
  hit(tracker, scanner(), 21);
  EXPECT_EQ(hit(tracker, other(), 22).verdict, Verdict::counted);
  EXPECT_EQ(hit(tracker, scanner6(), 22).verdict, Verdict::counted);
  EXPECT_EQ(tracker.tracked(true), 2U);
  EXPECT_EQ(tracker.tracked(false), 1U);
}

TEST_F(TrackerTest, AllAddressesOfADistantNetworkAreOneSource) {
  Tracker tracker = make(2);
  hit(tracker, Source::of(*Address::parse("2001:db8:bad::7"), false), 21);
  EXPECT_EQ(hit(tracker, Source::of(*Address::parse("2001:db8:bad::8"), false), 22).verdict,
            Verdict::report_first);
}

TEST_F(TrackerTest, AHitCountsUntilTheWindowHasPassed) {
  Tracker tracker = make(2, 60s);
  hit(tracker, scanner(), 21);
  EXPECT_EQ(hit(tracker, scanner(), 22, 60s).verdict, Verdict::report_first);

  hit(tracker, other(), 21);
  EXPECT_EQ(hit(tracker, other(), 22, 60s + 1ns).verdict, Verdict::counted);
}

TEST_F(TrackerTest, TouchingAPortAgainRenewsItsHit) {
  Tracker tracker = make(2, 60s);
  hit(tracker, scanner(), 21);
  hit(tracker, scanner(), 21, 50s);
  EXPECT_EQ(hit(tracker, scanner(), 22, 100s).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, AboveTheTriggerAnyHitReportsAgain) {
  Tracker tracker = make(2);
  hit(tracker, scanner(), 21);
  hit(tracker, scanner(), 22);
  EXPECT_EQ(hit(tracker, scanner(), 22, 1s).verdict, Verdict::report_again);
  EXPECT_EQ(hit(tracker, scanner(), 23, 2s).verdict, Verdict::report_again);
}

TEST_F(TrackerTest, ReportsOfASourceAreASecondApart) {
  Tracker tracker = make(1);
  hit(tracker, scanner(), 21);
  const auto withheld = hit(tracker, scanner(), 22, 1s - 1ns);
  EXPECT_EQ(withheld.verdict, Verdict::withheld);
  EXPECT_EQ(withheld.distinct_ports, 2U);
  EXPECT_EQ(hit(tracker, other(), 22, 1s - 1ns).verdict, Verdict::report_first);
  EXPECT_EQ(hit(tracker, scanner(), 23, 1s).verdict, Verdict::report_again);
  EXPECT_EQ(tally_.get(SensorCounter::updates_withheld), 1U);
}

TEST_F(TrackerTest, AReportOfOneProtocolWithholdsNoneOfTheOther) {
  Tracker tracker = make(1);
  EXPECT_EQ(hit(tracker, scanner(), 69, 0s, Protocol::udp).verdict, Verdict::report_first);
  EXPECT_EQ(hit(tracker, scanner(), 23, 1ms).verdict, Verdict::report_again);
  EXPECT_EQ(hit(tracker, scanner(), 24, 2ms).verdict, Verdict::withheld);
  EXPECT_EQ(hit(tracker, scanner(), 161, 3ms, Protocol::udp).verdict, Verdict::withheld);
}

TEST_F(TrackerTest, WhenItsHitsAreOldASourceStartsAnew) {
  Tracker tracker = make(2, 60s);
  hit(tracker, scanner(), 21);
  hit(tracker, scanner(), 22);
  EXPECT_EQ(hit(tracker, scanner(), 21, 2min).verdict, Verdict::counted);
  EXPECT_EQ(hit(tracker, scanner(), 22, 2min).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, ATriggerReachedAgainByOneHitAfterSomeExpiredIsAFirstReport) {
  Tracker tracker = make(2, 60s);
  hit(tracker, scanner(), 21);
  hit(tracker, scanner(), 22, 30s);
  EXPECT_EQ(hit(tracker, scanner(), 23, 61s).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, ALostFirstReportIsMadeAgainAtOnceAsTheFirst) {
  Tracker tracker = make(2);
  hit(tracker, scanner(), 21);
  hit(tracker, scanner(), 22);
  tracker.not_delivered(scanner());
  EXPECT_EQ(hit(tracker, scanner(), 22).verdict, Verdict::report_first);
  EXPECT_EQ(hit(tracker, scanner(), 22).verdict, Verdict::withheld);
}

TEST_F(TrackerTest, ALostLaterReportIsMadeAgainAtOnceAsALaterOne) {
  Tracker tracker = make(1);
  hit(tracker, scanner(), 21);
  EXPECT_EQ(hit(tracker, scanner(), 22, 1s).verdict, Verdict::report_again);
  tracker.not_delivered(scanner());
  EXPECT_EQ(hit(tracker, scanner(), 23, 1s).verdict, Verdict::report_again);
}

TEST_F(TrackerTest, ALostReportOfAForgottenSourceIsNobodys) {
  Tracker tracker = make(1);
  tracker.not_delivered(scanner());
  EXPECT_EQ(tracker.tracked(true), 0U);
  EXPECT_EQ(hit(tracker, scanner(), 21).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, CountingStopsAtTheMostThatAMessageCanSay) {
  Tracker tracker = make(2);
  std::uint32_t distinct = 0;
  for (std::uint32_t port = 1; port <= 3000; ++port) {
    distinct = hit(tracker, scanner(), port).distinct_ports;
  }
  EXPECT_EQ(distinct, kMaxTrigger);
}

TEST_F(TrackerTest, TheLargestTriggerCanBeReachedInTheSmallestTable) {
  Tracker tracker({.trigger = kMaxTrigger, .window = 1h, .max_sources = 16, .seed = {1, 2}});
  for (std::uint32_t port = 1; port < kMaxTrigger; ++port) {
    ASSERT_EQ(hit(tracker, scanner(), port).verdict, Verdict::counted) << port;
    hit(tracker, other(), port);
    hit(tracker, scanner(), port);
  }
  EXPECT_EQ(hit(tracker, scanner(), kMaxTrigger).verdict, Verdict::report_first);
}

// What `from` remembers, told to `to`.
void hand_over(Tracker& from, Tracker& to, Clock::time_point now, SensorTally& tally) {
  while (const auto evidence = from.hand_over(now))
    to.merge(*evidence, now, tally);
}

TEST_F(TrackerTest, BothFamiliesAreHandedOver) {
  Tracker old = make(2);
  Tracker successor = make(2);
  hit(old, scanner(), 21);
  hit(old, scanner6(), 21, 0s, Protocol::udp);
  hand_over(old, successor, kStart + 1s, tally_);
  EXPECT_EQ(hit(successor, scanner(), 22, 1s).verdict, Verdict::report_first);
  EXPECT_EQ(hit(successor, scanner6(), 21, 1s).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, HandedOverHitsKeepTheirAge) {
  Tracker old = make(2, 60s);
  Tracker successor = make(2, 60s);
  hit(old, scanner(), 21);
  hit(old, other(), 21, 30s);
  hand_over(old, successor, kStart + 40s, tally_);
  EXPECT_EQ(hit(successor, scanner(), 22, 62s).verdict, Verdict::counted);
  EXPECT_EQ(hit(successor, other(), 22, 62s).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, AReportedSourceWithMoreTouchesThanOneMessageHoldsStaysReported) {
  Tracker old = make(kMaxTrigger);
  Tracker successor = make(kMaxTrigger);
  for (std::uint32_t port = 1; port <= kMaxTrigger; ++port)
    hit(old, scanner(), port);
  hand_over(old, successor, kStart, tally_);
  const auto next = hit(successor, scanner(), 1, 1s);
  EXPECT_EQ(next.verdict, Verdict::report_again);
  EXPECT_EQ(next.distinct_ports, kMaxTrigger);
}

TEST_F(TrackerTest, AFullTableIsHandedOverWithoutLoss) {
  Tracker old = make(2);
  Tracker successor = make(2);
  for (std::uint8_t i = 0; i < 64; ++i)
    hit(old, Source::of(Address::v4(10, 0, 0, i), false), 23);
  hand_over(old, successor, kStart, tally_);
  EXPECT_EQ(successor.tracked(true), 64U);
  EXPECT_EQ(tally_.get(SensorCounter::evicted), 0U);
}

TEST_F(TrackerTest, EvictionsAreCounted) {
  Tracker tracker = make(2);
  for (std::uint8_t i = 0; i < 70; ++i) {
    hit(tracker, Source::of(Address::v4(10, 0, 0, i), false), 23);
  }
  EXPECT_EQ(tracker.tracked(true), 64U);
  EXPECT_EQ(tally_.get(SensorCounter::evicted), 6U);
}

// The attack: a million forged senders, so that the one real scanner is forgotten between two
// probes.
TEST_F(TrackerTest, AScannerWithTwoOfThreeHitsOutlivesAMillionForgedSources) {
  Tracker tracker({.trigger = 3, .window = 24h, .max_sources = 4096, .seed = {7, 8}});
  const std::size_t reserved = tracker.bytes();
  hit(tracker, scanner(), 21);
  hit(tracker, scanner(), 22);
  for (std::uint32_t i = 0; i < 1'000'000; ++i) {
    const Address forged =
        Address::v4(static_cast<std::uint8_t>(16 + (i >> 16U)), static_cast<std::uint8_t>(i >> 8U),
                    static_cast<std::uint8_t>(i), 1);
    hit(tracker, Source::of(forged, false), 1 + i % 60000, std::chrono::microseconds(i));
  }
  EXPECT_EQ(tracker.tracked(true), 4096U);
  EXPECT_EQ(tracker.bytes(), reserved);
  EXPECT_EQ(hit(tracker, scanner(), 23, 2s).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, AnIPv6FloodLeavesIPv4Alone) {
  Tracker tracker = make(2);
  hit(tracker, scanner(), 21);
  std::array<std::byte, 16> bytes{std::byte{0x20}, std::byte{0x01}};
  for (unsigned i = 0; i < 10'000; ++i) {
    bytes[4] = static_cast<std::byte>(i >> 8U);
    bytes[5] = static_cast<std::byte>(i);
    hit(tracker, Source::of(*Address::from_bytes(bytes), false), 23);
  }
  EXPECT_EQ(tracker.tracked(false), 64U);
  EXPECT_EQ(hit(tracker, scanner(), 22).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, TheFifthPortDoesNotWaitForItsSecond) {
  Tracker tracker = make(2);
  hit(tracker, scanner(), 21);
  EXPECT_EQ(hit(tracker, scanner(), 22).verdict, Verdict::report_first);
  EXPECT_EQ(hit(tracker, scanner(), 23).verdict, Verdict::withheld);
  EXPECT_EQ(hit(tracker, scanner(), 24).verdict, Verdict::withheld);
  const auto fifth = hit(tracker, scanner(), 25);
  EXPECT_EQ(fifth.verdict, Verdict::report_again);
  EXPECT_EQ(fifth.distinct_ports, Tracker::kSpread);
  EXPECT_EQ(hit(tracker, scanner(), 26).verdict, Verdict::withheld);
}

TEST_F(TrackerTest, AReportOfFivePortsThatWasNotDeliveredIsTriedAgain) {
  Tracker tracker = make(5);
  for (std::uint32_t port = 21; port < 26; ++port)
    hit(tracker, scanner(), port);
  tracker.not_delivered(scanner());
  EXPECT_EQ(hit(tracker, scanner(), 26).verdict, Verdict::report_first);
}

TEST_F(TrackerTest, FivePortsOnceMoreAreNewsOnceMore) {
  Tracker tracker = make(1, 10s);
  for (std::uint32_t port = 21; port < 26; ++port)
    hit(tracker, scanner(), port);
  hit(tracker, scanner(), 30, 20s);
  for (std::uint32_t port = 31; port < 34; ++port)
    EXPECT_EQ(hit(tracker, scanner(), port, 20s).verdict, Verdict::withheld);
  EXPECT_EQ(hit(tracker, scanner(), 34, 20s).verdict, Verdict::report_again);
}

TEST_F(TrackerTest, ALateReportIsDueOnceAndNotAfterAnother) {
  Tracker tracker = make(1);
  hit(tracker, scanner(), 21);
  hit(tracker, scanner(), 22, 100ms);
  EXPECT_FALSE(tracker.late(scanner(), Protocol::tcp, kStart + 900ms));
  EXPECT_EQ(tracker.late(scanner(), Protocol::tcp, kStart + 1100ms), 2U);
  EXPECT_FALSE(tracker.late(scanner(), Protocol::tcp, kStart + 1200ms));
  EXPECT_FALSE(tracker.late(other(), Protocol::tcp, kStart + 1100ms)) << "of whom nothing is known";
}

TEST_F(TrackerTest, FivePortsAreReachedWhenEverySourceHasThree) {
  Tracker tracker = make(2);
  const auto flood = [&](std::uint32_t from) {
    for (std::uint32_t i = from; i < from + 200; ++i) {
      const Source forged = Source::of(
          Address::v4(11, 0, static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i)),
          false);
      for (std::uint32_t port = 1; port <= 3; ++port)
        hit(tracker, forged, port);
    }
  };
  // 64 sources share some two thousand ports: an eager one takes most of them.
  for (std::uint32_t port = 1; port <= 1000; ++port)
    hit(tracker, other(), port);
  flood(0);
  for (std::uint32_t port = 21; port < 26; ++port)
    EXPECT_EQ(hit(tracker, scanner(), port).distinct_ports, port - 20);
}

TEST_F(TrackerTest, PortsAreKnownBySource) {
  Tracker tracker = make(3);
  EXPECT_EQ(tracker.ports_of(scanner()), 0U);
  hit(tracker, scanner(), 21);
  hit(tracker, scanner(), 22);
  hit(tracker, scanner(), 22);
  EXPECT_EQ(tracker.ports_of(scanner()), 2U);
  EXPECT_EQ(tracker.ports_of(other()), 0U);
}

}  // namespace
}  // namespace portsentry::sensor
