#include <algorithm>
#include <string>

#include "sensor_lab.h"

namespace portsentry::sensor {
namespace {

TEST_F(SensorTest, AProbeOfAWatchedPortIsReportedWithAllThatIsKnown) {
  receive({});
  ASSERT_EQ(reports_.size(), 1U);
  const Detection& report = reports_.front();
  EXPECT_EQ(report.source, Source::of(*Address::parse("198.51.100.7"), false));
  EXPECT_EQ(report.address, *Address::parse("198.51.100.7"));
  EXPECT_EQ(report.target, *Address::parse("192.0.2.1"));
  EXPECT_EQ(report.protocol, Protocol::tcp);
  EXPECT_EQ(report.port.number(), kWatched);
  EXPECT_EQ(report.kind, ScanKind::syn);
  EXPECT_EQ(report.flags.bits, TcpFlags::syn);
  EXPECT_EQ(report.distinct_ports, 1U);
  EXPECT_TRUE(report.first);
  EXPECT_FALSE(report.ip_options);
  EXPECT_FALSE(report.fragmented);
  EXPECT_EQ(report.interface, kEth0);
  EXPECT_EQ(count(SensorCounter::seen), 1U);
  EXPECT_EQ(count(SensorCounter::probes), 1U);
  EXPECT_EQ(count(SensorCounter::detections), 1U);
}

TEST_F(SensorTest, AUdpProbeIsReportedAsUdp) {
  receive({.protocol = Protocol::udp});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().kind, ScanKind::udp);
  EXPECT_EQ(reports_.front().flags.bits, 0);
}

TEST_F(SensorTest, TheKernelIsAskedAboutThePacketItselfAndItsInterface) {
  receive({.source_port = 1234, .target_port = kAlsoWatched}, kEth1);
  ASSERT_TRUE(asked_);
  EXPECT_EQ(asked_->source, *Address::parse("198.51.100.7"));
  EXPECT_EQ(asked_->target, *Address::parse("192.0.2.1"));
  EXPECT_EQ(asked_->source_port, 1234);
  EXPECT_EQ(asked_->target_port, kAlsoWatched);
  EXPECT_EQ(asked_interface_, kEth1);
}

TEST_F(SensorTest, ARemoteIpv6ProberIsHeldAsItsSlash64) {
  receive({.source = "2001:db8:9::7", .target = "2001:db8:1::1"});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().source.text(), "2001:db8:9::/64");
  EXPECT_EQ(reports_.front().address, *Address::parse("2001:db8:9::7"));
}

TEST_F(SensorTest, AnIpv6ProberOnOurLinkIsHeldAlone) {
  receive({.source = "2001:db8:1::66", .target = "2001:db8:1::1"});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().source.text(), "2001:db8:1::66");
}

TEST_F(SensorTest, ReportsComeWhenTheTriggerIsReachedOnDistinctPorts) {
  start(3);
  receive({.target_port = kWatched});
  receive({.target_port = kWatched});
  receive({.target_port = kAlsoWatched});
  EXPECT_TRUE(reports_.empty());
  receive({.target_port = kThirdWatched});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().distinct_ports, 3U);
  EXPECT_EQ(count(SensorCounter::repeated), 1U);
}

// ---- Every "no" ---------------------------------------------------------------------------------

TEST_F(SensorTest, AnotherInterfaceIsNotLookedAt) {
  start(1, {"eth0"});
  receive({}, kEth1);
  expect_only(SensorCounter::other_interface);
}

TEST_F(SensorTest, AnInterfaceWithoutANameIsNotOneOfThoseAskedFor) {
  start(1, {"eth0"});
  receive({}, 77);
  expect_only(SensorCounter::other_interface);
}

