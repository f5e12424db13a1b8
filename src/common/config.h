// portsentry.conf, read once into typed values. Root (for its own keys) and the monitor (for the
// rest) run this same reading over the same sealed bytes. Pure: takes text, returns values and
// findings.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/finding.h"
#include "common/port_set.h"

namespace portsentry {

enum class Firewall : std::uint8_t { automatic, nftables, command, none };

// BLOCK_TCP and BLOCK_UDP: 0 observes, 1 bans, 2 runs commands only (and records no ban).
enum class BlockMode : std::uint8_t { observe = 0, ban = 1, command_only = 2 };

// BAN_SCOPE: whether answers to our own connections still come through, or nothing does.
enum class BanScope : std::uint8_t { inbound, all };

// HOLD: whether the kernel itself holds the source of a probe until it is judged. Automatic: where
// nftables bans.
enum class Hold : std::uint8_t { automatic, none };

// LOG_FORMAT: the lines of PortSentry 1.2, or those of 2.x.
enum class LogFormat : std::uint8_t { classic, v2 };

// LOG_FACILITY. The values are the facility codes of a syslog message (RFC 5424 6.2.1).
enum class LogFacility : std::int8_t {
  none = -1,  // nothing is sent to syslog
  user = 1,
  daemon = 3,
  auth = 4,
  authpriv = 10,
  local0 = 16,
  local1 = 17,
  local2 = 18,
  local3 = 19,
  local4 = 20,
  local5 = 21,
  local6 = 22,
  local7 = 23,
};

// LOG_OUTPUT. Automatic: what suits the way in which the daemon was started.
struct LogOutput {
  bool automatic = true;  // then the other two mean nothing
  bool standard_output = false;
  bool syslog = false;
  bool operator==(const LogOutput&) const = default;
};

// 22.
[[nodiscard]] PortSet default_login_ports();
// Of LOGIN_PORTS: each travels by a message of its own inside root.
inline constexpr std::size_t kMaxLoginRanges = 64;

struct Config {
  // Root's keys.
  WatchMode tcp_mode = WatchMode::stealth;  // TCP_MODE
  WatchMode udp_mode = WatchMode::stealth;  // UDP_MODE
  PortSets ports;                           // TCP_PORTS, UDP_PORTS, as written
  std::uint32_t advanced_ports_tcp = 1024;  // ADVANCED_PORTS_TCP: watches 1..this-1; 1..65536
  std::uint32_t advanced_ports_udp = 1024;  // ADVANCED_PORTS_UDP
  PortSet advanced_exclude_tcp;             // ADVANCED_EXCLUDE_TCP
  PortSet advanced_exclude_udp;             // ADVANCED_EXCLUDE_UDP
  std::string port_banner;                  // PORT_BANNER, at most kMaxBanner bytes; empty: none
  Firewall firewall = Firewall::automatic;  // FIREWALL; backend() is what it comes to
  // Commands and the hosts.deny line, as written; empty: not set.
  std::string kill_route;                       // KILL_ROUTE
  std::string kill_route_remove;                // KILL_ROUTE_REMOVE
  std::string kill_hosts_deny;                  // KILL_HOSTS_DENY
  std::string kill_run_cmd;                     // KILL_RUN_CMD
  std::string external_command;                 // EXTERNAL_COMMAND
  std::string ignore_file;                      // IGNORE_FILE; empty: none
  std::string history_file;                     // HISTORY_FILE; empty: none
  std::string blocked_file;                     // BLOCKED_FILE; empty: none
  std::string log_file;                         // LOG_FILE; empty: none
  BanScope ban_scope = BanScope::inbound;       // BAN_SCOPE
  PortSet login_ports = default_login_ports();  // LOGIN_PORTS, at most kMaxLoginRanges ranges
  Hold hold = Hold::automatic;                  // HOLD
  std::uint32_t nflog_group = 7100;             // NFLOG_GROUP, 1..65535
  // Root's and the monitor's.
  std::vector<Prefix> protect_networks;  // PROTECT_NETWORKS, at most kMaxProtectNetworks
  bool resolve_host = false;             // RESOLVE_HOST
  std::uint32_t scan_trigger = 1;        // SCAN_TRIGGER, 1..kMaxTrigger ("0" reads as 1)
  std::chrono::seconds scan_window = std::chrono::hours(24);  // SCAN_WINDOW
  std::vector<std::string> interfaces;  // INTERFACES; empty: all except loopback
  bool local_check = true;    // LOCAL_CHECK: a probe of an address by itself does not count
  bool service_check = true;  // SERVICE_CHECK: a port that a local service uses does not count
  // The monitor's keys.
  BlockMode block_tcp = BlockMode::observe;  // BLOCK_TCP
  BlockMode block_udp = BlockMode::observe;  // BLOCK_UDP
  bool kill_run_cmd_first = false;           // KILL_RUN_CMD_FIRST: before the other actions
  std::uint32_t max_sources = 65536;         // MAX_SOURCES, per address family
  // How long a ban lasts: BLOCK_TIME the first of a proven scanner, up to BLOCK_TIME_MAX (never less
  // than BLOCK_TIME) one of a repeater, BLOCK_TIME_FORGEABLE one that rests on packets which anybody
  // could have sent.
  std::chrono::seconds block_time = std::chrono::minutes(30);
  std::chrono::seconds block_time_max = std::chrono::hours(7 * 24);
  std::chrono::seconds block_time_forgeable = std::chrono::minutes(10);
  bool protect_sessions = true;               // PROTECT_SESSIONS: who has logged in is not banned
  LogFormat log_format = LogFormat::classic;  // LOG_FORMAT
  LogFacility log_facility = LogFacility::local0;  // LOG_FACILITY
  std::string log_tag = "portsentry";              // LOG_TAG, 1..32 of [A-Za-z0-9._-]
  LogOutput log_output;                            // LOG_OUTPUT

