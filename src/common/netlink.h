// What every netlink(7) user of ours shares: reading messages and attributes without casting
// memory, and one socket that hears only the kernel and never waits without an end.
#pragma once

#include <linux/netlink.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry {

// ---- Reading ------------------------------------------------------------------------------------

// Netlink speaks host order (ByteReader's own reads are big-endian): the next bytes copied into a
// T, or nothing when too few remain.
template <class T>
[[nodiscard]] std::optional<T> take_host(ByteReader& reader) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto raw = reader.take(sizeof(T));
  if (!raw) return std::nullopt;
  T value;
  std::memcpy(&value, raw->data(), sizeof(T));
  return value;
}

struct NetlinkMessage {
  nlmsghdr header;
  Bytes payload;  // a view into the datagram, without the header and its padding
};

// The messages of one datagram, in order. Ends at the first header that lies about its length;
// `malformed` then says so.
class NetlinkMessages {
 public:
  explicit NetlinkMessages(Bytes datagram) : reader_(datagram) {}
  [[nodiscard]] std::optional<NetlinkMessage> next();
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  ByteReader reader_;
  bool malformed_ = false;
};

struct NetlinkAttribute {
  std::uint16_t type;  // without the nested and byte-order flag bits
  Bytes payload;
};

// The attributes that follow a message's fixed part. Same ending as NetlinkMessages.
class NetlinkAttributes {
 public:
  explicit NetlinkAttributes(Bytes bytes) : reader_(bytes) {}
  [[nodiscard]] std::optional<NetlinkAttribute> next();
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  ByteReader reader_;
  bool malformed_ = false;
};

// ---- The socket ---------------------------------------------------------------------------------

class NetlinkSocket {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  enum class Got : std::uint8_t {
    datagram,
    nothing,  // not before the deadline
    overrun,  // the kernel had to drop messages for us (ENOBUFS): what we know may be out of date
  };
  struct Received {
    Got got = Got::nothing;
    Bytes datagram;  // a view into this socket's buffer, until the next receive
  };

  // `protocol`: NETLINK_ROUTE ...; `groups`: the bit mask of bind(2), 0 for none. Close-on-exec and
  // non-blocking.
  static Result<NetlinkSocket> open(int protocol, std::uint32_t groups);

  [[nodiscard]] int fd() const { return fd_.get(); }
  // Our address; the kernel writes it into its answers and into the events that we caused.
  [[nodiscard]] std::uint32_t port_id() const { return port_id_; }

  // Moves the socket to exactly this descriptor number; whatever was open there is closed.
  Result<void> move_to(int number);

  // One datagram to the kernel.
  Result<void> send(Bytes datagram);

  // The next datagram that the *kernel* sent; what other processes send to us is dropped here. A
  // deadline in the past looks once and does not wait.
  Result<Received> receive(Deadline deadline);

 private:
  NetlinkSocket(UniqueFd fd, std::uint32_t port_id);

  UniqueFd fd_;
  std::uint32_t port_id_;
  // The kernel cuts dumps to at most 32 KiB; events are smaller still. Longer is an overrun.
  std::vector<std::byte> buffer_;
};

}  // namespace portsentry
