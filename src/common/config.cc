#include "common/config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "common/conf_lexer.h"
#include "common/config_values.h"
#include "common/messages.h"

namespace portsentry {
namespace {

constexpr std::uint32_t kMinSources = 16;
constexpr std::string_view kCommand = "command";

// Turns entries into a Config. Each read_*() is one type of value; which key has which type, and
// where it is stored, is the table below.
class Reader {
 public:
  Reader(std::string_view file, ConfLexing lexing)
      : file_(file), entries_(std::move(lexing.entries)) {
    out_.findings = std::move(lexing.findings);
  }

  ConfigReading read();

  Config& config() { return out_.config; }

  void read_ports(const ConfEntry& entry, PortSet& into) {
    const auto list = parse_port_list(entry.value);
    if (!list) return error(entry, list.error().what);
    into = list->ports;
    if (list->has_empty_items) {
      warn(entry, "there is nothing between two commas, or beside one: is a port missing?");
    }
  }

  void read_number(const ConfEntry& entry, std::uint32_t least, std::uint32_t most,
                   std::uint32_t& into) {
    store(entry, parse_number(entry.value, least, most), into);
  }

  void read_duration(const ConfEntry& entry, std::chrono::seconds& into) {
    store(entry, parse_duration(entry.value), into);
  }

  void read_path(const ConfEntry& entry, std::string& into) {
    store(entry, parse_path(entry.value), into);
  }

  void read_interfaces(const ConfEntry& entry) {
    store(entry, parse_interfaces(entry.value), config().interfaces);
  }

  void read_block(const ConfEntry& entry, BlockMode& into) {
    constexpr std::array kModes{BlockMode::observe, BlockMode::ban, BlockMode::command_only};
    const auto mode = parse_number(entry.value, 0, 2);
    if (!mode) {
      return error(entry, "found " + in_quotes(entry.value) +
                              ", expected 0 (log only), 1 (ban) or 2 (run commands only)");
    }
    into = kModes.at(*mode);
    if (into == BlockMode::command_only) {
      warn(entry, "this version runs no commands: 2 only logs, like 0");
    }
  }

  void read_firewall(const ConfEntry& entry) {
    if (entry.value == kCommand) {
      config().firewall = Firewall::command;
      return warn(entry,
                  "this version runs no command templates: nothing can be banned, as with none");
    }
    constexpr std::array kFirewalls{Firewall::automatic, Firewall::nftables, Firewall::none};
    const auto word = parse_word(entry.value, {"auto", "nftables", "none"});
    if (!word) return error(entry, word.error().what);
    config().firewall = kFirewalls.at(*word);
  }

  void not_yet(const ConfEntry& entry) { warn(entry, "accepted, not acted on by this version"); }

 private:
  template <class T>
  void store(const ConfEntry& entry, Result<T> parsed, T& into) {
    if (!parsed) return error(entry, parsed.error().what);
    into = std::move(*parsed);
  }

  void read_entry(const ConfEntry& entry);
  void check_something_is_watched();
  void check_paths_differ();
  void check_bans(std::string_view key, BlockMode mode, std::string_view bait);

  // Where `key` stands; 0 when the file does not hold it.
  [[nodiscard]] unsigned line_of(std::string_view key) const {
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const ConfEntry& entry) { return entry.key == key; });
    return found == entries_.end() ? 0 : found->line;
  }

  void error(const ConfEntry& entry, std::string text) {
    add(Severity::error, entry.line, entry.key, std::move(text));
  }
  void warn(const ConfEntry& entry, std::string text) {
    add(Severity::warning, entry.line, entry.key, std::move(text));
  }
  void add(Severity severity, unsigned line, std::string_view key, std::string text,
           bool fails_check = false) {
    out_.findings.push_back({.severity = severity,
                             .file = std::string(file_),
                             .line = line,
                             .key = std::string(key),
                             .text = std::move(text),
                             .fails_check = fails_check});
  }

  std::string_view file_;
  std::vector<ConfEntry> entries_;
  ConfigReading out_;
};

// ---- The keys -------------------------------------------------------------------------------

struct Row {
  ConfigKey key;
  void (*read)(Reader& reader, const ConfEntry& entry);
};

constexpr auto kNotYet = [](Reader& r, const ConfEntry& e) { r.not_yet(e); };

