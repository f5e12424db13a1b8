#include "sensor/packet.h"

#include <algorithm>
#include <optional>

namespace portsentry::sensor {
namespace {

constexpr std::uint16_t kIpv4 = 0x0800;
constexpr std::uint16_t kIpv6 = 0x86dd;
constexpr std::uint16_t kVlanTag = 0x8100;

constexpr std::size_t kTcpHeader = 20;
constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kFragmentUnit = 8;

// IANA protocol numbers, as IPv4's protocol and IPv6's next header.
enum : std::uint8_t {
  kHopByHop = 0,
  kTcp = 6,
  kUdp = 17,
  kRouting = 43,
  kFragment = 44,
  kAuthentication = 51,
  kDestinationOptions = 60,
  kMobility = 135,
  kHostIdentity = 139,
  kShim6 = 140,
};

// What an IP header and its extensions said about the bytes that follow them.
struct Carried {
  Address source;
  Address target;
  std::uint8_t protocol;
  Bytes captured;      // perhaps cut off by the snap length
  std::size_t length;  // what IP says; at least captured.size()
  bool ip_options = false;
  bool fragment = false;
  std::size_t offset = 0;       // of the fragment, in bytes
  bool more_fragments = false;  // follow this one
  std::uint32_t id = 0;
  // Extension headers stood between the fragment header and this: the pieces of a TCP header would
  // not lie at offsets 0 and 8.
  bool displaced = false;
};

bool is_vlan_tag(std::uint16_t ethertype) {
  return ethertype == kVlanTag || ethertype == 0x88a8 || ethertype == 0x9100;
}

// Since 6.10 Linux calls a packet by what is behind all its tags, also where a tag is still in
// front of that (af_packet.c, vlan_get_protocol_dgram). Only priority tags are left: no IPv4 header
// begins like one, nor an IPv6 header whose length could be true.
bool begins_with_tag(Bytes network, std::uint16_t ethertype) {
  ByteReader reader(network);
  const auto tag = reader.u16();
  const auto inner = reader.u16();
  return tag && inner && (*tag & 0x0fffU) == 0 && (is_vlan_tag(*inner) || *inner == ethertype);
}

// The bytes that IP says belong to it, as far as they were captured: padding and trailers are cut
// off.
Bytes cut(Bytes bytes, std::size_t length) {
  return bytes.first(std::min(bytes.size(), length));
}

// Of a TCP header, from its 13th byte: a count of 32-bit words in the upper half.
std::size_t tcp_header_length(std::uint8_t data_offset) {
  return static_cast<std::size_t>(data_offset >> 4U) * 4;
}

Parsed udp_datagram(const Carried& ip) {
  ByteReader reader(ip.captured);
  const auto source_port = reader.u16();
  const auto target_port = reader.u16();
  const auto length = reader.u16();
  const bool checksum = reader.skip(2);
  if (!source_port || !target_port || !length || !checksum) return SensorCounter::malformed;
  // A jumbogram's length is 0 (RFC 2675), and Linux takes that from any IPv6 packet.
  const bool jumbo = *length == 0 && !ip.source.is_v4();
  if (*length < kUdpHeader && !jumbo) return SensorCounter::malformed;
  if (!ip.fragment && *length > ip.length) return SensorCounter::malformed;
  if (*target_port == 0) return SensorCounter::malformed;
  return Segment{.source = ip.source,
                 .target = ip.target,
                 .protocol = Protocol::udp,
                 .source_port = *source_port,
                 .target_port = *target_port,
                 .flags = {},
                 .ip_options = ip.ip_options,
                 .fragmented = ip.fragment};
}

Parsed tcp_whole(const Carried& ip) {
  ByteReader reader(ip.captured);
  if (!reader.skip(12)) return SensorCounter::malformed;
  const auto data_offset = reader.u8();
  if (!data_offset || tcp_header_length(*data_offset) > ip.length) return SensorCounter::malformed;
  return tcp_segment(ip.source, ip.target, ip.captured, ip.ip_options, /*fragmented=*/false);
}

// `held` of the header's bytes, which start at `at` in it.
Parsed header_piece(const Carried& ip, std::size_t at, std::size_t held) {
  ByteReader reader(ip.captured);
  const auto bytes = reader.take(held);
  if (!bytes) return SensorCounter::malformed;
  HeaderPiece piece{.source = ip.source,
                    .target = ip.target,
                    .id = ip.id,
                    .bytes = {},
                    .has0 = at == 0,
                    .has1 = at != 0,
                    .ip_options = ip.ip_options};
  std::copy(bytes->begin(), bytes->end(), piece.bytes.begin() + static_cast<std::ptrdiff_t>(at));
  return piece;
}

Parsed tcp_fragment(const Carried& ip) {
  // Only the last fragment may end between two units. Linux ignores what exceeds them in any other,
  // so those bytes are not the header that it will see.
  const std::size_t length = ip.more_fragments ? ip.length - ip.length % kFragmentUnit : ip.length;
  if (ip.offset == 0 && length >= kTcpHeaderNeeded) {
    return tcp_segment(ip.source, ip.target, cut(ip.captured, length), ip.ip_options, true);
  }
  if (ip.displaced) return SensorCounter::fragment_dropped;
  if (ip.offset == 0 && length >= kFragmentUnit) return header_piece(ip, 0, kFragmentUnit);
  constexpr std::size_t kToTheFlags = kTcpHeaderNeeded - kFragmentUnit;
  if (ip.offset == kFragmentUnit && length >= kToTheFlags) {
    return header_piece(ip, kFragmentUnit, kToTheFlags);
  }
  return ip.offset > kFragmentUnit ? SensorCounter::fragment_dropped : SensorCounter::malformed;
}

std::optional<Aim> aim_at(const Carried& ip) {
  ByteReader reader(ip.captured);
  const bool source_port = reader.skip(2);
  const auto target_port = reader.u16();
  if (!source_port || !target_port || ip.offset != 0) return std::nullopt;
  if (ip.protocol != kTcp && ip.protocol != kUdp) return std::nullopt;
  return Aim{.source = ip.source,
             .protocol = ip.protocol == kTcp ? Protocol::tcp : Protocol::udp,
             .target_port = *target_port};
}

// `aim` is filled where the ports are there, whatever comes of the rest.
Parsed transport(const Carried& ip, std::optional<Aim>& aim) {
  aim = aim_at(ip);
  if (ip.protocol == kTcp) return ip.fragment ? tcp_fragment(ip) : tcp_whole(ip);
  if (ip.protocol == kUdp) {
    if (ip.offset != 0) return SensorCounter::fragment_dropped;
    return udp_datagram(ip);
  }
  return SensorCounter::malformed;
}

Parsed ipv4(Bytes network, std::optional<Aim>& aim) {
  ByteReader reader(network);
  const auto version_and_length = reader.u8();
  const bool service = reader.skip(1);
  const auto total = reader.u16();
  const auto id = reader.u16();
  const auto fragment = reader.u16();
  const bool ttl = reader.skip(1);
  const auto protocol = reader.u8();
  const bool checksum = reader.skip(2);
  const auto source_bytes = reader.take(4);
  const auto target_bytes = reader.take(4);
  if (!version_and_length || !service || !total || !id || !fragment || !ttl || !protocol ||
      !checksum || !source_bytes || !target_bytes) {
    return SensorCounter::malformed;
  }
  const std::size_t header = std::size_t{*version_and_length & 0x0fU} * 4;
  if (*version_and_length >> 4U != 4 || header < 20 || *total < header) {
    return SensorCounter::malformed;
  }
  if (!reader.skip(header - 20)) return SensorCounter::malformed;
  const auto source = Address::from_bytes(*source_bytes);
  const auto target = Address::from_bytes(*target_bytes);
  if (!source || !target) return SensorCounter::malformed;

  const std::size_t length = *total - header;
  const bool more = (*fragment & 0x2000U) != 0;
  const std::size_t offset = std::size_t{*fragment & 0x1fffU} * kFragmentUnit;
  return transport({.source = *source,
                    .target = *target,
                    .protocol = *protocol,
                    .captured = cut(reader.rest(), length),
                    .length = length,
                    .ip_options = header > 20,
                    .fragment = more || offset != 0,
                    .offset = offset,
                    .more_fragments = more,
                    .id = *id},
                   aim);
}

// Steps over one extension header; what it says about the bytes behind it goes into `ip`. False
// when it is not all there.
bool step(Carried& ip, ByteReader& reader) {
  const auto next = reader.u8();
  const auto second = reader.u8();
  if (!next || !second) return false;

  std::size_t length = (std::size_t{*second} + 1) * 8;
  if (ip.protocol == kAuthentication) length = (std::size_t{*second} + 2) * 4;
  if (ip.protocol == kFragment) {
    length = 8;  // `second` is reserved
    const auto place = reader.u16();
    const auto id = reader.u32();
    if (!place || !id) return false;
    ip.offset = *place & 0xfff8U;
    ip.more_fragments = (*place & 1U) != 0;
    ip.fragment = ip.more_fragments || ip.offset != 0;
    ip.id = *id;
  } else {
    if (!reader.skip(length - 2)) return false;
    ip.ip_options = true;
    ip.displaced = ip.fragment;
  }
  if (ip.length < length) return false;
  ip.length -= length;
  ip.protocol = *next;
  return true;
}

bool is_extension_header(std::uint8_t protocol) {
  switch (protocol) {
    case kHopByHop:
    case kRouting:
    case kFragment:
    case kAuthentication:
    case kDestinationOptions:
    case kMobility:
    case kHostIdentity:
    case kShim6:
      return true;
    default:  // 253 numbers and more to come: what we cannot walk ends the chain
      return false;
  }
}

Parsed ipv6(Bytes network, std::optional<Aim>& aim) {
  ByteReader reader(network);
  const auto version = reader.u8();
  const bool label = reader.skip(3);
  const auto payload = reader.u16();
  const auto next = reader.u8();
  const bool hop_limit = reader.skip(1);
  const auto source_bytes = reader.take(16);
  const auto target_bytes = reader.take(16);
  if (!version || !label || !payload || !next || !hop_limit || !source_bytes || !target_bytes) {
    return SensorCounter::malformed;
  }
  if (*version >> 4U != 6) return SensorCounter::malformed;
  const auto source = Address::from_bytes(*source_bytes);
  const auto target = Address::from_bytes(*target_bytes);
  if (!source || !target) return SensorCounter::malformed;
  if (source->is_v4()) return SensorCounter::bad_source;
  if (target->is_v4()) return SensorCounter::not_ours;

  Carried ip{
      .source = *source, .target = *target, .protocol = *next, .captured = {}, .length = *payload};
  ByteReader rest(cut(reader.rest(), *payload));
  bool fragment_header_seen = false;
  // Each is at least 8 bytes: the captured bytes bound the chain. Linux has no other bound.
  while (is_extension_header(ip.protocol)) {
    const bool is_fragment_header = ip.protocol == kFragment;
    // Linux drops a second Fragment header (tried).
    if (is_fragment_header && fragment_header_seen) return SensorCounter::malformed;
    if (!step(ip, rest)) return SensorCounter::malformed;
    if (!is_fragment_header) continue;
    fragment_header_seen = true;
    // RFC 8200 4.5: only the last fragment may end between two units.
    if (ip.more_fragments && ip.length % kFragmentUnit != 0) return SensorCounter::malformed;
    // What follows is the middle of something, not a header: only TCP's second block is of use.
    if (ip.offset != 0 && ip.protocol != kTcp) return SensorCounter::fragment_dropped;
  }
  ip.captured = rest.rest();
  return transport(ip, aim);
}

Parsed parse_with_aim(Bytes network, std::uint16_t ethertype, std::optional<Aim>& aim) {
  ByteReader reader(network);
  if (begins_with_tag(network, ethertype)) ethertype = kVlanTag;
  while (is_vlan_tag(ethertype)) {
    const bool tag = reader.skip(2);
    const auto inner = reader.u16();
    if (!tag || !inner) return SensorCounter::malformed;
    ethertype = *inner;
  }
  if (ethertype == kIpv4) return ipv4(reader.rest(), aim);
  if (ethertype == kIpv6) return ipv6(reader.rest(), aim);
  return SensorCounter::malformed;
}

}  // namespace

Parsed tcp_segment(const Address& source, const Address& target, Bytes header, bool ip_options,
                   bool fragmented) {
  ByteReader reader(header);
  const auto source_port = reader.u16();
  const auto target_port = reader.u16();
  const bool numbers = reader.skip(8);
  const auto data_offset = reader.u8();
  const auto flags = reader.u8();
  if (!source_port || !target_port || !numbers || !data_offset || !flags) {
    return SensorCounter::malformed;
  }
  if (tcp_header_length(*data_offset) < kTcpHeader || *target_port == 0) {
    return SensorCounter::malformed;
  }
  return Segment{.source = source,
                 .target = target,
                 .protocol = Protocol::tcp,
                 .source_port = *source_port,
                 .target_port = *target_port,
                 .flags = {*flags},
                 .ip_options = ip_options,
                 .fragmented = fragmented};
}

Parsed parse(Bytes network, std::uint16_t ethertype) {
  std::optional<Aim> aim;
  return parse_with_aim(network, ethertype, aim);
}

std::optional<Aim> aim_of(Bytes network, std::uint16_t ethertype) {
  std::optional<Aim> aim;
  static_cast<void>(parse_with_aim(network, ethertype, aim));
  return aim;
}

}  // namespace portsentry::sensor
