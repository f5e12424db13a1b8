// The tracker's memory, for one address family: which sources touched which ports, and when.
// Decides what is forgotten when it is full; what a hit means is the tracker's business. Pure.
//
// Bounds, whatever arrives (every source address may be forged):
// * Memory: at most kBytesPerSource * max_sources + 128 KiB, reserved at construction (pages are
//   touched as sources appear), never exceeded. Nothing is allocated per packet.
// * Time: a few hash lookups and list moves per hit (forgetting a source costs what adding it cost).
// * One pool of remembered ports serves all sources: a few eager scanners and very many shy ones fit
//   the same memory. One place in it is kept for each source, the rest is for second and later ports.
//
// Who is forgotten when the table is full: first whoever was silent for a whole window; then
// whoever has the fewest distinct ports, and among those the longest idle. Of sources with two to
// four ports those give way whose number of ports most have: a flood of three-hit sources would else
// push out everybody who is on the way from two to three. Sources with two ports or more may hold
// 7/8 of the table. So a flood of single-hit sources only displaces single-hit sources, however long
// it lasts; and a flood of few-hit sources displaces its like, but cannot shut newcomers out. A
// source's ports are compared with the window when the source is touched; until then an idle source
// may weigh more than it should, for one window at most.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/event_loop.h"
#include "common/messages.h"
#include "common/net_types.h"
#include "common/zeroed_pages.h"
#include "sensor/keyed_hash.h"

namespace portsentry::sensor {

class EvidenceTable {
 public:
  static constexpr std::size_t kBytesPerSource = 160;
  static constexpr std::uint32_t kFew = 4;

  struct Settings {
    std::uint32_t max_sources;  // kMinSources..kMaxSources; outside is taken as the nearest
    std::uint32_t enough;  // 1..kMaxTrigger; more ports than this are remembered if there is room
    Clock::duration window;
    HashKey seed;
  };
  static constexpr std::uint32_t kMinSources = 16;

  // What the tracker keeps with each source; as below when the source is new.
  struct Reports {
    // By protocol: what is decided about a probe of one need not hold for the other.
    std::array<Clock::time_point, 2> last{};  // only meaningful when not `due`
    std::array<bool, 2> due{true, true};      // the next report need not wait
    bool above = false;  // a report was made since the trigger was last reached
    bool last_was_first = false;
    bool spread = false;  // one was made that told of many ports (see tracker.h)
  };

  struct Touched {
    std::uint32_t before;    // distinct ports inside the window, without this touch
    std::uint32_t distinct;  // with it; 1..kMaxTrigger
    bool repeated;           // this port was among them
    std::uint32_t evicted;   // sources that gave way
    Reports& reports;        // until the next call
  };

  // A source as one table tells another: what it touched inside the window, the newest first.
  struct Memory {
    Protocol protocol;
    Port port;
    Clock::time_point at;
  };
  struct Remembered {
    Source source;
    bool reported;
    std::vector<Memory> touches;
  };

  explicit EvidenceTable(const Settings& settings);

  Touched touch(const Source& source, Protocol protocol, Port port, Clock::time_point now);

  // Null when the source is not known.
  [[nodiscard]] Reports* find(const Source& source);

  // How many distinct ports it has touched, as far as was known when it was touched last; 0 when it
  // is not known.
  [[nodiscard]] std::uint32_t ports_of(const Source& source);

  // Whether a report told of many ports of it (Reports::spread).
  [[nodiscard]] bool told_of_many(const Source& source);

  // What it touched inside the window, the newest first, `except` not among them; at most `most`.
  struct Place {
    Protocol protocol;
    Port port;
  };
  [[nodiscard]] std::vector<Memory> newest(const Source& source, const Place& except,
                                           std::size_t most, Clock::time_point now);

  // Where a walk over all sources stands. It goes from the source that was touched last to the
  // longest idle, so that whoever hears only half of it has the better half. Nothing may be touched
  // or merged meanwhile.
  class Cursor {
   private:
    friend EvidenceTable;
    std::uint32_t suspect = 0;
    std::uint32_t touch = 0;
  };
  [[nodiscard]] Cursor walk() const;
  // The next source with at most `most` (1 or more) touches; one with more comes again with the
  // next of them. Nothing at the end.
  [[nodiscard]] std::optional<Remembered> next(Cursor& cursor, std::size_t most,
                                               Clock::time_point now) const;

