#include "common/config_checks.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace portsentry {
namespace {

// From this many ports on a list is "wide": half of the well-known range and more. Lists of traps
// name a few dozen ports; one this wide holds ports that ordinary clients try unasked.
constexpr std::size_t kWideList = 512;

// ip_local_port_range as Linux ships it: source ports of what this host asks others.
constexpr std::uint32_t kEphemeralFirst = 32768;
constexpr std::uint32_t kEphemeralLast = 60999;

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

// "route add ..." and "ip route add|replace ...", in any directory and with options in between.
bool adds_a_route(std::string_view command) {
  const auto words = words_of(command);
  const bool old_tool = !words.empty() && base_name(words.front()) == "route";
  const bool new_tool = !words.empty() && base_name(words.front()) == "ip" &&
                        std::find(words.begin(), words.end(), "route") != words.end();
  const auto is_add = [](std::string_view word) { return word == "add" || word == "replace"; };
  return (old_tool || new_tool) && std::any_of(words.begin(), words.end(), is_add);
}

// The first ephemeral port of the set; nothing when there is none.
std::optional<std::uint32_t> ephemeral_port(const PortSet& ports) {
  for (std::uint32_t n = kEphemeralFirst; n <= kEphemeralLast; ++n)
    if (ports.contains(*Port::make(n))) return n;
  return std::nullopt;
}

// Every address of `prefix` is in one of `networks`. These are few, and each step down halves what
// they can hold.
bool covered(const Prefix& prefix, std::span<const Prefix> networks) {
  bool some = false;
  for (const Prefix& network : networks) {
    if (network.contains(prefix)) return true;
    some = some || prefix.contains(network);
  }
  if (!some) return false;
  const unsigned length = prefix.length() + 1;
  const Prefix low = *Prefix::make(prefix.address(), length);
  std::array<std::byte, 16> bytes{};
  const Bytes from = prefix.address().bytes();
  std::copy(from.begin(), from.end(), bytes.begin());
  bytes.at((length - 1) / 8) |= std::byte{0x80} >> ((length - 1) % 8);
  const Prefix high = *Prefix::make(*Address::from_bytes(Bytes(bytes).first(from.size())), length);
  return covered(low, networks) && covered(high, networks);
}

std::string assigned(std::string_view key, std::string_view value) {
  return std::string(key) + "=\"" + std::string(value) + "\"";
}

struct Keys {
  Protocol protocol;
  std::string_view mode, ports, advanced_ports, block, forged;
};
constexpr std::array<Keys, 2> kProtocols{{
    {Protocol::tcp, "TCP_MODE", "TCP_PORTS", "ADVANCED_PORTS_TCP", "BLOCK_TCP", "SYN packet"},
    {Protocol::udp, "UDP_MODE", "UDP_PORTS", "ADVANCED_PORTS_UDP", "BLOCK_UDP", "datagram"},
}};

class Check {
 public:
  Check(const Config& config, const ConfigPlaces& places)
      : config_(config),
        places_(places),
        capture_(config.watched_capture()),
        bind_(config.watched_bind()) {}

  std::vector<Finding> run() {
    something_is_watched();
    paths_differ();
    for (const Keys& keys : kProtocols) {
      mode_has_ports(keys);
      blocking_is_possible(keys);
      blocking_is_careful(keys);
      listening_is_possible(keys);
    }
    trigger_is_understood();
    times_are_in_order();
    somebody_can_be_banned();
    commands_are_used();
    kill_route_is_a_filter();
    commands_are_whole();
    lines_go_somewhere();
    bans_are_known_to_end();
    return std::move(out_);
  }

 private:
  void error(std::string_view key, std::string text) {
    out_.push_back(places_.about(Severity::error, key, std::move(text)));
  }
  void warn(std::string_view key, std::string text) {
    out_.push_back(places_.about(Severity::warning, key, std::move(text)));
  }

  [[nodiscard]] std::size_t watched(Protocol protocol) const {
    return capture_.of(protocol).size() + bind_.of(protocol).size();
  }

  void something_is_watched() {
    if (watched(Protocol::tcp) + watched(Protocol::udp) > 0) return;
    if (config_.tcp_mode == WatchMode::none && config_.udp_mode == WatchMode::none) {
      return error({}, "nothing to watch: TCP_MODE and UDP_MODE are both empty");
    }
    error({},
          "nothing to watch: expected ports in TCP_PORTS or UDP_PORTS, for example "
          "TCP_PORTS=\"1,11,15,79\"");
  }

