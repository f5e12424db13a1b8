// What /etc/hosts.deny should hold of ours: a line for each banned source while its ban lasts
// (KILL_HOSTS_DENY). An addition to a ban and never the ban itself. Pure: `now` and outcomes in,
// requests out.
//
// Driven by what is wanted, not by what was asked: if a ban ends while its line is still being
// added, the line is added and then removed, whatever order the wishes came in. Nothing is kept
// about a line that is there: the ban remembers it. A change that fails is tried kTries times with
// a growing pause; one that the budget turned away, for as long as it takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/messages.h"
#include "monitor/now.h"

namespace portsentry::monitor {

class Wrappers {
 public:
  static constexpr std::size_t kMaxInFlight = 32;
  static constexpr unsigned kTries = 5;
  static constexpr std::chrono::seconds kFirstPause{1};
  static constexpr std::chrono::seconds kLastPause{60};
  // So that an Outcome tells whose it is: bans count from 1, hooks from 2^62.
  static constexpr std::uint64_t kIds = std::uint64_t{1} << 63U;

  // The line about `source` is to be there, or not to be there.
  void want(const Source& source, const BanCause& cause, bool present);

  // False: the channel is full, call again soon.
  bool pump(const std::function<bool(const MonitorToEnforcer&)>& send);

  struct Answer {
    Source source;
    bool added;    // it answers an addition, else a removal
    bool done;     // it is as wanted now; else `outcome` says why not
    bool news;     // the first failure of this change, or the last try
    bool gave_up;  // it is not tried again
  };
  // Nothing: no request of ours has this id, or it was answered before.
  std::optional<Answer> answer(const Outcome& outcome, Now now);
  // Whose the unanswered request `id` is.
  [[nodiscard]] std::optional<Source> asked(std::uint64_t id) const;

  // What waited long enough goes back into the queue.
  void retry(Now now);
  [[nodiscard]] std::optional<Clock::time_point> next_due() const;

  // Changes that are not made yet.
  [[nodiscard]] std::size_t unsettled() const { return changes_.size(); }

 private:
  struct Change {
    bool wanted;
    BanCause cause;
    bool sent = false;     // what the request in flight asks for
    std::uint64_t id = 0;  // 0: none in flight
    unsigned failures = 0;
    std::chrono::seconds pause{0};
    std::optional<Clock::time_point> due;  // of the next try
  };

  std::map<Source, Change> changes_;
  std::deque<Source> queue_;
  std::set<std::pair<Clock::time_point, Source>> due_;
  std::map<std::uint64_t, Source> in_flight_;
  std::uint64_t next_id_ = kIds;
};

}  // namespace portsentry::monitor
