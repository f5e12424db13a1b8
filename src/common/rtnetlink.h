// The NETLINK_ROUTE socket behind a LocalView: one dump, then live changes.
#pragma once

#include "common/local_view.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry {

class Rtnetlink {
 public:
  // Opens and subscribes to link, address and route changes, then dumps all three into the view
  // (blocking, at most two seconds). Needs no capability.
  static Result<Rtnetlink> open();

  // Readable when something changed: then call `refresh`. Non-blocking.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Moves the socket to exactly this descriptor number (see the seccomp policies).
  Result<void> move_to(int number);

  // Reads what has arrived. After an overrun (ENOBUFS) the view is dumped anew by itself.
  // An error means that the view can no longer be trusted.
  Result<void> refresh();

  [[nodiscard]] const LocalView& view() const { return view_; }

 private:
  explicit Rtnetlink(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<void> dump();

  UniqueFd fd_;
  LocalView view_;
};

}  // namespace portsentry