constexpr std::array kRows{
    Row{{"TCP_PORTS", KeyOwner::root},
        [](Reader& r, const ConfEntry& e) { r.read_ports(e, r.config().ports.tcp); }},
    Row{{"UDP_PORTS", KeyOwner::root},
        [](Reader& r, const ConfEntry& e) { r.read_ports(e, r.config().ports.udp); }},
    Row{{"FIREWALL", KeyOwner::root}, [](Reader& r, const ConfEntry& e) { r.read_firewall(e); }},
    Row{{"IGNORE_FILE", KeyOwner::root},
        [](Reader& r, const ConfEntry& e) { r.read_path(e, r.config().ignore_file); }},
    Row{{"HISTORY_FILE", KeyOwner::root},
        [](Reader& r, const ConfEntry& e) { r.read_path(e, r.config().history_file); }},
    Row{{"BLOCKED_FILE", KeyOwner::root},
        [](Reader& r, const ConfEntry& e) { r.read_path(e, r.config().blocked_file); }},
    Row{{"BLOCK_TCP", KeyOwner::monitor},
        [](Reader& r, const ConfEntry& e) { r.read_block(e, r.config().block_tcp); }},
    Row{{"BLOCK_UDP", KeyOwner::monitor},
        [](Reader& r, const ConfEntry& e) { r.read_block(e, r.config().block_udp); }},
    Row{{"BLOCK_TIME", KeyOwner::monitor},
        [](Reader& r, const ConfEntry& e) { r.read_duration(e, r.config().block_time); }},
    Row{{"SCAN_TRIGGER", KeyOwner::monitor},
        [](Reader& r, const ConfEntry& e) {
          r.read_number(e, 0, kMaxTrigger, r.config().scan_trigger);
          // 0 is 1.2's word for "at once", which is the first hit.
          r.config().scan_trigger = std::max(r.config().scan_trigger, 1U);
        }},
    Row{{"SCAN_WINDOW", KeyOwner::monitor},
        [](Reader& r, const ConfEntry& e) { r.read_duration(e, r.config().scan_window); }},
    Row{{"MAX_SOURCES", KeyOwner::monitor},
        [](Reader& r, const ConfEntry& e) {
          r.read_number(e, kMinSources, kMaxSources, r.config().max_sources);
        }},
    Row{{"INTERFACES", KeyOwner::monitor},
        [](Reader& r, const ConfEntry& e) { r.read_interfaces(e); }},
    Row{{"TCP_MODE", KeyOwner::later}, kNotYet},
    Row{{"UDP_MODE", KeyOwner::later}, kNotYet},
    Row{{"ADVANCED_PORTS_TCP", KeyOwner::later}, kNotYet},
    Row{{"ADVANCED_PORTS_UDP", KeyOwner::later}, kNotYet},
    Row{{"ADVANCED_EXCLUDE_TCP", KeyOwner::later}, kNotYet},
    Row{{"ADVANCED_EXCLUDE_UDP", KeyOwner::later}, kNotYet},
    Row{{"RESOLVE_HOST", KeyOwner::later}, kNotYet},
    Row{{"KILL_ROUTE", KeyOwner::later}, kNotYet},
    Row{{"KILL_ROUTE_REMOVE", KeyOwner::later}, kNotYet},
    Row{{"KILL_HOSTS_DENY", KeyOwner::later}, kNotYet},
    Row{{"KILL_RUN_CMD", KeyOwner::later}, kNotYet},
    Row{{"KILL_RUN_CMD_FIRST", KeyOwner::later}, kNotYet},
    Row{{"EXTERNAL_COMMAND", KeyOwner::later}, kNotYet},
    Row{{"PORT_BANNER", KeyOwner::later}, kNotYet},
    Row{{"LOG_FORMAT", KeyOwner::later}, kNotYet},
    Row{{"LOG_FACILITY", KeyOwner::later}, kNotYet},
    Row{{"LOG_TAG", KeyOwner::later}, kNotYet},
    Row{{"LOG_FILE", KeyOwner::later}, kNotYet},
};

constexpr auto kKeys = [] {
  std::array<ConfigKey, kRows.size()> keys{};
  std::transform(kRows.begin(), kRows.end(), keys.begin(), [](const Row& row) { return row.key; });
  return keys;
}();

// ---- Reading --------------------------------------------------------------------------------

void Reader::read_entry(const ConfEntry& entry) {
  const auto row = std::find_if(kRows.begin(), kRows.end(),
                                [&](const Row& r) { return r.key.name == entry.key; });
  if (row != kRows.end()) return row->read(*this, entry);
  std::vector<std::string_view> names(kKeys.size());
  std::transform(kKeys.begin(), kKeys.end(), names.begin(),
                 [](const ConfigKey& key) { return key.name; });
  const std::string_view guess = nearest(entry.key, names);
  std::string text = "unknown key, ignored";
  if (!guess.empty()) text += "; did you mean " + std::string(guess) + "?";
  add(Severity::warning, entry.line, entry.key, std::move(text), true);
}

