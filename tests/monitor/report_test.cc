#include "monitor/report.h"

#include <gtest/gtest.h>

#include "known_view.h"
#include "monitor/events.h"

namespace portsentry::monitor {
namespace {

constexpr std::time_t kNow = 1'756'178'490;

Event of(EventKind kind, std::string_view from, std::time_t at, std::uint32_t ports = 1,
         std::string_view why = "because") {
  Detection detection = probe(from);
  detection.distinct_ports = ports;
  return event_of(kind, detection, detection.source, why, at);
}

TEST(Report, OneRowASourceWithItsStrongestAndItsMostTellingEvent) {
  Report report;
  report.add(of(EventKind::detected, "198.51.100.7", kNow + 20, 9, "allowed"));
  Event would = of(EventKind::would_ban, "198.51.100.7", kNow + 10, 2, "observe mode");
  would.until = would.at + 600;
  report.add(would);
  report.add(of(EventKind::would_ban, "198.51.100.7", kNow, 3, "older"));
  report.add(of(EventKind::refused, "198.51.100.8", kNow));
  const auto rows = report.rows(10);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].source, host("198.51.100.7"));
  EXPECT_EQ(rows[0].outcome, EventKind::would_ban);
  EXPECT_EQ(rows[0].detail, "observe mode: TCP 23 SYN");
  EXPECT_EQ(rows[0].how, BanClass::spread);
  EXPECT_EQ(rows[0].distinct_ports, 9U);
  EXPECT_EQ(rows[0].times, 3U);
  EXPECT_EQ(rows[0].first, kNow);
  EXPECT_EQ(rows[0].last, kNow + 20);
  EXPECT_EQ(rows[0].ban_time, std::chrono::minutes(10));
  EXPECT_EQ(rows[1].outcome, EventKind::refused);
}

TEST(Report, WhatIsNoScanIsNotInIt) {
  Report report;
  report.add({.at = kNow, .kind = EventKind::armed});
  report.add({.at = kNow, .kind = EventKind::banned, .source = host("198.51.100.7")});
  report.add(of(EventKind::expired, "198.51.100.7", kNow));
  EXPECT_EQ(report.size(), 0U);
}

TEST(Report, GoesOnAfterTheLastRowOfAPage) {
  Report report;
  for (const char* from : {"198.51.100.3", "198.51.100.1", "198.51.100.2"})
    report.add(of(EventKind::banned, from, kNow));
  const auto first = report.rows(2);
  ASSERT_EQ(first.size(), 2U);
  const auto rest = report.rows(2, first.back().source);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].source, host("198.51.100.3"));
}

TEST(Report, AFloodIsBoundedAndTheRestIsCounted) {
  Report report;
  for (std::uint32_t i = 0; i < Report::kMaxSources + 10; ++i) {
    report.add(of(EventKind::would_ban,
                  "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256), kNow));
  }
  EXPECT_EQ(report.size(), Report::kMaxSources);
  EXPECT_EQ(report.left_out(), 10U);
}

}  // namespace
}  // namespace portsentry::monitor
