// portsentry.conf, read once into typed values. Root (for its own keys) and the monitor (for the
// rest) run this same reading over the same sealed bytes. Pure: takes text, returns values and
// findings.
#pragma once

#include <chrono>
#include <cstdint>
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

struct Config {
  // Root's keys.
  PortSets ports;                           // TCP_PORTS, UDP_PORTS
  Firewall firewall = Firewall::automatic;  // FIREWALL
  std::string ignore_file;                  // IGNORE_FILE; empty: none
  std::string history_file;                 // HISTORY_FILE; empty: none
  std::string blocked_file;                 // BLOCKED_FILE; empty: none
  // The monitor's keys.
  BlockMode block_tcp = BlockMode::observe;  // BLOCK_TCP
  BlockMode block_udp = BlockMode::observe;  // BLOCK_UDP
  std::uint32_t scan_trigger = 1;            // SCAN_TRIGGER, 1..kMaxTrigger ("0" reads as 1)
  std::chrono::seconds scan_window = std::chrono::hours(24);   // SCAN_WINDOW
  std::uint32_t max_sources = 65536;                           // MAX_SOURCES, per address family
  std::chrono::seconds block_time = std::chrono::minutes(30);  // BLOCK_TIME
  std::vector<std::string> interfaces;  // INTERFACES; empty: all except loopback

  // True when some protocol bans, that is, when a firewall is needed.
  [[nodiscard]] bool armed() const {
    return block_tcp == BlockMode::ban || block_udp == BlockMode::ban;
  }
};

struct ConfigReading {
  Config config;
  std::vector<Finding> findings;
  [[nodiscard]] bool ok() const;            // no error: the daemon may start
  [[nodiscard]] bool passes_check() const;  // no error and nothing that fails -t
};

// Who acts on a key. `later`: a key of PortSentry 1.2, 2.x or their guides that this version
// accepts, with a warning, and does not act on.
enum class KeyOwner : std::uint8_t { root, monitor, later };

struct ConfigKey {
  std::string_view name;
  KeyOwner owner;
};

// Every key that a configuration may hold.
std::span<const ConfigKey> config_keys();

// `text` is the file's content, `file` its name for messages. Never fails: what is wrong is a
// finding.
ConfigReading read_config(std::string_view text, std::string_view file);

}  // namespace portsentry
