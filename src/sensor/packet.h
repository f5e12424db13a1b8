// From captured bytes to a Segment: who touched which port of ours, with which flags. This file
// reads what an attacker wrote; everything goes through ByteReader, nothing is cast or indexed.
// Pure. Formats: RFC 791, RFC 768, RFC 9293 3.1, RFC 8200 4, RFC 4302 2.2, IEEE 802.1Q.
//
// What the kernel itself would drop teaches its sender nothing, so inconsistent lengths are
// malformed here too. Checksums are not verified: the capture holds no payload to verify them with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>

#include "common/bytes.h"
#include "common/counters.h"
#include "common/net_types.h"

namespace portsentry::sensor {

// What is known of a transport header. No ordinary sender cuts a TCP header in two (a link whose
// MTU forces it does not exist), so the flags of one that was cut acquit nobody.
enum class Header : std::uint8_t {
  whole,
  cut,         // put together from two fragments
  first_half,  // the ports of a cut one; its flags never came, and are 0 here
};

// One TCP segment or UDP datagram, as far as its header goes.
struct Segment {
  Address source;
  Address target;
  Protocol protocol;
  std::uint16_t source_port;  // 0..65535: forged ones may be 0
  std::uint16_t target_port;  // 1..65535: a probe of port 0 is malformed (no service can be there)
  TcpFlags flags;             // 0 for UDP
  bool ip_options;            // IPv4 options, or an IPv6 extension header other than Fragment
  bool fragmented;            // a fragment; not set for an IPv6 atomic fragment (RFC 6946)
  Header header = Header::whole;
  bool operator==(const Segment&) const = default;
};

// A TCP header is understood once its ports (bytes 0..3) and flags (byte 13) are known.
inline constexpr std::size_t kTcpHeaderNeeded = 14;

// Part of a TCP header that was cut by IP fragmentation, whose unit is 8 bytes: block 0 is the
// header's bytes 0..7 (ports), block 1 its bytes 8..13 (flags). A piece holds exactly one of them,
// because a fragment that holds both is a Segment already.
struct HeaderPiece {
  Address source;
  Address target;
  std::uint32_t id;  // the fragments of one datagram share source, target and this
  std::array<std::byte, kTcpHeaderNeeded> bytes;  // zero where the block is not held
  bool has0;
  bool has1;
  bool ip_options;
};

// A Segment, a piece of one, or the reason why it is neither.
using Parsed = std::variant<Segment, HeaderPiece, SensorCounter>;

// `network`: the captured bytes after the cooked (SLL2) header, perhaps cut off by the snap length;
// what is needed must be there, what is not needed may be missing. `ethertype`: of those bytes,
// 0x0800, 0x86dd, or a VLAN tag (0x8100, 0x88a8, 0x9100), of which any number is skipped.
// Reasons: malformed (also: not TCP or UDP, target port 0), fragment_dropped (a fragment without a
// part of the header), bad_source or not_ours (a v4-mapped address in an IPv6 header: it would
// become another host's IPv4 address; Linux drops those too).
[[nodiscard]] Parsed parse(Bytes network, std::uint16_t ethertype);

// Who aimed at which port of ours, also where parse() refuses the header that says so. Nothing: a
// part of a packet, or ports that are not all there.
struct Aim {
  Address source;
  Protocol protocol;
  std::uint16_t target_port;
};
[[nodiscard]] std::optional<Aim> aim_of(Bytes network, std::uint16_t ethertype);

// What parse() does once a TCP header's first kTcpHeaderNeeded bytes are together: a Segment, or
// malformed. For fragments.h, which brings them together from two packets.
[[nodiscard]] Parsed tcp_segment(const Address& source, const Address& target, Bytes header,
                                 bool ip_options, bool fragmented);

}  // namespace portsentry::sensor
