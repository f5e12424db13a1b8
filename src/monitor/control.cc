#include "monitor/control.h"

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <vector>

#include "common/wire.h"

namespace portsentry::monitor {

Control::Control(UniqueFd listening, EventLoop& loop, Asked asked, uid_t also_allowed)
    : listening_(std::move(listening)),
      loop_(loop),
      asked_(std::move(asked)),
      also_allowed_(also_allowed) {
  loop_.watch(listening_.get(), [this](short) { accept_one(); });
}

void Control::accept_one() {
  UniqueFd peer(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!peer) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // Out of descriptors or memory: the connection stays pending and poll would report it for ever.
    loop_.unwatch(listening_.get());
    loop_.after(std::chrono::seconds(1),
                [this] { loop_.watch(listening_.get(), [this](short) { accept_one(); }); });
    return;
  }
  ucred who{};
  socklen_t size = sizeof(who);
  if (::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return;
  if (who.uid != 0 && who.uid != also_allowed_) return;
  // Those that have gone leave their places first; one too many is then closed at once, rather than
  // left waiting without a word.
  if (connections_.size() >= kMaxConnections) serve_all();
  if (connections_.size() >= kMaxConnections) return;
  const int fd = peer.get();
  connections_.emplace(fd, Connection{Channel(std::move(peer)), next_serial_++});
  loop_.watch(fd, [this, fd](short) { serve(fd); });
}

void Control::serve(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  const Channel::Received received = found->second.channel.receive();
  switch (received.got) {
    case Channel::Got::nothing:
      return;
    case Channel::Got::closed:
    case Channel::Got::malformed:
      return close(fd);
    case Channel::Got::message:
      break;
  }
  const auto request = decode_control_request(received.bytes, received.fd ? 1 : 0);
  if (!request) return close(fd);
  asked_(*request, [this, fd, serial = found->second.serial](const ControlReply& answer) {
    reply(fd, serial, answer);
  });
}

void Control::reply(int fd, std::uint64_t serial, const ControlReply& reply) {
  const auto found = connections_.find(fd);
  if (found == connections_.end() || found->second.serial != serial) return;
  // A peer that asks and does not read its answers is closed rather than waited for.
  if (found->second.channel.send(encode(reply)) != Channel::Sent::ok) close(fd);
}

void Control::serve_all() {
  std::vector<int> all;
  for (const auto& [fd, channel] : connections_)
    all.push_back(fd);
  for (const int fd : all)
    serve(fd);
}

void Control::close(int fd) {
  loop_.unwatch(fd);
  connections_.erase(fd);
}

}  // namespace portsentry::monitor
