// The nouns of the network, as types that cannot be wrong: Address, Prefix, Source, Port, Protocol,
// TcpFlags, ScanKind. Pure; knows no socket.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/bytes.h"

namespace portsentry {

// An IPv4 or IPv6 address. A v4-mapped IPv6 address (::ffff:a.b.c.d, RFC 4291 2.5.5.2) becomes its
// IPv4 address at construction: one host has one spelling, in ignore lists as in the kernel's sets.
class Address {
 public:
  static Address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
  // Network order. Nothing unless exactly 4 or 16 bytes.
  static std::optional<Address> from_bytes(Bytes bytes);
  // Dotted quad (four decimal parts, no leading zeros) or RFC 4291 text; no zone, no brackets, no
  // name.
  static std::optional<Address> parse(std::string_view text);

  [[nodiscard]] bool is_v4() const { return v4_; }
  [[nodiscard]] unsigned bit_length() const { return v4_ ? 32 : 128; }
  // 4 or 16 bytes, network order; a view into this object.
  [[nodiscard]] Bytes bytes() const { return Bytes(bytes_).first(v4_ ? 4 : 16); }
  // RFC 5952 text; plain digits, dots, colons and hex: safe in any log.
  [[nodiscard]] std::string text() const;

  // 0.0.0.0 or :: only.
  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_loopback() const;    // 127/8, ::1
  [[nodiscard]] bool is_multicast() const;   // 224/4, ff00::/8
  [[nodiscard]] bool is_link_local() const;  // 169.254/16, fe80::/10
  // Can be the source of a packet that crossed a network: none of the above, nor 0/8 or 240/4
  // (RFC 6890), and so not the limited broadcast address.
  [[nodiscard]] bool is_routable_unicast() const;

  auto operator<=>(const Address&) const = default;

 private:
  Address() = default;
  std::array<std::byte, 16> bytes_{};  // IPv4 uses the first four, the rest stay zero
  bool v4_ = true;
};

// A network: an address with its host bits cleared, and a length.
class Prefix {
 public:
  // Host bits are cleared. Nothing when `length` exceeds the address's bits.
  static std::optional<Prefix> make(const Address& address, unsigned length);
  // "ADDRESS" (a host) or "ADDRESS/LENGTH"; host bits allowed, and cleared.
  static std::optional<Prefix> parse(std::string_view text);
  static Prefix host(const Address& address);

  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] unsigned length() const { return length_; }
  [[nodiscard]] bool is_host() const { return length_ == address_.bit_length(); }
  [[nodiscard]] bool contains(const Address& address) const;
  [[nodiscard]] bool contains(const Prefix& other) const;
  // "192.0.2.1" for a host, "2001:db8::/64" otherwise.
  [[nodiscard]] std::string text() const;

  auto operator<=>(const Prefix&) const = default;

 private:
  Prefix(const Address& address, unsigned length) : address_(address), length_(length) {}
  Address address_;
  unsigned length_;
};

// The one key of tracker, eviction, hold and ban: who is held responsible for a packet.
// IPv4: the address. IPv6 on a link of ours: the address. IPv6 from elsewhere: its /64, because one
// host there can use any address of it (RFC 7934).
class Source {
 public:
  static Source of(const Address& address, bool on_link);
  // From the wire: exactly /32, /64 or /128 with no host bit set; anything else is nothing.
  static std::optional<Source> from_prefix(const Address& address, unsigned length);

  [[nodiscard]] const Prefix& prefix() const { return prefix_; }
  [[nodiscard]] bool is_v4() const { return prefix_.address().is_v4(); }
  [[nodiscard]] std::string text() const { return prefix_.text(); }

  auto operator<=>(const Source&) const = default;

 private:
  explicit Source(const Prefix& prefix) : prefix_(prefix) {}
  Prefix prefix_;
};

enum class Protocol : std::uint8_t { tcp = 6, udp = 17 };  // IANA protocol numbers

[[nodiscard]] constexpr std::string_view name(Protocol p) {
  return p == Protocol::tcp ? "TCP" : "UDP";
}

// How one protocol is watched: not at all; by sockets of ours that answer on each port of a list;
// by looking at packets to a list; or to everything below a number, a few ports excepted.
enum class WatchMode : std::uint8_t { none, bind, stealth, advanced };

// The mode word that PortSentry 1.2 users know, also as $MODE$: "tcp", "stcp", "atcp", "udp",
// "sudp" or "audp"; "" for none.
[[nodiscard]] constexpr std::string_view mode_word(Protocol p, WatchMode mode) {
  const bool tcp = p == Protocol::tcp;
  switch (mode) {
    case WatchMode::none:
      break;
    case WatchMode::bind:
      return tcp ? "tcp" : "udp";
    case WatchMode::stealth:
      return tcp ? "stcp" : "sudp";
    case WatchMode::advanced:
      return tcp ? "atcp" : "audp";
  }
  return "";
}

// A port that can be probed: 1..65535.
class Port {
 public:
  static constexpr std::optional<Port> make(std::uint32_t number) {
    if (number == 0 || number > 65535) return std::nullopt;
    return Port(static_cast<std::uint16_t>(number));
  }
  [[nodiscard]] constexpr std::uint16_t number() const { return number_; }
  constexpr auto operator<=>(const Port&) const = default;

 private:
  explicit constexpr Port(std::uint16_t number) : number_(number) {}
  std::uint16_t number_;
};

// The eight flag bits of a TCP header (RFC 9293 3.1, RFC 3168), as on the wire.
struct TcpFlags {
  std::uint8_t bits = 0;
  static constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10,
                                urg = 0x20, ece = 0x40, cwr = 0x80;
  [[nodiscard]] constexpr bool has(std::uint8_t mask) const { return (bits & mask) == mask; }
  constexpr auto operator<=>(const TcpFlags&) const = default;
};

// What a probe is called. The names that people see are in the monitor's log_lines.h. `connect`: a
// socket of ours took it (bind modes): a completed TCP handshake, or a datagram.
enum class ScanKind : std::uint8_t {
  syn = 1,
  fin = 2,
  null = 3,
  xmas = 4,
  odd_flags = 5,
  udp = 6,
  connect = 7,
  // An ACK, or FIN and ACK, of no connection that the kernel knows: the kernel's traps can tell them
  // from traffic, a capture cannot.
  ack = 8,
  maimon = 9
};

}  // namespace portsentry

template <>
struct std::hash<portsentry::Address> {
  std::size_t operator()(const portsentry::Address& a) const noexcept;
};
template <>
struct std::hash<portsentry::Source> {
  std::size_t operator()(const portsentry::Source& s) const noexcept {
    return std::hash<portsentry::Address>{}(s.prefix().address()) ^ s.prefix().length();
  }
};
