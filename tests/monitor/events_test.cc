#include "monitor/events.h"

#include <gtest/gtest.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

Touch touch(Protocol protocol, std::uint32_t port) {
  return {.protocol = protocol, .port = *Port::make(port), .age = 3s};
}

TEST(Events, TellTheProbeWithItsKindAndTheEarlierPorts) {
  Detection detection = probe("198.51.100.7");
  detection.touches = {touch(Protocol::tcp, 80), touch(Protocol::udp, 161)};
  EXPECT_EQ(touched(detection), "TCP 23 SYN, TCP 80, UDP 161");
  const Event event =
      event_of(EventKind::would_ban, detection, detection.source, "observe mode", 7);
  EXPECT_EQ(event.detail, "observe mode: TCP 23 SYN, TCP 80, UDP 161");
  EXPECT_EQ(event.at, 7);
  EXPECT_EQ(event.source, host("198.51.100.7"));
  EXPECT_EQ(event.ports, 1U);
  EXPECT_EQ(event.scan, ScanKind::syn);
}

TEST(Events, WhatTheyTellOfPortsIsReadBack) {
  using Ports = std::vector<TouchedPort>;
  const TouchedPort telnet{Protocol::tcp, *Port::make(23)};
  const TouchedPort snmp{Protocol::udp, *Port::make(161)};
  EXPECT_EQ(read_touched("TCP 23 SYN, UDP 161"), (Ports{telnet, snmp}));
  EXPECT_EQ(read_touched("no ban: it is: so: TCP 23 odd flags"), Ports{telnet});
  for (const ScanKind kind : {ScanKind::syn, ScanKind::fin, ScanKind::null, ScanKind::xmas,
                              ScanKind::odd_flags, ScanKind::udp, ScanKind::connect}) {
    Detection detection = probe("198.51.100.7");
    detection.kind = kind;
    detection.touches = {touch(Protocol::udp, 161)};
    EXPECT_EQ(read_touched(touched(detection)), (Ports{telnet, snmp})) << short_name(kind);
  }
  for (const char* other : {"", "by hand: ticket", "spread: spent", "TCP", "TCP 0 SYN", "TCP 65536",
                            "TCP 23 SYN, UDP", "TCP 23 SYN, UDP 161 x", ": ", ", "})
    EXPECT_EQ(read_touched(other), Ports{}) << other;
}

TEST(Events, TheMostThatASensorCanTellFits) {
  Detection detection = probe("198.51.100.7", Protocol::tcp, 65535);
  detection.kind = ScanKind::odd_flags;
  for (std::size_t i = 0; i < kMaxToldTouches; ++i)
    detection.touches.push_back(touch(Protocol::tcp, static_cast<std::uint32_t>(65000 + i)));
  const std::string all = touched(detection);
  EXPECT_LT(all.size(), kMaxDetail / 2);
  EXPECT_EQ(
      event_of(EventKind::banned, detection, detection.source, std::string(kMaxDetail, 'x'), 0)
          .detail.size(),
      kMaxDetail);
}

TEST(EventBudget, AFloodOfSinglePacketsIsCutAndLeavesTheOthersTheirRoom) {
  EventBudget budget;
  const Clock::time_point start{1h};
  unsigned kept = 0;
  for (int i = 0; i < 100'000; ++i)
    kept += budget.take(BanClass::single, start + i * 10us) ? 1U : 0U;
  EXPECT_EQ(kept, EventBudget::kSingle);
  EXPECT_EQ(budget.left_out(), 100'000 - EventBudget::kSingle);
  EXPECT_TRUE(budget.take(BanClass::spread, start));
  EXPECT_TRUE(budget.take(BanClass::proven, start));
  EXPECT_TRUE(budget.take(BanClass::single, start + 1s));
}

TEST(EventBudget, TheOtherClassesAreBoundedToo) {
  EventBudget budget;
  unsigned kept = 0;
  for (int i = 0; i < 1000; ++i)
    kept += budget.take(i % 2 == 0 ? BanClass::spread : BanClass::proven, Clock::time_point(1h));
  EXPECT_EQ(kept, EventBudget::kOther);
}

}  // namespace
}  // namespace portsentry::monitor