  struct Merged {
    std::uint32_t distinct;  // ports inside the window, with these
    std::uint32_t evicted;   // sources that gave way
    Reports* reports;        // until the next call; null: there was no room, nothing was merged
  };
  // Adds what another table remembers, as older than all that is known here if the order of walk()
  // is kept (any other costs time, at most kMaxTrigger steps a touch). A full table makes room for a
  // source with more ports than its own weakest.
  Merged merge(const Remembered& other, Clock::time_point now);

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const;

 private:
  using Index = std::uint32_t;  // into suspects_ or touches_; 0 is none
  struct Link {
    Index older = 0;
    Index newer = 0;
  };
  struct List {
    Index oldest = 0;
    Index newest = 0;
  };

  // A source. In use it is in one bucket, in the idle list and in the list of its level.
  struct Suspect {
    Source source;
    Index next_in_bucket = 0;  // or the next free one
    Link idle;
    Link level;
    List touches;             // by age
    std::uint32_t count = 0;  // of touches: its level
    Reports reports;
  };

  // A port that a source touched. In use it is in one bucket and in its source's list.
  struct Touch {
    Clock::time_point at{};
    Index suspect = 0;
    std::uint32_t what = 0;    // protocol and port
    Index next_in_bucket = 0;  // or the next free one
    Link age;
  };

  static constexpr std::size_t kLevels = kMaxTrigger + 1;

  [[nodiscard]] static std::optional<Memory> memory_of(const Touch& touch);

  // Which end of its lists a source goes to.
  enum class End : std::uint8_t { oldest, newest };

  // Before `next`, which is in the list; at the newest end when that is 0.
  template <class Node>
  static void insert(std::vector<Node>& nodes, Link Node::*link, List& list, Index index,
                     Index next);
  template <class Node>
  static void append(std::vector<Node>& nodes, Link Node::*link, List& list, Index index) {
    insert(nodes, link, list, index, 0);
  }
  template <class Node>
  static void unlink(std::vector<Node>& nodes, Link Node::*link, List& list, Index index);
  template <class Node>
  static void chain_out(std::vector<Node>& nodes, Index& bucket, Index index);
  template <class Node>
  static Index take(std::vector<Node>& nodes, Index& free, const Node& value);

  [[nodiscard]] Index& bucket_of(const Source& source);
  [[nodiscard]] Index& bucket_of(Index suspect, std::uint32_t what);
  [[nodiscard]] Index lookup(const Source& source);
  [[nodiscard]] Index lookup(Index suspect, std::uint32_t what);

  Index admit(const Source& source, End end);
  void forget(Index suspect);
  void remember(Index suspect, std::uint32_t what, Clock::time_point at, End end);
  void place_by_age(Index touch);
  void merge_touch(Index suspect, const Memory& memory, End end, std::uint32_t& evicted);
  void drop(Index touch);
  void expire(Index suspect, Clock::time_point now);
  void forget_silent(Clock::time_point now);
  // Level changes go through here, so that lists, levels_in_use_ and the two sums stay true.
  void move_to_level(Index suspect, std::uint32_t count, End end = End::newest);
  // The longest idle of the lowest level that is in use, from `lowest` up (of 2 to kFew: of the most
  // crowded); never `except`.
  [[nodiscard]] Index weakest(std::uint32_t lowest, Index except) const;
  [[nodiscard]] Index longest_idle(std::size_t level, Index except) const;
  // True when `suspect` may remember one more port, having made room where its level deserves it.
  bool make_room_for_port(Index suspect, std::uint32_t& evicted);

  std::uint32_t max_sources_;
  std::uint32_t max_strong_;  // sources with two ports or more
  std::uint32_t max_extra_;   // second and later ports
  std::uint32_t enough_;
  Clock::duration window_;
  HashKey seed_;

  std::vector<Suspect> suspects_;
  std::vector<Touch> touches_;
  ZeroedPages<Index> suspect_buckets_;
  ZeroedPages<Index> touch_buckets_;
  Index free_suspect_ = 0;
  Index free_touch_ = 0;

  List idle_;
  std::array<List, kLevels> levels_{};
  std::array<std::uint32_t, kLevels> crowd_{};  // sources of each level
  std::array<std::uint64_t, (kLevels + 63) / 64> levels_in_use_{};

  std::size_t size_ = 0;
  std::uint32_t strong_ = 0;
  std::uint32_t extra_ = 0;
};

}  // namespace portsentry::sensor
