#include "sensor/capture_filter.h"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <random>

#include "common/unique_fd.h"
#include "craft.h"
#include "filter_machine.h"
#include "sensor/packet.h"

namespace portsentry::sensor {
namespace {

using namespace craft;

constexpr std::uint32_t kIp4 = 0x0800;
constexpr std::uint32_t kIp6 = 0x86dd;
const Packet kPayload = filled(400);
constexpr EphemeralPorts kUsual{.first = 32768, .last = 60999};

Port port(std::uint32_t number) {
  return *Port::make(number);
}

PortSet ports(std::initializer_list<std::pair<std::uint32_t, std::uint32_t>> ranges) {
  PortSet set;
  for (const auto& [first, last] : ranges)
    set.add_range(port(first), port(last));
  return set;
}

std::vector<sock_filter> filter_of_every_port() {
  return capture_filter(every_port(), kUsual);
}

std::uint32_t accepted(const Packet& packet, const About& about) {
  const auto bytes = run_filter(filter_of_every_port(), packet, about);
  EXPECT_TRUE(bytes) << "the program is not well-formed";
  return bytes.value_or(0xdead);
}
std::uint32_t accepted4(const Packet& packet) {
  return accepted(packet, {.ethertype = kIp4});
}
std::uint32_t accepted6(const Packet& packet) {
  return accepted(packet, {.ethertype = kIp6});
}

// ---- Who and where ------------------------------------------------------------------------------

TEST(CaptureFilter, IsWhatLinuxAcceptsAsAFilter) {
  PortSet many;
  for (std::uint32_t number = 1; number < 1000; number += 2)
    many.add(port(number));
  std::vector<sock_filter> program = capture_filter(many, kUsual);
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()),
                          .filter = program.data()};
  const UniqueFd any_socket(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(setsockopt(any_socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)), 0);
}

TEST(CaptureFilter, NothingOnLoopbackIsSeen) {
  EXPECT_EQ(accepted(ip4({}, tcp()), {.interface = 1}), 0U);
  EXPECT_EQ(
      accepted(ip4({.protocol = 17}, udp()), {.interface = 1, .packet_type = PACKET_OUTGOING}), 0U);
}

TEST(CaptureFilter, OnlyPacketsToUsAndFromUsAreSeen) {
  for (const std::uint32_t type :
       {PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST, PACKET_LOOPBACK}) {
    EXPECT_EQ(accepted(ip4({}, tcp()), {.packet_type = type}), 0U) << type;
    EXPECT_EQ(accepted(ip4({.protocol = 17}, udp()), {.packet_type = type}), 0U) << type;
  }
}

TEST(CaptureFilter, OtherEthertypesAreDropped) {
  for (const std::uint32_t type : {0x0806U, 0x88ccU, 0U}) {
    EXPECT_EQ(accepted(ip4({}, tcp()), {.ethertype = type}), 0U);
  }
}

TEST(CaptureFilter, PriorityTagsGoToUserSpaceAndNumberedOnesToTheirInterface) {
  for (const std::uint32_t type : {0x8100U, 0x88a8U, 0x9100U}) {
    EXPECT_EQ(accepted(be16(0xe000) + be16(kIp4) + ip4({}, tcp()), {.ethertype = type}),
              kCaptureLength);
    EXPECT_EQ(accepted(be16(5) + be16(kIp4) + ip4({}, tcp()), {.ethertype = type}), 0U);
  }
}

// ---- IPv4 to us ---------------------------------------------------------------------------------

TEST(CaptureFilterIp4, AProbeIsHandedUpToItsFlags) {
  for (const unsigned flags : {0U, 1U, 2U, 0x29U, 0x2bU, 0xc2U, 0x08U, 0x20U}) {
    EXPECT_EQ(accepted4(ip4({}, tcp({.flags = flags}) + kPayload)), 34U) << flags;
  }
}

TEST(CaptureFilterIp4, NothingWithAckOrRstIsSeen) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    const bool answer = (flags & (TcpFlags::ack | TcpFlags::rst)) != 0;
    EXPECT_EQ(accepted4(ip4({}, tcp({.flags = flags}))), answer ? 0U : 34U) << flags;
  }
}