TEST_F(SensorTest, OneOfTheInterfacesAskedForIsLookedAt) {
  start(1, {"eth7", "eth1"});
  receive({}, kEth1);
  EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(SensorTest, APacketFromItselfIsNoEvidence) {
  receive({.source = "192.0.2.1"});
  expect_only(SensorCounter::to_itself);
}

TEST_F(SensorTest, ANeighbourThatScansFromItsLinkLocalAddressIsReported) {
  start();
  receive({.source = "169.254.1.1"});
  ASSERT_EQ(reports_.size(), 1U);
  start();
  receive({.source = "fe80::1", .target = "2001:db8:1::1"});
  EXPECT_EQ(reports_.size(), 2U);
}

TEST_F(SensorTest, ASourceThatCannotBeIsNoEvidence) {
  for (const auto source : {"0.0.0.0", "127.0.0.9", "224.0.0.5", "255.255.255.255", "240.0.0.1"}) {
    start();
    receive({.source = source});
    expect_only(SensorCounter::bad_source);
  }
  for (const auto source : {"::", "::1", "ff02::1"}) {
    start();
    receive({.source = source, .target = "2001:db8:1::1"});
    expect_only(SensorCounter::bad_source);
  }
}

TEST_F(SensorTest, OurOwnAddressAsASourceIsNoEvidence) {
  add_address(view_, kEth1, "203.0.113.5", 24);
  receive({.source = "203.0.113.5"});
  expect_only(SensorCounter::bad_source);
}

TEST_F(SensorTest, ATargetThatIsNotOursIsNoEvidence) {
  for (const auto target :
       {"192.0.2.2", "192.0.2.255", "255.255.255.255", "224.0.0.1", "127.0.0.1"}) {
    start();
    receive({.target = target});
    expect_only(SensorCounter::not_ours);
  }
}

TEST_F(SensorTest, AnAddressThatWentAwayIsNotOursAnyMore) {
  view_.clear();
  receive({});
  expect_only(SensorCounter::not_ours);
}

TEST_F(SensorTest, AnswersAndResetsAreNoEvidence) {
  for (const std::uint8_t flags : {TcpFlags::ack, TcpFlags::rst}) {
    for (const std::uint8_t with : {std::uint8_t{0}, TcpFlags::syn, TcpFlags::fin}) {
      start();
      receive({.flags = static_cast<std::uint8_t>(flags | with)});
      expect_only(SensorCounter::answer_flags);
    }
  }
}

TEST_F(SensorTest, AnUnwatchedPortIsNoEvidenceAndCostsNoQuestion) {
  receive({.target_port = 8080});
  expect_only(SensorCounter::unwatched_port);
  EXPECT_EQ(questions_, 0U);
}

TEST_F(SensorTest, APortWatchedForUdpIsNotWatchedForTcp) {
  ports_.tcp.remove(*Port::make(kWatched));
  start();
  receive({});
  expect_only(SensorCounter::unwatched_port);
}

TEST_F(SensorTest, GarbageIsCountedAndForgotten) {
  deliver(Buffer(3), ETH_P_IP, PACKET_HOST, kEth0);
  expect_only(SensorCounter::malformed);
}

TEST_F(SensorTest, APortThatALocalSocketWantsIsNoEvidence) {
  answer_ = Wanted::yes;
  receive({});
  expect_only(SensorCounter::live_service);
}

TEST_F(SensorTest, AFailedQuestionCountsAgainstNobody) {
  answer_ = Wanted::failed;
  receive({});
  expect_only(SensorCounter::lookup_failed);
}

// ---- What the owner turned off ------------------------------------------------------------------

TEST_F(SensorTest, WithoutTheLocalCheckAPacketFromItselfCounts) {
  start(1, {}, false);
  receive({.source = "192.0.2.1"});
  EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(SensorTest, WithoutTheLocalCheckImpossibleSourcesStillDoNotCount) {
  start(1, {}, false);
  receive({.source = "240.0.0.1"});
  expect_only(SensorCounter::bad_source);
}

TEST_F(SensorTest, WithoutTheServiceCheckALivePortCountsAndNobodyIsAsked) {
  answer_ = Wanted::yes;
  start(1, {}, true, false);
  receive({});
  EXPECT_EQ(reports_.size(), 1U);
  EXPECT_EQ(questions_, 0U);
}

TEST_F(SensorTest, WithoutTheServiceCheckAnAnswerToUsIsStillNoProbe) {
  start(1, {}, true, false);
  send({.source = "192.0.2.1",
        .target = "198.51.100.53",
        .protocol = Protocol::udp,
        .source_port = kWatched,
        .target_port = 53});
  receive({.source = "198.51.100.53",
           .target = "192.0.2.1",
           .protocol = Protocol::udp,
           .source_port = 53,
           .target_port = kWatched});
  expect_only(SensorCounter::own_flow);
}

// ---- Contacts with sockets of ours --------------------------------------------------------------

class ContactTest : public SensorTest {
 protected:
  bool contact(std::string_view source, std::uint32_t port, Protocol protocol = Protocol::tcp,
               std::string_view target = "192.0.2.1") {
    return sensor_->contact({.source = *Address::parse(source),
                             .target = *Address::parse(target),
                             .protocol = protocol,
                             .port = *Port::make(port),
                             .interface = 0},
                            view_, now_);
  }
};

TEST_F(ContactTest, AConnectionIsReportedAsWhatItIs) {
  EXPECT_TRUE(contact("198.51.100.7", 4444));
  ASSERT_EQ(reports_.size(), 1U);
  const Detection& report = reports_.front();
  EXPECT_EQ(report.kind, ScanKind::connect);
  EXPECT_EQ(report.protocol, Protocol::tcp);
  EXPECT_EQ(report.port.number(), 4444) << "whatever the ports of the capture are";
  EXPECT_EQ(report.flags.bits, 0);
  EXPECT_EQ(report.target, *Address::parse("192.0.2.1"));
  EXPECT_TRUE(report.first);
  EXPECT_EQ(questions_, 0U) << "the socket there is ours";
  EXPECT_EQ(count(SensorCounter::contacts), 1U);
  EXPECT_EQ(count(SensorCounter::probes), 1U);
}

TEST_F(ContactTest, ConnectionsAndPacketsOfOneSourceCountTogether) {
  start(2);
  receive({.target_port = kWatched});
  EXPECT_TRUE(contact("198.51.100.7", 4444));
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().distinct_ports, 2U);
}

TEST_F(ContactTest, TheBannerIsForThoseAtTheTriggerAndAbove) {
  start(2);
  EXPECT_FALSE(contact("198.51.100.7", 4444));
  EXPECT_FALSE(contact("198.51.100.7", 4444)) << "one port is one port";
  EXPECT_TRUE(contact("198.51.100.7", 4445));
  EXPECT_TRUE(contact("198.51.100.7", 4446)) << "also while the report of it is withheld";
}

TEST_F(ContactTest, AForgedSenderOfDatagramsIsSentABannerOnceASecond) {
  EXPECT_TRUE(contact("198.51.100.7", 4444, Protocol::udp, "0.0.0.0"));
  for (std::uint32_t port = 1; port < 100; ++port)
    EXPECT_FALSE(contact("198.51.100.7", port, Protocol::udp, "0.0.0.0"));
  now_ += seconds(1);
  EXPECT_TRUE(contact("198.51.100.7", 4444, Protocol::udp, "0.0.0.0"));
  EXPECT_TRUE(reports_.front().target.is_unspecified());
}

TEST_F(ContactTest, OurselvesAreNoProber) {
  EXPECT_FALSE(contact("192.0.2.1", 4444));
  EXPECT_FALSE(contact("127.0.0.1", 4444, Protocol::tcp, "127.0.0.1"));
  EXPECT_EQ(count(SensorCounter::to_itself), 2U);
  EXPECT_FALSE(contact("127.0.0.1", 4444, Protocol::udp, "0.0.0.0"));
  EXPECT_FALSE(contact("192.0.2.1", 4444, Protocol::udp, "0.0.0.0"));
  EXPECT_EQ(count(SensorCounter::bad_source), 2U);
  EXPECT_TRUE(reports_.empty());
}

TEST_F(ContactTest, WithoutTheLocalCheckWeAre) {
  start(1, {}, false);
  EXPECT_TRUE(contact("192.0.2.1", 4444));
  EXPECT_TRUE(contact("127.0.0.1", 4444, Protocol::udp, "0.0.0.0"));
  EXPECT_EQ(reports_.size(), 2U);
}

TEST_F(ContactTest, AnIpv6NeighbourIsHeldAloneAndAStrangerAsItsNetwork) {
  contact("2001:db8:1::66", 4444, Protocol::tcp, "2001:db8:1::1");
  contact("2001:db8:9::7", 4444, Protocol::tcp, "2001:db8:1::1");
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_EQ(reports_[0].source.text(), "2001:db8:1::66");
  EXPECT_EQ(reports_[1].source.text(), "2001:db8:9::/64");
}

// ---- Succession ---------------------------------------------------------------------------------

class SuccessionTest : public ContactTest {
 protected:
  // A successor with the same settings takes over what this sensor remembers.
  void succeed(std::uint32_t trigger) {
    std::vector<Evidence> told;
    while (const auto evidence = sensor_->hand_over(now_))
      told.push_back(*evidence);
    start(trigger);
    for (const Evidence& evidence : told)
      sensor_->merge(evidence, now_);
  }
};

TEST_F(SuccessionTest, AHitBeforeAReloadAndOneAfterMakeTwo) {
  start(2);
  contact("198.51.100.7", 21);
  succeed(2);
  EXPECT_TRUE(reports_.empty());
  contact("198.51.100.7", 22);
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().distinct_ports, 2U);
  EXPECT_TRUE(reports_.front().first);
}

