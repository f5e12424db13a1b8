// Which connections a source holds to the ports by which people log in, as the kernel's sock_diag
// tells. That somebody has logged in there is not known here; the monitor says when it matters.
#pragma once

#include <cstdint>
#include <vector>

#include "common/bytes.h"
#include "common/net_types.h"
#include "common/netlink.h"
#include "common/port_set.h"
#include "common/result.h"
#include "enforcer/firewall.h"

namespace portsentry::enforcer {

// What one datagram of a sock_diag listing says, pure.
struct SessionListing {
  std::vector<Session> sessions;  // at most kMaxSessions
  bool ended = false;
  int error = 0;  // errno, with `ended`

  // Takes from `datagram` the established connections of `source` to `ports`. What does not carry
  // the number `sequence` is left out.
  void read(Bytes datagram, std::uint32_t sequence, const Source& source, const PortSet& ports);
};

// The question for the established TCP connections of `source` among the sockets of one family
// (AF_INET, AF_INET6: an IPv4 connection can be held by either). A filter that the kernel runs leaves
// out other peers.
[[nodiscard]] std::vector<std::byte> session_question(const Source& source, int family,
                                                      std::uint32_t sequence);

// Opened before the sandbox. System calls afterwards: sendto, recvmsg, and poll.
class SessionLookup {
 public:
  static Result<SessionLookup> open();
  Result<void> move_to(int number) { return socket_.move_to(number); }

  // Those of `source` to `ports`, at most kMaxSessions. Waits at most a second.
  Result<std::vector<Session>> list(const Source& source, const PortSet& ports);

 private:
  explicit SessionLookup(NetlinkSocket socket) : socket_(std::move(socket)) {}

  NetlinkSocket socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace portsentry::enforcer
