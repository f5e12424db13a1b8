// What the processes say to each other, as plain structs that cannot be wrong: a value of one of
// these types has passed gates one and two (shape, values; see wire.h). Gate three, meaning, is the
// receiver's. The messages on the wire are in proto/; only wire.cc knows both.
//
// One std::variant per channel and direction: a wrong-way verb cannot be spelled.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/net_types.h"

namespace portsentry {

// ---- Channel A, monitor -> enforcer: values only, never words -----------------------------------

// The configuration that the monitor was given at birth is accepted; the rest may start.
struct Accept {};

// Why a ban is asked for: what the triggering probe touched. For command templates and the log
// only.
struct BanCause {
  Protocol protocol;
  Port port;
};

// Ban `source` for `duration` from now. Answered by one Outcome with the same id.
struct Ban {
  std::uint64_t id;  // chosen by the monitor, never 0
  Source source;
  std::chrono::seconds duration;  // 1 s .. kMaxBan; the guard judges it again
  BanCause cause;
};

// End the ban of `source`. Answered by one Outcome; a source that is not banned is `ok`.
struct Unban {
  std::uint64_t id;
  Source source;
};

// After TableCreated: a ban that should hold again, with what is left of it. Not rate-limited,
// judged like any other, answered by an Outcome.
struct Restore {
  std::uint64_t id;
  Source source;
  std::chrono::seconds remaining;
};

// Ends the window in which Restore is legal.
struct RestoreDone {};

// The sensor broke the protocol of channel B: it is broken or captured. It is killed; another
// follows.
struct DropSensor {};

using MonitorToEnforcer = std::variant<Accept, Ban, Unban, Restore, RestoreDone, DropSensor>;

// ---- Channel A, enforcer -> monitor -------------------------------------------------------------

enum class Verdict : std::uint8_t {
  ok = 1,              // the kernel confirmed it
  kernel_refused = 2,  // netlink said no; Outcome::error is the errno
  no_firewall = 3,     // FIREWALL="none", or the table could not be made
  // The guard's reasons. Whatever the monitor asks, these are never banned:
  not_unicast = 10,    // loopback, unspecified, multicast, link-local, 0/8, 240/4
  own_address = 11,    // one of this host's, or a prefix that contains one
  next_hop = 12,       // a gateway in this host's routes, or a prefix that contains one
  shared_prefix = 13,  // a /64 that stands for many hosts (NAT64, 6to4, Teredo)
  bad_duration = 14,   // zero, or above kMaxBan
  over_budget = 15,    // the token bucket is empty: try again later
  view_unknown = 16,   // this host's addresses and routes could not be read: no ban
};

// A year: longer than any ban that expires (see the monitor's decide.h), short enough for any
// kernel.
inline constexpr std::chrono::seconds kMaxBan = std::chrono::hours(24 * 365);

struct Outcome {
  std::uint64_t id;
  Verdict verdict;
  std::int32_t error;  // an errno, 0 where there is none
};

// The kernel table exists and holds the rules; Restore is legal until RestoreDone, for a minute at
// most. Sent once at start and again each time the table had to be made anew.
struct TableCreated {
  bool enforcing;  // false: FIREWALL="none" or observe mode, nothing was made and bans are refused
  bool again;      // true: somebody had removed our table while we ran
};

// Found in the kernel at start: a ban of an earlier run that still holds. Between TableCreated and
// the monitor's RestoreDone.
struct Adopted {
  Source source;
  std::chrono::seconds remaining;  // 0: without expiry
};

// The last Adopted has been sent.
struct AdoptedDone {};

// A sensor was started; its end of channel B comes with this message (exactly one descriptor).
struct SensorChannel {};

// The sensor ended. It will be started again after `retry_in`.
struct SensorLost {
  bool by_signal;     // `code` is a signal number, else an exit status
  std::int32_t code;  // 0..255
  std::chrono::milliseconds retry_in;
};

// Somebody removed this ban from our set by hand (nft delete element): that is an administrator's
// decision, and stays.
struct Lifted {
  Source source;
};

// The table was lost and could not be put back; the enforcer tries again by itself.
struct TableLost {
  std::int32_t error;  // errno or exit status of nft, for the log
};

using EnforcerToMonitor = std::variant<Outcome, TableCreated, Adopted, AdoptedDone, SensorChannel,
                                       SensorLost, TableLost, Lifted>;

// ---- Channel B, monitor -> sensor ---------------------------------------------------------------

// Once, first. Narrows what root allowed (ports travel in root's sealed memfd, never here).
struct SensorConfig {
  std::uint32_t scan_trigger;           // 1..kMaxTrigger: the N-th distinct port is reported
  std::chrono::seconds scan_window;     // 1 s .. kMaxBan
  std::uint32_t max_sources;            // 16..kMaxSources, per address family
  std::vector<std::string> interfaces;  // names; empty: every interface except loopback
};

inline constexpr std::uint32_t kMaxTrigger = 1000;
inline constexpr std::uint32_t kMaxSources = 1'000'000;
inline constexpr std::size_t kMaxInterfaces = 32;
inline constexpr std::size_t kInterfaceNameSize = 15;  // IFNAMSIZ without its zero

using MonitorToSensor = std::variant<SensorConfig>;

// ---- Channel B, sensor -> monitor ---------------------------------------------------------------

// Capture, filter and sandbox stand; packets are being classified.
struct SensorReady {};

// A source reached the trigger (`first`), or touched us again after that (at most once a second).
struct Detection {
  Source source;
  Address address;  // the exact source of the last probe, inside `source`
  Address target;   // which of our addresses it probed
  Protocol protocol;
  Port port;
  ScanKind kind;
  TcpFlags flags;                // 0 for UDP
  std::uint32_t distinct_ports;  // inside the window, counting stops at kMaxTrigger
  bool first;
  bool ip_options;
  bool fragmented;
};

// Why packets did not count, since the sensor started. One row each in counters.h.
struct SensorCounters {
  std::vector<std::uint64_t> values;  // indexed by SensorCounter (counters.h)
};

using SensorToMonitor = std::variant<SensorReady, Detection, SensorCounters>;

// ---- Channel C, control socket ------------------------------------------------------------------

struct StatusRequest {};
using ControlRequest = std::variant<StatusRequest>;

struct NamedCount {
  std::string name;  // lower case, snake_case
  std::uint64_t value;
};
struct StatusReply {
  bool active;             // the sensor is classifying
  bool observing;          // nothing is armed
  std::string firewall;    // "nftables" or "none"
  std::uint64_t enforced;  // bans that the kernel confirmed and that have not expired
  std::uint64_t pending;   // asked for, not yet answered
  std::uint64_t failed;    // the kernel or the guard said no; retried where that can help
  std::uint64_t sensor_restarts;
  std::vector<NamedCount> counters;
};
using ControlReply = std::variant<StatusReply>;

}  // namespace portsentry
