// portsentryctl: asks the running daemon, and prints what it answers.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "build_paths.h"
#include "common/channel.h"
#include "common/log.h"
#include "common/wire.h"
#include "ctl/print.h"

namespace portsentry::ctl {
namespace {

constexpr char kSocket[] = "/run/portsentry/control.sock";
constexpr int kPatienceMs = 5000;

// Beside 0 and 2 of log.h: what scripts can tell apart.
constexpr int kExitRefused = 3;
constexpr int kExitUnreachable = 4;

constexpr std::string_view kUsage =
    "usage: portsentryctl status [--json]\n"
    "       portsentryctl -h | -V\n"
    "\n"
    "status          what the daemon sees and does: state, bans, and why packets and\n"
    "                detections led to no ban (counters that are zero are left out)\n"
    "status --json   the same as one line of JSON, with every counter\n"
    "\n"
    "Exit status: 0 ok, 2 usage, 3 refused (only root may ask), 4 the daemon cannot be reached.\n";

void print(std::string_view text, int fd = STDOUT_FILENO) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fatal(Error::from_errno("write", errno).what);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

Channel connect_to_daemon() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) fatal(Error::from_errno("socket", errno).what);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  static_assert(sizeof(kSocket) <= sizeof(address.sun_path));
  std::memcpy(address.sun_path, kSocket, sizeof(kSocket));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);  // NOLINT: connect(2)
  if (::connect(fd.get(), generic, sizeof(address)) != 0) {
    const Error error = Error::from_errno(std::string("connect ") + kSocket, errno);
    const bool refused = error.code == EACCES || error.code == EPERM;
    fatal(error.what + (refused ? " (only root may ask)" : " (is portsentryd running?)"),
          refused ? kExitRefused : kExitUnreachable);
  }
  return Channel(std::move(fd));
}

// One request, one reply, within kPatienceMs.
ControlReply ask(const ControlRequest& request) {
  Channel channel = connect_to_daemon();
  // A daemon that refuses us has closed its end: that is seen below, whatever this send says.
  static_cast<void>(channel.send(encode(request)));
  pollfd waiting{.fd = channel.fd(), .events = POLLIN, .revents = 0};
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(give_up - std::chrono::steady_clock::now());
    const int ready = left.count() <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) fatal(Error::from_errno("poll", errno).what);
    if (ready == 0) fatal("the daemon does not answer", kExitUnreachable);
    const Channel::Received received = channel.receive();
    switch (received.got) {
      case Channel::Got::nothing:
        continue;
      case Channel::Got::closed:
        fatal("the daemon refused (only root may ask)", kExitRefused);
      case Channel::Got::malformed:
        break;
      case Channel::Got::message:
        if (auto reply = decode_control_reply(received.bytes, received.fd ? 1 : 0)) return *reply;
        break;
    }
    fatal("the daemon answered what this portsentryctl does not understand", kExitUnreachable);
  }
}

int status(bool as_json) {
  const ControlReply reply = ask(StatusRequest{});
  const auto* answer = std::get_if<StatusReply>(&reply);
  if (answer == nullptr) fatal("the daemon answered something else", kExitUnreachable);
  std::vector<NamedCount> counters;
  for (bool more = true; more;) {
    const ControlReply next = ask(CountersAsk{static_cast<std::uint32_t>(counters.size())});
    const auto* page = std::get_if<CounterPage>(&next);
    if (page == nullptr) fatal("the daemon answered something else", kExitUnreachable);
    counters.insert(counters.end(), page->counters.begin(), page->counters.end());
    more = page->more && !page->counters.empty();
  }
  print(as_json ? json(*answer, counters) : table(*answer, counters));
  return kExitOk;
}

int run(const std::vector<std::string_view>& arguments) {
  if (arguments.size() == 1) {
    if (arguments[0] == "status") return status(false);
    if (arguments[0] == "-h" || arguments[0] == "--help") {
      print(kUsage);
      return kExitOk;
    }
    if (arguments[0] == "-V" || arguments[0] == "--version") {
      print(std::string("portsentryctl ") + kVersion + "\n");
      return kExitOk;
    }
  }
  if (arguments.size() == 2 && arguments[0] == "status" && arguments[1] == "--json") {
    return status(true);
  }
  print(kUsage, STDERR_FILENO);
  return kExitUsage;
}

}  // namespace
}  // namespace portsentry::ctl

int main(int argc, char** argv) {
  portsentry::set_log_name("portsentryctl");
  return portsentry::ctl::run({argv + 1, argv + argc});
}
