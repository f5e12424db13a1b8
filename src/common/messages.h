// What the processes say to each other, as plain structs that cannot be wrong: a value of one of
// these types has passed gates one and two (shape, values; see wire.h). Gate three, meaning, is the
// receiver's. The messages on the wire are in proto/; only wire*.cc knows both.
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

// The configuration that the monitor was given at birth is accepted; the rest may start. `armed`:
// bans are wanted, so that what root's configuration names makes them; else nothing does.
struct Accept {
  bool armed = true;
};

// The same after the start: an administrator has armed the daemon, or has it observe. What holds
// when it is disarmed holds until its time is over. Answered by TableCreated where something
// changes, by TableLost where what is configured cannot work.
struct Arm {
  bool armed;
};

// Why a ban is asked for: what the triggering probe touched. For command templates ($PORT$, and
// with root's own modes $MODE$) and the log only.
struct BanCause {
  Protocol protocol;
  Port port;
  bool operator==(const BanCause&) const = default;
};

// Ban `source` for `duration` from now; one that is banned already has its time changed. Answered
// by one Outcome with the same id.
struct Ban {
  std::uint64_t id;  // chosen by the monitor, never 0
  Source source;
  std::chrono::seconds duration;  // 1 s .. kMaxBan; 0: without expiry. The guard judges it again
  BanCause cause;
  // Somebody has logged in from there: with BAN_SCOPE="inbound" the connections to LOGIN_PORTS that
  // the kernel holds at this moment live on.
  bool keep_sessions = false;
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
  std::chrono::seconds remaining;  // 0: without expiry
  bool keep_sessions = false;      // see Ban
};

// Ends the window in which Restore is legal.
struct RestoreDone {};

// The sensor broke the protocol of channel B: it is broken or captured. It is killed; another
// follows.
struct DropSensor {};

// The owner's own commands and the hosts.deny line: which of root's templates to run. A Ban whose
// backend is a command runs KILL_ROUTE by itself, and its Unban the inverse.
enum class Command : std::uint8_t {
  external = 1,           // EXTERNAL_COMMAND, on detection
  run_cmd = 2,            // KILL_RUN_CMD
  hosts_deny_add = 3,     // KILL_HOSTS_DENY's line
  hosts_deny_remove = 4,  // that line, and only ours
};

// Run a template for `source`. Answered by one Outcome. The guard judges the source of run_cmd and
// hosts_deny_add; `external` only tells somebody, and `hosts_deny_remove` only gives back.
struct RunCommand {
  std::uint64_t id;
  Command command;
  Source source;
  BanCause cause;
};

// Everything stands: bans can be made and packets are classified. Once. The launcher lets the
// foreground go and tells the service manager.
struct Ready {};

// The answers to a ReloadOffer, each naming its generation; an answer to another one is out of
// turn.
struct ReloadAccept {  // start a successor of the sensor with the new watch orders
  std::uint32_t generation;
};
struct ReloadRefuse {  // the files have mistakes, which the monitor has told: nothing changes
  std::uint32_t generation;
};
struct ReloadCommit {  // everybody switches now; after ReloadAccept the old sensor ends
  std::uint32_t generation;
};
struct ReloadAbandon {  // after ReloadAccept: the successor did not come up, and ends
  std::uint32_t generation;
};

// What does the kernel hold of ours? Answered by Audited, by and by: the sets may be long.
struct Audit {
  std::uint64_t id;
};

// The same, each by its name: Adopted for every element, then AdoptedDone.
struct ListHeld {};

// Put an address of the documentation range into a set of our own that no rule reads, read it back,
// remove it. Answered by one Outcome.
struct TestFirewall {
  std::uint64_t id;
};

// Who is never held by the kernel's traps (trap_rules.h), besides whom root sees by itself. A list
// longer than a message comes in several: the last one, without `more`, puts the whole list in force
// in place of the one before. Nobody is held before the first list is there.
struct Exempt {
  std::vector<Prefix> networks;  // at most kMaxExempt in one message, kMaxExemptAll in all
  bool more;
};
inline constexpr std::size_t kMaxExempt = 128;
inline constexpr std::size_t kMaxExemptAll = 65'536;

// The source is judged, and not banned: its hold ends. Answered by one Outcome, ok also where nothing
// held it any more.
struct Release {
  std::uint64_t id;
  Source source;
};