TEST_F(SuccessionTest, WhoWasReportedIsNotReportedAsNew) {
  start(2);
  contact("198.51.100.7", 21);
  contact("198.51.100.7", 22);
  succeed(2);
  now_ += seconds(1);
  contact("198.51.100.7", 23);
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_FALSE(reports_.back().first);
  EXPECT_EQ(reports_.back().distinct_ports, 3U);
}

TEST_F(SuccessionTest, TheSecondHitMayComeBeforeTheMemoryOfTheFirst) {
  const Evidence memory{.source = Source::of(*Address::parse("198.51.100.7"), false),
                        .touches = {{.protocol = Protocol::tcp,
                                     .port = *Port::make(21),
                                     .age = std::chrono::seconds(5)}},
                        .reported = false};
  start(2);
  contact("198.51.100.8", 22);
  contact("198.51.100.7", 22);
  contact("198.51.100.9", 23);
  EXPECT_TRUE(reports_.empty());
  sensor_->merge(memory, now_);
  ASSERT_EQ(reports_.size(), 1U) << "that hit was the one that reached the trigger";
  EXPECT_EQ(reports_.front().address, *Address::parse("198.51.100.7"));
  EXPECT_EQ(reports_.front().port.number(), 22);
  EXPECT_EQ(reports_.front().distinct_ports, 2U);
  EXPECT_TRUE(reports_.front().first);
  sensor_->merge(memory, now_);
  EXPECT_EQ(reports_.size(), 1U) << "told twice, reported once";
  now_ += seconds(2);
  contact("198.51.100.7", 24);
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_FALSE(reports_.back().first);
}

