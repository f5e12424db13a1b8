#include "ctl/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "common/log.h"
#include "common/wire.h"
#include "ctl/words.h"

namespace portsentry::ctl {
namespace {

constexpr std::string_view kWhoMay =
    "only root and members of portsentry-admin may ask that; portsentry-view may look";

Failure unreachable(std::string text) {
  return {.exit = kExitUnreachable, .code = "unreachable", .text = std::move(text)};
}

Failure not_permitted(std::string text) {
  return {.exit = kExitRefused, .code = "not_permitted", .text = std::move(text)};
}

int exit_of(RefusedCode code) {
  switch (code) {
    case RefusedCode::not_supported:
    case RefusedCode::no_match:
    case RefusedCode::busy:
    case RefusedCode::failed:
      return kExitNoMatch;
    case RefusedCode::policy:
    case RefusedCode::not_permitted:
      return kExitRefused;
    case RefusedCode::invalid:
      return kExitUsage;
  }
  return kExitNoMatch;
}

}  // namespace

Failure failure_of(const Refused& refused) {
  return {
      .exit = exit_of(refused.code), .code = std::string(word(refused.code)), .text = refused.text};
}

std::variant<Channel, Failure> connect_to(const char* path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return unreachable(Error::from_errno("socket", errno).what);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof(address.sun_path)) return unreachable("the path is too long");
  std::memcpy(address.sun_path, path, std::strlen(path) + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);  // NOLINT: connect(2)
  if (::connect(fd.get(), generic, sizeof(address)) != 0) {
    const Error error = Error::from_errno(std::string("connect ") + path, errno);
    if (error.code == EACCES || error.code == EPERM) {
      return not_permitted(error.what + " (" + std::string(kWhoMay) + ")");
    }
    return unreachable(
        error.what +
        " (is portsentryd running? What the kernel holds is shown by: nft list table "
        "inet portsentry)");
  }
  return Channel(std::move(fd));
}

Failure Client::not_understood() {
  return unreachable("the daemon answered what this portsentryctl does not understand");
}

Client::Answer Client::ask_any(const ControlRequest& request) {
  // A daemon that refuses us has closed its end: that is seen below, whatever this send says.
  static_cast<void>(channel_.send(encode(request)));
  for (;;) {
    Answer answer = receive(patience_);
    const auto* reply = std::get_if<ControlReply>(&answer);
    if (reply == nullptr) return answer;
    if (std::holds_alternative<Working>(*reply)) continue;
    if (const auto* refused = std::get_if<Refused>(reply)) return failure_of(*refused);
    return answer;
  }
}

Client::Answer Client::next() {
  Answer answer = receive(std::nullopt);
  if (const auto* reply = std::get_if<ControlReply>(&answer)) {
    if (const auto* refused = std::get_if<Refused>(reply)) return failure_of(*refused);
  }
  return answer;
}

Client::Answer Client::receive(std::optional<std::chrono::milliseconds> patience) {
  using std::chrono::steady_clock;
  pollfd waiting{.fd = channel_.fd(), .events = POLLIN, .revents = 0};
  const auto begin = steady_clock::now();
  for (;;) {
    int timeout = -1;
    if (patience) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(begin + *patience - steady_clock::now());
      timeout = left.count() <= 0 ? 0 : static_cast<int>(left.count());
    }
    const int ready = ::poll(&waiting, 1, timeout);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return unreachable(Error::from_errno("poll", errno).what);
    if (ready == 0) return unreachable("the daemon does not answer");
    const Channel::Received received = channel_.receive();
    switch (received.got) {
      case Channel::Got::nothing:
        continue;
      case Channel::Got::closed:
        if (answered_) return unreachable("the daemon closed the connection");
        return not_permitted("the daemon refused: " + std::string(kWhoMay));
      case Channel::Got::malformed:
        return not_understood();
      case Channel::Got::message:
        break;
    }
    const auto reply = decode_control_reply(received.bytes, received.fd ? 1 : 0);
    if (!reply) return not_understood();
    answered_ = true;
    return *reply;
  }
}

}  // namespace portsentry::ctl