// Read the files again, as SIGHUP asks for; answered as that is. At most one a second is heard.
struct RequestReload {};

using MonitorToEnforcer =
    std::variant<Accept, Ban, Unban, Restore, RestoreDone, DropSensor, RunCommand, Ready,
                 ReloadAccept, ReloadRefuse, ReloadCommit, ReloadAbandon, Arm, Audit, ListHeld,
                 TestFirewall, RequestReload, Exempt, Release>;

// ---- Channel A, enforcer -> monitor -------------------------------------------------------------

enum class Verdict : std::uint8_t {
  ok = 1,              // the kernel confirmed it
  kernel_refused = 2,  // netlink said no; Outcome::error is the errno
  no_firewall = 3,     // FIREWALL="none", or the table could not be made
  // A command template's reasons:
  command_failed = 4,     // Outcome::error is the exit status, 1..255
  command_killed = 5,     // by the signal in Outcome::error
  command_timed_out = 6,  // and was killed
  command_not_run = 7,    // it could not be started (errno), or too many are waiting (0)
  no_command = 8,         // none is set, no undo is known, or it is not for this address family
  // The guard's reasons. Whatever the monitor asks, these are never banned:
  not_unicast = 10,        // loopback, unspecified, multicast, link-local, 0/8, 240/4
  own_address = 11,        // one of this host's, or a prefix that contains one
  next_hop = 12,           // a gateway in this host's routes, or a prefix that contains one
  shared_prefix = 13,      // a /64 that stands for many hosts (NAT64, 6to4, Teredo)
  bad_duration = 14,       // zero, or above kMaxBan
  over_budget = 15,        // the token bucket is empty: try again later
  view_unknown = 16,       // this host's addresses and routes could not be read: no ban
  protected_network = 17,  // of PROTECT_NETWORKS, or a prefix that contains some of one
  container_network = 18,  // behind a bridge of this host, for containers or virtual machines
  // The kernel said yes, and shows something else when asked: it does not hold as it should.
  not_read_back = 19,
};

// A year: longer than any ban that expires (see the monitor's decide.h), short enough for any
// kernel.
inline constexpr std::chrono::seconds kMaxBan = std::chrono::hours(24 * 365);

struct Outcome {
  std::uint64_t id;
  Verdict verdict;
  std::int32_t error;  // an errno, 0 where there is none
};

// What makes a ban hold. `none`: FIREWALL="none" or observe mode, and bans are refused.
enum class Backend : std::uint8_t { none = 0, nftables = 1, command = 2 };