TEST_F(SuccessionTest, MemoryOlderThanTheWindowIsNone) {
  start(2);
  sensor_->merge({.source = Source::of(*Address::parse("198.51.100.7"), false),
                  .touches = {{.protocol = Protocol::tcp,
                               .port = *Port::make(21),
                               .age = std::chrono::hours(2)}},
                  .reported = true},
                 now_);
  contact("198.51.100.7", 22);
  EXPECT_TRUE(reports_.empty());
}

// ---- Services that come and go ------------------------------------------------------------------

TEST_F(SensorTest, AServiceThatWentAwayHasAMinuteOfGrace) {
  answer_ = Wanted::yes;
  receive({});
  answer_ = Wanted::no;
  now_ += seconds(59);
  receive({});
  EXPECT_EQ(count(SensorCounter::live_service), 2U);
  EXPECT_TRUE(reports_.empty());
  now_ += seconds(1);
  receive({});
  EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(SensorTest, AServiceThatWasJustSeenCostsNoSecondQuestion) {
  answer_ = Wanted::yes;
  receive({});
  receive({.source = "198.51.100.8"});
  EXPECT_EQ(questions_, 1U);
  now_ += seconds(1);
  receive({});
  EXPECT_EQ(questions_, 2U);
  EXPECT_EQ(count(SensorCounter::live_service), 3U);
}

TEST_F(SensorTest, GraceHoldsAlsoWhenTheKernelDoesNotAnswer) {
  answer_ = Wanted::yes;
  receive({});
  answer_ = Wanted::failed;
  now_ += seconds(30);
  receive({});
  EXPECT_EQ(count(SensorCounter::live_service), 2U);
  EXPECT_EQ(count(SensorCounter::lookup_failed), 0U);
}

TEST_F(SensorTest, BeyondItsBudgetNothingIsAskedAndNothingCounted) {
  start(kMaxTrigger);
  for (int i = 0; i < 10'000; ++i)
    receive({.source_port = static_cast<std::uint16_t>(i)});
  EXPECT_LT(questions_, 10'000U);
  EXPECT_EQ(count(SensorCounter::lookup_over_budget), 10'000U - questions_);
  EXPECT_EQ(count(SensorCounter::probes) + count(SensorCounter::repeated), questions_);
}

TEST_F(SensorTest, AFloodOfNewSourcesLeavesLookupsForOneThatHasAHit) {
  start(2);
  receive({.source = "198.51.100.7", .target_port = kWatched});
  answer_ = Wanted::failed;  // so that the flood fills no table
  for (unsigned i = 0; i < 10'000; ++i) {
    const std::string forged = "203.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    receive({.source = forged, .target_port = kWatched});
  }
  answer_ = Wanted::no;
  EXPECT_GT(count(SensorCounter::lookup_over_budget), 0U);
  receive({.source = "198.51.100.7", .target_port = kAlsoWatched});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().address, *Address::parse("198.51.100.7"));
}

// ---- Our own traffic ----------------------------------------------------------------------------

constexpr Packet kOurQuestion{.source = "192.0.2.1",
                              .target = "198.51.100.53",
                              .protocol = Protocol::udp,
                              .source_port = kWatched,
                              .target_port = 53};
constexpr Packet kItsAnswer{.source = "198.51.100.53",
                            .target = "192.0.2.1",
                            .protocol = Protocol::udp,
                            .source_port = 53,
                            .target_port = kWatched};

TEST_F(SensorTest, AnAnswerToOurOwnDatagramIsNoEvidence) {
  send(kOurQuestion);
  EXPECT_EQ(count(SensorCounter::seen), 0U);
  receive(kItsAnswer);
  expect_only(SensorCounter::own_flow);
}

TEST_F(SensorTest, AnAnswerByAnotherInterfaceIsNoEvidence) {
  start(1, {"eth0"});
  send(kOurQuestion, kEth1);
  receive(kItsAnswer, kEth0);
  expect_only(SensorCounter::own_flow);
}

TEST_F(SensorTest, SomebodyElseDoesNotPassForTheAnswer) {
  send(kOurQuestion);
  Packet other = kItsAnswer;
  other.source = "198.51.100.54";
  receive(other);
  EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(SensorTest, OurOwnTcpPacketsAreNotRemembered) {
  Packet question = kOurQuestion;
  question.protocol = Protocol::tcp;
  send(question);
  receive(kItsAnswer);
  EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(SensorTest, APacketOfOursIsNeverAProbe) {
  send({.source = "198.51.100.7", .target = "192.0.2.1"});
  EXPECT_TRUE(reports_.empty());
  EXPECT_EQ(count(SensorCounter::probes), 0U);
}

// ---- Fragments ----------------------------------------------------------------------------------

TEST_F(SensorTest, AHeaderCutIntoFragmentsIsPutTogether) {
  const Buffer header = craft::tcp();
  const Buffer second =
      craft::ip4({.id = 7, .offset = 1, .more = true}, craft::first(craft::from(header, 8), 8));
  const Buffer first = craft::ip4({.id = 7, .more = true}, craft::first(header, 8));
  deliver(second, ETH_P_IP, PACKET_HOST, kEth0);
  EXPECT_EQ(count(SensorCounter::fragment_pending), 1U);
  EXPECT_TRUE(reports_.empty());
  deliver(first, ETH_P_IP, PACKET_HOST, kEth0);
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_TRUE(reports_.front().fragmented);
  EXPECT_EQ(reports_.front().kind, ScanKind::syn);
}

TEST_F(SensorTest, FlagsInASecondFragmentAcquitNobody) {
  const Buffer header = craft::tcp({.flags = TcpFlags::ack});
  deliver(craft::ip4({.id = 7, .more = true}, craft::first(header, 8)), ETH_P_IP, PACKET_HOST,
          kEth0);
  EXPECT_TRUE(sensor_->waits_for_fragments());
  deliver(craft::ip4({.id = 7, .offset = 1}, craft::from(header, 8)), ETH_P_IP, PACKET_HOST, kEth0);
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().kind, ScanKind::odd_flags);
}

TEST_F(SensorTest, AHalfHeaderWhoseRestIsLateCountsByItself) {
  const Buffer half = craft::ip4({.id = 7, .more = true}, craft::first(craft::tcp(), 8));
  deliver(half, ETH_P_IP, PACKET_HOST, kEth0);
  sensor_->judge_overdue(view_, now_ + std::chrono::seconds(3));
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_.front().interface, 0U) << "its halves may have come in anywhere";
  EXPECT_EQ(reports_.front().kind, ScanKind::odd_flags);
  EXPECT_FALSE(sensor_->waits_for_fragments());
}

// ---- The channel --------------------------------------------------------------------------------

TEST_F(SensorTest, AReportThatDidNotFitIsMadeAgainAtTheNextProbe) {
  channel_full_ = true;
  receive({});
  EXPECT_EQ(count(SensorCounter::channel_full), 1U);
  EXPECT_EQ(count(SensorCounter::detections), 0U);
  channel_full_ = false;
  receive({});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_TRUE(reports_.front().first);
  EXPECT_EQ(count(SensorCounter::detections), 1U);
}

TEST_F(SensorTest, LaterHitsOfAReportedSourceAreReportedOnceASecond) {
  receive({});
  receive({});
  receive({});
  EXPECT_EQ(reports_.size(), 1U);
  EXPECT_EQ(count(SensorCounter::updates_withheld), 2U);
  now_ += seconds(1);
  receive({});
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_FALSE(reports_.back().first);
}

TEST_F(SensorTest, WhatTheKernelDroppedIsInTheTally) {
  sensor_->set_kernel_dropped(12);
  EXPECT_EQ(count(SensorCounter::kernel_dropped), 12U);
}

// ---- The cooked header --------------------------------------------------------------------------

TEST(SensorFrame, ReadsTheCookedHeader) {
  const Buffer bytes = craft::be16(ETH_P_IPV6) + craft::be16(0) + craft::be32(0x01020304) +
                       craft::be16(1) + craft::raw({PACKET_OUTGOING, 6}) + craft::filled(8, 0) +
                       craft::raw({0x60});
  const auto frame = read_cooked(bytes);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->interface, 0x01020304U);
  EXPECT_EQ(frame->packet_type, PACKET_OUTGOING);
  EXPECT_EQ(frame->ethertype, 0x86dd);
  ASSERT_EQ(frame->network.size(), 1U);
  EXPECT_EQ(frame->network.front(), std::byte{0x60});
}

TEST(SensorFrame, IsNothingWhenCutAnywhere) {
  for (std::size_t size = 0; size < static_cast<std::size_t>(kCookedHeader); ++size) {
    EXPECT_FALSE(read_cooked(Buffer(size))) << size;
  }
}

// ---- What a report tells beside its probe ------------------------------------------------------

TEST_F(SensorTest, AReportTellsWhatElseTheSourceTouchedTheNewestFirst) {
  start(3);
  receive({.target_port = kWatched});
  now_ += seconds(2);
  receive({.protocol = Protocol::udp, .target_port = kWatched});
  now_ += seconds(3);
  receive({.target_port = kAlsoWatched});
  ASSERT_EQ(reports_.size(), 1U);
  const auto& touches = reports_.front().touches;
  ASSERT_EQ(touches.size(), 2U);
  EXPECT_EQ(touches[0].protocol, Protocol::udp);
  EXPECT_EQ(touches[0].port.number(), kWatched);
  EXPECT_EQ(touches[0].age, seconds(3));
  EXPECT_EQ(touches[1].protocol, Protocol::tcp);
  EXPECT_EQ(touches[1].age, seconds(5));
}

TEST_F(SensorTest, AReportTellsSixteenOthersAtMost) {
  for (std::uint16_t port = 1000; port < 1100; ++port)
    ports_.tcp.add(*Port::make(port));
  start();
  for (std::uint16_t port = 1000; port < 1100; ++port) {
    now_ += seconds(1);
    receive({.target_port = port});
  }
  ASSERT_FALSE(reports_.empty());
  EXPECT_EQ(reports_.back().distinct_ports, 100U);
  ASSERT_EQ(reports_.back().touches.size(), kMaxToldTouches);
  EXPECT_EQ(reports_.back().touches.front().port.number(), 1098);
}

TEST_F(SensorTest, TheFifthPortIsToldAtOnce) {
  for (std::uint16_t port = 1000; port < 1010; ++port)
    ports_.tcp.add(*Port::make(port));
  start(2);
  for (std::uint16_t port = 1000; port < 1005; ++port)
    receive({.target_port = port});
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_EQ(reports_[0].distinct_ports, 2U);
  EXPECT_TRUE(reports_[0].first);
  EXPECT_EQ(reports_[1].distinct_ports, 5U);
  EXPECT_FALSE(reports_[1].first);
  receive({.target_port = 1005});
  EXPECT_EQ(reports_.size(), 2U) << "the sixth waits for its second";
}

TEST_F(SensorTest, WhatWasWithheldIsToldWhenItsSecondIsOver) {
  receive({.target_port = kWatched});  // which an ignore line may excuse
  now_ += std::chrono::milliseconds(100);
  receive({.target_port = kAlsoWatched});
  ASSERT_EQ(reports_.size(), 1U);
  ASSERT_TRUE(sensor_->late_at());
  sensor_->tick(*sensor_->late_at() - std::chrono::milliseconds(1));
  EXPECT_EQ(reports_.size(), 1U);
  sensor_->tick(*sensor_->late_at());
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_EQ(reports_[1].port.number(), kAlsoWatched);
  EXPECT_EQ(reports_[1].distinct_ports, 2U);
  EXPECT_FALSE(reports_[1].first);
  ASSERT_EQ(reports_[1].touches.size(), 1U);
  EXPECT_EQ(reports_[1].touches[0].port.number(), kWatched);
  EXPECT_FALSE(sensor_->late_at());
}

TEST_F(SensorTest, ARetransmissionInTheSameSecondIsNoNews) {
  receive({});
  now_ += std::chrono::milliseconds(100);
  receive({});
  EXPECT_FALSE(sensor_->late_at());
}

TEST_F(SensorTest, WhatIsToldAnywayIsNotToldLateAsWell) {
  receive({.target_port = kWatched});
  now_ += std::chrono::milliseconds(900);
  receive({.target_port = kAlsoWatched});
  now_ += std::chrono::milliseconds(200);
  receive({.target_port = kThirdWatched});
  EXPECT_EQ(reports_.size(), 2U);
  EXPECT_FALSE(sensor_->late_at());
}

// ---- Proof --------------------------------------------------------------------------------------

TEST_F(SensorTest, ASourceThatIsConnectedIsToldAgainAsProven) {
  receive({});
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_[0].proof, Proof::forgeable);
  EXPECT_EQ(sensor_->next_question(now_), Address::parse("198.51.100.7"));
  sensor_->answered(true, now_);
  ASSERT_EQ(reports_.size(), 2U);
  EXPECT_EQ(reports_[1].proof, Proof::established);
  EXPECT_FALSE(reports_[1].first);
  EXPECT_EQ(count(SensorCounter::proofs_asked), 1U);
  EXPECT_EQ(count(SensorCounter::proofs_found), 1U);
}

TEST_F(SensorTest, TheNextReportOfAProvenSourceSaysSoByItself) {
  receive({});
  static_cast<void>(sensor_->next_question(now_));
  sensor_->answered(true, now_);
  now_ += seconds(2);
  receive({.protocol = Protocol::udp});
  ASSERT_EQ(reports_.size(), 3U);
  EXPECT_EQ(reports_[2].proof, Proof::established);
  EXPECT_FALSE(sensor_->next_question(now_));
}

TEST_F(SensorTest, ASourceThatIsNotConnectedIsNotToldAgain) {
  receive({});
  static_cast<void>(sensor_->next_question(now_));
  sensor_->answered(false, now_);
  EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(SensorTest, ProofIsOfOneAddressAndNotOfItsNetwork) {
  receive({.source = "2001:db8:9::7", .target = "2001:db8:1::1"});
  static_cast<void>(sensor_->next_question(now_));
  sensor_->answered(true, now_);
  now_ += seconds(2);
  receive({.source = "2001:db8:9::8", .target = "2001:db8:1::1"});
  EXPECT_EQ(reports_.back().proof, Proof::forgeable);
}

TEST_F(SensorTest, ACompletedHandshakeIsProofOfItself) {
  sensor_->contact({.source = *Address::parse("198.51.100.7"),
                    .target = *Address::parse("192.0.2.1"),
                    .protocol = Protocol::tcp,
                    .port = *Port::make(kWatched),
                    .interface = 0},
                   view_, now_);
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_[0].proof, Proof::handshake);
  EXPECT_FALSE(sensor_->next_question(now_));
  now_ += seconds(2);
  receive({.protocol = Protocol::udp});
  EXPECT_EQ(reports_.back().proof, Proof::established);
}

TEST_F(SensorTest, ADatagramToASocketOfOursIsForgeable) {
  sensor_->contact({.source = *Address::parse("198.51.100.7"),
                    .target = *Address::parse("0.0.0.0"),
                    .protocol = Protocol::udp,
                    .port = *Port::make(kWatched),
                    .interface = 0},
                   view_, now_);
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_EQ(reports_[0].proof, Proof::forgeable);
}

// ---- Floods -------------------------------------------------------------------------------------

class FloodTest : public SensorTest {
 protected:
  FloodTest() {
    for (std::uint16_t port = 1000; port < 2000; ++port)
      ports_.tcp.add(*Port::make(port));
    max_sources_ = 65'536;  // as shipped
    start();
  }

  // `count` packets from as many sources that nobody has seen.
  void flood(unsigned count) {
    for (unsigned i = 0; i < count; ++i, ++forged_) {
      const std::string source = "10." + std::to_string(forged_ >> 16U & 0xffU) + "." +
                                 std::to_string(forged_ >> 8U & 0xffU) + "." +
                                 std::to_string(forged_ & 0xffU);
      receive({.source = source, .target_port = static_cast<std::uint16_t>(1000 + forged_ % 997)});
    }
  }

  // As Service does, with a kernel on which nothing is bound.
  void list_ports() {
    if (sensor_->wants_list(now_)) sensor_->listed(PortSets{}, now_, now_);
  }

  unsigned forged_ = 1;
};

TEST_F(FloodTest, SinglePortsAreToldOnlySoOften) {
  for (int i = 0; i < 1000; ++i) {
    flood(20);
    now_ += std::chrono::milliseconds(1);
  }
  EXPECT_GE(reports_.size(), 1'900U);
  EXPECT_LE(reports_.size(), 2'200U);
  EXPECT_GT(count(SensorCounter::single_over_budget), 1'000U);
}

TEST_F(FloodTest, AScannerOfFivePortsIsToldAtItsFifthWhateverTheFlood) {
  for (const std::uint32_t trigger : {1U, 2U, 5U}) {
    start(trigger);
    for (int i = 0; i < 50; ++i) {  // a million a second
      flood(1000);
      list_ports();
      now_ += std::chrono::milliseconds(1);
    }
    reports_.clear();
    for (std::uint16_t port = 1500; port < 1505; ++port) {
      flood(1000);
      list_ports();
      receive({.target_port = port});
      now_ += std::chrono::milliseconds(1);
    }
    const auto told = std::ranges::find_if(reports_, [](const Detection& report) {
      return report.address == *Address::parse("198.51.100.7") && report.distinct_ports == 5;
    });
    EXPECT_NE(told, reports_.end()) << "trigger " << trigger;
  }
}

TEST_F(FloodTest, AScannerOfFivePortsIsToldWhateverOneThatIsKnownSends) {
  start(2);
  const auto flood_of_one = [this] {
    for (int i = 0; i < 1000; ++i) {
      receive({.source = "198.51.100.66",
               .target_port = static_cast<std::uint16_t>(1000 + forged_++ % 997)});
    }
    list_ports();
  };
  for (int i = 0; i < 50; ++i) {
    flood_of_one();
    now_ += std::chrono::milliseconds(1);
  }
  reports_.clear();
  for (std::uint16_t port = 1500; port < 1505; ++port) {
    flood_of_one();
    receive({.target_port = port});
    now_ += std::chrono::milliseconds(1);
  }
  const auto told = std::ranges::find_if(reports_, [](const Detection& report) {
    return report.address == *Address::parse("198.51.100.7") && report.distinct_ports == 5;
  });
  EXPECT_NE(told, reports_.end());
}

TEST_F(FloodTest, WithoutALookUpNobodyIsToldAbout) {
  // Everything that is told was asked about: with the list alone a service that was just started
  // would not be known.
  for (int i = 0; i < 20; ++i) {
    flood(2000);
    list_ports();
    now_ += std::chrono::milliseconds(1);
  }
  EXPECT_GT(count(SensorCounter::counted_by_list), 10'000U);
  EXPECT_LE(reports_.size(), questions_);
}

TEST_F(FloodTest, APortOnTheListIsNotCountedWithoutALookUp) {
  flood(3000);
  ASSERT_TRUE(sensor_->wants_list(now_));
  PortSets bound;
  for (std::uint16_t port = 1000; port < 2000; ++port)
    bound.tcp.add(*Port::make(port));
  sensor_->listed(bound, now_, now_);
  const auto before = count(SensorCounter::probes);
  flood(1000);
  EXPECT_EQ(count(SensorCounter::probes), before);
  EXPECT_GE(count(SensorCounter::lookup_over_budget), 1000U);
}

TEST_F(FloodTest, AnOldListIsNotBelieved) {
  flood(3000);
  list_ports();
  const auto asked = now_;
  now_ += seconds(2);
  flood(1000);  // the burst is there again
  flood(3000);
  EXPECT_GT(now_ - asked, seconds(1));
  EXPECT_EQ(count(SensorCounter::counted_by_list), 0U);
}

TEST_F(FloodTest, AListIsAskedForOnlyWhenLookUpsAreShortAndNotAllTheTime) {
  EXPECT_FALSE(sensor_->wants_list(now_));
  receive({});
  EXPECT_FALSE(sensor_->wants_list(now_));
  flood(3000);
  ASSERT_TRUE(sensor_->wants_list(now_));
  // It took the kernel 100 ms: not again for two seconds.
  sensor_->listed(PortSets{}, now_ - std::chrono::milliseconds(100), now_);
  EXPECT_FALSE(sensor_->wants_list(now_));
  now_ += seconds(1);
  flood(3000);
  EXPECT_FALSE(sensor_->wants_list(now_));
  now_ += seconds(1);
  flood(3000);
  EXPECT_TRUE(sensor_->wants_list(now_));
  now_ += seconds(10);
  EXPECT_FALSE(sensor_->wants_list(now_)) << "the flood is over";
}

}  // namespace
}  // namespace portsentry::sensor
