// `portsentryctl allow`: whom an administrator never wants banned, beside the ignore file: kept in
// the state database, with an end or without, and changed while the daemon runs. Pure.
//
// An end is a moment of the wall clock, told to people and stored; here it is counted on the steady
// clock, so that a clock set back never makes an entry last longer than it was granted, nor one set
// forward end it early (bans do the same).
#pragma once

#include <cstddef>
#include <ctime>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "monitor/memory.h"
#include "monitor/now.h"

namespace portsentry::monitor {

class AllowList {
 public:
  // Bounds what a captured portsentryctl can make us hold, and how long a look-up takes.
  static constexpr std::size_t kMaxEntries = 4096;

  enum class Put : std::uint8_t { added, changed, full };
  // An entry of exactly that prefix is changed; `until` nothing: it has no end. One that is over
  // already is taken, and told by expire().
  Put put(Allowed entry, Now now);
  // Exactly that entry; false: there is none.
  bool remove(const Prefix& prefix);

  // Everybody in `prefix` is allowed by one entry, or an entry lies inside: to ban a /64 that holds
  // one allowed host is to ban that host. The widest that covers it, else the first inside.
  [[nodiscard]] const Allowed* overlap(const Prefix& prefix) const;

  // The wall clock was set: it shows `shift` more than the time that passed makes it. Every entry
  // lasts as long as before; `changed` is called with each whose end has another name now.
  void clock_set(std::time_t shift, const std::function<void(const Allowed&)>& changed);

  // What is over, which is forgotten by this call.
  std::vector<Allowed> expire(Now now);
  [[nodiscard]] std::optional<Clock::time_point> next_due() const;

  // Those behind `after` (nothing: from the beginning), IPv4 first, in address order, until `visit`
  // returns false.
  void each_after(const std::optional<Prefix>& after,
                  const std::function<bool(const Allowed&)>& visit) const;
  [[nodiscard]] std::size_t size() const { return v4_.size() + v6_.size(); }

 private:
  struct Held {
    Allowed entry;
    std::optional<Clock::time_point> due;
  };
  // Families apart: their addresses would be in one another's way when those inside are looked for.
  using Family = std::map<Prefix, Held>;
  [[nodiscard]] const Family& family(const Prefix& prefix) const {
    return prefix.address().is_v4() ? v4_ : v6_;
  }
  [[nodiscard]] Family& family(const Prefix& prefix) {
    return prefix.address().is_v4() ? v4_ : v6_;
  }

  Family v4_;
  Family v6_;
  std::set<std::pair<Clock::time_point, Prefix>> due_;
};

}  // namespace portsentry::monitor