TEST(CaptureFilterIp4, OptionsMoveTheEnd) {
  EXPECT_EQ(accepted4(ip4({.words = 15}, tcp() + kPayload)), 74U);
  EXPECT_EQ(accepted4(ip4({.words = 15}, tcp({.flags = TcpFlags::ack}))), 0U);
  EXPECT_EQ(accepted4(ip4({.protocol = 17, .words = 15}, udp({.payload = 99}))), 68U);
}

TEST(CaptureFilterIp4, ADatagramIsHandedUpWithoutItsPayload) {
  EXPECT_EQ(accepted4(ip4({.protocol = 17}, udp({.payload = 400}))), 28U);
}

TEST(CaptureFilterIp4, FragmentsWithAPartOfATcpHeaderAreSeenWhateverTheirFlags) {
  EXPECT_EQ(accepted4(ip4({.more = true}, first(tcp(), 8))), 34U);
  EXPECT_EQ(accepted4(ip4({.more = true}, tcp({.flags = TcpFlags::ack}) + kPayload)), 34U);
  EXPECT_EQ(accepted4(ip4({.offset = 1}, from(tcp(), 8) + kPayload)), 26U);
  EXPECT_EQ(accepted4(ip4({.offset = 1, .more = true}, from(tcp(), 8) + kPayload)), 26U);
}

TEST(CaptureFilterIp4, LaterFragmentsAreNotSeen) {
  EXPECT_EQ(accepted4(ip4({.offset = 2}, tcp())), 0U);
  EXPECT_EQ(accepted4(ip4({.offset = 0x1fff, .more = true}, tcp())), 0U);
  EXPECT_EQ(accepted4(ip4({.protocol = 17, .offset = 1}, udp())), 0U);
  EXPECT_EQ(accepted4(ip4({.protocol = 17, .offset = 0x1000, .more = true}, udp())), 0U);
}

TEST(CaptureFilterIp4, TheFirstFragmentOfADatagramIsSeen) {
  EXPECT_EQ(accepted4(ip4({.protocol = 17, .more = true}, udp({.payload = 400}))), 28U);
}

TEST(CaptureFilterIp4, OtherProtocolsAreDropped) {
  for (const unsigned protocol : {0U, 1U, 2U, 4U, 41U, 47U, 50U, 51U, 89U, 132U}) {
    EXPECT_EQ(accepted4(ip4({.protocol = protocol}, tcp())), 0U) << protocol;
  }
}

TEST(CaptureFilterIp4, APacketCutBeforeItsFlagsIsDropped) {
  for (std::size_t kept = 0; kept < 34; ++kept)
    EXPECT_EQ(accepted4(first(ip4({}, tcp()), kept)), 0U);
}

// ---- IPv6 to us ---------------------------------------------------------------------------------

TEST(CaptureFilterIp6, AProbeIsHandedUpToItsFlags) {
  EXPECT_EQ(accepted6(ip6({}, tcp() + kPayload)), 54U);
  EXPECT_EQ(accepted6(ip6({}, tcp({.flags = TcpFlags::syn | TcpFlags::ack}))), 0U);
  EXPECT_EQ(accepted6(ip6({}, tcp({.flags = TcpFlags::rst}))), 0U);
}

TEST(CaptureFilterIp6, ADatagramIsHandedUpWithoutItsPayload) {
  EXPECT_EQ(accepted6(ip6({.next = 17}, udp({.payload = 400}))), 48U);
}

TEST(CaptureFilterIp6, ExtensionHeadersMoveTheEndAndHideNothing) {
  for (const unsigned type : {0U, 43U, 60U, 135U, 139U, 140U}) {
    EXPECT_EQ(accepted6(ip6({.next = type}, extension(6) + tcp() + kPayload)), 62U) << type;
    EXPECT_EQ(accepted6(ip6({.next = type}, extension(6, 3) + tcp() + kPayload)), 78U) << type;
    EXPECT_EQ(accepted6(ip6({.next = type}, extension(17) + udp({.payload = 90}))), 56U) << type;
    EXPECT_EQ(accepted6(ip6({.next = type}, extension(6) + tcp({.flags = TcpFlags::ack}))), 0U)
        << type;
  }
}

TEST(CaptureFilterIp6, AnAuthenticationHeaderIsWalked) {
  EXPECT_EQ(accepted6(ip6({.next = 51}, authentication(6, 6) + tcp() + kPayload)), 78U);
  EXPECT_EQ(accepted6(ip6({.next = 51}, authentication(17, 7) + udp())), 76U);
}

