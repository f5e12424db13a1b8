// What the scout has told last: resolvers, DHCP servers, and from where somebody has logged in. Holds
// whole snapshots, so that a scout that dies in the middle of one, or stays dead, changes nothing.
// Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "common/net_types.h"
#include "common/scout_messages.h"
#include "monitor/now.h"

namespace portsentry::monitor {

// A session that has ended goes on protecting: whoever just closed a terminal is about to open the
// next, and a scan in their name in between would lock them out.
inline constexpr std::chrono::hours kAfterSession{1};
// Of those that have ended at most so many are kept; the longest ended go first.
inline constexpr std::size_t kMostEnded = 1024;

class Scouted {
 public:
  struct Entry {
    Address address;
    FoundIn where;
    std::int64_t since;  // of a session, Unix seconds; 0: not known
    bool ended;          // it was a session, and is over
  };

  enum class Heard : std::uint8_t {
    wrong,    // out of turn, or too much: that peer is broken
    more,     // understood; the snapshot goes on
    same,     // it is complete, and told nothing new
    changed,  // it is complete, and who is protected has changed
  };
  Heard hear(const ScoutToMonitor& message, Now now);
  // The scout is gone: a snapshot that it has not finished is void.
  void lost() { coming_.reset(); }

  // False until the first snapshot is complete: then nothing is known of whom not to ban.
  [[nodiscard]] bool known() const { return known_; }
  // How many files the last snapshot was read from.
  [[nodiscard]] std::uint32_t files() const { return files_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  // The first entry inside `prefix` in the order of addresses; of sessions only with `sessions`.
  [[nodiscard]] std::optional<Entry> first_inside(const Prefix& prefix, bool sessions) const;
  // Somebody has, or an hour ago had, a login session from there.
  [[nodiscard]] bool session_inside(const Prefix& prefix) const;
  void each(const std::function<void(const Entry&)>& visit) const;

  // Forgets sessions that ended long ago. True when there was one.
  bool expire(Now now);
  [[nodiscard]] std::optional<Clock::time_point> next_due() const { return first_due_; }

 private:
  using Key = std::pair<Address, FoundIn>;
  struct Value {
    std::int64_t since;
    std::optional<Clock::time_point> until;  // of a session that has ended
  };
  bool complete(Now now);
  void find_first_due();

  std::map<Key, Value> entries_;
  std::optional<std::map<Key, Value>> coming_;
  std::optional<Clock::time_point> first_due_;  // of entries_ with an end
  std::uint32_t files_ = 0;
  bool known_ = false;
};

}  // namespace portsentry::monitor
