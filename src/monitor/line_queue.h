// Event lines that wait for a host name (RESOLVE_HOST="1"), and those behind them. Pure: holds what
// is to be said, takes `now` and names, calls it in its turn.
//
// A line waits kPatience at most and is then told with the address; nothing overtakes it, so that a
// log stays a story. What is done (a ban) never goes through here, only what is said about it. The
// other half, who asks whom, is resolver_client.h:
//
//   const auto lookup = resolver.look_up(address, now);
//   known: queue.tell([=] {… lookup.host …})   unavailable: the same, without a name
//   asked: send lookup.ask to the resolver, if any; queue.tell_when_named(address, …, now)
//   an answer came: queue.named(address, host);   the resolver is gone: queue.flush()
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string_view>

#include "common/net_types.h"
#include "monitor/now.h"

namespace portsentry::monitor {

class LineQueue {
 public:
  static constexpr std::chrono::seconds kPatience{2};
  // Beyond it the oldest is told without its name: the budget of log_budget.h keeps us far from it.
  static constexpr std::size_t kMost = 1024;

  // Says it: called exactly once, with the name or an empty one. It must not call this queue.
  using Tell = std::function<void(std::string_view host)>;

  // What needs no name: at once when nothing waits, else after it.
  void tell(Tell tell);
  void tell_when_named(const Address& address, Tell tell, Now now);
  // `host` empty: it has none.
  void named(const Address& address, std::string_view host);
  // Nobody waits any longer: the end of the resolver, or ours.
  void flush();

  void tick(Now now);
  [[nodiscard]] std::optional<Clock::time_point> next_due() const;
  [[nodiscard]] std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    std::optional<Address> address;  // nothing: ready
    Clock::time_point due;
    std::string host;
    Tell tell;
  };
  void tell_first();
  void tell_ready();

  std::deque<Waiting> waiting_;  // its first is never ready
};

}  // namespace portsentry::monitor