TEST(CaptureFilterIp6, FourExtensionHeadersAreWalkedHere) {
  const Packet four = extension(60) + extension(51) + authentication(43) + extension(6);
  EXPECT_EQ(accepted6(ip6({.next = 0}, four + tcp() + kPayload)), 40U + 48U + 14U);
  EXPECT_EQ(accepted6(ip6({.next = 0}, four + tcp({.flags = TcpFlags::ack}))), 0U);
}

TEST(CaptureFilterIp6, ALongerChainIsLeftToUserSpace) {
  const Packet four = extension(60) + extension(60) + extension(60) + extension(60);
  EXPECT_EQ(accepted6(ip6({.next = 0}, four + extension(6) + tcp() + kPayload)), kCaptureLength);
}

TEST(CaptureFilterIp6, WhatDoesNotFitAPlaceOfTheRingIsHandedUpWhole) {
  for (unsigned units = 1; units < 32; ++units) {
    const std::uint32_t end = 40 + 8 * units + 14;
    EXPECT_EQ(accepted6(ip6({.next = 60}, extension(6, units) + tcp() + kPayload)),
              end < kSlotLength ? end : kCaptureLength);
    const std::uint32_t end_of_udp = 40 + 8 * units + 8;
    EXPECT_EQ(accepted6(ip6({.next = 60}, extension(17, units) + udp({.payload = 400}))),
              end_of_udp < kSlotLength ? end_of_udp : kCaptureLength);
  }
}

TEST(CaptureFilterIp6, AChainThatEndsInSomethingElseIsDropped) {
  for (const unsigned type : {58U, 50U, 59U, 4U, 253U}) {
    EXPECT_EQ(accepted6(ip6({.next = type}, tcp())), 0U) << type;
    EXPECT_EQ(accepted6(ip6({.next = 0}, extension(type) + tcp())), 0U) << type;
    const Packet four = extension(60) + extension(60) + extension(60) + extension(type);
    EXPECT_EQ(accepted6(ip6({.next = 0}, four + tcp())), 0U) << type;
  }
}

TEST(CaptureFilterIp6, FragmentsWithAPartOfATcpHeaderAreSeen) {
  EXPECT_EQ(accepted6(ip6({.next = 44}, fragment6(6, 0, true) + first(tcp(), 8))), 62U);
  EXPECT_EQ(accepted6(ip6({.next = 44}, fragment6(6, 1, false) + from(tcp(), 8) + kPayload)), 54U);
  EXPECT_EQ(accepted6(ip6({.next = 0}, extension(44) + fragment6(6, 1, true) + from(tcp(), 8))),
            62U);
}

TEST(CaptureFilterIp6, TheFirstFragmentOfADatagramIsSeenAndNoOther) {
  EXPECT_EQ(accepted6(ip6({.next = 44}, fragment6(17, 0, true) + udp({.payload = 400}))), 56U);
  EXPECT_EQ(accepted6(ip6({.next = 44}, fragment6(17, 1, true) + kPayload)), 0U);
  EXPECT_EQ(accepted6(ip6({.next = 44}, fragment6(6, 2, false) + kPayload)), 0U);
  EXPECT_EQ(accepted6(ip6({.next = 44}, fragment6(60, 1, false) + kPayload)), 0U);
}

TEST(CaptureFilterIp6, AHeaderBehindOptionsInAFirstFragmentIsSeen) {
  EXPECT_EQ(accepted6(ip6({.next = 44}, fragment6(60, 0, true) + extension(6) + tcp() + kPayload)),
            70U);
}

TEST(CaptureFilterIp6, AnExtensionHeaderBeyondThePacketDropsIt) {
  EXPECT_EQ(accepted6(ip6({.next = 60}, raw({6, 255}) + tcp())), 0U);
  EXPECT_EQ(accepted6(ip6({.next = 60}, {})), 0U);
}

// ---- From us ------------------------------------------------------------------------------------

TEST(CaptureFilterOutgoing, DatagramsAreSeenWithoutTheirPayload) {
  const About out4{.packet_type = PACKET_OUTGOING, .ethertype = kIp4};
  EXPECT_EQ(accepted(ip4({.protocol = 17}, udp({.payload = 400})), out4), 28U);
  EXPECT_EQ(accepted(ip4({.protocol = 17, .words = 6}, udp()), out4), 32U);
  EXPECT_EQ(accepted(ip4({.protocol = 17, .more = true}, udp({.payload = 400})), out4), 28U);
  EXPECT_EQ(accepted(ip4({.protocol = 17, .offset = 4}, kPayload), out4), 0U);
  const About out6{.packet_type = PACKET_OUTGOING, .ethertype = kIp6};
  EXPECT_EQ(accepted(ip6({.next = 17}, udp({.payload = 400})), out6), 48U);
}

