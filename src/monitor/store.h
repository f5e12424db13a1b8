// What the monitor remembers across restarts (memory.h), in one SQLite file that is nobody else's.
// A ban that a command made exists nowhere but in that command's tool and here.
//
// Two halves, because the monitor seals itself in between. open() needs files, directories and
// locks (store_open.cc); everything after it needs six system calls on two descriptors (kStateFile,
// kStateLog, policy.cc). The write-ahead log and its index are this process's alone (exclusive
// locking), so there is no shared memory and no second reader: look at the file with sqlite3(1) while
// the daemon is stopped.
//
// note() only notes what changed; flush() writes it in one transaction and returns when the disk has
// it (synchronous FULL). So the caller decides how many changes share a commit (one commit per 100 ms
// is what the design wants), and what is not committed() it has not promised.
//
// Bounded: of each ban, offence and entry only the last word waits, and what was made and ended while
// the disk refused is not kept waiting at all; of events kMaxWaitingEvents wait, then the oldest go.
//
// Not for threads, not for two processes: the file is locked, a second open() fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/net_types.h"
#include "common/result.h"
#include "monitor/memory.h"
#include "monitor/sqlite.h"

namespace portsentry::monitor {

// Where open() leaves the file and its log: the numbers that policy.cc knows.
inline constexpr int kStateFile = 32;
inline constexpr int kStateLog = 33;

class Store {
 public:
  struct Opened;
  // Events that wait for the disk.
  static constexpr std::size_t kMaxWaitingEvents = 4096;
  // Changes that share one transaction: some 50 ms, in which the monitor hears nobody.
  static constexpr std::size_t kMaxPerCommit = 4096;

  // `directory` exists and is writable for this user; the file in it is kFileName, made with mode
  // 0600 when missing. `boot_id` is what /proc/sys/kernel/random/boot_id says now. A file of an older
  // version becomes one of this version. One that is damaged, from a newer version or no state of
  // ours is moved aside (kept, with its log) and a new one takes its place, with the bans, offences
  // and settings that can still be read in a damaged one. Opened::finding says so, and says when the
  // log's end is damaged. It also says when the disk is full: what the file holds can be loaded all
  // the same, and flush() fails until there is room. Errors: the directory cannot be written, there
  // is no room for a first file, another process has the file open, descriptors 32 and 33 are taken.
  static Result<Opened> open(const std::string& directory, const std::string& boot_id);
  static constexpr char kFileName[] = "state.sqlite3";

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  // What is not committed is lost. Works sealed; the log is kept for the next open().
  ~Store();

  // All but the events, as the file has it: what is noted and not committed is not in it. Rows that
  // hold impossible values, or are beyond any count that we write, are skipped and counted.
  struct Loaded {
    Memory memory;
    std::size_t refused = 0;
  };
  Result<Loaded> load();

  // Note a change; the last word on a source or prefix counts. Returns its number, which rises.
  std::uint64_t note(const StateChange& change);
  // Everything up to this number is on the disk.
  [[nodiscard]] std::uint64_t committed() const { return committed_; }
  // What flush() has to write.
  [[nodiscard]] std::size_t unflushed() const { return waiting_.size() + (trim_ ? 1U : 0U); }

  // One transaction with what was noted first, at most kMaxPerCommit changes: call again while
  // unflushed(). An error ("state: ...: database or disk is full") leaves file and notes as they
  // were: call again later. Without notes it touches nothing. `wall`: now, for the age of events.
  Result<void> flush(std::time_t wall);
  // Events that are too old or too many go with the next commits; call now and then, because a quiet
  // daemon writes nothing that would take them along.
  void trim_events() { trim_ = true; }
  // Events that nobody will know of, because they waited too long.
  [[nodiscard]] std::uint64_t events_lost() const { return events_lost_; }

  // Of events that are on the disk.
  Result<EventPage> events(const EventQuery& query);
  Result<std::vector<TopRow>> top(const TopQuery& query);

  // True from the first open() after a boot of this machine until BootRestored was committed: what
  // commands did is gone from the kernel and has to be done again. False for an empty file.
  [[nodiscard]] bool new_boot() const { return new_boot_; }

 private:
  // What a change is about: of two changes with one key the later one counts. Events have none.
  enum class About : std::uint8_t { ban, offence, allowed, override, scores, boot };
  using Key = std::pair<About, std::optional<Prefix>>;
  static std::optional<Key> key_of(const StateChange& change);

  Store() = default;
  Result<void> connect(const std::string& path);
  Result<std::string> begin(const std::string& boot_id, int version, const std::string& last_boot);
  void note_all(const Memory& memory);
  bool only_waits(const Key& key);
  void bound_events();

  // Statements are made once, and again by SQLite when the schema changed.
  enum class Sql : std::uint8_t {
    put_ban,
    erase_ban,
    put_offence,
    erase_offence,
    put_allowed,
    erase_allowed,
    put_override,
    erase_override,
    put_score,
    erase_scores,
    put_event,
    count_
  };
  Result<Statement*> statement(Sql sql);
  Result<void> write(const StateChange& change, std::uint64_t& last_event);
  Result<void> erase(Sql sql, const Prefix& key);
  Result<void> write_scores(const std::vector<Score>& scores);

  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, Close> db_;
  // By Sql; gone before db_ is closed. Not an array: g++ 12 with -ftrivial-auto-var-init=zero clears
  // half of each pointer in it as padding when an Opened is made.
  std::vector<Statement> statements_{static_cast<std::size_t>(Sql::count_)};
  int version_ = 0;  // of the file: an older one is brought up to date by the next flush()

  // Ordered, not hashed: attackers choose the keys.
  std::map<std::uint64_t, StateChange> waiting_;  // by number
  std::map<Key, std::uint64_t> latest_;           // the number of what waits
  std::deque<std::uint64_t> events_;              // of `waiting_`; some may be written already
  std::uint64_t noted_ = 0;
  std::uint64_t committed_ = 0;
  std::uint64_t last_event_ = 0;  // its id in the file
  std::uint64_t events_lost_ = 0;
  bool failing_ = false;  // the last flush() failed
  bool trim_ = false;
  std::string boot_id_;
  bool new_boot_ = false;
};

// /proc/sys/kernel/random/boot_id, before the seal.
Result<std::string> current_boot_id();

struct Store::Opened {
  Store store;
  std::string finding;  // for the log; empty when all was well
};

}  // namespace portsentry::monitor
