#include "sensor/fragments.h"

#include <gtest/gtest.h>

#include "craft.h"

namespace portsentry::sensor {
namespace {

using namespace craft;
using namespace std::chrono_literals;

constexpr Clock::time_point kStart{std::chrono::hours(1)};

class Fragments : public ::testing::Test {
 protected:
  // Feeds one fragment of `header` through the parser; `block` 0 or 1.
  std::vector<Segment> feed_all(const Packet& header, unsigned block, unsigned id = 1,
                                Clock::duration after = 0s, std::string_view source = kThem4) {
    const Packet carried = block == 0 ? first(header, 8) : from(header, 8);
    const Parsed parsed = parse(
        ip4({.source = source, .id = id, .offset = block, .more = block == 0}, carried), 0x0800);
    const auto* piece = std::get_if<HeaderPiece>(&parsed);
    EXPECT_NE(piece, nullptr);
    return piece != nullptr ? table_.add(*piece, kStart + after, tally_) : std::vector<Segment>{};
  }
  // The last Segment that it brought about.
  std::optional<Segment> feed(const Packet& header, unsigned block, unsigned id = 1,
                              Clock::duration after = 0s, std::string_view source = kThem4) {
    const auto segments = feed_all(header, block, id, after, source);
    return segments.empty() ? std::nullopt : std::optional(segments.back());
  }

  [[nodiscard]] std::uint64_t count(SensorCounter which) const { return tally_.get(which); }

  static constexpr std::size_t kCapacity = 4;
  FragmentTable table_{kCapacity};
  SensorTally tally_;
};

TEST_F(Fragments, TwoPiecesAreOneSegment) {
  EXPECT_FALSE(feed(tcp(), 0));
  const auto segment = feed(tcp(), 1);
  ASSERT_TRUE(segment);
  const Segment expected{*Address::parse(kThem4),
                         *Address::parse(kUs4),
                         Protocol::tcp,
                         40000,
                         23,
                         {TcpFlags::syn},
                         false,
                         true,
                         Header::cut};
  EXPECT_EQ(*segment, expected);
  EXPECT_EQ(count(SensorCounter::fragment_pending), 1U);
  EXPECT_EQ(count(SensorCounter::fragment_dropped), 0U);
}

TEST_F(Fragments, TheSecondPieceMayComeFirst) {
  EXPECT_FALSE(feed(tcp(), 1));
  const auto segment = feed(tcp(), 0);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->target_port, 23);
  EXPECT_EQ(segment->flags.bits, TcpFlags::syn);
}

TEST_F(Fragments, ADuplicateCompletesNothingAndSpoilsNothing) {
  EXPECT_FALSE(feed(tcp(), 0));
  EXPECT_FALSE(feed(tcp(), 0));
  EXPECT_TRUE(feed(tcp(), 1));
}

TEST_F(Fragments, AfterItsSegmentADatagramIsForgotten) {
  feed(tcp(), 0);
  EXPECT_TRUE(feed(tcp(), 1));
  EXPECT_FALSE(feed(tcp(), 1));
}

TEST_F(Fragments, TwoVersionsOfTheFlagsHideNoPort) {
  feed(tcp({.flags = TcpFlags::ack}), 1);
  EXPECT_FALSE(feed(tcp({.flags = TcpFlags::syn}), 1));
  EXPECT_EQ(count(SensorCounter::fragment_dropped), 1U);
  const auto segment = feed(tcp(), 0);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->header, Header::cut);
}

TEST_F(Fragments, EachVersionOfThePortsIsReported) {
  feed(tcp({.target = 22}), 0);
  const auto other = feed(tcp({.target = 23}), 0);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->target_port, 23);
  EXPECT_EQ(other->header, Header::first_half);
  const auto named = feed(tcp(), 1);
  ASSERT_TRUE(named);
  EXPECT_EQ(named->target_port, 22);
  EXPECT_EQ(named->header, Header::cut);
}

TEST_F(Fragments, ADecoyForTheSecondHalfHidesNoPort) {
  feed(tcp({.words = 4}), 1);
  const auto segment = feed(tcp(), 0);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->header, Header::first_half);
}

TEST_F(Fragments, PiecesOfDifferentDatagramsNeverMeet) {
  feed(tcp(), 0, 1);
  EXPECT_FALSE(feed(tcp(), 1, 2));
  EXPECT_FALSE(feed(tcp(), 1, 1, 0s, "198.51.100.8"));
  EXPECT_TRUE(feed(tcp(), 1, 1));
}

TEST_F(Fragments, PiecesMeetForTwoSecondsAndThenAFirstHalfCountsAlone) {
  feed(tcp(), 0, 1);
  EXPECT_TRUE(feed(tcp(), 1, 1, 2s));
  EXPECT_TRUE(table_.empty());
  feed(tcp(), 0, 2);
  EXPECT_TRUE(table_.overdue(kStart + 2s, tally_).empty());
  const auto late = table_.overdue(kStart + 2s + 1ns, tally_);
  ASSERT_EQ(late.size(), 1U);
  EXPECT_EQ(late.front().target_port, 23);
  EXPECT_EQ(late.front().header, Header::first_half);
  EXPECT_FALSE(feed(tcp(), 1, 2, 2s + 1ns));
}

TEST_F(Fragments, WhenFullTheOldestGivesWayAndCounts) {
  for (unsigned id = 0; id < kCapacity; ++id)
    EXPECT_FALSE(feed(tcp(), 0, id, std::chrono::milliseconds(id)));
  const auto gone = feed(tcp(), 0, kCapacity, std::chrono::milliseconds(kCapacity));
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->header, Header::first_half);
  for (unsigned id = 1; id <= kCapacity; ++id)
    EXPECT_TRUE(feed(tcp(), 1, id, 10ms)) << id;
  EXPECT_FALSE(feed(tcp(), 1, 0, 10ms));
}

TEST_F(Fragments, AFloodOfHalvesLeavesRoomForTheNextProbe) {
  for (unsigned id = 0; id < 5000; ++id)
    feed(tcp(), 0, id);
  feed(tcp(), 0, 65000);
  EXPECT_TRUE(feed(tcp(), 1, 65000));
}

TEST_F(Fragments, AProbeOfPortZeroIsMalformed) {
  feed(tcp({.target = 0}), 0);
  EXPECT_FALSE(feed(tcp({.target = 0}), 1));
  EXPECT_EQ(count(SensorCounter::malformed), 1U);
}

TEST_F(Fragments, OptionsOfEitherPieceAreRemembered) {
  const auto options = [](const Packet& header, unsigned block) {
    const Packet carried = block == 0 ? first(header, 8) : from(header, 8);
    return std::get<HeaderPiece>(
        parse(ip4({.words = 6 - block, .offset = block, .more = block == 0}, carried), 0x0800));
  };
  EXPECT_TRUE(table_.add(options(tcp(), 0), kStart, tally_).empty());
  const auto segments = table_.add(options(tcp(), 1), kStart, tally_);
  ASSERT_EQ(segments.size(), 1U);
  EXPECT_TRUE(segments.front().ip_options);
}

}  // namespace
}  // namespace portsentry::sensor