TEST(CaptureFilterOutgoing, NothingElseIsSeen) {
  EXPECT_EQ(accepted(ip4({}, tcp()), {.packet_type = PACKET_OUTGOING, .ethertype = kIp4}), 0U);
  EXPECT_EQ(accepted(ip6({}, tcp()), {.packet_type = PACKET_OUTGOING, .ethertype = kIp6}), 0U);
  EXPECT_EQ(accepted(ip6({.next = 60}, extension(17) + udp()),
                     {.packet_type = PACKET_OUTGOING, .ethertype = kIp6}),
            0U);
  EXPECT_EQ(accepted(be16(5) + be16(kIp4) + ip4({.protocol = 17}, udp()),
                     {.packet_type = PACKET_OUTGOING, .ethertype = 0x8100}),
            0U);
}

// ---- Which datagrams ----------------------------------------------------------------------------

std::uint32_t accepted_udp(const PortSet& listed, unsigned from, unsigned to, std::uint32_t type,
                           bool v6 = false) {
  const Packet datagram = udp({.source = from, .target = to, .payload = 40});
  const auto bytes = run_filter(capture_filter(listed, kUsual),
                                v6 ? ip6({.next = 17}, datagram) : ip4({.protocol = 17}, datagram),
                                {.packet_type = type, .ethertype = v6 ? kIp6 : kIp4});
  EXPECT_TRUE(bytes);
  return bytes.value_or(0xdead);
}

TEST(CaptureFilterUdp, OnlyWhatIsForAListedPortIsSeen) {
  const PortSet listed = ports({{69, 69}, {161, 162}, {40000, 40000}});
  for (const bool v6 : {false, true}) {
    const std::uint32_t whole = v6 ? 48 : 28;
    for (const unsigned to : {69U, 161U, 162U, 40000U})
      EXPECT_EQ(accepted_udp(listed, 53, to, PACKET_HOST, v6), whole) << to;
    for (const unsigned to : {1U, 53U, 68U, 70U, 160U, 163U, 443U, 39999U, 40001U, 65535U})
      EXPECT_EQ(accepted_udp(listed, 69, to, PACKET_HOST, v6), 0U) << to;
  }
}

TEST(CaptureFilterUdp, OnlyWhatWeSendFromAListedPortIsSeen) {
  const PortSet listed = ports({{69, 69}, {161, 162}});
  for (const bool v6 : {false, true}) {
    EXPECT_EQ(accepted_udp(listed, 161, 53, PACKET_OUTGOING, v6), v6 ? 48U : 28U);
    EXPECT_EQ(accepted_udp(listed, 53, 161, PACKET_OUTGOING, v6), 0U)
        << "a busy name server's answers";
  }
}

TEST(CaptureFilterUdp, WithoutAListedPortNoneIsSeen) {
  EXPECT_EQ(accepted_udp({}, 53, 69, PACKET_HOST), 0U);
  EXPECT_EQ(accepted_udp({}, 69, 53, PACKET_OUTGOING), 0U);
}

TEST(CaptureFilterUdp, EveryListedPortIsSeenAndNoAnswerThatIsNotListed) {
  PortSet listed = ports({{50000, 50000}});
  for (std::uint32_t number = 1; number < 32768; number += 7)
    listed.add(port(number));
  const std::vector<sock_filter> program = capture_filter(listed, kUsual);
  for (std::uint32_t to = 1; to <= 65535; ++to) {
    const auto bytes =
        run_filter(program, ip4({.protocol = 17}, udp({.target = to, .payload = 8})), {});
    ASSERT_TRUE(bytes);
    if (listed.contains(port(to))) {
      ASSERT_EQ(*bytes, 28U) << to;
    } else if (to >= 32768) {
      ASSERT_EQ(*bytes, 0U) << to;
    }
  }
}

