#include "sensor/noise.h"

#include <array>

#include "sensor_lab.h"

namespace portsentry::sensor {
namespace {

class NoiseTest : public SensorTest {
 protected:
  NoiseTest() {
    for (std::uint32_t n = 1; n <= 65535; ++n) {
      ports_.tcp.add(*Port::make(n));
      ports_.udp.add(*Port::make(n));
    }
    start();
  }
};

TEST_F(NoiseTest, DiscoveryFromOurOwnLinkIsIgnoredAndCounted) {
  for (const auto port :
       std::to_array<std::uint16_t>({67, 137, 138, 520, 631, 1900, 3702, 5353, 5355})) {
    start();
    receive({.source = "192.0.2.77", .protocol = Protocol::udp, .target_port = port});
    expect_only(SensorCounter::discovery_noise);
  }
  for (const auto port : std::to_array<std::uint16_t>({631, 7070, 7680})) {
    start();
    receive({.source = "192.0.2.77", .target_port = port});
    expect_only(SensorCounter::discovery_noise);
  }
}

TEST_F(NoiseTest, ALinkLocalNeighbourMayDiscoverToo) {
  receive({.source = "fe80::77",
           .target = "2001:db8:1::1",
           .protocol = Protocol::udp,
           .target_port = 5353});
  expect_only(SensorCounter::discovery_noise);
}

TEST_F(NoiseTest, NobodyIsAskedForIt) {
  receive({.source = "192.0.2.77", .protocol = Protocol::udp, .target_port = 1900});
  EXPECT_EQ(questions_, 0U);
}

TEST_F(NoiseTest, TheSamePortsFromAfarCount) {
  receive({.protocol = Protocol::udp, .target_port = 1900});
  EXPECT_EQ(reports_.size(), 1U);
  receive({.source = "2001:db8:9::7",
           .target = "2001:db8:1::1",
           .protocol = Protocol::udp,
           .target_port = 5353});
  EXPECT_EQ(reports_.size(), 2U);
}

TEST_F(NoiseTest, ANeighbourWhoTriesFileSharingOrALoginCounts) {
  for (const auto port : std::to_array<std::uint16_t>({22, 139, 445, 3389})) {
    start();
    receive({.source = "192.0.2.77", .target_port = port});
    EXPECT_EQ(count(SensorCounter::detections), 1U) << port;
  }
}

TEST_F(NoiseTest, TheProtocolMatters) {
  receive({.source = "192.0.2.77", .target_port = 5353});
  EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(NoiseTest, BroadcastsStayUncountedAndAreNotCalledNoise) {
  receive({.source = "192.0.2.77",
           .target = "192.0.2.255",
           .protocol = Protocol::udp,
           .target_port = 137});
  expect_only(SensorCounter::not_ours);
}

TEST_F(NoiseTest, ADatagramToABoundTrapIsNoiseTooWhenItIsDiscovery) {
  EXPECT_FALSE(sensor_->contact({.source = *Address::parse("192.0.2.77"),
                                 .target = *Address::parse("0.0.0.0"),
                                 .protocol = Protocol::udp,
                                 .port = *Port::make(137),
                                 .interface = 0},
                                view_, now_));
  EXPECT_EQ(count(SensorCounter::discovery_noise), 1U);
  EXPECT_TRUE(reports_.empty());
}

}  // namespace
}  // namespace portsentry::sensor
