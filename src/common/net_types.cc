#include "common/net_types.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace portsentry {
namespace {

constexpr std::array<std::byte, 12> kMappedPrefix{
    std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
    std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0xff}, std::byte{0xff}};

unsigned at(Bytes bytes, std::size_t index) {
  return std::to_integer<unsigned>(bytes[index]);
}

// `address` with every bit after the first `length` cleared; length is at most the address's bits.
Address masked(const Address& address, unsigned length) {
  std::array<std::byte, 16> raw{};
  const Bytes from = address.bytes();
  for (std::size_t i = 0; i < from.size(); ++i) {
    const unsigned first_bit = static_cast<unsigned>(i) * 8;
    if (first_bit + 8 <= length) {
      raw.at(i) = from[i];
    } else if (first_bit < length) {
      raw.at(i) = from[i] & static_cast<std::byte>(0xff00U >> (length - first_bit));
    }
  }
  return *Address::from_bytes(Bytes(raw).first(from.size()));
}

}  // namespace

Address Address::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  Address address;
  address.bytes_[0] = std::byte{a};
  address.bytes_[1] = std::byte{b};
  address.bytes_[2] = std::byte{c};
  address.bytes_[3] = std::byte{d};
  return address;
}

std::optional<Address> Address::from_bytes(Bytes bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  Address address;
  if (bytes.size() == 16 &&
      !std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) {
    address.v4_ = false;
    std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  } else {
    const Bytes four = bytes.last(4);
    std::copy(four.begin(), four.end(), address.bytes_.begin());
  }
  return address;
}

std::optional<Address> Address::parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> zero_terminated{};
  std::copy(text.begin(), text.end(), zero_terminated.begin());
  if (std::strlen(zero_terminated.data()) != text.size()) return std::nullopt;  // a NUL inside
  std::array<std::byte, 16> raw{};
  if (inet_pton(AF_INET, zero_terminated.data(), raw.data()) == 1)
    return from_bytes(Bytes(raw).first(4));
  if (inet_pton(AF_INET6, zero_terminated.data(), raw.data()) == 1) return from_bytes(raw);
  return std::nullopt;
}

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> out{};
  inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), out.data(), out.size());
  return out.data();
}

bool Address::is_unspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool Address::is_loopback() const {
  if (v4_) return at(bytes_, 0) == 127;
  return std::all_of(bytes_.begin(), bytes_.end() - 1,
                     [](std::byte b) { return b == std::byte{0}; }) &&
         at(bytes_, 15) == 1;
}

bool Address::is_multicast() const {
  return v4_ ? (at(bytes_, 0) & 0xf0U) == 0xe0 : at(bytes_, 0) == 0xff;
}

bool Address::is_link_local() const {
  return v4_ ? at(bytes_, 0) == 169 && at(bytes_, 1) == 254
             : at(bytes_, 0) == 0xfe && (at(bytes_, 1) & 0xc0U) == 0x80;
}

bool Address::is_routable_unicast() const {
  if (is_unspecified() || is_loopback() || is_multicast() || is_link_local()) return false;
  return !v4_ || (at(bytes_, 0) != 0 && at(bytes_, 0) < 240);
}

std::optional<Prefix> Prefix::make(const Address& address, unsigned length) {
  if (length > address.bit_length()) return std::nullopt;
  return Prefix(masked(address, length), length);
}

Prefix Prefix::host(const Address& address) {
  return {address, address.bit_length()};
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = Address::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return host(*address);
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  // A v4-mapped network (::ffff:a.b.c.d/N) is one of its IPv4 host's: /96 and longer have a
  // meaning.
  if (address->is_v4() && text.find(':') != std::string_view::npos) {
    if (length < 96 || length > 128) return std::nullopt;
    length -= 96;
  }
  return make(*address, length);
}

bool Prefix::contains(const Address& address) const {
  return address.is_v4() == address_.is_v4() && masked(address, length_) == address_;
}

bool Prefix::contains(const Prefix& other) const {
  return other.length_ >= length_ && contains(other.address_);
}

std::string Prefix::text() const {
  return is_host() ? address_.text() : address_.text() + "/" + std::to_string(length_);
}

Source Source::of(const Address& address, bool on_link) {
  if (address.is_v4() || on_link) return Source(Prefix::host(address));
  return Source(*Prefix::make(address, 64));
}

std::optional<Source> Source::from_prefix(const Address& address, unsigned length) {
  const bool allowed = address.is_v4() ? length == 32 : length == 64 || length == 128;
  if (!allowed) return std::nullopt;
  const auto prefix = Prefix::make(address, length);
  if (!prefix || prefix->address() != address) return std::nullopt;
  return Source(*prefix);
}

}  // namespace portsentry

std::size_t std::hash<portsentry::Address>::operator()(
    const portsentry::Address& a) const noexcept {
  // Not keyed: callers whose table size an attacker could exploit bound the table themselves.
  const auto bytes = a.bytes();
  return std::hash<std::string_view>{}(
      std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));  // NOLINT
}
