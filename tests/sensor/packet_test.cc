#include "sensor/packet.h"

#include <gtest/gtest.h>

#include "craft.h"

namespace portsentry::sensor {
namespace {

using namespace craft;

constexpr std::uint16_t kIp4Type = 0x0800;
constexpr std::uint16_t kIp6Type = 0x86dd;

Parsed parse4(const Packet& packet) {
  return parse(packet, kIp4Type);
}
Parsed parse6(const Packet& packet) {
  return parse(packet, kIp6Type);
}

Address addr(std::string_view text) {
  return Address::parse(text).value_or(Address::v4(0, 0, 0, 0));
}

// The parts of a result, or a test failure.
Segment segment(const Parsed& parsed) {
  const auto* s = std::get_if<Segment>(&parsed);
  EXPECT_NE(s, nullptr) << "variant holds " << parsed.index();
  return s != nullptr ? *s
                      : Segment{addr("0.0.0.0"), addr("0.0.0.0"), Protocol::tcp, 0, 0, {}, {}, {}};
}
HeaderPiece piece(const Parsed& parsed) {
  const auto* p = std::get_if<HeaderPiece>(&parsed);
  EXPECT_NE(p, nullptr) << "variant holds " << parsed.index();
  return p != nullptr ? *p : HeaderPiece{addr("0.0.0.0"), addr("0.0.0.0"), 0, {}, {}, {}, {}};
}
void expect_reason(const Parsed& parsed, SensorCounter reason) {
  const auto* r = std::get_if<SensorCounter>(&parsed);
  ASSERT_NE(r, nullptr) << "variant holds " << parsed.index();
  EXPECT_EQ(kSensorCounterNames.at(static_cast<std::size_t>(*r)),
            kSensorCounterNames.at(static_cast<std::size_t>(reason)));
}

Segment syn4() {
  return {addr(kThem4), addr(kUs4), Protocol::tcp, 40000, 23, {TcpFlags::syn}, false, false};
}
Segment syn6() {
  Segment s = syn4();
  s.source = addr(kThem6);
  s.target = addr(kUs6);
  return s;
}
Segment udp4() {
  return {addr(kThem4), addr(kUs4), Protocol::udp, 40000, 161, {}, false, false};
}

// ---- IPv4 ---------------------------------------------------------------------------------------

TEST(PacketIp4, ReadsEveryFieldOfASyn) {
  EXPECT_EQ(segment(parse4(ip4({}, tcp()))), syn4());
}

TEST(PacketIp4, ReadsEveryFieldOfADatagram) {
  EXPECT_EQ(segment(parse4(ip4({.protocol = 17}, udp({.payload = 3})))), udp4());
}

TEST(PacketIp4, KeepsAllEightFlagBits) {
  EXPECT_EQ(segment(parse4(ip4({}, tcp({.flags = 0xff})))).flags.bits, 0xff);
  EXPECT_EQ(segment(parse4(ip4({}, tcp({.flags = 0})))).flags.bits, 0);
}

TEST(PacketIp4, FindsTheHeaderBehindOptionsAndSaysSo) {
  for (unsigned words = 6; words <= 15; ++words) {
    Segment expected = syn4();
    expected.ip_options = true;
    EXPECT_EQ(segment(parse4(ip4({.words = words}, tcp()))), expected) << words;
  }
}

TEST(PacketIp4, NeedsNoMoreThanTheFlagsOfASynThatTheSnapLengthCut) {
  const Packet whole = ip4({}, tcp());
  EXPECT_EQ(segment(parse4(first(whole, 20 + 14))), syn4());
  for (std::size_t kept = 0; kept < 20 + 14; ++kept) {
    expect_reason(parse4(first(whole, kept)), SensorCounter::malformed);
  }
}

TEST(PacketIp4, NeedsNoPayloadOfADatagramThatTheSnapLengthCut) {
  const Packet whole = ip4({.protocol = 17}, udp({.payload = 500}));
  EXPECT_EQ(segment(parse4(first(whole, 20 + 8))), udp4());
  for (std::size_t kept = 0; kept < 20 + 8; ++kept) {
    expect_reason(parse4(first(whole, kept)), SensorCounter::malformed);
  }
}

TEST(PacketIp4, WhatTheKernelWouldDropForItsLengthsIsMalformed) {
  const Packet whole = tcp();
  expect_reason(parse4(ip4({.version = 6}, whole)), SensorCounter::malformed);
  expect_reason(parse4(ip4({.words = 4}, whole)), SensorCounter::malformed);
  expect_reason(parse4(ip4({.words = 0}, whole)), SensorCounter::malformed);
  expect_reason(parse4(ip4({.length_error = -1}, whole)), SensorCounter::malformed);
  expect_reason(parse4(ip4({.length_error = -21}, whole)), SensorCounter::malformed);
  expect_reason(parse4(ip4({.length_error = -40}, whole)), SensorCounter::malformed);
  expect_reason(parse4(ip4({}, tcp({.words = 4}))), SensorCounter::malformed);
  expect_reason(parse4(ip4({}, tcp({.words = 6}))), SensorCounter::malformed);
  EXPECT_EQ(segment(parse4(ip4({}, tcp({.words = 6}) + filled(4)))), syn4());
}

TEST(PacketIp4, ADatagramsOwnLengthMustFitItsPacket) {
  expect_reason(parse4(ip4({.protocol = 17}, udp({.length = 7}))), SensorCounter::malformed);
  expect_reason(parse4(ip4({.protocol = 17}, udp({.length = 0}))), SensorCounter::malformed);
  expect_reason(parse4(ip4({.protocol = 17}, udp({.length = 9}))), SensorCounter::malformed);
}

TEST(PacketIp4, PaddingBehindThePacketIsNotPartOfIt) {
  EXPECT_EQ(segment(parse4(ip4({}, tcp()) + filled(6))), syn4());
  // Bytes that IP does not own cannot complete a header.
  expect_reason(parse4(ip4({.length_error = -10}, tcp()) + filled(6)), SensorCounter::malformed);
  expect_reason(parse4(ip4({.protocol = 17, .more = true, .length_error = -4}, udp())),
                SensorCounter::malformed);
}

TEST(PacketIp4, PortZeroCanBeASourceButNotATarget) {
  EXPECT_EQ(segment(parse4(ip4({}, tcp({.source = 0})))).source_port, 0);
  expect_reason(parse4(ip4({}, tcp({.target = 0}))), SensorCounter::malformed);
  expect_reason(parse4(ip4({.protocol = 17}, udp({.target = 0}))), SensorCounter::malformed);
}

TEST(PacketIp4, OtherProtocolsAreNotProbes) {
  for (const unsigned protocol : {0U, 1U, 4U, 41U, 47U, 50U, 51U, 58U, 132U, 255U}) {
    expect_reason(parse4(ip4({.protocol = protocol}, tcp())), SensorCounter::malformed);
  }
}

// ---- IPv4 fragments -----------------------------------------------------------------------------

TEST(PacketFragment4, AFirstFragmentWithTheWholeHeaderIsASegment) {
  Segment expected = syn4();
  expected.fragmented = true;
  EXPECT_EQ(segment(parse4(ip4({.more = true}, tcp() + filled(4)))), expected);
  EXPECT_EQ(segment(parse4(ip4({.more = true}, first(tcp(), 16)))), expected);
}

TEST(PacketFragment4, AFirstFragmentOfADatagramIsASegment) {
  Segment expected = udp4();
  expected.fragmented = true;
  EXPECT_EQ(segment(parse4(ip4({.protocol = 17, .more = true}, first(udp({.payload = 90}), 8)))),
            expected);
}

TEST(PacketFragment4, EightBytesOfHeaderAreItsFirstPiece) {
  const HeaderPiece p = piece(parse4(ip4({.id = 77, .more = true}, first(tcp(), 8))));
  EXPECT_TRUE(p.has0);
  EXPECT_FALSE(p.has1);
  EXPECT_EQ(p.id, 77U);
  EXPECT_EQ(p.source, addr(kThem4));
  EXPECT_EQ(p.target, addr(kUs4));
  EXPECT_EQ(Packet(p.bytes.begin(), p.bytes.begin() + 8), first(tcp(), 8));
}

TEST(PacketFragment4, TheFragmentAtEightBytesIsItsSecondPiece) {
  const HeaderPiece p = piece(parse4(ip4({.id = 77, .offset = 1}, from(tcp(), 8))));
  EXPECT_FALSE(p.has0);
  EXPECT_TRUE(p.has1);
  EXPECT_EQ(Packet(p.bytes.begin() + 8, p.bytes.end()), first(from(tcp(), 8), 6));
}

// Linux ignores the bytes behind the last whole unit of any fragment but the last. A header that is
// complete only with them is a decoy: the flags come in the next fragment.
TEST(PacketFragment4, BytesBehindTheLastWholeUnitAreNotBelieved) {
  for (std::size_t size = 8; size < 16; ++size) {
    const HeaderPiece p =
        piece(parse4(ip4({.more = true}, first(tcp({.flags = TcpFlags::ack}), size))));
    EXPECT_TRUE(p.has0) << size;
    EXPECT_FALSE(p.has1) << size;
  }
}

TEST(PacketFragment4, PiecesTooSmallToHoldABlockAreMalformed) {
  for (std::size_t size = 0; size < 8; ++size) {
    expect_reason(parse4(ip4({.more = true}, first(tcp(), size))), SensorCounter::malformed);
  }
  for (std::size_t size = 0; size < 6; ++size) {
    expect_reason(parse4(ip4({.offset = 1}, first(from(tcp(), 8), size))),
                  SensorCounter::malformed);
  }
}

TEST(PacketFragment4, APieceThatTheCaptureCutIsMalformed) {
  const Packet whole = ip4({.more = true}, first(tcp(), 8));
  expect_reason(parse4(first(whole, whole.size() - 1)), SensorCounter::malformed);
}

TEST(PacketFragment4, LaterFragmentsHoldNoHeader) {
  expect_reason(parse4(ip4({.offset = 2}, tcp())), SensorCounter::fragment_dropped);
  expect_reason(parse4(ip4({.offset = 0x1fff, .more = true}, tcp())),
                SensorCounter::fragment_dropped);
  expect_reason(parse4(ip4({.protocol = 17, .offset = 1}, udp())), SensorCounter::fragment_dropped);
}

// ---- IPv6 ---------------------------------------------------------------------------------------

TEST(PacketIp6, ReadsEveryFieldOfASyn) {
  EXPECT_EQ(segment(parse6(ip6({}, tcp()))), syn6());
}

TEST(PacketIp6, ReadsADatagram) {
  const Segment s = segment(parse6(ip6({.next = 17}, udp({.payload = 9}))));
  EXPECT_EQ(s.protocol, Protocol::udp);
  EXPECT_EQ(s.target_port, 161);
}

TEST(PacketIp6, AZeroDatagramLengthIsLegalHere) {
  EXPECT_EQ(segment(parse6(ip6({.next = 17}, udp({.length = 0})))).target_port, 161);
}

TEST(PacketIp6, TheSmallestAndTheLongestExtensionHeaderAreWalked) {
  Segment expected = syn6();
  expected.ip_options = true;
  for (const unsigned type : {0U, 43U, 60U, 135U, 139U, 140U}) {
    EXPECT_EQ(segment(parse6(ip6({.next = type}, extension(6) + tcp()))), expected) << type;
    EXPECT_EQ(segment(parse6(ip6({.next = type}, extension(6, 256) + tcp()))), expected) << type;
  }
}

TEST(PacketIp6, AnAuthenticationHeaderCountsInFourByteUnits) {
  Segment expected = syn6();
  expected.ip_options = true;
  EXPECT_EQ(segment(parse6(ip6({.next = 51}, authentication(6, 6) + tcp()))), expected);
  EXPECT_EQ(segment(parse6(ip6({.next = 51}, authentication(6, 7) + tcp()))), expected);
}

TEST(PacketIp6, AChainIsWalkedHoweverLong) {
  Packet chain = extension(6) + tcp();
  for (int i = 1; i < 170; ++i)
    chain = extension(60) + chain;
  EXPECT_EQ(segment(parse6(ip6({.next = 60}, chain))).target_port, 23);
}

TEST(PacketIp6, AnExtensionHeaderLongerThanThePacketIsMalformed) {
  expect_reason(parse6(ip6({.next = 60}, raw({6, 200}) + tcp())), SensorCounter::malformed);
  expect_reason(parse6(ip6({.next = 60}, raw({6}))), SensorCounter::malformed);
  expect_reason(parse6(ip6({.next = 44}, raw({6, 0, 0, 0, 1}))), SensorCounter::malformed);
  expect_reason(parse6(ip6({.next = 60}, {})), SensorCounter::malformed);
}

TEST(PacketIp6, EncryptedAndEmptyPacketsEndTheChain) {
  for (const unsigned type : {50U, 59U, 58U, 253U}) {
    expect_reason(parse6(ip6({.next = type}, tcp())), SensorCounter::malformed);
    expect_reason(parse6(ip6({.next = 60}, extension(type) + tcp())), SensorCounter::malformed);
  }
}

TEST(PacketIp6, WhatTheKernelWouldDropForItsLengthsIsMalformed) {
  expect_reason(parse6(ip6({.version = 4}, tcp())), SensorCounter::malformed);
  expect_reason(parse6(ip6({.length_error = -1}, tcp())), SensorCounter::malformed);
  expect_reason(parse6(ip6({.length_error = -20}, tcp())), SensorCounter::malformed);
  expect_reason(parse6(ip6({.next = 17}, udp({.length = 9}))), SensorCounter::malformed);
}

TEST(PacketIp6, ACaptureCutAnywhereBeforeTheFlagsIsMalformed) {
  const Packet whole = ip6({.next = 60}, extension(6, 2) + tcp());
  const std::size_t needed = 40 + 16 + 14;
  EXPECT_EQ(segment(parse6(first(whole, needed))).target_port, 23);
  for (std::size_t kept = 0; kept < needed; ++kept) {
    expect_reason(parse6(first(whole, kept)), SensorCounter::malformed);
  }
}

// It would be normalised to 198.51.100.7, who has sent nothing.
TEST(PacketIp6, AMappedAddressCannotPassForAnotherHost) {
  expect_reason(parse6(ip6({.source = kThem4}, tcp())), SensorCounter::bad_source);
  expect_reason(parse6(ip6({.target = kUs4}, tcp())), SensorCounter::not_ours);
}

// ---- IPv6 fragments -----------------------------------------------------------------------------

TEST(PacketFragment6, AFirstFragmentWithTheWholeHeaderIsASegment) {
  Segment expected = syn6();
  expected.fragmented = true;
  EXPECT_EQ(segment(parse6(ip6({.next = 44}, fragment6(6, 0, true) + tcp() + filled(4)))),
            expected);
}

TEST(PacketFragment6, AnAtomicFragmentIsAWholePacket) {
  EXPECT_EQ(segment(parse6(ip6({.next = 44}, fragment6(6, 0, false) + tcp()))), syn6());
}

TEST(PacketFragment6, AHeaderInTwoFragmentsGivesTwoPieces) {
  const HeaderPiece p0 =
      piece(parse6(ip6({.next = 44}, fragment6(6, 0, true, 99) + first(tcp(), 8))));
  EXPECT_TRUE(p0.has0);
  EXPECT_EQ(p0.id, 99U);
  const HeaderPiece p1 =
      piece(parse6(ip6({.next = 44}, fragment6(6, 1, false, 99) + from(tcp(), 8))));
  EXPECT_TRUE(p1.has1);
  EXPECT_EQ(p1.id, 99U);
}

TEST(PacketFragment6, AHeaderBehindOptionsInTheFirstFragmentIsFound) {
  const Packet inner = extension(6) + tcp() + filled(4);
  Segment expected = syn6();
  expected.fragmented = true;
  expected.ip_options = true;
  EXPECT_EQ(segment(parse6(ip6({.next = 44}, fragment6(60, 0, true) + inner))), expected);
}

// Behind options the header's blocks do not lie at 0 and 8; RFC 7112 and Linux discard such a
// packet.
TEST(PacketFragment6, AHeaderCutBehindOptionsIsNoPiece) {
  expect_reason(parse6(ip6({.next = 44}, fragment6(60, 0, true) + extension(6) + first(tcp(), 8))),
                SensorCounter::fragment_dropped);
}

TEST(PacketFragment6, LaterFragmentsAreNotReadAsHeaders) {
  for (const unsigned next : {17U, 60U, 51U, 44U, 50U}) {
    expect_reason(parse6(ip6({.next = 44}, fragment6(next, 1, false) + extension(6) + tcp())),
                  SensorCounter::fragment_dropped);
  }
  expect_reason(parse6(ip6({.next = 44}, fragment6(6, 2, false) + tcp())),
                SensorCounter::fragment_dropped);
}

TEST(PacketFragment6, OnlyTheLastFragmentMayEndBetweenTwoUnits) {
  expect_reason(parse6(ip6({.next = 44}, fragment6(6, 0, true) + tcp())), SensorCounter::malformed);
}

TEST(PacketFragment6, TwoFragmentHeadersAreMalformed) {
  expect_reason(parse6(ip6({.next = 44},
                           fragment6(44, 0, false) + fragment6(6, 0, true) + tcp() + filled(4))),
                SensorCounter::malformed);
}

// ---- VLAN tags ----------------------------------------------------------------------------------

TEST(PacketVlan, TagsAreSkippedHoweverMany) {
  Packet packet = be16(5) + be16(kIp4Type) + ip4({}, tcp());
  EXPECT_EQ(segment(parse(packet, 0x8100)), syn4());
  EXPECT_EQ(segment(parse(packet, 0x88a8)), syn4());
  EXPECT_EQ(segment(parse(packet, 0x9100)), syn4());
  for (int i = 1; i < 9; ++i)
    packet = be16(5) + be16(0x8100) + packet;
  EXPECT_EQ(segment(parse(packet, 0x88a8)), syn4());
}

// Linux 6.10 and later name what is behind the tags.
TEST(PacketVlan, PriorityTagsThatTheEthertypeDoesNotNameAreSkipped) {
  for (unsigned priority = 0; priority < 8; ++priority) {
    Packet packet = be16(priority << 13U) + be16(kIp4Type) + ip4({}, tcp());
    EXPECT_EQ(segment(parse4(packet)), syn4());
    packet = be16(priority << 13U) + be16(0x8100) + packet;
    EXPECT_EQ(segment(parse4(packet)), syn4());
    EXPECT_EQ(segment(parse6(be16(priority << 13U) + be16(kIp6Type) + ip6({}, tcp()))), syn6());
  }
}

TEST(PacketVlan, ATagMayHoldIPv6) {
  EXPECT_EQ(segment(parse(be16(5) + be16(kIp6Type) + ip6({}, tcp()), 0x8100)), syn6());
}

TEST(PacketVlan, ACutTagIsMalformed) {
  for (std::size_t kept = 0; kept < 4; ++kept) {
    expect_reason(parse(first(be16(5) + be16(kIp4Type), kept), 0x8100), SensorCounter::malformed);
  }
}

TEST(Packet, OtherEthertypesAreMalformed) {
  for (const std::uint16_t type :
       {std::uint16_t{0}, std::uint16_t{0x0806}, std::uint16_t{0xffff}}) {
    expect_reason(parse(ip4({}, tcp()), type), SensorCounter::malformed);
  }
}

TEST(Packet, TheFamilyIsTheEthertypesNotTheFirstNibbles) {
  expect_reason(parse4(ip6({}, tcp())), SensorCounter::malformed);
  expect_reason(parse6(ip4({}, tcp() + filled(40))), SensorCounter::malformed);
}

}  // namespace
}  // namespace portsentry::sensor
