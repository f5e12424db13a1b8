// One visible poll(2) loop per process: descriptors, one-shot timers, nothing else.
// Single-threaded.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

namespace portsentry {

using Clock = std::chrono::steady_clock;

class EventLoop {
 public:
  // `handler` gets poll's revents when one of `events` (POLLIN, POLLOUT) or an error or hang-up is
  // there. One handler per descriptor, the last one given; the descriptor stays the caller's.
  void watch(int fd, std::function<void(short revents)> handler, short events = POLLIN);
  void unwatch(int fd);

  using Timer = std::uint64_t;  // never 0
  // Runs `handler` once, `delay` from now. Timers due at one instant run in the order they were
  // set.
  Timer after(Clock::duration delay, std::function<void()> handler);
  void cancel(Timer timer);

  // Until stop(); returns its code. With nothing to wait for it waits: no wake-up without a cause.
  int run();
  void stop(int code);

 private:
  void run_due_timers();

  struct Watched {
    std::function<void(short)> handler;
    short events;
  };

  std::map<int, Watched> watched_;
  std::map<std::pair<Clock::time_point, Timer>, std::function<void()>> timers_;
  Timer next_timer_ = 1;
  std::optional<int> stopped_;
};

}  // namespace portsentry
