// Puts TCP headers together that were cut in two by IP fragmentation (nmap -f sends 8 bytes per
// fragment), in whatever order the pieces come. Not a reassembler: it needs 14 bytes, keeps nothing
// else. Pure.
//
// Putting together only gives the probe its name. Every first half that comes in leaves as a
// Segment exactly once, also when its second half is late (Linux waits 30 s and answers then), was
// pushed out by other people's fragments, or is one of several versions. Linux ignores a second
// version that lies inside the first without comparing it (inet_frag_queue_insert), so whoever
// could spoil a datagram for us by sending one could scan unseen (tried). The first version names
// it; each further version of the ports is reported by itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "common/counters.h"
#include "common/event_loop.h"
#include "sensor/packet.h"

namespace portsentry::sensor {

class FragmentTable {
 public:
  // How long a first half waits for its name. Pieces of one probe follow each other closely.
  static constexpr Clock::duration kLifetime = std::chrono::seconds(2);

  // At most `capacity` (at least 1) datagrams are remembered, under 100 bytes each, allocated here.
  // A piece is looked for one by one: with a few hundred entries that costs less than a
  // microsecond, and leaves no hash for an attacker to collide.
  explicit FragmentTable(std::size_t capacity = 256);

  // The Segments that `piece` brings about: the one that it completes; the first half that gives
  // way to it when the table is full; itself, when it is another version of a first half. Mostly
  // none. Counts fragment_pending (a piece waits), fragment_dropped (a second half that gave way,
  // expired or is another version) and malformed (a target port 0).
  std::vector<Segment> add(const HeaderPiece& piece, Clock::time_point now, SensorTally& tally);

  // First halves that waited in vain until `now`.
  std::vector<Segment> overdue(Clock::time_point now, SensorTally& tally);
  [[nodiscard]] bool empty() const { return datagrams_.empty(); }

 private:
  struct Datagram {
    HeaderPiece piece;  // one block; with both it is a Segment
    Clock::time_point since;
  };

  std::size_t capacity_;
  std::vector<Datagram> datagrams_;  // by age
};

}  // namespace portsentry::sensor
