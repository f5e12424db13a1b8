// What the enforcer asks of a firewall. One implementation (nft.h) and a fake in the tests. Header
// only, without an out-of-line virtual: the tests' fake is compiled with other RTTI flags.
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "common/net_types.h"
#include "common/result.h"

namespace portsentry::enforcer {

// A ban that the kernel holds.
struct Held {
  Source source;
  std::chrono::seconds remaining;  // rounded up; 0: without expiry
  bool operator==(const Held&) const = default;
};

// An established TCP connection, as packets from the other side show it.
struct Session {
  Address theirs;
  Port their_port;
  Address ours;  // of the same family
  Port our_port;
  bool operator==(const Session&) const = default;
};
inline constexpr std::size_t kMaxSessions = 64;  // of one source

inline constexpr std::size_t kMaxRestored = 256;  // by one restore_all()

// Networks of one exempt(): what fits one transaction.
inline constexpr std::size_t kMaxExemptWritten = 4096;

// Error::code of a ban that the kernel acknowledged, and shows otherwise or not at all. No errno.
inline constexpr int kNotReadBack = -1;

class Firewall {
 public:
  virtual ~Firewall() = default;

  // Drops what `source` sends but the packets of `keep` (at most kMaxSessions, all of this source),
  // for `duration` from now (0: without expiry, else at least a second). Success means that the
  // kernel has committed it and shows it when asked; a ban that holds already gets the new duration,
  // longer or shorter. Error::code: ENOENT the table is gone, ENFILE a set is full, EPERM,
  // ETIMEDOUT no answer, kNotReadBack ...
  virtual Result<void> ban(const Source& source, std::chrono::seconds duration,
                           std::span<const Session> keep) = 0;

  // The same for one that may hold already, as it should to within a few seconds: then nothing is
  // changed.
  virtual Result<void> restore(const Source& source, std::chrono::seconds remaining,
                               std::span<const Session> keep) = 0;

  // Bans that hold nowhere yet, at most kMaxRestored, in one transaction: all of them or none. An
  // error says nothing of the single ones: restore() them.
  virtual Result<void> restore_all(std::span<const Held> bans) = 0;

  // Ends the ban of `source`, of whatever kind; success when there was none.
  virtual Result<void> unban(const Source& source) = 0;

  // Every ban that holds now, in no particular order, each once.
  virtual Result<std::vector<Held>> list() = 0;

  // True when our table is there. No clear answer is no table.
  virtual bool table_exists() = 0;

  // The traps (trap_rules.h). Who is never held, and the networks of our own links: both lists
  // replace what was there. Together at most kMaxExemptWritten networks.
  virtual Result<void> exempt(std::span<const Prefix> networks,
                              std::span<const Prefix> on_link) = 0;
  // They tell of probes for so long from now on, and hold sources if they may.
  virtual Result<void> keep_traps(std::chrono::seconds duration, bool may_hold) = 0;
  // They hold nobody from now on.
  virtual Result<void> stop_holds() = 0;
  // They do nothing at all from now on.
  virtual Result<void> stop_traps() = 0;
  // Holds `source`, of whom no trap needs to know, for so long from now on.
  virtual Result<void> hold(const Source& source, std::chrono::seconds duration) = 0;
  // Ends the hold of `source`; success when there was none.
  virtual Result<void> release(const Source& source) = 0;

  // An element into a set that no rule reads, read back, and out again.
  virtual Result<void> selftest() = 0;

 protected:
  Firewall() = default;
  Firewall(const Firewall&) = default;
  Firewall(Firewall&&) = default;
  Firewall& operator=(const Firewall&) = default;
  Firewall& operator=(Firewall&&) = default;
};

}  // namespace portsentry::enforcer
