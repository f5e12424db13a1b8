// portsentry-resolver: asks which name goes with an address, and nothing else. Name servers are
// strangers and their answers go through libc's parser: so this process is its own user, without
// any capability, and all that anybody takes from it is at most 253 escaped bytes of text.
//
// Started by portsentryd, only with RESOLVE_HOST="1", with these descriptors: 0 and 1 /dev/null,
// 2 standard error, 3 channel R. One question at a time, answered in order. Its death is harmless:
// log lines go without names until the next one is there.
#include <poll.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <variant>

#include "common/channel.h"
#include "common/lockdown.h"
#include "common/log.h"
#include "common/wire.h"
#include "resolver/lookup.h"
#include "resolver/policy.h"

namespace portsentry::resolver {
namespace {

constexpr int kChannelR = 3;
constexpr std::uint16_t kDomain = 53;

void wait_for_question(const Channel& monitor) {
  pollfd waiting{.fd = monitor.fd(), .events = POLLIN, .revents = 0};
  while (::poll(&waiting, 1, -1) < 0) {
    if (errno != EINTR) fatal(Error::from_errno("poll", errno).what);
  }
}

int serve(Channel& monitor) {
  for (;;) {
    wait_for_question(monitor);
    const Channel::Received received = monitor.receive();
    if (received.got == Channel::Got::nothing) continue;
    if (received.got == Channel::Got::closed) return kExitOk;
    const auto question = decode_monitor_to_resolver(received.bytes, received.fd ? 1 : 0);
    if (!question) fatal("channel R: malformed message from the monitor");
    const auto& [id, address] = std::get<Resolve>(*question);
    // `full`: the monitor has stopped waiting for names, and does not miss one.
    if (monitor.send(encode(ResolverToMonitor(HostName{id, host_name_of(address)}))) ==
        Channel::Sent::closed) {
      return kExitOk;
    }
  }
}

int run() {
  set_log_name("portsentry-resolver");
  if (!Channel::is_one(kChannelR)) fatal("is started by portsentryd, not by hand", kExitUsage);
  undumpable();
  prepare_lookup();
  // /etc for hosts and resolv.conf; /run because the latter is often a link to there.
  const std::array<LandlockPath, 2> readable{{{"/etc", false}, {"/run", false}}};
  restrict_files(readable, std::array{kDomain});
  drop_capabilities({});
  seal(kPolicy);
  Channel monitor{UniqueFd(kChannelR)};
  return serve(monitor);
}

}  // namespace
}  // namespace portsentry::resolver

int main() {
  return portsentry::resolver::run();
}
