// Which UDP answers we may expect: remembers the datagrams that this host sent, so that an answer
// that arrives after its socket was closed (a slow resolver) is no probe. Pure.
//
// A fixed table, four places per bucket; in a full bucket the oldest gives way. It stores a 64-bit
// keyed hash of the flow instead of the flow: a forged answer that matches by chance has odds of
// four in 2^64.
//
// An hour: who has left a network of peers (file sharing, games, telephony) is still called by those
// it had called first, long after its own program has ended.
//
// What a sensor before this one saw being sent (a reload, a sensor that died) nobody tells us. So for
// its first minute this takes a datagram from a privileged port to one that Linux picks for its own
// questions (ephemeral.h) for an answer: a name server must not be banned
// because we were just started.
//
// What goes to many (a multicast or broadcast address: who plays music, who prints?) is answered by
// any number of neighbours, each from an address that was not asked, and most of them when whoever
// asked has heard enough. So anybody on our link is expected to answer there, from any port.
//
// What an attacker gains: a neighbour may probe the very ports that such questions of ours came from;
// for that minute, UDP probes of such ports from such ports are not seen.
// And whoever can make this host send (a query to a DNS server here) is
// expected to "answer", but only from that address and port to that local port, where a service is
// anyway. Whoever makes this host send very many datagrams pushes older flows out; then a late
// answer may be counted as one hit of its sender, as without this table. Which flows go, the key
// keeps secret.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/ephemeral.h"
#include "common/event_loop.h"
#include "common/zeroed_pages.h"
#include "sensor/keyed_hash.h"
#include "sensor/packet.h"

namespace portsentry::sensor {

class OwnFlows {
 public:
  static constexpr Clock::duration kLifetime = std::chrono::hours(1);
  static constexpr Clock::duration kYoung = std::chrono::seconds(60);
  static constexpr std::size_t kPlaces = 4;       // per bucket
  static constexpr std::size_t kBuckets = 16384;  // a power of two; 65536 flows, 1.5 MiB

  // `born`: when this sensor began to look.
  explicit OwnFlows(const HashKey& seed, Clock::time_point born = {},
                    const EphemeralPorts& ephemeral = {});

  // This host sent `outgoing` (its source is ours).
  void sent(const Segment& outgoing, Clock::time_point now);

  // `incoming` comes from where we sent a datagram at most kLifetime ago, to where we sent it from;
  // or may do so, for all that a sensor which was born less than kYoung ago can know. `neighbour`:
  // it comes from our own link, where those are whom we asked all at once.
  [[nodiscard]] bool answers(const Segment& incoming, Clock::time_point now,
                             bool neighbour = false) const;

 private:
  struct Flow {
    std::uint64_t hash = 0;
    Clock::time_point sent{};
    bool used = false;
  };
  using Bucket = std::array<Flow, kPlaces>;

  [[nodiscard]] std::uint64_t hash_of(const Address& local, std::uint16_t local_port,
                                      const Address& peer, std::uint16_t peer_port) const;
  [[nodiscard]] bool knows(std::uint64_t hash, Clock::time_point now) const;

  HashKey seed_;
  Clock::time_point born_;
  EphemeralPorts ephemeral_;
  ZeroedPages<Bucket> buckets_;
};

}  // namespace portsentry::sensor