TEST(CoveringRanges, AreExactWhereThereAreFew) {
  const PortSet listed = ports({{1, 1}, {7, 9}, {40000, 50000}, {65535, 65535}});
  EXPECT_EQ(covering_ranges(listed, kUsual), listed.ranges());
  EXPECT_TRUE(covering_ranges({}, kUsual).empty());
}

TEST(CoveringRanges, LeaveTheSmallestGapsIn) {
  PortSet listed;
  for (std::uint32_t i = 0; i < 2 * kUdpRanges; ++i)
    listed.add(port(i % 2 == 0 ? 1 + 1000 * i : 4 + 1000 * (i - 1)));
  const auto ranges = covering_ranges(listed, kUsual);
  ASSERT_EQ(ranges.size(), kUdpRanges);
  for (std::uint32_t i = 0; i < kUdpRanges; ++i)
    EXPECT_EQ(ranges.at(i), std::pair(port(1 + 2000 * i), port(4 + 2000 * i)));
}

TEST(CoveringRanges, AnAnswersPortIsTheLastToBeLetThrough) {
  // Far apart below the answers' ports, two apart among them.
  PortSet listed;
  for (std::uint32_t number = 1000; number <= 30000; number += 1000)
    listed.add(port(number));
  for (std::uint32_t number = 40000; number < 40000 + 2 * (kUdpRanges - 1); number += 2)
    listed.add(port(number));
  PortSet let_through;
  for (const auto& [first, last] : covering_ranges(listed, kUsual))
    let_through.add_range(first, last);
  for (std::uint32_t number = 32768; number <= 60999; ++number)
    EXPECT_EQ(let_through.contains(port(number)), listed.contains(port(number))) << number;
}

// ---- With the parser ----------------------------------------------------------------------------

// What the filter leaves of a packet must be enough for the parser: whatever parses whole and is
// accepted, parses the same after the cut. (Longer chains than kCaptureLength excepted.)
TEST(CaptureFilter, LeavesTheParserWhatItNeeds) {
  std::mt19937 engine(99);
  const auto below = [&engine](std::uint32_t bound) {
    return static_cast<std::uint32_t>(engine() % bound);
  };
  const std::vector<sock_filter> program = filter_of_every_port();
  int compared = 0;
  for (int i = 0; i < 20'000; ++i) {
    const unsigned flags = below(256);
    Packet carried = below(2) != 0 ? tcp({.flags = flags}) : udp({.payload = below(40)});
    unsigned next = carried.size() == 20 && carried[12] == std::byte{0x50} ? 6 : 17;
    if (below(3) == 0)
      carried = first(carried, below(static_cast<std::uint32_t>(carried.size()) + 1));
    const bool v6 = below(2) != 0;
    Packet packet;
    if (v6) {
      for (unsigned headers = below(4); headers > 0; --headers) {
        const unsigned kind = below(3);
        if (kind == 0) {
          carried = extension(next, 1 + below(2)) + carried;
          next = 60;
        } else if (kind == 1) {
          carried = authentication(next) + carried;
          next = 51;
        } else {
          carried = fragment6(next, below(3), below(2) != 0) + carried;
          next = 44;
        }
      }
      packet = ip6({.next = next}, carried + filled(below(3) * 8));
    } else {
      packet =
          ip4({.protocol = next, .words = 5 + below(3), .offset = below(3), .more = below(2) != 0},
              carried + filled(below(20)));
    }
    const auto type = static_cast<std::uint16_t>(v6 ? kIp6 : kIp4);
    const auto bytes = run_filter(program, packet, {.ethertype = type});
    ASSERT_TRUE(bytes);
    const Parsed whole = parse(packet, type);
    const auto* segment = std::get_if<Segment>(&whole);
    if (*bytes == 0) {
      // Never a probe, unless an answer by its flags.
      if (segment != nullptr) {
        EXPECT_NE(segment->flags.bits & (TcpFlags::ack | TcpFlags::rst), 0) << i;
      }
      EXPECT_FALSE(std::holds_alternative<HeaderPiece>(whole)) << i;
      continue;
    }
    const Parsed cut = parse(first(packet, std::min<std::size_t>(*bytes, packet.size())), type);
    ASSERT_EQ(cut.index(), whole.index()) << i;
    if (segment != nullptr) {
      ASSERT_EQ(std::get<Segment>(cut), *segment) << i;
      ++compared;
    }
  }
  EXPECT_GT(compared, 2'000);
}

}  // namespace
}  // namespace portsentry::sensor
