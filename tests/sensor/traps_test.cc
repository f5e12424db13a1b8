// Sensor::trapped() and ignore(): packets of which the kernel's traps told.
#include <gtest/gtest.h>

#include <vector>

#include "sensor_lab.h"

namespace portsentry::sensor {
namespace {

class TrapsTest : public SensorTest {
 protected:
  void trap(TrapWord word, const Packet& packet) {
    const Buffer bytes = network(packet);
    trap_bytes(word, bytes, Address::parse(packet.target)->is_v4() ? ETH_P_IP : ETH_P_IPV6);
  }
  void trap_bytes(TrapWord word, const Buffer& bytes, std::uint16_t ethertype = ETH_P_IP) {
    sensor_->trapped({.word = word, .ethertype = ethertype, .interface = kEth0, .network = bytes},
                     view_, now_);
  }

  // Held, counted as `reason`, and acquitted.
  void expect_acquitted(SensorCounter reason, const Packet& packet) {
    const auto before = count(reason);
    acquitted_.clear();
    trap(TrapWord::held, packet);
    EXPECT_EQ(count(reason), before + 1);
    EXPECT_TRUE(reports_.empty());
    ASSERT_EQ(acquitted_.size(), 1U);
    EXPECT_EQ(acquitted_[0].source.prefix().address(), *Address::parse(packet.source));
    EXPECT_EQ(acquitted_[0].protocol, packet.protocol);
    EXPECT_EQ(acquitted_[0].port.number(), packet.target_port);
  }
};

TEST_F(TrapsTest, ReportThatTheSourceIsHeld) {
  trap(TrapWord::held, Packet{});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_TRUE(reports_[0].held);
  EXPECT_TRUE(reports_[0].first);
  EXPECT_EQ(reports_[0].kind, ScanKind::syn);
  EXPECT_EQ(reports_[0].port.number(), kWatched);
  EXPECT_EQ(reports_[0].interface, kEth0);
  EXPECT_TRUE(acquitted_.empty());
  EXPECT_EQ(count(SensorCounter::trapped), 1U);
  EXPECT_EQ(count(SensorCounter::held), 1U);
  EXPECT_EQ(count(SensorCounter::seen), 0U) << "that is the capture's";
}

TEST_F(TrapsTest, CountByTheirWord) {
  trap(TrapWord::seen, {.target_port = kWatched});
  trap(TrapWord::spent, {.source = "198.51.100.8"});
  trap(TrapWord::full, {.source = "198.51.100.9"});
  EXPECT_EQ(count(SensorCounter::trapped), 3U);
  EXPECT_EQ(count(SensorCounter::held), 0U);
  EXPECT_EQ(count(SensorCounter::hold_over_budget), 1U);
  EXPECT_EQ(count(SensorCounter::traps_full), 1U);
  ASSERT_EQ(reports_.size(), 3U) << "a ban may follow all the same";
  for (const Detection& report : reports_)
    EXPECT_FALSE(report.held);
}

TEST_F(TrapsTest, AskTheKernelNothingAgain) {
  answer_ = Wanted::yes;
  trap(TrapWord::held, Packet{});
  EXPECT_EQ(questions_, 0U);
  EXPECT_EQ(reports_.size(), 1U);
  // An address that the view does not know is the host's own all the same: the packet was delivered.
  trap(TrapWord::held, {.source = "198.51.100.8", .target = "203.0.113.77"});
  EXPECT_EQ(reports_.size(), 2U);
  // Neither does an earlier datagram of ours explain it: the rules have looked.
  send({.source = "192.0.2.1",
        .target = "198.51.100.9",
        .protocol = Protocol::udp,
        .source_port = kWatched,
        .target_port = 40000});
  trap(TrapWord::held, {.source = "198.51.100.9", .protocol = Protocol::udp});
  EXPECT_EQ(reports_.size(), 3U);
}

TEST_F(TrapsTest, NameAckAndMaimonScans) {
  const auto kind = [&](std::uint8_t flags) -> std::optional<ScanKind> {
    start();
    reports_.clear();
    trap(TrapWord::held, {.flags = flags});
    if (reports_.empty()) return std::nullopt;
    return reports_[0].kind;
  };
  EXPECT_EQ(kind(TcpFlags::ack), ScanKind::ack);
  EXPECT_EQ(kind(TcpFlags::ack | TcpFlags::psh), ScanKind::ack);
  EXPECT_EQ(kind(TcpFlags::ack | TcpFlags::fin), ScanKind::maimon);
  EXPECT_EQ(kind(TcpFlags::fin), ScanKind::fin);
  EXPECT_EQ(kind(0), ScanKind::null);
  EXPECT_EQ(kind(TcpFlags::fin | TcpFlags::psh | TcpFlags::urg), ScanKind::xmas);
  EXPECT_FALSE(kind(TcpFlags::rst));
  EXPECT_FALSE(kind(TcpFlags::rst | TcpFlags::ack));
  EXPECT_FALSE(kind(TcpFlags::syn | TcpFlags::ack));
}

TEST_F(TrapsTest, AcquitWhatComesToNothing) {
  expect_acquitted(SensorCounter::to_itself, {.source = "192.0.2.1"});
  expect_acquitted(SensorCounter::bad_source, {.source = "127.0.0.9"});
  expect_acquitted(SensorCounter::bad_source, {.source = "0.0.0.0"});
  expect_acquitted(SensorCounter::answer_flags, {.flags = TcpFlags::rst});
  expect_acquitted(SensorCounter::unwatched_port, {.target_port = 81});
  ports_.udp.add(*Port::make(5353));
  start();
  expect_acquitted(SensorCounter::discovery_noise,
                   {.source = "192.0.2.77", .protocol = Protocol::udp, .target_port = 5353});
  EXPECT_EQ(count(SensorCounter::acquitted), 1U);
  EXPECT_EQ(count(SensorCounter::probes), 0U);
}

TEST_F(TrapsTest, AcquitNobodyWhoIsNotHeld) {
  trap(TrapWord::seen, {.target_port = 81});
  trap(TrapWord::spent, {.target_port = 81});
  EXPECT_TRUE(acquitted_.empty());
  EXPECT_EQ(count(SensorCounter::unwatched_port), 2U);
}

// The source is named as the kernel holds it: its /64 from elsewhere, its address on our link.
TEST_F(TrapsTest, NameTheSourceAsTheTrackerDoes) {
  trap(TrapWord::held, {.source = "2001:db8:bad::7", .target = "2001:db8:1::1", .target_port = 81});
  trap(TrapWord::held, {.source = "2001:db8:1::7", .target = "2001:db8:1::1", .target_port = 81});
  ASSERT_EQ(acquitted_.size(), 2U);
  EXPECT_EQ(acquitted_[0].source.text(), "2001:db8:bad::/64");
  EXPECT_EQ(acquitted_[1].source.text(), "2001:db8:1::7");
}

TEST_F(TrapsTest, AcquitWhereTheKernelRemembersMoreThanWeDo) {
  start(/*trigger=*/3);
  trap(TrapWord::held, {.target_port = kWatched});
  EXPECT_TRUE(reports_.empty());
  EXPECT_EQ(acquitted_.size(), 1U);
  EXPECT_EQ(count(SensorCounter::probes), 1U) << "it counts, and what was lost may come again";
}

TEST_F(TrapsTest, BringTheSourceToTheTriggerByWhatWasSeenBefore) {
  start(/*trigger=*/3);
  trap(TrapWord::seen, {.target_port = kWatched});
  trap(TrapWord::seen, {.target_port = kAlsoWatched});
  trap(TrapWord::held, {.target_port = kThirdWatched});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_TRUE(reports_[0].held);
  EXPECT_EQ(reports_[0].distinct_ports, 3U);
  EXPECT_EQ(reports_[0].touches.size(), 2U);
  EXPECT_TRUE(acquitted_.empty());
}

// Its second is not over, but somebody is cut off until it is answered.
TEST_F(TrapsTest, WithholdNoReportOfAHold) {
  trap(TrapWord::held, {.target_port = kWatched});
  trap(TrapWord::held, {.target_port = kAlsoWatched});
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_TRUE(reports_[1].held);
  EXPECT_FALSE(reports_[1].first);
  trap(TrapWord::seen, {.target_port = kThirdWatched});
  EXPECT_EQ(reports_.size(), 2U) << "that can wait";
  now_ += seconds(2);
  sensor_->tick(now_);
  ASSERT_EQ(reports_.size(), 3U);
  EXPECT_FALSE(reports_[2].held) << "its hold was answered before";
}

TEST_F(TrapsTest, SayEveryHoldWhereManyLoneProbesCome) {
  // More than the budget of reports that are not held.
  for (unsigned i = 0; i < 300; ++i) {
    const std::string source =
        "198.51." + std::to_string(100 + i / 200) + "." + std::to_string(1 + i % 200);
    trap(TrapWord::held, {.source = source});
  }
  EXPECT_EQ(reports_.size(), 300U);
  EXPECT_EQ(count(SensorCounter::single_over_budget), 0U);
}

TEST_F(TrapsTest, CountTheHoldsOfWhichNothingCouldBeTold) {
  channel_full_ = true;
  trap(TrapWord::held, {.target_port = kWatched});
  EXPECT_EQ(count(SensorCounter::held_untold), 1U);
  EXPECT_EQ(count(SensorCounter::channel_full), 1U);
  trap(TrapWord::held, {.target_port = 81});
  EXPECT_EQ(count(SensorCounter::held_untold), 2U);
  EXPECT_EQ(count(SensorCounter::acquitted), 0U);
  trap(TrapWord::spent, {.source = "198.51.100.8"});
  EXPECT_EQ(count(SensorCounter::held_untold), 2U);
  // Its next probe tells it as new.
  channel_full_ = false;
  trap(TrapWord::held, {.target_port = kAlsoWatched});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_TRUE(reports_[0].first);
}

TEST_F(TrapsTest, TellAProofLaterAndNotTheHoldAgain) {
  trap(TrapWord::held, Packet{});
  ASSERT_TRUE(sensor_->next_question(now_));
  sensor_->answered(true, now_);
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_EQ(reports_[1].proof, Proof::established);
  EXPECT_FALSE(reports_[1].held);
}

TEST_F(TrapsTest, TellAPredecessorsMemoryWithoutAHoldThatWasAnswered) {
  start(/*trigger=*/2);
  trap(TrapWord::held, {.target_port = kWatched});
  ASSERT_EQ(acquitted_.size(), 1U);
  sensor_->merge({.source = acquitted_[0].source,
                  .touches = {{Protocol::tcp, *Port::make(kAlsoWatched), seconds(5)}},
                  .reported = false},
                 now_);
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_FALSE(reports_[0].held);
}

// Root's rules copy 128 bytes.
TEST_F(TrapsTest, NeedNoMoreOfAPacketThanItsPortsAndFlags) {
  const Buffer long_udp = craft::first(
      craft::ip4({.protocol = 17, .words = 15}, craft::udp({.target = kWatched, .payload = 900})),
      128);
  trap_bytes(TrapWord::held, long_udp);
  const Buffer cut_tcp = craft::first(
      craft::ip4({.source = "198.51.100.8"}, craft::tcp({.words = 15}) + craft::filled(500)), 34);
  trap_bytes(TrapWord::held, cut_tcp);
  const Buffer six =
      craft::first(craft::ip6({.next = 60, .target = "2001:db8:1::1"},
                              craft::extension(6, 9) + craft::tcp() + craft::filled(500)),
                   128);
  trap_bytes(TrapWord::held, six, ETH_P_IPV6);
  EXPECT_EQ(reports_.size(), 3U);
  EXPECT_EQ(count(SensorCounter::malformed), 0U);
}

TEST_F(TrapsTest, OfWhichTheHeaderIsMissingEndByThemselves) {
  const Buffer chain = craft::first(
      craft::ip6({.next = 60, .target = "2001:db8:1::1"}, craft::extension(6, 20) + craft::tcp()),
      128);
  trap_bytes(TrapWord::held, chain, ETH_P_IPV6);
  trap_bytes(TrapWord::held, Buffer{});
  trap_bytes(TrapWord::held, craft::ip4({.more = true}, craft::first(craft::tcp(), 8)));
  trap_bytes(TrapWord::held, network({}), 0);
  trap_bytes(TrapWord::seen, Buffer{});
  EXPECT_EQ(count(SensorCounter::malformed), 4U);
  EXPECT_EQ(count(SensorCounter::fragment_dropped), 1U);
  EXPECT_EQ(count(SensorCounter::held_untold), 3U);
  EXPECT_EQ(acquitted_.size(), 1U) << "the piece says who it was";
  EXPECT_TRUE(reports_.empty());
  EXPECT_FALSE(sensor_->waits_for_fragments());
}

TEST_F(TrapsTest, AcquitOfAHeaderThatLinuxRefuses) {
  Buffer lying = network({});
  lying.at(20 + 12) = std::byte{0xf0};  // more header than there is
  trap_bytes(TrapWord::held, lying);
  trap_bytes(TrapWord::held, craft::ip4({}, craft::first(craft::tcp(), 8)));
  trap_bytes(TrapWord::held,
             craft::ip6({.next = 60}, craft::extension(6, 1) + craft::first(craft::tcp(), 8)),
             ETH_P_IPV6);
  trap_bytes(TrapWord::seen, lying);
  EXPECT_EQ(count(SensorCounter::malformed), 4U);
  EXPECT_EQ(count(SensorCounter::held_untold), 0U);
  EXPECT_TRUE(reports_.empty());
  EXPECT_EQ(acquitted_.size(), 3U);
}

TEST_F(TrapsTest, ThatAreIgnoredAreCounted) {
  const Buffer bytes = network({});
  sensor_->ignore(
      {.word = TrapWord::held, .ethertype = ETH_P_IP, .interface = 2, .network = bytes});
  sensor_->ignore(
      {.word = TrapWord::seen, .ethertype = ETH_P_IP, .interface = 2, .network = bytes});
  EXPECT_EQ(count(SensorCounter::trapped), 2U);
  EXPECT_EQ(count(SensorCounter::held_untold), 1U);
  EXPECT_EQ(count(SensorCounter::probes), 0U);
  EXPECT_TRUE(reports_.empty() && acquitted_.empty());
}

}  // namespace
}  // namespace portsentry::sensor
