// What is known against whom, for `portsentryctl why`: of each source that was reported, the probes
// that led there and what was decided. Pure. Nothing is decided by it.
//
// Bounded: kMaxSources sources of kMaxProbes probes. When it is full, whoever there is least
// evidence against goes first, and among these who was seen longest ago; so a flood of forged
// single packets cannot wash out why somebody was banned. What is older than kKept goes in any case.
// Ordered, not hashed: attackers choose the keys.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "monitor/decide.h"
#include "monitor/offences.h"

namespace portsentry::monitor {

// One port of ours that somebody touched.
struct SeenProbe {
  std::time_t at = 0;  // the last time
  Protocol protocol;
  Port port;
  std::uint64_t times = 1;  // reported ones; of those below the trigger 1 stands for all
  // Of a probe that was reported itself. The others are known by port and time only.
  struct Packet {
    Address from;
    Address to;
    ScanKind kind;
    TcpFlags flags;
    bool operator==(const Packet&) const = default;
  };
  std::optional<Packet> packet;
};

class EvidenceBook {
 public:
  static constexpr std::size_t kMaxSources = 4096;
  static constexpr std::size_t kMaxProbes = 32;
  static constexpr std::chrono::hours kKept{24 * 7};

  struct Entry {
    std::vector<SeenProbe> probes;  // newest first, each port and kind once
    std::uint64_t detections = 0;
    std::uint32_t distinct_ports = 0;  // as the sensor counted last, inside SCAN_WINDOW
    BanClass how = BanClass::single;   // the strongest that was seen
    Proof proof = Proof::forgeable;    // as above
    std::time_t first = 0;
    std::time_t last = 0;
    Decision decision;     // the last
    std::time_t told = 0;  // the last time that saw() said true
  };

  // True: that is worth an event. It is new, decided otherwise or stronger than before, or the last
  // event about it was an hour ago.
  bool saw(const Detection& detection, const Decision& decision, std::time_t now);
  static constexpr std::chrono::hours kNewsAgain{1};

  // Of the host itself, else of its /64; nothing: nothing is known.
  [[nodiscard]] const std::pair<const Source, Entry>* of(const Address& address) const;

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  using Rank = std::tuple<BanClass, std::time_t, Source>;  // the first is forgotten first
  void forget_old(std::time_t now);

  std::map<Source, Entry> entries_;
  std::set<Rank> ranks_;
};

}  // namespace portsentry::monitor