  // Who names a mode expects it to find something; the modes by default may have no list.
  void mode_has_ports(const Keys& keys) {
    const WatchMode mode = config_.mode(keys.protocol);
    if (mode == WatchMode::none || !places_.sets(keys.mode) || watched(keys.protocol) > 0) return;
    const bool list = mode != WatchMode::advanced;
    warn(keys.mode,
         "'" + std::string(mode_word(keys.protocol, mode)) + "' watches " +
             (list ? "the ports of " + std::string(keys.ports) + ", which names none"
                   : "the ports below " + std::string(keys.advanced_ports) + ", and none is left") +
             ": no " + std::string(name(keys.protocol)) + " is watched");
  }

  // The daemon appends to three of these files. In the ignore file that would stop the next start.
  void paths_differ() {
    const std::array<std::pair<std::string_view, const std::string*>, 4> paths{
        {{"IGNORE_FILE", &config_.ignore_file},
         {"HISTORY_FILE", &config_.history_file},
         {"BLOCKED_FILE", &config_.blocked_file},
         {"LOG_FILE", &config_.log_file}}};
    for (std::size_t later = 1; later < paths.size(); ++later) {
      for (std::size_t earlier = 0; earlier < later; ++earlier) {
        if (paths[later].second->empty() || *paths[later].second != *paths[earlier].second)
          continue;
        error(paths[later].first, in_quotes(*paths[later].second) + " is also " +
                                      std::string(paths[earlier].first) +
                                      ": expected a file of its own");
      }
    }
  }

  void blocking_is_possible(const Keys& keys) {
    const BlockMode block = config_.block(keys.protocol);
    if (block == BlockMode::command_only && config_.kill_run_cmd.empty()) {
      error(keys.block, "2 runs KILL_RUN_CMD only, and KILL_RUN_CMD is empty: name a command, or " +
                            assigned(keys.block, "0") + " to watch only");
    }
    if (block == BlockMode::ban && config_.backend() == Firewall::none) {
      error(keys.block, "no ban can be enforced with FIREWALL=\"none\" (" + places_.of("FIREWALL") +
                            "): expected FIREWALL=\"auto\", or " + assigned(keys.block, "0") +
                            " to watch only");
    }
  }

  void blocking_is_careful(const Keys& keys) {
    if (config_.block(keys.protocol) != BlockMode::ban || config_.scan_trigger > 1) return;
    // A TCP connection that was accepted has shown that its source hears us.
    const bool proven =
        keys.protocol == Protocol::tcp && config_.mode(keys.protocol) == WatchMode::bind;
    if (!proven && watched(keys.protocol) > 0) {
      warn(keys.block, "with SCAN_TRIGGER at 0 or 1 a single forged " + std::string(keys.forged) +
                           " bans whomever it names as its sender; 2 or more asks for a second "
                           "port");
    }
    if (watched(keys.protocol) >= kWideList) {
      warn(keys.block,
           "with SCAN_TRIGGER at 0 or 1 one probe of any of " +
               std::to_string(watched(keys.protocol)) + " " + std::string(name(keys.protocol)) +
               " ports is a ban: a list this wide holds ports that ordinary clients try unasked "
               "(113, 137 to 139, 443); raise SCAN_TRIGGER or name fewer ports");
    }
  }

  // Of an armed configuration blocking_is_careful() has told it.
  void trigger_is_understood() {
    if (config_.armed() || config_.scan_trigger > 1 || !places_.sets("SCAN_TRIGGER")) return;
    warn("SCAN_TRIGGER",
         "0 and 1 mean the same: one packet to one port is a scan. One packet is easily forged: "
         "once armed, anybody can have any address banned; 2 asks for a second port");
  }

  void times_are_in_order() {
    const auto longer = [&](std::string_view key, std::string_view than, std::string_view so) {
      warn(key, "is " + std::string(key == "BLOCK_TIME_MAX" ? "shorter" : "longer") + " than " +
                    std::string(than) + " (" + places_.of(than) + "): " + std::string(so));
    };
    // What nobody wrote is not told: a BLOCK_TIME of a month alone means a month.
    if (config_.block_time_max < config_.block_time && places_.sets("BLOCK_TIME_MAX")) {
      longer("BLOCK_TIME_MAX", "BLOCK_TIME",
             "who comes back is banned for BLOCK_TIME each time, and no longer");
    }
    if (config_.block_time_forgeable > config_.block_time && places_.sets("BLOCK_TIME_FORGEABLE")) {
      longer("BLOCK_TIME_FORGEABLE", "BLOCK_TIME",
             "who may not have sent the packets is banned for longer than who has");
    }
  }

  void somebody_can_be_banned() {
    for (const auto& [every, family] :
         {std::pair<std::string_view, std::string_view>{"0.0.0.0/0", "IPv4"}, {"::/0", "IPv6"}}) {
      if (!covered(*Prefix::parse(every), config_.protect_networks)) continue;
      warn("PROTECT_NETWORKS",
           "holds every address of " + std::string(family) + ": none of them is ever banned");
    }
  }

