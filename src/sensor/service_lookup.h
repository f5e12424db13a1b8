// "Does a local socket want this packet?": one exact sock_diag(7) lookup of the packet's own
// addresses, ports and interface, answered by the kernel's own demultiplexing. Never a dump, and
// never bind() to find out. With it, what keeps the question rare and kind: a grace period after a
// service disappears.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/bytes.h"
#include "common/event_loop.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "sensor/packet.h"

namespace portsentry::sensor {

// `failed`: the kernel did not say; the caller must not count the packet against anybody.
enum class Wanted : std::uint8_t { yes, no, failed };

class ServiceLookup {
 public:
  // Opens the socket and makes sure that this kernel can look up both protocols: without its
  // tcp_diag or udp_diag part an exact lookup answers "no such socket" for every live service.
  // Needs no capability; the kernel may load the two modules here.
  static Result<ServiceLookup> open();

  // Moves the socket to exactly this descriptor number (see policy.cc).
  Result<void> move_to(int number);
  [[nodiscard]] int fd() const { return fd_.get(); }

  // A listener, a bound or connected socket, or what TCP keeps of one (SYN_RECV, TIME_WAIT), would
  // get this packet if it came in on `interface` (the kernel's index). One sendto, one recvfrom;
  // never waits. Known limit: a socket that is bound to an upper device (a VLAN, bond, bridge or
  // VRF; see SO_BINDTODEVICE) is not found for a packet that was captured on the device below it.
  [[nodiscard]] Wanted ask(const Segment& packet, std::uint32_t interface);

 private:
  explicit ServiceLookup(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
};

// The two halves of ask(), pure. The netlink request for an exact lookup:
std::vector<std::byte> encode_lookup(const Segment& packet, std::uint32_t interface,
                                     std::uint32_t sequence);
// What one datagram from the kernel answers; nothing when it is no answer to `sequence` (a late
// answer to an earlier question must never be taken for this one).
std::optional<Wanted> read_answer(Bytes datagram, std::uint32_t sequence);

// A service that restarts must not turn its clients into scanners.
inline constexpr std::chrono::seconds kGrace{60};

// Where a service was last seen. Pure. Holds at most one entry per protocol and port, and only for
// ports on which the kernel found a socket: a stranger cannot make it grow.
class GraceBook {
 public:
  void seen(Protocol protocol, Port port, Clock::time_point now);
  // For kGrace after it was last seen.
  [[nodiscard]] bool in_grace(Protocol protocol, Port port, Clock::time_point now) const;
  // For a second after it was last seen: no need to ask the kernel again. Only `seen` could change,
  // so this makes no packet count that would not have counted, and a flood at a live port costs
  // nothing.
  [[nodiscard]] bool fresh(Protocol protocol, Port port, Clock::time_point now) const;
  [[nodiscard]] std::size_t size() const { return last_seen_.size(); }

 private:
  [[nodiscard]] bool within(Protocol protocol, Port port, Clock::time_point now,
                            Clock::duration age) const;
  std::unordered_map<std::uint32_t, Clock::time_point> last_seen_;  // key: protocol and port
};

}  // namespace portsentry::sensor
