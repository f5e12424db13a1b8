// Packets for tests, built field by field, well-formed unless told otherwise: ip4(...) + tcp(...)
// is a packet from its network header on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "common/net_types.h"

namespace portsentry::sensor::craft {

using Packet = std::vector<std::byte>;

inline Packet operator+(Packet head, const Packet& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

inline Packet raw(std::initializer_list<unsigned> bytes) {
  Packet out;
  for (const unsigned b : bytes)
    out.push_back(static_cast<std::byte>(b));
  return out;
}

inline Packet filled(std::size_t count, unsigned value = 0xee) {
  return Packet(count, static_cast<std::byte>(value));
}

inline Packet be16(std::size_t value) {
  return raw({static_cast<unsigned>(value >> 8U) & 0xffU, static_cast<unsigned>(value) & 0xffU});
}

inline Packet be32(std::uint32_t value) {
  return be16(value >> 16U) + be16(value & 0xffffU);
}

inline Packet address(std::string_view text) {
  const auto parsed = Address::parse(text);
  if (!parsed) return {};  // every test that uses it then fails
  return {parsed->bytes().begin(), parsed->bytes().end()};
}

inline constexpr std::string_view kThem4 = "198.51.100.7";
inline constexpr std::string_view kUs4 = "192.0.2.1";
inline constexpr std::string_view kThem6 = "2001:db8:bad::7";
inline constexpr std::string_view kUs6 = "2001:db8::1";

struct Tcp {
  unsigned source = 40000;
  unsigned target = 23;
  unsigned flags = TcpFlags::syn;
  unsigned words = 5;  // the data offset
};
inline Packet tcp(const Tcp& t = {}) {
  return be16(t.source) + be16(t.target) + be32(0x01020304) + be32(0) +
         raw({t.words << 4U, t.flags}) + be16(1024) + be16(0) + be16(0);
}

struct Udp {
  unsigned source = 40000;
  unsigned target = 161;
  std::size_t payload = 0;
  std::size_t length = 8;  // as claimed; `payload` is added
};
inline Packet udp(const Udp& u = {}) {
  return be16(u.source) + be16(u.target) + be16(u.length + u.payload) + be16(0) + filled(u.payload);
}

struct Ip4 {
  unsigned protocol = 6;
  std::string_view source = kThem4;
  std::string_view target = kUs4;
  unsigned words = 5;  // header length
  unsigned version = 4;
  unsigned id = 0x1234;
  unsigned offset = 0;  // of a fragment, in units of 8 bytes
  bool more = false;
  int length_error = 0;  // added to the true total length
};
// Wraps `carried`. Options are "no operation".
inline Packet ip4(const Ip4& ip, const Packet& carried) {
  const std::size_t options = ip.words > 5 ? (ip.words - 5) * 4 : 0;
  const auto total =
      static_cast<std::size_t>(static_cast<int>(20 + options + carried.size()) + ip.length_error);
  return raw({(ip.version << 4U) | ip.words, 0}) + be16(total) + be16(ip.id) +
         be16((ip.more ? 0x2000U : 0U) | ip.offset) + raw({64, ip.protocol}) + be16(0) +
         address(ip.source) + address(ip.target) + filled(options, 1) + carried;
}

struct Ip6 {
  unsigned next = 6;
  std::string_view source = kThem6;
  std::string_view target = kUs6;
  unsigned version = 6;
  int length_error = 0;
};
inline Packet ip6(const Ip6& ip, const Packet& carried) {
  const auto length = static_cast<std::size_t>(static_cast<int>(carried.size()) + ip.length_error);
  // An address of ours never is v4-mapped, so a mapped one is spelled out here.
  const auto sixteen = [](std::string_view text) {
    const Packet bytes = address(text);
    if (bytes.size() == 16) return bytes;
    return filled(10, 0) + filled(2, 0xff) + bytes;
  };
  return raw({ip.version << 4U, 0, 0, 0}) + be16(length) + raw({ip.next, 64}) + sixteen(ip.source) +
         sixteen(ip.target) + carried;
}

// An extension header of `units` * 8 bytes: hop-by-hop, routing, destination options, ...
inline Packet extension(unsigned next, unsigned units = 1) {
  return raw({next, units - 1}) + filled(units * 8 - 2, 0);
}
// An Authentication Header of `words` * 4 bytes (at least 12).
inline Packet authentication(unsigned next, unsigned words = 6) {
  return raw({next, words - 2}) + filled(words * 4 - 2, 0);
}
// An IPv6 Fragment header; `offset` in units of 8 bytes.
inline Packet fragment6(unsigned next, unsigned offset, bool more, std::uint32_t id = 0xabcd1234) {
  return raw({next, 0}) + be16((offset << 3U) | (more ? 1U : 0U)) + be32(id);
}

inline Packet first(Packet packet, std::size_t count) {
  packet.resize(count);
  return packet;
}
inline Packet from(Packet packet, std::size_t offset) {
  packet.erase(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(offset));
  return packet;
}

}  // namespace portsentry::sensor::craft
