// What the monitor knows of host names: which it has asked the resolver for, and which it was told.
// Pure: hands out ids to send, takes answers and `now`. A name is for people to read; nothing is
// decided by one, because whoever owns an address chooses it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/net_types.h"
#include "monitor/now.h"

namespace portsentry::monitor {

// Is `name` fit to stand in a log line before "/ADDRESS"? At most 253 bytes of letters, digits and
// "-._\" (the resolver escapes all others, RFC 4343 2.1), and its last label begins with a letter:
// "10.0.0.1" is a name that anybody can give to their address, and Wazuh and fail2ban's filter for
// 1.2.x take what stands before the slash for the attacker.
[[nodiscard]] bool is_tellable(std::string_view name);

class ResolverClient {
 public:
  static constexpr std::size_t kMostPending = 256;
  static constexpr std::size_t kMostRemembered = 4096;
  // A line waits two seconds (line_queue.h). An answer that comes later is still good for the next.
  static constexpr std::chrono::seconds kPatience{30};
  static constexpr std::chrono::minutes kRemembered{10};

  struct Lookup {
    enum class State : std::uint8_t {
      known,       // `host` is the name; empty: it has none
      asked,       // an answer may come
      unavailable  // there is no resolver, or it has too much to do
    } state;
    std::string host;
    std::optional<std::uint64_t> ask;  // send this id and the address to the resolver
  };
  Lookup look_up(const Address& address, Now now);

  struct Named {
    Address address;
    std::string host;  // empty: it has none that can be told
  };
  // Nothing: nobody waits for this id any more, or nobody ever did.
  std::optional<Named> answer(std::uint64_t id, std::string_view name, Now now);
  // The request could not be sent.
  void withdraw(std::uint64_t id);

  // A resolver is there, or is not: then nothing that was asked is answered.
  void connected() { connected_ = true; }
  void lost();
  [[nodiscard]] bool there() const { return connected_; }

  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  [[nodiscard]] std::size_t remembered() const { return known_.size(); }

 private:
  struct Pending {
    Address address;
    Clock::time_point until;
  };
  struct Known {
    std::string host;
    Clock::time_point until;
  };
  void forget(Now now);

  bool connected_ = false;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Pending> pending_;  // by id, and so by age
  std::map<Address, std::uint64_t> asked_;
  std::map<Address, Known> known_;
  std::deque<std::pair<Clock::time_point, Address>> ages_;  // of known_, the oldest first
};

}  // namespace portsentry::monitor
