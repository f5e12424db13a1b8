// What the codecs of the channels share (wire.h): bytes to a protobuf message and back, and the values
// of types.proto. Only wire*.cc may include this.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/channel.h"
#include "common/log.h"
#include "common/messages.h"
#include "common/wire.h"
#include "types.pb.h"

namespace portsentry::wire {

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;  // clang 14 does not deduce it by itself

// ---- bytes --------------------------------------------------------------------------------------

inline std::string raw(Bytes bytes) {
  std::string out(bytes.size(), '\0');
  std::transform(bytes.begin(), bytes.end(), out.begin(),
                 [](std::byte b) { return std::to_integer<char>(b); });
  return out;
}

inline std::vector<std::byte> serialise(const google::protobuf::MessageLite& message) {
  std::vector<std::byte> out(message.ByteSizeLong());
  // An envelope always has an arm, so it is never empty (an empty packet reads as end-of-file).
  if (out.empty() || out.size() > kMaxMessage ||
      !message.SerializeToArray(out.data(), static_cast<int>(out.size()))) {
    fatal("wire: a message of ours cannot be written");
  }
  return out;
}

template <class Message>
std::optional<Message> parse(Bytes bytes) {
  Message message;
  if (bytes.empty() || bytes.size() > kMaxMessage) return std::nullopt;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  return message;
}

// The end of every decoder: what we understood, written again, must be the bytes that came. Lite
// messages keep unknown fields (at any depth) and let the last of two arms win without a word;
// neither survives this comparison, nor does any second spelling of a value. Our peers write
// canonical bytes.
template <class Message>
std::optional<Message> exactly(std::optional<Message> understood, Bytes bytes) {
  if (!understood) return std::nullopt;
  const std::vector<std::byte> canonical = encode(*understood);
  if (!std::equal(canonical.begin(), canonical.end(), bytes.begin(), bytes.end()))
    return std::nullopt;
  return understood;
}

// ---- values, both ways --------------------------------------------------------------------------

inline void put(const Address& from, pb::Address* to) {
  to->set_bytes(raw(from.bytes()));
}

inline std::optional<Address> get(const pb::Address& from) {
  const auto address = Address::from_bytes(std::as_bytes(std::span(from.bytes())));
  // A v4-mapped address has become IPv4 here; on the wire only the short form is canonical.
  if (!address || address->bytes().size() != from.bytes().size()) return std::nullopt;
  return address;
}

inline void put(const Source& from, pb::Source* to) {
  put(from.prefix().address(), to->mutable_address());
  to->set_length(from.prefix().length());
}

inline std::optional<Source> get(const pb::Source& from) {
  const auto address = get(from.address());
  if (!address) return std::nullopt;
  return Source::from_prefix(*address, from.length());
}

inline void put(const Prefix& from, pb::Prefix* to) {
  put(from.address(), to->mutable_address());
  to->set_length(from.length());
}

// Host bits that are set would be a second spelling.
inline std::optional<Prefix> get(const pb::Prefix& from) {
  const auto address = get(from.address());
  const auto known = address ? Prefix::make(*address, from.length()) : std::nullopt;
  if (!known || known->address() != *address) return std::nullopt;
  return known;
}

inline pb::Protocol put(Protocol from) {
  return from == Protocol::tcp ? pb::TCP : pb::UDP;
}

// Protobuf enums are open: any int32 can arrive in one, so these switches have a last return.
inline std::optional<Protocol> get(pb::Protocol from) {
  if (from == pb::TCP) return Protocol::tcp;
  if (from == pb::UDP) return Protocol::udp;
  return std::nullopt;
}

inline std::optional<std::chrono::seconds> get_duration(std::uint64_t seconds) {
  if (seconds == 0 || seconds > static_cast<std::uint64_t>(kMaxBan.count())) return std::nullopt;
  return std::chrono::seconds(seconds);
}

// The same, and 0 for a ban without expiry.
inline std::optional<std::chrono::seconds> get_ban_time(std::uint64_t seconds) {
  return seconds == 0 ? std::chrono::seconds(0) : get_duration(seconds);
}

template <class T>
std::uint64_t count(T duration) {
  return static_cast<std::uint64_t>(duration.count());
}

}  // namespace portsentry::wire