// Bans can be made; Restore is legal until RestoreDone, for a minute at most. Sent once at start,
// each time the kernel table had to be made anew, and when a reload changed the backend. Bans made
// by a command have no timeout of their own: the monitor ends each with an Unban.
struct TableCreated {
  Backend backend;
  bool again;  // true: not the first; what holds is to be restored
  // The table has traps (trap_rules.h): the kernel itself finds probes and holds their source for
  // some seconds, and a sensor that is told to use them needs no capture. With nftables only.
  bool traps = false;
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
// `successor`: it is to follow the one that runs, after a ReloadAccept.
struct SensorChannel {
  bool successor;
};

// The sensor ended. It will be started again after `retry_in`. A `successor` is not: the reload is
// over, and ReloadAbandon need not be sent. The end of a predecessor after ReloadCommit is not told.
struct SensorLost {
  bool by_signal;     // `code` is a signal number, else an exit status
  std::int32_t code;  // 0..255
  std::chrono::milliseconds retry_in;
  bool successor;
};

// Comes with the read end of a pipe: what the command of `id` prints. Root does not read it. Sent
// before the command's Outcome; a command that could not be started has none.
struct CommandOutput {
  std::uint64_t id;
};

// A file of a new generation, each with its descriptor: sealed memfds of `config` and `ignore`, and
// `history`, `blocked` and `log_file` opened anew for appending (/dev/null where none is
// configured). All five, in any order, before their ReloadOffer.
enum class ReloadedFile : std::uint8_t {
  config = 1,
  ignore = 2,
  history = 3,
  blocked = 4,
  log_file = 5
};
struct ReloadFile {
  std::uint32_t generation;
  ReloadedFile which;
};

// To be answered within five seconds by ReloadAccept, ReloadRefuse or ReloadCommit.
struct ReloadOffer {
  std::uint32_t generation;  // 2 for the first reload; the start is 1
  bool new_watch;            // what root allows the sensor to watch has changed
};

// Root could not prepare a new generation; everything stays as it is.
enum class ReloadProblem : std::uint8_t {
  config_file = 1,  // cannot be read, or cannot be trusted: `error` is an errno (EPERM: owner or
                    // mode)
  ignore_file = 2,
  history_file = 3,
  blocked_file = 4,
  log_file = 5,
  account = 6,      // a user that it needs does not exist
  descriptors = 7,  // more listening ports than descriptors
  firewall = 8,     // nft is not there or not usable
  other = 9,
};
struct ReloadFailed {
  ReloadProblem problem;
  std::int32_t error;            // 0 where there is none
  std::uint32_t generation = 0;  // whose acceptance or commit failed; 0: nothing was offered
};

// Root has followed a ReloadCommit: the firewall's rules are those of that generation, or it has none.
// Where the rules could not be loaded, TableLost comes, and this when they could.
struct ReloadFollowed {
  std::uint32_t generation;
};

// What the kernel holds of ours, in answer to Audit. What changed while the sets were read may be
// in it or not.
struct Audited {
  std::uint64_t id;
  std::uint64_t elements;  // bans, of every kind
  std::uint64_t digest;    // of their sources, see ban_digest.h
};

// The scout was started; the monitor's end of channel S comes with it.
struct ScoutChannel {};
// It ended. It will be started again by and by; what it told last stays true until then.
struct ScoutLost {};

// The resolver was started (RESOLVE_HOST="1"); the monitor's end of channel R comes with it.
struct ResolverChannel {};
// It ended. It will be started again by and by; until then nothing is resolved.
struct ResolverLost {};

// Somebody removed this ban from our set by hand (nft delete element): that is an administrator's
// decision, and stays.
struct Lifted {
  Source source;
};

// The table was lost and could not be put back; the enforcer tries again by itself.
struct TableLost {
  std::int32_t error;  // errno or exit status of nft, for the log
};

using EnforcerToMonitor =
    std::variant<Outcome, TableCreated, Adopted, AdoptedDone, SensorChannel, SensorLost, TableLost,
                 Lifted, CommandOutput, ReloadFile, ReloadOffer, ReloadFailed, ResolverChannel,
                 ResolverLost, Audited, ScoutChannel, ScoutLost, ReloadFollowed>;

// True for the verbs that come with exactly one descriptor; the others come with none.
[[nodiscard]] constexpr bool carries_descriptor(const EnforcerToMonitor& message) {
  return std::holds_alternative<SensorChannel>(message) ||
         std::holds_alternative<CommandOutput>(message) ||
         std::holds_alternative<ReloadFile>(message) ||
         std::holds_alternative<ResolverChannel>(message) ||
         std::holds_alternative<ScoutChannel>(message);
}

// ---- Channel B, monitor -> sensor ---------------------------------------------------------------

// Once, first. Narrows what root allowed (ports travel in root's sealed memfd, never here).
struct SensorConfig {
  std::uint32_t scan_trigger;           // 1..kMaxTrigger: the N-th distinct port is reported
  std::chrono::seconds scan_window;     // 1 s .. kMaxBan
  std::uint32_t max_sources;            // 16..kMaxSources, per address family
  std::vector<std::string> interfaces;  // names; empty: every interface except loopback
  bool local_check = true;    // false (2.x -L): a source that equals its target counts too
  bool service_check = true;  // false (2.x -S): ports of local services count too
  // The kernel's traps tell of probes (descriptor 5): what of the orders they serve is not captured.
  bool traps = false;
};

// What SensorConfig::traps says, to a sensor that serves: it closes its capture. There is no way back
// but another sensor.
struct UseTraps {};

// To a sensor that a successor follows: tell what you remember (Evidence, then HandedOver), and
// then nothing more.
struct HandOver {};

// A source's touches inside the window, from the old sensor to its successor by way of the monitor.
// A source with more touches than fit comes in several messages.
struct Touch {
  Protocol protocol;
  Port port;
  std::chrono::seconds age;  // 0..kMaxBan
};
struct Evidence {
  Source source;
  std::vector<Touch> touches;  // 1..kMaxTouches
  bool reported;               // it had reached the trigger, and that was told
};
inline constexpr std::size_t kMaxTouches = 128;

inline constexpr std::uint32_t kMaxTrigger = 1000;
inline constexpr std::uint32_t kMaxSources = 1'000'000;
inline constexpr std::size_t kMaxInterfaces = 32;
inline constexpr std::size_t kInterfaceNameSize = 15;  // IFNAMSIZ without its zero

// Take a frame that you have built in through parse, classify and track (of tables that you make for
// it and throw away), and say how far it came. Answered by SensorTested.
struct TestSensor {
  std::uint64_t nonce;  // never 0; comes back
};

using MonitorToSensor = std::variant<SensorConfig, HandOver, Evidence, TestSensor, UseTraps>;

// ---- Channel B, sensor -> monitor ---------------------------------------------------------------

// A port of a bind mode could not be listened on, mostly because a service has it. Before
// SensorReady only; the other ports are not affected.
struct BindFailed {
  Protocol protocol;
  Port port;
  std::int32_t error;  // errno, 1..4095
};

// Capture, sockets, filter and sandbox stand; probes are being classified.
struct SensorReady {};

// How sure it is that a probe was sent by the source that it names.
enum class Proof : std::uint8_t {
  forgeable = 1,    // one packet, which anybody can send from anywhere
  handshake = 2,    // a socket of ours took the source's connection (bind modes)
  established = 3,  // inside the window, the kernel held a connection from that address to a local
                    // service: the address is in use, though somebody else may have sent the probe
};

// A source reached the trigger (`first`), or touched us again after that (at most once a second).
struct Detection {
  Source source;
  Address address;  // the exact source of the last probe, inside `source`
  Address target;   // which of our addresses it probed; unspecified (0.0.0.0, ::) only for a
                    // datagram in bind mode, of which that is not known
  Protocol protocol;
  Port port;
  ScanKind kind;
  TcpFlags flags;                // 0 for UDP and for `connect`
  std::uint32_t distinct_ports;  // inside the window, counting stops at kMaxTrigger
  bool first;
  bool ip_options;
  bool fragmented;
  std::uint32_t interface = 0;  // the kernel's index of where it arrived; 0 where not known
  Proof proof = Proof::forgeable;
  // What else the source touched inside the window: the newest first, this probe's port not among
  // them; at most kMaxToldTouches.
  std::vector<Touch> touches = {};
  // The kernel holds the source because of this probe: it waits for a ban, or a Release.
  bool held = false;
};
inline constexpr std::size_t kMaxToldTouches = 16;

// The kernel holds this source because of a probe that comes to nothing (the counters say why): it
// waits for a Release.
struct Acquitted {
  Source source;
  Protocol protocol;
  Port port;
};

// Why packets did not count, since the sensor started. One row each in counters.h.
struct SensorCounters {
  std::vector<std::uint64_t> values;  // indexed by SensorCounter (counters.h)
};

// The last Evidence has been sent.
struct HandedOver {};

// The last station that the test's frame reached; `tracked`: all of them.
enum class TestHop : std::uint8_t { none = 0, parsed = 1, classified = 2, tracked = 3 };
struct SensorTested {
  std::uint64_t nonce;
  TestHop reached;
};

using SensorToMonitor = std::variant<SensorReady, Detection, SensorCounters, BindFailed, Evidence,
                                     HandedOver, SensorTested, Acquitted>;

// Channel C, the control socket, is in control_messages.h.

// ---- Channel R, monitor -> resolver -------------------------------------------------------------

// Which name goes with this address? Answered by one HostName with the same id, in the order of
// asking.
struct Resolve {
  std::uint64_t id;  // chosen by the monitor, never 0
  Address address;
};
using MonitorToResolver = std::variant<Resolve>;

// ---- Channel R, resolver -> monitor -------------------------------------------------------------

// What the owner of the address says its name is: text to show to people, never to judge by.
struct HostName {
  std::uint64_t id;
  // At most kMaxHostName bytes: [A-Za-z0-9.-], every other byte as \DDD (three decimal digits,
  // RFC 1035 5.1). Empty: there is none, or none came in time.
  std::string text;
};
inline constexpr std::size_t kMaxHostName = 253;  // RFC 1035 3.1, as text

// The bytes of a host name that stand for themselves: RFC 952, RFC 1123 2.1.
[[nodiscard]] constexpr bool is_host_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-';
}
using ResolverToMonitor = std::variant<HostName>;

}  // namespace portsentry
