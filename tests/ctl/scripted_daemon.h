// A daemon whose answers are known before it is asked: they wait in the socket.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "common/channel.h"
#include "common/wire.h"
#include "ctl/client.h"

namespace portsentry::ctl {

class ScriptedDaemon {
 public:
  ScriptedDaemon() : ScriptedDaemon(Channel::make_pair().value()) {}

  void will_say(const ControlReply& reply) { send(encode(reply)); }
  void send(const std::vector<std::byte>& bytes) { static_cast<void>(server_->send(bytes)); }
  void will_hang_up() { server_.reset(); }

  // May be taken once.
  Client client(std::chrono::milliseconds patience = Client::kPatience) {
    return Client(std::move(*mine_), patience);
  }

  // What was asked, in order.
  std::optional<ControlRequest> asked() {
    const Channel::Received received = server_->receive();
    return decode_control_request(received.bytes, 0);
  }

 private:
  explicit ScriptedDaemon(std::pair<UniqueFd, UniqueFd> ends)
      : mine_(Channel(std::move(ends.first))), server_(Channel(std::move(ends.second))) {}

  std::optional<Channel> mine_;
  std::optional<Channel> server_;
};

}  // namespace portsentry::ctl