  void listening_is_possible(const Keys& keys) {
    const auto port = ephemeral_port(bind_.of(keys.protocol));
    if (!port) return;
    warn(keys.ports, "port " + std::to_string(*port) +
                         " is among 32768 to 60999, where Linux takes the source ports of its own "
                         "connections: listening there can fail at any start, and takes the port "
                         "from others");
  }

  void commands_are_used() {
    const Firewall backend = config_.backend();
    if (backend == Firewall::command && config_.kill_route.empty()) {
      error("FIREWALL", "'command' runs KILL_ROUTE, and KILL_ROUTE is empty");
    }
    if (backend != Firewall::command && !config_.kill_route.empty()) {
      warn("KILL_ROUTE",
           "not used with " +
               assigned("FIREWALL", backend == Firewall::nftables ? "nftables" : "none") + " (" +
               places_.of("FIREWALL") + ")");
    }
    if (config_.kill_route.empty() && !config_.kill_route_remove.empty()) {
      warn("KILL_ROUTE_REMOVE", "not used without KILL_ROUTE, whose doing it undoes");
    }
    if (!places_.written_for_us() && config_.armed() && config_.kill_route.empty() &&
        !config_.kill_hosts_deny.empty()) {
      warn("KILL_HOSTS_DENY",
           "written beside each ban, which nftables enforces; 1.2 and 2.x did nothing else without "
           "KILL_ROUTE");
    }
  }

  void kill_route_is_a_filter() {
    if (config_.backend() != Firewall::command || !adds_a_route(config_.kill_route)) return;
    if (config_.kill_route.find("333.444.555.666") != std::string::npos) {
      warn("KILL_ROUTE",
           "333.444.555.666 is the placeholder of PortSentry's own example, not an address: no ban "
           "can be enforced with it");
    }
    warn("KILL_ROUTE",
         "a route is no filter: what the banned host sends still arrives, and what this host sends "
         "to it, answers included, is lost; without KILL_ROUTE nftables drops what arrives");
  }

  // A guide copied from its web page: addresses were replaced there to hide them from spammers.
  void commands_are_whole() {
    const std::array<std::pair<std::string_view, const std::string*>, 4> commands{
        {{"KILL_ROUTE", &config_.kill_route},
         {"KILL_ROUTE_REMOVE", &config_.kill_route_remove},
         {"KILL_RUN_CMD", &config_.kill_run_cmd},
         {"EXTERNAL_COMMAND", &config_.external_command}}};
    for (const auto& [key, command] : commands) {
      const std::size_t start = command->find("[email");
      if (start == std::string::npos || command->find("protected]", start) == std::string::npos)
        continue;
      warn(
          key,
          "'[email protected]' is what a web page shows in place of an address: write the address");
    }
  }

  void lines_go_somewhere() {
    const LogOutput& output = config_.log_output;
    if (config_.log_facility != LogFacility::none || output.automatic || !output.syslog) return;
    warn("LOG_OUTPUT",
         "syslog gets nothing with LOG_FACILITY=\"none\" (" + places_.of("LOG_FACILITY") + ")");
  }

  void bans_are_known_to_end() {
    if (places_.written_for_us() || places_.sets("BLOCK_TIME")) return;
    for (const Keys& keys : kProtocols) {
      if (config_.block(keys.protocol) != BlockMode::ban) continue;
      return warn(keys.block,
                  "a ban ends after 30m, or 10m where the packets could be forged; BLOCK_TIME and "
                  "BLOCK_TIME_FORGEABLE set other times (1.2 and 2.x ended none)");
    }
  }

  const Config& config_;
  const ConfigPlaces& places_;
  PortSets capture_;
  PortSets bind_;
  std::vector<Finding> out_;
};

}  // namespace

const ConfEntry* ConfigPlaces::find(std::string_view key) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const ConfEntry& entry) { return entry.key == key; });
  return found == entries_.end() ? nullptr : &*found;
}

std::string ConfigPlaces::of(std::string_view key) const {
  const ConfEntry* entry = find(key);
  if (entry == nullptr) return "by default";
  return entry->line == 0 ? std::string(kCommandLine) : "line " + std::to_string(entry->line);
}

Finding ConfigPlaces::about(Severity severity, std::string_view key, std::string text) const {
  const ConfEntry* entry = find(key);
  const bool on_command_line = entry != nullptr && entry->line == 0;
  return {.severity = severity,
          .file = std::string(on_command_line ? kCommandLine : file_),
          .line = entry == nullptr ? 0 : entry->line,
          .key = std::string(key),
          .text = std::move(text)};
}

std::vector<Finding> check_config(const Config& config, const ConfigPlaces& places) {
  return Check(config, places).run();
}

}  // namespace portsentry
