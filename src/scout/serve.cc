#include "scout/serve.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <optional>

#include "common/log.h"
#include "common/wire.h"

namespace portsentry::scout {
namespace {

// In milliseconds. How often to look where nothing tells of a change; and, after a change, how long to
// wait for the next ones, so that nobody who can write a file keeps us busy.
constexpr int kLookAgain = 60'000;
constexpr int kSettle = 100;

// False: the monitor is gone.
bool send(Channel& monitor, const ScoutToMonitor& message) {
  const auto bytes = encode(message);
  for (;;) {
    switch (monitor.send(bytes)) {
      case Channel::Sent::ok:
        return true;
      case Channel::Sent::closed:
        return false;
      case Channel::Sent::full:
        break;
    }
    pollfd room{.fd = monitor.fd(), .events = POLLOUT, .revents = 0};
    if (::poll(&room, 1, -1) < 0 && errno != EINTR) fatal(Error::from_errno("poll", errno).what);
  }
}

bool tell(Channel& monitor, const Snapshot& snapshot) {
  if (!send(monitor, SnapshotBegin{})) return false;
  for (const Found& found : snapshot.found())
    if (!send(monitor, found)) return false;
  return send(monitor, SnapshotEnd{snapshot.files()});
}

// What the monitor would say is not heard: only that it has gone.
enum class Woken : std::uint8_t { by_time, by_change, by_the_end };
Woken wait(const Channel& monitor, int inotify, int milliseconds) {
  std::array<pollfd, 2> waiting{{{.fd = monitor.fd(), .events = 0, .revents = 0},
                                 {.fd = inotify, .events = POLLIN, .revents = 0}}};
  const int ready = ::poll(waiting.data(), waiting.size(), milliseconds);
  if (ready < 0 && errno != EINTR) fatal(Error::from_errno("poll", errno).what);
  if (waiting[0].revents != 0) return Woken::by_the_end;
  return waiting[1].revents != 0 ? Woken::by_change : Woken::by_time;
}

}  // namespace

int serve(Channel& monitor, const Watch& watch) {
  std::optional<Snapshot> told;
  for (;;) {
    // First watched and then read: what changes in between is told once more.
    watch.follow();
    Snapshot seen = look(std::time(nullptr));
    if (told != seen) {
      if (!tell(monitor, seen)) return kExitOk;
      told = std::move(seen);
    }
    Woken woken = wait(monitor, watch.fd(), kLookAgain);
    if (woken == Woken::by_change) {
      woken = wait(monitor, -1, kSettle);
      watch.drain();
    }
    if (woken == Woken::by_the_end) return kExitOk;
  }
}

}  // namespace portsentry::scout
