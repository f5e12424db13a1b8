// What the monitor remembers across restarts: its bans, in one SQLite file that is nobody else's.
// A ban that a command made exists nowhere but in that command's tool and here.
//
// Two halves, because the monitor seals itself in between. open() needs files, directories and
// locks; everything after it needs six system calls on two descriptors (kStateFile, kStateLog,
// policy.cc). The write-ahead log and its index are this process's alone (exclusive locking), so
// there is no shared memory and no second reader: look at the file with sqlite3(1) while the daemon
// is stopped.
//
// note() only notes what changed; flush() writes all of it in one transaction and returns
// when the disk has it (synchronous FULL). So the caller decides how many changes share a commit
// (one commit per 100 ms is what the design wants), and what it has not flushed it has not promised.
//
// Not for threads, not for two processes: the file is locked, a second open() fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/net_types.h"
#include "common/result.h"
#include "monitor/memory.h"

struct sqlite3;

namespace portsentry::monitor {

// Where open() leaves the file and its log: the numbers that policy.cc knows.
inline constexpr int kStateFile = 32;
inline constexpr int kStateLog = 33;

class Store {
 public:
  struct Opened;

  // `directory` exists and is writable for this user; the file in it is kFileName, made with mode
  // 0600 when missing. `boot_id` is what /proc/sys/kernel/random/boot_id says now. A file that is
  // damaged, from a newer version or no state of ours is moved aside (kept, with its log) and an
  // empty one takes its place: Opened::finding says so. It also says when the disk is full: what the
  // file holds can be loaded all the same, and flush() fails until there is room. Errors: the
  // directory cannot be written, there is no room for a first file, another process has the file
  // open, descriptors 32 and 33 are taken.
  static Result<Opened> open(const std::string& directory, const std::string& boot_id);
  static constexpr char kFileName[] = "state.sqlite3";

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  // What was not flushed is lost. Works sealed; the log is kept for the next open().
  ~Store();

  // Every ban in the file, ordered by nothing in particular. What has been put but not flushed is
  // not in it. A row that holds impossible values is skipped and counted.
  struct Loaded {
    Memory memory;
    std::size_t refused = 0;
  };
  Result<Loaded> load();

  // Note a change; the last word on a source counts. No system call. Returns its number, which
  // rises: after a flush() that succeeded everything up to committed() is on the disk.
  std::uint64_t note(const StateChange& change);
  [[nodiscard]] std::uint64_t committed() const { return committed_; }
  [[nodiscard]] std::size_t unflushed() const { return changes_.size() + (mark_boot_ ? 1U : 0U); }

  // One transaction with everything noted. An error ("state: ...: database or disk is full") leaves
  // file and notes as they were: call again later. Without notes it touches nothing.
  Result<void> flush();

  // True from the first open() after a boot of this machine until BootRestored was flushed: what
  // commands did is gone from the kernel and has to be done again. False for an empty file.
  [[nodiscard]] bool new_boot() const { return new_boot_; }

 private:
  Store() = default;
  Result<void> connect(const std::string& path);
  Result<void> write_changes();

  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, Close> db_;
  // By source; nothing: to be erased. Ordered, not hashed: attackers choose the keys.
  std::map<Source, std::optional<StoredBan>> changes_;
  std::string boot_id_;
  bool new_boot_ = false;
  bool mark_boot_ = false;
  std::uint64_t noted_ = 0;
  std::uint64_t committed_ = 0;
};

// /proc/sys/kernel/random/boot_id, before the seal.
Result<std::string> current_boot_id();

struct Store::Opened {
  Store store;
  std::string finding;  // for the log; empty when all was well
};

}  // namespace portsentry::monitor
