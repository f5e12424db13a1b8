// The NETLINK_ROUTE socket behind a LocalView: one dump, then live changes.
#pragma once

#include <chrono>

#include "common/local_view.h"
#include "common/netlink.h"
#include "common/result.h"

namespace portsentry {

class Rtnetlink {
 public:
  // Opens and subscribes to link, address, route and nexthop changes, then dumps all four into the
  // view (blocking, at most ten seconds). Needs no capability.
  static Result<Rtnetlink> open();

  // Readable when something changed: then call `refresh`. Non-blocking.
  [[nodiscard]] int fd() const { return socket_.fd(); }
  // Moves the socket to exactly this descriptor number (see the seccomp policies).
  Result<void> move_to(int number) { return socket_.move_to(number); }

  // Reads what has arrived; what is left after a bounded number of datagrams keeps fd() readable.
  // After an overrun (ENOBUFS), and where the kernel removed routes without saying which, the view
  // is dumped anew by itself (blocking, at most half a second). Where that cannot be had, because the
  // routes never stop changing, the old view stays, current() says so, and a later refresh() tries
  // again, at most once a second: whoever can make our routes change must not be able to end us.
  // An error means that the socket is broken. System calls: recvmsg; for a dump also sendto and poll.
  Result<void> refresh();

  // False while the view is known to be out of date.
  [[nodiscard]] bool current() const { return !stale_; }
  [[nodiscard]] const LocalView& view() const { return view_; }

 private:
  enum class Dumped : std::uint8_t { complete, interrupted };

  explicit Rtnetlink(NetlinkSocket socket) : socket_(std::move(socket)) {}
  Result<void> dump(std::chrono::milliseconds patience);
  Result<Dumped> drain(LocalView* view, NetlinkSocket::Deadline deadline);
  Result<Dumped> dump_into(LocalView& view, NetlinkSocket::Deadline deadline);
  Result<Dumped> dump_kind(int kind, LocalView& view, NetlinkSocket::Deadline deadline);

  NetlinkSocket socket_;
  LocalView view_;
  std::uint32_t sequence_ = 0;
  bool stale_ = false;
  std::chrono::steady_clock::time_point dump_again_;
};

}  // namespace portsentry
