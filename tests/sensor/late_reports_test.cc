#include "sensor/late_reports.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point kStart{1h};

Detection probe(std::uint32_t host, std::uint32_t port, Protocol protocol = Protocol::tcp) {
  const Address address =
      Address::v4(198, static_cast<std::uint8_t>(host >> 16U),
                  static_cast<std::uint8_t>(host >> 8U), static_cast<std::uint8_t>(host));
  return {.source = Source::of(address, false),
          .address = address,
          .target = Address::v4(192, 0, 2, 1),
          .protocol = protocol,
          .port = *Port::make(port),
          .kind = protocol == Protocol::tcp ? ScanKind::syn : ScanKind::udp,
          .flags = {},
          .distinct_ports = 2,
          .first = false,
          .ip_options = false,
          .fragmented = false};
}

TEST(SensorLateReports, WhatWasWithheldComesOutWhenItsTimeHasCome) {
  LateReports late;
  late.keep(probe(1, 23), kStart + 1s);
  EXPECT_EQ(late.due(), kStart + 1s);
  EXPECT_FALSE(late.take(kStart + 999ms));
  const auto told = late.take(kStart + 1s);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->port.number(), 23);
  EXPECT_FALSE(late.due());
}

TEST(SensorLateReports, TheLatestOfASourceIsTheOne) {
  LateReports late;
  late.keep(probe(1, 23), kStart + 1s);
  late.keep(probe(1, 24), kStart + 1500ms);
  const auto told = late.take(kStart + 1s);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->port.number(), 24);
  EXPECT_FALSE(late.take(kStart + 9s));
}

TEST(SensorLateReports, SourcesAndProtocolsWaitApart) {
  LateReports late;
  late.keep(probe(1, 23), kStart + 1s);
  late.keep(probe(1, 23, Protocol::udp), kStart + 1s);
  late.keep(probe(2, 23), kStart + 1s);
  unsigned told = 0;
  while (late.take(kStart + 2s))
    ++told;
  EXPECT_EQ(told, 3U);
}

TEST(SensorLateReports, WhoeverIsToldOtherwiseWaitsNoMore) {
  LateReports late;
  late.keep(probe(1, 23), kStart + 1s);
  late.keep(probe(2, 23), kStart + 2s);
  late.told(probe(1, 9).source, Protocol::tcp);
  EXPECT_EQ(late.due(), kStart + 2s);
  late.told(probe(2, 9).source, Protocol::udp);  // not what waits
  ASSERT_TRUE(late.take(kStart + 2s));
  EXPECT_FALSE(late.due());
}

TEST(SensorLateReports, OneThatWaitsAgainKeepsItsNewTime) {
  LateReports late;
  late.keep(probe(2, 1), kStart + 500ms);
  late.keep(probe(1, 23), kStart + 1s);
  late.told(probe(1, 9).source, Protocol::tcp);
  late.keep(probe(1, 25), kStart + 3s);
  ASSERT_TRUE(late.take(kStart + 1s));  // of 2
  EXPECT_FALSE(late.take(kStart + 2s));
  EXPECT_EQ(late.due(), kStart + 3s);
}

TEST(SensorLateReports, AFloodOfSourcesFillsItOnlySoFar) {
  LateReports late;
  for (std::uint32_t host = 0; host < 100'000; ++host)
    late.keep(probe(host, 23), kStart + 1s);
  unsigned told = 0;
  while (late.take(kStart + 2s))
    ++told;
  EXPECT_EQ(told, LateReports::kMost);
  late.keep(probe(1, 23), kStart + 5s);
  EXPECT_TRUE(late.due());
}

}  // namespace
}  // namespace portsentry::sensor
