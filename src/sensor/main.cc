// portsentry-sensor: the process that reads what attackers send. It begins as its own user with two
// capabilities, opens its sockets, gives everything away, and only then looks at packets.
//
// Started by portsentryd with these descriptors: 0 and 1 /dev/null, 2 standard error, 3 channel B,
// 4 a sealed memfd with root's orders (watch.h). Afterwards: 3, 5 epoll over the bound sockets, 6
// and 8 sock_diag, 7 rtnetlink, the capture on a number below 64 that the policy lets nothing be sent on,
// and bound sockets from 64 on; all other numbers below that are /dev/null.
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "common/lockdown.h"
#include "common/log.h"
#include "common/watch.h"
#include "sensor/bound.h"
#include "sensor/capture_filter.h"
#include "sensor/policy.h"
#include "sensor/serve.h"

namespace portsentry::sensor {
namespace {

constexpr int kChannel = 3;
constexpr int kOrders = 4;
constexpr int kEpoll = 5;
constexpr int kSockDiag = 6;
constexpr int kRtnetlink = 7;
constexpr int kSockDiagLists = 8;

template <class T>
T must(Result<T> result) {
  if (!result) fatal(result.error().what);
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

void require_launcher() {
  if (!Channel::is_one(kChannel)) {
    fatal("is started by portsentryd, not by hand", kExitUsage);
  }
}

// Exactly the bytes that root's half of this same build wrote, and nobody can change any more.
WatchOrders read_orders() {
  const UniqueFd fd(kOrders);
  constexpr int kSealed = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSealed) != kSealed) fatal("orders: descriptor 4 is no sealed memfd");
  struct stat status {};
  WatchOrders orders;
  // pread: the descriptor's offset is shared with whoever read or wrote it before us.
  if (::fstat(fd.get(), &status) != 0 || status.st_size != static_cast<off_t>(sizeof orders) ||
      ::pread(fd.get(), &orders, sizeof orders, 0) != static_cast<ssize_t>(sizeof orders)) {
    fatal("orders: descriptor 4 does not hold exactly what this build writes");
  }
  return orders;
}

HashKey draw_seed() {
  HashKey seed;
  if (::getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) {
    fatal(Error::from_errno("getrandom", errno).what);
  }
  return seed;
}

void put_on(const UniqueFd& from, int number) {
  if (::dup3(from.get(), number, O_CLOEXEC) < 0) fatal(Error::from_errno("dup3", errno).what);
}

// Nothing to look for: no packet socket at all.
std::optional<Capture> open_capture(const WatchOrders& orders) {
  if (orders.capture.empty()) return std::nullopt;
  Capture capture = must(Capture::open());
  const int fd = capture.fd();
  if (fd == kChannel || fd == kEpoll || fd == kSockDiag || fd == kRtnetlink ||
      fd == kSockDiagLists || fd >= kFirstBound) {
    fatal("capture: its descriptor is one that the policy lets us send on");
  }
  must(capture.filter_for_good(capture_filter()));
  return capture;
}

ServiceLookup open_lookup() {
  ServiceLookup lookup = must(ServiceLookup::open());
  must(lookup.move_to(kSockDiag));
  return lookup;
}

SocketDump open_dump() {
  SocketDump dump = must(SocketDump::open());
  must(dump.move_to(kSockDiagLists));
  return dump;
}

Rtnetlink open_rtnetlink() {
  Rtnetlink rtnetlink = must(Rtnetlink::open());
  must(rtnetlink.move_to(kRtnetlink));
  return rtnetlink;
}

int run() {
  set_log_name("portsentry-sensor");
  require_launcher();
  undumpable();
  const WatchOrders orders = read_orders();
  const HashKey seed = draw_seed();

  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) fatal(Error::from_errno("open /dev/null", errno).what);
  // Taken until their owners come, so that the capture cannot land on them.
  put_on(null, kEpoll);
  put_on(null, kSockDiag);
  put_on(null, kRtnetlink);
  put_on(null, kSockDiagLists);
  std::optional<Capture> capture = open_capture(orders);
  ServiceLookup lookup = open_lookup();
  SocketDump dump = open_dump();
  Rtnetlink rtnetlink = open_rtnetlink();
  must(take_low_numbers(null));

  Service service({
      .channel = Channel(UniqueFd(kChannel)),
      .capture = std::move(capture),
      .bound = must(BoundSockets::open(orders.bind, kEpoll)),
      .lookup = std::move(lookup),
      .dump = std::move(dump),
      .rtnetlink = std::move(rtnetlink),
      .orders = orders,
      .seed = seed,
  });

  drop_capabilities({});
  put_on(null, STDOUT_FILENO);
#ifndef PORTSENTRY_SANITIZED
  // A sanitizer's last words are worth a descriptor, in builds for us only.
  put_on(null, STDERR_FILENO);
#endif
  // `null` stays: its number must not become free.
  seal(kPolicy);
  const int code = service.run();
  // At once: taking the capture apart needs calls that the policy has no row for, and the kernel
  // does it anyway.
  ::_exit(code);
}

}  // namespace
}  // namespace portsentry::sensor

int main() {
  return portsentry::sensor::run();
}
