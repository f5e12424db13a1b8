// Between the two halves of the root program: one fixed-size struct each way over a SEQPACKET pair.
// The launcher understands nothing else and hears nobody else. There is no pointer and no text in it
// (`length` is a prefix's): the worst that a captured enforcer half can ask is written in LauncherOp and
// LauncherCommand.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/channel.h"
#include "common/config_values.h"
#include "common/messages.h"
#include "common/net_types.h"
#include "enforcer/commands.h"

namespace portsentry::enforcer {

enum class LauncherOp : std::uint32_t {
  spawn_sensor = 1,  // refused while one is running
  kill_sensor = 2,   // SIGKILL; answered by sensor_ended
  load_ruleset =
      3,      // run nft(8) on the text compiled into this binary; refused while one is running
  run = 4,    // `command`, for the source and the port below; answered by command_done
  ready = 5,  // everything stands: let the foreground go, tell the service manager
  reload_accept = 6,    // start the successor; answered by successor_started or reload_failed
  reload_commit = 7,    // `generation` is in force; a successor takes over; by reload_committed
  reload_abandon = 8,   // or refused: forget `generation`, and end a successor
  spawn_resolver = 9,   // refused while one is running, or where the configuration wants none
  spawn_scout = 10,     // refused while one is running
  request_reload = 11,  // what SIGHUP does
};

// The templates of root's own configuration.
enum class LauncherCommand : std::uint32_t {
  none = 0,
  kill_route = 1,
  kill_route_remove = 2,  // or what undoes kill_route
  external = 3,
  run_cmd = 4,
  hosts_deny_add = 5,
  hosts_deny_remove = 6,
  restore_route = 7,  // kill_route for a ban that may hold already
};

struct LauncherRequest {
  LauncherOp op;
  LauncherCommand command;
  std::uint64_t id;                     // of a run; never 0
  std::uint32_t generation;             // of a reload; of a kill_route_remove: whose (0: in force)
  std::uint16_t port;                   // 1..65535; 0 where no probe is at hand (a ban that ends)
  std::uint8_t protocol;                // 6 or 17; 0 with port 0
  std::uint8_t length;                  // of the source's prefix: 32, 64 or 128
  std::array<std::byte, 16> address;    // IPv4 uses the first four, the rest is zero
  std::array<std::uint8_t, 7> padding;  // zero
  std::uint8_t v4;                      // 0 or 1
};

enum class LauncherEventKind : std::uint32_t {
  sensor_started = 1,      // with one descriptor: the monitor's end of channel B
  sensor_ended = 2,        // by_signal, code
  ruleset_loaded = 3,      // code: exit status of nft, 0 when the kernel took it
  command_output = 4,      // id, with one descriptor: the read end of what the command prints
  command_done = 5,        // id, which: a Verdict (messages.h), code: as in Outcome::error,
                           // generation: whose KILL_ROUTE is in force
  reload_file = 6,         // generation, which: a ReloadedFile; with one descriptor
  reload_offer = 7,        // generation, code: 1 when the watch orders have changed
  reload_failed = 8,       // which: a ReloadProblem, code: errno; generation: 0 while files are
                           // read, else the one whose accept or commit could not be carried out
  reload_committed = 9,    // generation, which: a Backend, code: 1 when names are to be resolved,
                           // id: the generation whose KILL_ROUTE this is
  successor_started = 10,  // as sensor_started
  successor_ended = 11,    // as sensor_ended; only before the commit
  resolver_started = 12,   // with one descriptor: the monitor's end of channel R
  resolver_ended = 13,
  scout_started = 14,  // with one descriptor: the monitor's end of channel S
  scout_ended = 15,
  // What a generation says about bans: one scope, then its ports. Of the first at birth, of another
  // before its reload_committed.
  scope = 16,  // which: a BanScope (config.h); code: 1 when the rules have traps; id: a hash of
               // the rules' text; there are no login ports any more
  login_ports = 17,  // which: the first of a range, and its last << 16
  networks = 18,     // a LauncherNetworks: PROTECT_NETWORKS, at the same times
};

struct LauncherEvent {
  LauncherEventKind kind;
  std::uint32_t by_signal = 0;   // 0 or 1
  std::int32_t code = 0;         // signal number or exit status
  std::uint32_t which = 0;       // see above
  std::uint64_t id = 0;          // of a run
  std::uint32_t generation = 0;  // of a reload, or of a KILL_ROUTE
  std::uint32_t padding = 0;
};

// PROTECT_NETWORKS, the one event with a form of its own.
struct LauncherNetworks {
  struct Network {
    std::array<std::byte, 16> address;    // IPv4 uses the first four, the rest is zero
    std::uint8_t length;                  // host bits are zero
    std::uint8_t v4;                      // 0 or 1
    std::array<std::uint8_t, 6> padding;  // zero
  };
  LauncherEventKind kind;
  std::uint32_t count;  // of `networks`, the rest is zero
  std::array<Network, kMaxProtectNetworks> networks;
};
// Of at most kMaxProtectNetworks.
[[nodiscard]] LauncherNetworks networks_event(const std::vector<Prefix>& networks);
// Nothing for values that cannot be.
[[nodiscard]] std::optional<std::vector<Prefix>> networks_of(const LauncherNetworks& event);

// `cause`: nothing where no probe is at hand (Unban, Restore).
[[nodiscard]] LauncherRequest run_request(std::uint64_t id, LauncherCommand command,
                                          const Source& source,
                                          const std::optional<BanCause>& cause);

// How root's own configuration watches a protocol: $MODE$.
using Modes = std::function<std::optional<ModeWord>(Protocol)>;
// The typed values of a run. Our other half is believed to be honest, and still each passes its
// type, or there is no command.
[[nodiscard]] std::optional<CommandRequest> command_of(const LauncherRequest& request,
                                                       const Modes& modes);
// LauncherEvent::which of command_done: the verdicts that a command can have.
[[nodiscard]] std::optional<Verdict> verdict_of(std::uint32_t number);

// How the enforcer half is told at its birth what it is to ban with.
[[nodiscard]] std::string_view backend_word(Backend backend);
[[nodiscard]] std::optional<Backend> backend_of_word(std::string_view word);

static_assert(std::is_trivially_copyable_v<LauncherRequest> && sizeof(LauncherRequest) == 48);
static_assert(std::is_trivially_copyable_v<LauncherEvent> && sizeof(LauncherEvent) == 32);
static_assert(std::is_trivially_copyable_v<LauncherNetworks> &&
              std::has_unique_object_representations_v<LauncherNetworks> &&
              sizeof(LauncherNetworks) <= kMaxMessage &&
              sizeof(LauncherNetworks) != sizeof(LauncherEvent));
static_assert(std::has_unique_object_representations_v<LauncherRequest> &&
              std::has_unique_object_representations_v<LauncherEvent>);

}  // namespace portsentry::enforcer
