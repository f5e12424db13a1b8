// Puts TCP headers together that were cut in two by IP fragmentation (nmap -f sends 8 bytes per
// fragment), in whatever order the pieces come. Not a reassembler: it needs 14 bytes, keeps nothing
// else. Pure.
//
// Overlaps. A duplicate (the same bytes again) changes nothing. Different bytes for a block that is
// held spoil the whole datagram until its entry expires: Linux discards such a datagram too
// (RFC 5722; for IPv4 since 4.19), so neither "first wins" nor "last wins" would tell what the host
// saw, and a Segment is never built from two attempts.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

#include "common/counters.h"
#include "common/event_loop.h"
#include "sensor/packet.h"

namespace portsentry::sensor {

class FragmentTable {
 public:
  // Pieces of one probe follow each other closely; the kernel would wait 30 s, a probe does not.
  static constexpr Clock::duration kLifetime = std::chrono::seconds(2);

  // At most `capacity` (at least 1) datagrams are remembered, under 100 bytes each, allocated here.
  // A piece is looked for one by one: with a few hundred entries that costs less than a
  // microsecond, and leaves no hash for an attacker to collide.
  explicit FragmentTable(std::size_t capacity = 256);

  // The Segment that `piece` completes; nothing while the other half is missing. When full, the
  // oldest datagram makes room. Counts fragment_pending (a piece waits), fragment_dropped (a piece
  // that was spoiled, or whose datagram gave way or expired: noticed when its place is needed) and
  // malformed (complete, but no TCP header).
  std::optional<Segment> add(const HeaderPiece& piece, Clock::time_point now, SensorTally& tally);

 private:
  struct Datagram {
    HeaderPiece piece;  // what is known so far
    Clock::time_point since;
    bool spoiled;
  };

  std::size_t capacity_;
  std::vector<Datagram> datagrams_;  // in no order
};

}  // namespace portsentry::sensor
