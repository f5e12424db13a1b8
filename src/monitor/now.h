// The two clocks that the monitor judges by, read once per event at the edge and passed down.
#pragma once

#include <ctime>

#include "common/event_loop.h"

namespace portsentry::monitor {

struct Now {
  // CLOCK_MONOTONIC: what bans and budgets are counted in. It neither jumps nor runs during
  // suspend, and the kernel's own element timeouts do not either.
  Clock::time_point steady;
  // The wall clock, for what people read, and what they wrote by it: an ignore line's `until`. It
  // may jump (monitor_clock.cc); nothing else is decided by it.
  std::time_t wall;
};

}  // namespace portsentry::monitor