  bool operator==(const Config&) const = default;

  [[nodiscard]] WatchMode mode(Protocol p) const {
    return p == Protocol::tcp ? tcp_mode : udp_mode;
  }
  [[nodiscard]] BlockMode block(Protocol p) const {
    return p == Protocol::tcp ? block_tcp : block_udp;
  }

  // True when some protocol bans, that is, when a firewall is needed.
  [[nodiscard]] bool armed() const {
    return block_tcp == BlockMode::ban || block_udp == BlockMode::ban;
  }

  // What enforces bans, never automatic: with FIREWALL="auto" the command if KILL_ROUTE is set, else
  // nftables.
  [[nodiscard]] Firewall backend() const;

  // The ports to look at in arriving packets: the list in stealth mode, 1..N-1 without the excluded
  // ones in advanced mode, else none. Port 0, which 1.2's advanced mode watched, is not: no host
  // has a reason to answer there, and Port does not hold it.
  [[nodiscard]] PortSets watched_capture() const;
  // The ports to open sockets on: the list in bind mode, else none.
  [[nodiscard]] PortSets watched_bind() const;
};

struct ConfigReading {
  Config config;
  bool written_for_us = false;  // the file sets a key of portsentryd's own
  std::vector<Finding> findings;
  [[nodiscard]] bool ok() const;            // no error: the daemon may start
  [[nodiscard]] bool passes_check() const;  // no error and nothing that fails -t
};

// Who acts on a key.
enum class KeyOwner : std::uint8_t { root, monitor, both };

// Whose key it is: PortSentry 1.2's (2.x knows most of these), one that only guides to PortSentry
// name, or portsentryd's own.
enum class KeyOrigin : std::uint8_t { classic, guide, own };

struct ConfigKey {
  std::string_view name;
  KeyOwner owner;
  KeyOrigin origin;
};

// Every key that a configuration may hold.
std::span<const ConfigKey> config_keys();

// A setting of the command line: counts instead of what the file says about its key.
struct ConfigOverride {
  std::string key;
  std::string value;  // as in the file, without quotes
  bool operator==(const ConfigOverride&) const = default;
  // "KEY=VALUE", as one process hands it to another.
  [[nodiscard]] std::string text() const { return key + "=" + value; }
  // Nothing without a '=' after at least one letter.
  static std::optional<ConfigOverride> parse(std::string_view text);
};

// What findings about an override name in place of a file.
inline constexpr std::string_view kCommandLine = "command line";

// `text` is the file's content, `file` its name for messages. Of two overrides of one key the last
// counts. Never fails: what is wrong is a finding.
//
// A file that sets a key of portsentryd's own was written for portsentryd. Of any other the findings
// also tell where 1.2 and 2.x would have read it differently.
ConfigReading read_config(std::string_view text, std::string_view file,
                          std::span<const ConfigOverride> overrides = {});

}  // namespace portsentry
