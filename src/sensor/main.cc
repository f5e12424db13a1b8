// portsentry-sensor: the process that reads what attackers send. It begins as its own user with two
// capabilities, opens its sockets, gives everything away, and only then looks at packets.
//
// Started by portsentryd with these descriptors: 0 and 1 /dev/null, 2 standard error, 3 channel B,
// 4 a sealed memfd with root's orders (watch.h), 5 the feed of the kernel's traps, or nothing, or
// /dev/null where there are none. Afterwards: as descriptors.h says.
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
#include "sensor/descriptors.h"
#include "sensor/policy.h"
#include "sensor/serve.h"

namespace portsentry::sensor {
namespace {

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

// Its number must not become free.
UniqueFd open_null() {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null || ::dup3(null.get(), kNull, O_CLOEXEC) < 0)
    fatal(Error::from_errno("open /dev/null", errno).what);
  return UniqueFd(kNull);
}

void put_on(const UniqueFd& from, int number) {
  if (::dup3(from.get(), number, O_CLOEXEC) < 0) fatal(Error::from_errno("dup3", errno).what);
}

// What is no feed of traps is none: the capture sees then.
std::optional<TrapFeed> take_feed(const UniqueFd& null) {
  auto feed = TrapFeed::take(kFeed);
  if (!feed) put_on(null, kFeed);
  return feed;
}

// Nothing to look for: no packet socket at all.
std::optional<Capture> open_capture(const WatchOrders& orders, const UniqueFd& null) {
  if (orders.capture.empty()) return std::nullopt;
  must(take_low_numbers(null, kFirstCapture));
  Capture capture = must(Capture::open());
  if (capture.fd() < kFirstCapture || capture.fd() >= kCaptureEnd) {
    fatal("capture: its descriptor is none that the policy expects");
  }
  must(capture.filter_for_good(capture_filter(orders.capture.udp, orders.ephemeral)));
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

  const UniqueFd null = open_null();
  std::optional<TrapFeed> feed = take_feed(null);
  std::optional<Capture> capture = open_capture(orders, null);
  ServiceLookup lookup = open_lookup();
  SocketDump dump = open_dump();
  Rtnetlink rtnetlink = open_rtnetlink();
  must(take_low_numbers(null));

  Service service({
      .channel = Channel(UniqueFd(kChannel)),
      .capture = std::move(capture),
      .feed = std::move(feed),
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
