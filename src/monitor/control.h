// The control socket: portsentryctl asks, the monitor answers. Users are at the other end, so
// whatever they send costs them at most their own connection.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>

#include "common/channel.h"
#include "common/event_loop.h"
#include "common/messages.h"
#include "common/unique_fd.h"

namespace portsentry::monitor {

class Control {
 public:
  static constexpr std::size_t kMaxConnections = 16;

  // `listening`: a SOCK_SEQPACKET socket, bound and listening. Only peers whose effective user at
  // connect time is root or `also_allowed` are served (SO_PEERCRED); the socket file's mode says
  // the same, and this does not depend on it. The loop must outlive this object, and stop before it
  // ends.
  Control(UniqueFd listening, EventLoop& loop,
          std::function<ControlReply(const ControlRequest&)> answer, uid_t also_allowed = 0);

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

 private:
  void accept_one();
  void serve(int fd);
  void serve_all();
  void close(int fd);

  UniqueFd listening_;
  EventLoop& loop_;
  std::function<ControlReply(const ControlRequest&)> answer_;
  uid_t also_allowed_;
  std::map<int, Channel> connections_;
};

}  // namespace portsentry::monitor
