// The last probe of a source that was not told because its second was not over: it is told when the
// second is over, unless something else of that source was told since. Without this the monitor
// would never hear of a probe that came in the shadow of another one, which an ignore line may have
// excused (a line with `port` or `proto` excuses only some probes of a source). Pure.
//
// At most kMost sources wait; what comes when so many do is withheld for good, as far as its own
// report goes: the source's next report tells what else it touched (Detection::touches).
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "common/event_loop.h"
#include "common/messages.h"

namespace portsentry::sensor {

class LateReports {
 public:
  static constexpr std::size_t kMost = 1024;

  // `probe` was withheld; tell it at `due` (of the first that waits of its source and protocol).
  void keep(const Detection& probe, Clock::time_point due);
  // Something of this source and protocol was told: nothing of it waits any more.
  void told(const Source& source, Protocol protocol);

  // When take() has something.
  [[nodiscard]] std::optional<Clock::time_point> due() const;
  [[nodiscard]] std::optional<Detection> take(Clock::time_point now);

 private:
  using Key = std::pair<Source, Protocol>;
  struct Waiting {
    Detection probe;
    Clock::time_point due;
  };
  void drop_stale();

  std::map<Key, Waiting> waiting_;
  std::deque<std::pair<Clock::time_point, Key>> by_time_;  // some no longer wait
};

}  // namespace portsentry::sensor
