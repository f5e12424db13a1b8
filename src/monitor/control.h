// The control socket: portsentryctl asks, the monitor answers. Users are at the other end, so
// whatever they send costs them at most their own connection.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>

#include "common/channel.h"
#include "common/control_messages.h"
#include "common/event_loop.h"
#include "common/unique_fd.h"

namespace portsentry::monitor {

class Control {
 public:
  static constexpr std::size_t kMaxConnections = 16;
  // Calls `answer` once, now or later.
  using Answer = std::function<void(ControlReply)>;
  using Asked = std::function<void(const ControlRequest& request, Answer answer)>;

  // `listening`: a SOCK_SEQPACKET socket, bound and listening. Only peers whose effective user at
  // connect time is root or `also_allowed` are served (SO_PEERCRED); the socket file's mode says
  // the same, and this does not depend on it. The loop must outlive this object, and stop before it
  // ends.
  Control(UniqueFd listening, EventLoop& loop, Asked asked, uid_t also_allowed = 0);

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

 private:
  void accept_one();
  void serve(int fd);
  void serve_all();
  void reply(int fd, std::uint64_t serial, const ControlReply& reply);
  void close(int fd);

  UniqueFd listening_;
  EventLoop& loop_;
  Asked asked_;
  uid_t also_allowed_;
  struct Connection {
    Channel channel;
    std::uint64_t serial;  // another connection may get the same number
  };
  std::map<int, Connection> connections_;
  std::uint64_t next_serial_ = 1;
};

}  // namespace portsentry::monitor