void Reader::check_something_is_watched() {
  // After an error the lists may be empty only because their line was bad.
  if (!error_free(out_.findings)) return;
  if (!config().ports.tcp.empty() || !config().ports.udp.empty()) return;
  add(Severity::error, 0, {},
      "nothing to watch: expected ports in TCP_PORTS or UDP_PORTS, for example "
      "TCP_PORTS=\"1,11,15,79\"");
}

// The daemon appends to two of these files. In the ignore file that would stop the next start.
void Reader::check_paths_differ() {
  const std::array<std::pair<std::string_view, const std::string*>, 3> paths{
      {{"IGNORE_FILE", &config().ignore_file},
       {"HISTORY_FILE", &config().history_file},
       {"BLOCKED_FILE", &config().blocked_file}}};
  for (std::size_t later = 1; later < paths.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (paths[later].second->empty() || *paths[later].second != *paths[earlier].second) continue;
      add(Severity::error, line_of(paths[later].first), paths[later].first,
          in_quotes(*paths[later].second) + " is also " + std::string(paths[earlier].first) +
              ": expected a file of its own");
    }
  }
}

void Reader::check_bans(std::string_view key, BlockMode mode, std::string_view bait) {
  if (mode != BlockMode::ban) return;
  if (config().firewall == Firewall::none || config().firewall == Firewall::command) {
    const std::string_view firewall = config().firewall == Firewall::none ? "none" : kCommand;
    add(Severity::error, line_of(key), key,
        "no ban can be enforced with FIREWALL=\"" + std::string(firewall) + "\" (line " +
            std::to_string(line_of("FIREWALL")) + "): expected FIREWALL=\"auto\", or " +
            std::string(key) + "=\"0\" to watch only");
  }
  if (config().scan_trigger <= 1) {
    add(Severity::warning, line_of(key), key,
        "with SCAN_TRIGGER at 0 or 1 a single forged " + std::string(bait) +
            " bans whomever it names as its sender; 2 or more asks for a second port");
  }
}

ConfigReading Reader::read() {
  for (const ConfEntry& entry : entries_) {
    if (out_.findings.size() >= kMaxFindings) {
      // Above the cap the lexer has said so already.
      if (out_.findings.size() == kMaxFindings) {
        add(Severity::error, entry.line, {}, "too many findings: the rest was not checked");
      }
      break;
    }
    read_entry(entry);
  }
  check_something_is_watched();
  check_paths_differ();
  check_bans("BLOCK_TCP", config().block_tcp, "SYN packet");
  check_bans("BLOCK_UDP", config().block_udp, "datagram");
  // In the file's order; what belongs to no line comes last.
  constexpr auto place = [](const Finding& f) {
    return f.line == 0 ? std::numeric_limits<unsigned>::max() : f.line;
  };
  std::stable_sort(out_.findings.begin(), out_.findings.end(),
                   [&](const Finding& a, const Finding& b) { return place(a) < place(b); });
  return std::move(out_);
}

// 1..below-1 without `excluded`.
PortSet advanced_ports(std::uint32_t below, const PortSet& excluded) {
  PortSet ports;
  const auto first = Port::make(1);
  const auto last = Port::make(below - 1);
  if (first && last) ports.add_range(*first, *last);
  ports.remove(excluded);
  return ports;
}

PortSet captured(WatchMode mode, const PortSet& list, const PortSet& advanced) {
  switch (mode) {
    case WatchMode::none:
    case WatchMode::bind:
      break;
    case WatchMode::stealth:
      return list;
    case WatchMode::advanced:
      return advanced;
  }
  return {};
}

}  // namespace

Firewall Config::backend() const {
  if (firewall != Firewall::automatic) return firewall;
  return kill_route.empty() ? Firewall::nftables : Firewall::command;
}

PortSets Config::watched_capture() const {
  return {captured(tcp_mode, ports.tcp, advanced_ports(advanced_ports_tcp, advanced_exclude_tcp)),
          captured(udp_mode, ports.udp, advanced_ports(advanced_ports_udp, advanced_exclude_udp))};
}

PortSets Config::watched_bind() const {
  return {tcp_mode == WatchMode::bind ? ports.tcp : PortSet(),
          udp_mode == WatchMode::bind ? ports.udp : PortSet()};
}

bool ConfigReading::ok() const {
  return error_free(findings);
}

bool ConfigReading::passes_check() const {
  return ok() && std::none_of(findings.begin(), findings.end(),
                              [](const Finding& f) { return f.fails_check; });
}

std::span<const ConfigKey> config_keys() {
  return kKeys;
}

ConfigReading read_config(std::string_view text, std::string_view file) {
  return Reader(file, lex_conf(text, file)).read();
}

}  // namespace portsentry
