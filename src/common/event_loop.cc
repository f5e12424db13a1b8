#include "common/event_loop.h"

#include <cerrno>
#include <climits>

#include "common/log.h"
#include "common/result.h"

namespace portsentry {

void EventLoop::watch(int fd, std::function<void(short)> handler, short events) {
  watched_[fd] = {.handler = std::move(handler), .events = events};
}

void EventLoop::unwatch(int fd) {
  watched_.erase(fd);
}

EventLoop::Timer EventLoop::after(Clock::duration delay, std::function<void()> handler) {
  const Timer timer = next_timer_++;
  timers_.emplace(std::pair(Clock::now() + delay, timer), std::move(handler));
  return timer;
}

void EventLoop::cancel(Timer timer) {
  std::erase_if(timers_, [timer](const auto& entry) { return entry.first.second == timer; });
}

void EventLoop::stop(int code) {
  stopped_ = code;
}

void EventLoop::run_due_timers() {
  // Only what is due now: a timer that sets another with no delay must not starve the descriptors.
  const auto now = Clock::now();
  while (!stopped_ && !timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    node.mapped()();
  }
}

int EventLoop::run() {
  std::vector<pollfd> polled;
  while (!stopped_) {
    polled.clear();
    for (const auto& [fd, watched] : watched_)
      polled.push_back({.fd = fd, .events = watched.events, .revents = 0});

    int timeout = -1;
    if (!timers_.empty()) {
      const auto left = timers_.begin()->first.first - Clock::now();
      // Rounded up: waking a moment early would poll again with a zero timeout.
      const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
      timeout = ms <= 0 ? 0 : static_cast<int>(std::min<long long>(ms, INT_MAX));
    }
    const int ready = ::poll(polled.data(), polled.size(), timeout);
    if (ready < 0 && errno != EINTR) fatal(Error::from_errno("poll", errno).what);
    if (ready > 0) {
      for (const pollfd& entry : polled) {
        if (entry.revents == 0 || stopped_) continue;
        // A handler may have unwatched this descriptor a moment ago. A copy runs, because a handler
        // may also unwatch itself.
        const auto found = watched_.find(entry.fd);
        if (found == watched_.end()) continue;
        const auto handler = found->second.handler;
        handler(entry.revents);
      }
    }
    run_due_timers();
  }
  return *stopped_;
}

}  // namespace portsentry
