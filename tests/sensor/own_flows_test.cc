#include "sensor/own_flows.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point kStart{std::chrono::hours(1)};
const Address kHere = Address::v4(192, 0, 2, 1);
const Address kResolver = Address::v4(198, 51, 100, 53);

Segment datagram(const Address& from, std::uint16_t from_port, const Address& to,
                 std::uint16_t to_port) {
  return {from, to, Protocol::udp, from_port, to_port, {}, false, false};
}

TEST(OwnFlows, AnAnswerIsKnownForAnHour) {
  OwnFlows flows({1, 2});
  flows.sent(datagram(kHere, 5000, kResolver, 53), kStart);
  const Segment answer = datagram(kResolver, 53, kHere, 5000);
  EXPECT_TRUE(flows.answers(answer, kStart));
  EXPECT_TRUE(flows.answers(answer, kStart + 1h));
  EXPECT_FALSE(flows.answers(answer, kStart + 1h + 1ns));
}

TEST(OwnFlows, SendingAgainStartsTheHourAgain) {
  OwnFlows flows({1, 2});
  flows.sent(datagram(kHere, 5000, kResolver, 53), kStart);
  flows.sent(datagram(kHere, 5000, kResolver, 53), kStart + 50min);
  EXPECT_TRUE(flows.answers(datagram(kResolver, 53, kHere, 5000), kStart + 110min));
}

TEST(OwnFlows, OnlyTheSamePairOfAddressesAndPortsAnswers) {
  OwnFlows flows({1, 2});
  flows.sent(datagram(kHere, 5000, kResolver, 53), kStart);
  EXPECT_FALSE(flows.answers(datagram(kResolver, 54, kHere, 5000), kStart));
  EXPECT_FALSE(flows.answers(datagram(kResolver, 53, kHere, 5001), kStart));
  EXPECT_FALSE(flows.answers(datagram(Address::v4(198, 51, 100, 54), 53, kHere, 5000), kStart));
  EXPECT_FALSE(flows.answers(datagram(kResolver, 53, Address::v4(192, 0, 2, 2), 5000), kStart));
  // Nor does our own packet, seen again, answer itself.
  EXPECT_FALSE(flows.answers(datagram(kHere, 5000, kResolver, 53), kStart));
}

TEST(OwnFlows, AQuestionToManyIsAnsweredByAnyNeighbourAndByNobodyElse) {
  const Address many[] = {Address::v4(239, 255, 255, 250), Address::v4(255, 255, 255, 255),
                          Address::v4(192, 0, 2, 255)};
  for (const Address& asked : many) {
    OwnFlows flows({1, 2});
    flows.sent(datagram(kHere, 5000, asked, 1900), kStart);
    const Segment answer = datagram(Address::v4(192, 0, 2, 60), 49152, kHere, 5000);
    EXPECT_TRUE(flows.answers(answer, kStart + 1h, true)) << asked.text();
    EXPECT_FALSE(flows.answers(answer, kStart + 1h, false)) << "from afar";
    EXPECT_FALSE(flows.answers(answer, kStart + 1h + 1ns, true));
    EXPECT_FALSE(
        flows.answers(datagram(Address::v4(192, 0, 2, 60), 1900, kHere, 5001), kStart, true));
  }
  OwnFlows flows({1, 2});
  flows.sent(datagram(kHere, 5001, Address::v4(192, 0, 2, 60), 1900), kStart);
  EXPECT_FALSE(flows.answers(datagram(Address::v4(192, 0, 2, 61), 1900, kHere, 5001), kStart, true))
      << "who asks one expects one";
}

TEST(OwnFlows, NothingIsAnAnswerBeforeAnythingWasSent) {
  const OwnFlows flows({1, 2});
  EXPECT_FALSE(flows.answers(datagram(kResolver, 53, kHere, 5000), kStart));
}

// A resolver whose answer comes just after a reload.
TEST(OwnFlows, ForItsFirstMinuteWhatLooksLikeAnAnswerIsTakenForOne) {
  const OwnFlows flows({1, 2}, kStart, {.first = 32768, .last = 60999});
  const auto late = [&](std::uint16_t from, std::uint16_t to, Clock::duration after) {
    return flows.answers(datagram(kResolver, from, kHere, to), kStart + after);
  };
  EXPECT_TRUE(late(53, 32768, 0s));
  EXPECT_TRUE(late(123, 60999, 60s));
  EXPECT_FALSE(late(53, 40000, 60s + 1ns)) << "by then it knows what was sent";
  EXPECT_FALSE(late(1024, 40000, 1s)) << "anybody may send from there";
  EXPECT_FALSE(late(53, 32767, 1s)) << "no question of ours comes from there";
  EXPECT_FALSE(late(53, 61000, 1s));
}

TEST(OwnFlows, AfterAFloodTheNewestFlowsAreStillKnown) {
  OwnFlows flows({1, 2});
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    const Address peer =
        Address::v4(10, static_cast<std::uint8_t>(i >> 16U), static_cast<std::uint8_t>(i >> 8U),
                    static_cast<std::uint8_t>(i));
    flows.sent(datagram(kHere, 53, peer, 1024), kStart + std::chrono::microseconds(i));
  }
  // Several of these share a bucket: each must displace the flood, not its neighbour.
  for (std::uint16_t port = 1; port <= 1000; ++port) {
    flows.sent(datagram(kHere, port, kResolver, 53), kStart + 1s);
  }
  for (std::uint16_t port = 1; port <= 1000; ++port) {
    EXPECT_TRUE(flows.answers(datagram(kResolver, 53, kHere, port), kStart + 1s)) << port;
  }
}

TEST(OwnFlows, AThousandFlowsAtOnceFit) {
  OwnFlows flows({3, 4});
  for (std::uint16_t port = 1; port <= 1000; ++port) {
    flows.sent(datagram(kHere, port, kResolver, 53), kStart);
  }
  for (std::uint16_t port = 1; port <= 1000; ++port) {
    EXPECT_TRUE(flows.answers(datagram(kResolver, 53, kHere, port), kStart)) << port;
  }
}

}  // namespace
}  // namespace portsentry::sensor
