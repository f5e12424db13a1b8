#include "monitor/score_book.h"

#include <gtest/gtest.h>

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

constexpr std::time_t kWall = 1'756'178'490;

Source source(std::uint32_t host) {
  return Source::of(
      Address::v4(198, static_cast<std::uint8_t>(host >> 16U),
                  static_cast<std::uint8_t>(host >> 8U), static_cast<std::uint8_t>(host)),
      false);
}

Evidence evidence(std::uint32_t host, std::uint32_t ports, std::chrono::seconds age = 5s) {
  Evidence told{.source = source(host), .touches = {}, .reported = false};
  for (std::uint32_t port = 1; port <= ports; ++port)
    told.touches.push_back({.protocol = Protocol::tcp, .port = *Port::make(port), .age = age});
  return told;
}

TEST(ScoreBook, WhatWasHeardIsKeptInWallClockTimeAndComesBackByAge) {
  ScoreBook book;
  book.add(evidence(1, 2, 5s), kWall);
  const auto scores = book.take();
  ASSERT_EQ(scores.size(), 1U);
  EXPECT_EQ(scores[0].touches[0].at, kWall - 5);
  const auto again = as_evidence(scores, kWall + 60);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].source, source(1));
  EXPECT_EQ(again[0].touches.size(), 2U);
  EXPECT_EQ(again[0].touches[0].age, 65s);
  EXPECT_TRUE(book.take().empty());
}

TEST(ScoreBook, ASourceInSeveralMessagesIsOne) {
  ScoreBook book;
  book.add(evidence(1, 100), kWall);
  auto second = evidence(1, 100);
  second.reported = true;
  book.add(second, kWall);
  const auto scores = book.take();
  ASSERT_EQ(scores.size(), 1U);
  EXPECT_EQ(scores[0].touches.size(), kMaxTouches);
  EXPECT_TRUE(scores[0].reported);
}

TEST(ScoreBook, AFloodLeavesTheMostIncriminated) {
  ScoreBook book;
  book.add(evidence(70'001, 4), kWall);
  for (std::uint32_t host = 0; host < 70'000; ++host)
    book.add(evidence(host, 1), kWall);
  book.add(evidence(70'002, 3), kWall);
  const auto scores = book.take();
  ASSERT_EQ(scores.size(), ScoreBook::kMost);
  EXPECT_EQ(scores[0].source, source(70'001));
  EXPECT_EQ(scores[1].source, source(70'002));
}

TEST(ScoreBook, AClockThatWasSetBackMakesATouchNoOlderThanNow) {
  ScoreBook book;
  book.add(evidence(1, 1, 0s), kWall);
  const auto again = as_evidence(book.take(), kWall - 1'000'000);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].touches[0].age, 0s);
}

TEST(ScoreBook, WhatIsOlderThanAnyWindowIsLeftOut) {
  ScoreBook book;
  book.add(evidence(1, 1, 0s), kWall);
  EXPECT_TRUE(as_evidence(book.take(), kWall + kMaxBan.count() + 1).empty());
}

}  // namespace
}  // namespace portsentry::monitor
