// What the kernel's traps (enforcer/trap_rules.h) say of a packet: NFLOG messages, in the words that
// the rules put before each. The kernel wrote them, but the packets inside are strangers', and a rule
// of somebody else may log into our group. Pure. Format: linux/netfilter/nfnetlink_log.h.
#pragma once

#include <cstdint>
#include <optional>

#include "common/bytes.h"
#include "common/netlink.h"

namespace portsentry::sensor {

// The prefix of the rule's `log` statement.
enum class TrapWord : std::uint8_t {
  seen,   // a probe; its source is not held, or was held for this one before
  held,   // a probe, and its source is held from here on
  spent,  // would be held, but the budget of holds is spent
  full,   // would be held or remembered, but the kernel's set has no room
};

struct Trapped {
  TrapWord word;
  std::uint16_t ethertype;  // of what `network` begins with; 0 where the message does not say
  std::uint32_t interface;  // that it came in by, the kernel's index; 0 where not said
  Bytes network;            // from the IP header on, cut off by the snap length; a view
};

// The packets of one datagram, in order. Ends where a message lies about its length.
class TrapMessages {
 public:
  explicit TrapMessages(Bytes datagram) : messages_(datagram) {}

  struct Told {
    std::optional<std::uint32_t> sequence;  // one more than the message before it in our group
    std::optional<Trapped> trapped;         // nothing: none of our words
  };
  // Messages of other kinds (the one that ends a batch) are skipped.
  [[nodiscard]] std::optional<Told> next();

 private:
  NetlinkMessages messages_;
};

}  // namespace portsentry::sensor
