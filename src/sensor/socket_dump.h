// Listings of the kernel's sockets (sock_diag(7)), of two kinds: who of ours is connected to one
// address, and which ports are bound. A descriptor of its own, apart from service_lookup.h's, whose
// answers must come at once: a listing may take many reads, one at a time as the caller has time.
// Needs no capability.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/bytes.h"
#include "common/net_types.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry::sensor {

struct ListedSocket {
  Address local;  // v4-mapped ones are IPv4 here
  Address remote;
  std::uint16_t local_port;
  std::uint16_t remote_port;
  std::uint32_t interface;  // that it is bound to; 0: none
};

// What is listed. Each is one pass over the kernel's tables, for both address families where the
// kernel can do that.
enum class Listing : std::uint8_t {
  tcp_listeners,  // of both families
  udp_v4,         // bound, whatever they are connected to
  udp_v6,
};

// What one datagram of a listing is.
enum class ListingStep : std::uint8_t {
  foreign,  // of an earlier listing: read on
  more,     // another follows
  done,     // the last
  failed,   // the kernel gave up: what came is not all
};

class SocketDump {
 public:
  static Result<SocketDump> open();
  // Moves the socket to exactly this descriptor number (see policy.cc).
  Result<void> move_to(int number);
  [[nodiscard]] int fd() const { return fd_.get(); }

  // Asks; false: the kernel does not take the question. Ends before the next may begin.
  [[nodiscard]] bool connections_with(const Address& remote);
  [[nodiscard]] bool list(Listing listing);

  // One datagram, without waiting; call when fd() is readable. `failed` also when there is none.
  using Handler = std::function<void(const ListedSocket&)>;
  ListingStep read(const Handler& handler);

 private:
  explicit SocketDump(UniqueFd fd) : fd_(std::move(fd)), buffer_(kBuffer) {}
  bool ask(const std::vector<std::byte>& request);

  static constexpr std::size_t kBuffer = 32 << 10;  // the kernel fills no more at once

  UniqueFd fd_;
  std::vector<std::byte> buffer_;
  std::uint32_t sequence_ = 0;
};

// The halves of the above, pure. Connections whose handshake was completed and which the kernel
// still keeps (established and closing ones, TIME_WAIT), picked by address inside the kernel
// (INET_DIAG_REQ_BYTECODE), so that only those cross to us.
std::vector<std::byte> encode_connections(const Address& remote, std::uint32_t sequence);
std::vector<std::byte> encode_listing(Listing listing, std::uint32_t sequence);
ListingStep read_listing(Bytes datagram, std::uint32_t sequence,
                         const SocketDump::Handler& handler);

}  // namespace portsentry::sensor
