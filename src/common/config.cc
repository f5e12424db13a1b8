#include "common/config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "common/conf_lexer.h"
#include "common/config_checks.h"
#include "common/config_values.h"
#include "common/messages.h"
#include "common/watch.h"

namespace portsentry {
namespace {

constexpr std::uint32_t kMinSources = 16;
constexpr std::size_t kMaxOldPorts = 64;      // of one list, in 1.2
constexpr std::uint32_t kMaxOldTrigger = 50;  // in 1.2

constexpr std::array<std::pair<std::string_view, LogFacility>, 13> kFacilities{{
    {"local0", LogFacility::local0},
    {"local1", LogFacility::local1},
    {"local2", LogFacility::local2},
    {"local3", LogFacility::local3},
    {"local4", LogFacility::local4},
    {"local5", LogFacility::local5},
    {"local6", LogFacility::local6},
    {"local7", LogFacility::local7},
    {"daemon", LogFacility::daemon},
    {"auth", LogFacility::auth},
    {"authpriv", LogFacility::authpriv},
    {"user", LogFacility::user},
    {"none", LogFacility::none},
}};

// Turns entries into a Config. Each read_*() is one type of value; which key has which type, and
// where it is stored, is the table below.
class Reader {
 public:
  // `overrides` must outlive this: entries are views into them.
  Reader(std::string_view file, ConfLexing lexing, std::span<const ConfigOverride> overrides);

  ConfigReading read();

  Config& config() { return out_.config; }

  void read_ports(const ConfEntry& entry, PortSet& into) {
    const auto list = parse_port_list(entry.value);
    if (!list) return error(entry, list.error().what);
    into = list->ports;
    if (list->has_empty_items) {
      warn(entry, "there is nothing between two commas, or beside one: is a port missing?");
    }
    if (written_for_us_) return;
    if (list->has_ranges) {
      warn(entry,
           "a range means all of its ports, as in PortSentry 2 (1.2 took the first port only)");
    }
    if (list->items > kMaxOldPorts) {
      warn(entry, "all " + std::to_string(list->items) +
                      " items count, as in PortSentry 2 (1.2 took the first 64)");
    }
  }

  void read_login_ports(const ConfEntry& entry) {
    PortSet& ports = config().login_ports;
    read_ports(entry, ports);
    if (ports.ranges().size() > kMaxLoginRanges) {
      error(entry, "more than " + std::to_string(kMaxLoginRanges) + " separate ports or ranges");
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

  void read_networks(const ConfEntry& entry) {
    store(entry, parse_networks(entry.value), config().protect_networks);
  }

  void read_scope(const ConfEntry& entry) {
    const auto word = parse_word(entry.value, {"inbound", "all"});
    if (!word) return error(entry, word.error().what);
    config().ban_scope = *word == 0 ? BanScope::inbound : BanScope::all;
  }

  void read_hold(const ConfEntry& entry) {
    const auto word = parse_word(entry.value, {"auto", "none"});
    if (!word) return error(entry, word.error().what);
    config().hold = *word == 0 ? Hold::automatic : Hold::none;
  }

  void read_switch(const ConfEntry& entry, bool& into) {
    store(entry, parse_switch(entry.value), into);
  }

  void read_old_switch(const ConfEntry& entry, bool& into) {
    const auto found = parse_old_switch(entry.value);
    if (!found) return error(entry, found.error().what);
    into = found->on;
    if (!found->unusual) return;
    warn(entry, "found " + in_quotes(entry.value) + ", read as " + (into ? "1 (on)" : "0 (off)") +
                    " as in 1.2 (2.x refused the file)");
  }

  void read_mode(const ConfEntry& entry, Protocol protocol, WatchMode& into) {
    constexpr std::array kModes{WatchMode::none, WatchMode::bind, WatchMode::stealth,
                                WatchMode::advanced};
    // The empty word is written as such in the list of what was expected.
    std::vector<std::string_view> words{"\"\""};
    for (const WatchMode mode : {WatchMode::bind, WatchMode::stealth, WatchMode::advanced})
      words.push_back(mode_word(protocol, mode));
    if (entry.value.find_first_not_of(" \t") == std::string_view::npos) {
      into = WatchMode::none;
      return;
    }
    const auto word = parse_word(entry.value, words);
    if (!word) return error(entry, word.error().what);
    into = kModes.at(*word);
  }

  // 1.2 took every other value for 0, and so nobody may be banned because of one.
  void read_block(const ConfEntry& entry, BlockMode& into) {
    constexpr std::array kModes{BlockMode::observe, BlockMode::ban, BlockMode::command_only};
    const auto mode = parse_number(entry.value, 0, 2);
    into = mode ? kModes.at(*mode) : BlockMode::observe;
    if (mode) return;
    add(Severity::warning, entry,
        "found " + in_quotes(entry.value) +
            ", expected 0 (log only), 1 (ban) or 2 (run commands only): nobody is banned, as in "
            "1.2 (2.x refused the file)",
        true);
  }

  void read_trigger(const ConfEntry& entry) {
    std::uint32_t& trigger = config().scan_trigger;
    if (entry.value.empty()) {
      trigger = 1;
      return warn(entry, "found '', read as 0 as in 1.2 (2.x refused the file)");
    }
    read_number(entry, 0, kMaxTrigger, trigger);
    // 0 is 1.2's word for "at once", which is the first hit.
    trigger = std::max(trigger, 1U);
    if (trigger <= kMaxOldTrigger || written_for_us_) return;
    warn(entry, "waits for " + std::to_string(trigger) +
                    " ports, as PortSentry 2 for as many packets (1.2 took everything above 50 for "
                    "0)");
  }

  void read_banner(const ConfEntry& entry) {
    if (entry.value.size() > kMaxBanner) {
      return error(entry, "the banner has " + std::to_string(entry.value.size()) +
                              " bytes, expected at most " + std::to_string(kMaxBanner));
    }
    config().port_banner = entry.value;
  }

  // Judged where it is run: what a command may be is for the launcher's templates to say.
  void read_command(const ConfEntry& entry, std::string& into) {
    const bool blank = entry.value.find_first_not_of(" \t") == std::string_view::npos;
    into = blank ? std::string_view() : entry.value;
  }

  void read_firewall(const ConfEntry& entry) {
    constexpr std::array kFirewalls{Firewall::automatic, Firewall::nftables, Firewall::command,
                                    Firewall::none};
    const auto word = parse_word(entry.value, {"auto", "nftables", "command", "none"});
    if (!word) return error(entry, word.error().what);
    config().firewall = kFirewalls.at(*word);
  }

  void read_format(const ConfEntry& entry) {
    const auto word = parse_word(entry.value, {"classic", "2.x"});
    if (!word) return error(entry, word.error().what);
    config().log_format = *word == 0 ? LogFormat::classic : LogFormat::v2;
  }

  void read_facility(const ConfEntry& entry) {
    std::vector<std::string_view> words(kFacilities.size());
    std::transform(kFacilities.begin(), kFacilities.end(), words.begin(),
                   [](const auto& facility) { return facility.first; });
    const auto word = parse_word(entry.value, words);
    if (!word) return error(entry, word.error().what);
    config().log_facility = kFacilities.at(*word).second;
  }

  void read_output(const ConfEntry& entry) {
    const auto words = parse_words(entry.value, {"stdout", "syslog"});
    if (!words) return error(entry, words.error().what);
    const bool standard_output = words->at(0);
    const bool syslog = words->at(1);
    config().log_output = {!standard_output && !syslog, standard_output, syslog};
  }

  void read_tag(const ConfEntry& entry) { store(entry, parse_tag(entry.value), config().log_tag); }

 private:
  template <class T>
  void store(const ConfEntry& entry, Result<T> parsed, T& into) {
    if (!parsed) return error(entry, parsed.error().what);
    into = std::move(*parsed);
  }

  void override(const ConfigOverride& given);
  void read_entry(const ConfEntry& entry);
  void tell_quirks(const ConfEntry& entry);
  void unknown(const ConfEntry& entry);

  void error(const ConfEntry& entry, std::string text) {
    add(Severity::error, entry, std::move(text));
  }
  void warn(const ConfEntry& entry, std::string text) {
    add(Severity::warning, entry, std::move(text));
  }
  void add(Severity severity, const ConfEntry& entry, std::string text, bool fails_check = false) {
    out_.findings.push_back({.severity = severity,
                             .file = std::string(entry.line == 0 ? kCommandLine : file_),
                             .line = entry.line,
                             .key = std::string(entry.key),
                             .text = std::move(text),
                             .fails_check = fails_check});
  }

  std::string_view file_;
  std::vector<ConfEntry> entries_;  // line 0: from the command line
  bool written_for_us_;
  ConfigReading out_;
};

// ---- The keys -------------------------------------------------------------------------------

struct Row {
  ConfigKey key;
  void (*read)(Reader& reader, const ConfEntry& entry);
};

using enum KeyOwner;
using enum KeyOrigin;
using Entry = ConfEntry;

constexpr std::array kRows{
    Row{{"TCP_MODE", root, own},
        [](Reader& r, const Entry& e) { r.read_mode(e, Protocol::tcp, r.config().tcp_mode); }},
    Row{{"UDP_MODE", root, own},
        [](Reader& r, const Entry& e) { r.read_mode(e, Protocol::udp, r.config().udp_mode); }},
    Row{{"TCP_PORTS", root, classic},
        [](Reader& r, const Entry& e) { r.read_ports(e, r.config().ports.tcp); }},
    Row{{"UDP_PORTS", root, classic},
        [](Reader& r, const Entry& e) { r.read_ports(e, r.config().ports.udp); }},
    Row{{"ADVANCED_PORTS_TCP", root, classic},
        [](Reader& r, const Entry& e) {
          r.read_number(e, 1, 65536, r.config().advanced_ports_tcp);
        }},
    Row{{"ADVANCED_PORTS_UDP", root, classic},
        [](Reader& r, const Entry& e) {
          r.read_number(e, 1, 65536, r.config().advanced_ports_udp);
        }},
    Row{{"ADVANCED_EXCLUDE_TCP", root, classic},
        [](Reader& r, const Entry& e) { r.read_ports(e, r.config().advanced_exclude_tcp); }},
    Row{{"ADVANCED_EXCLUDE_UDP", root, classic},
        [](Reader& r, const Entry& e) { r.read_ports(e, r.config().advanced_exclude_udp); }},
    Row{{"PORT_BANNER", root, classic}, [](Reader& r, const Entry& e) { r.read_banner(e); }},
    Row{{"INTERFACES", both, own}, [](Reader& r, const Entry& e) { r.read_interfaces(e); }},
    Row{{"LOCAL_CHECK", both, own},
        [](Reader& r, const Entry& e) { r.read_switch(e, r.config().local_check); }},
    Row{{"SERVICE_CHECK", both, own},
        [](Reader& r, const Entry& e) { r.read_switch(e, r.config().service_check); }},
    Row{{"SCAN_TRIGGER", both, classic}, [](Reader& r, const Entry& e) { r.read_trigger(e); }},
    Row{{"SCAN_WINDOW", both, own},
        [](Reader& r, const Entry& e) { r.read_duration(e, r.config().scan_window); }},
    Row{{"MAX_SOURCES", monitor, own},
        [](Reader& r, const Entry& e) {
          r.read_number(e, kMinSources, kMaxSources, r.config().max_sources);
        }},
    Row{{"BLOCK_TCP", monitor, classic},
        [](Reader& r, const Entry& e) { r.read_block(e, r.config().block_tcp); }},
    Row{{"BLOCK_UDP", monitor, classic},
        [](Reader& r, const Entry& e) { r.read_block(e, r.config().block_udp); }},
    Row{{"BLOCK_TIME", monitor, own},
        [](Reader& r, const Entry& e) { r.read_duration(e, r.config().block_time); }},
    Row{{"BLOCK_TIME_MAX", monitor, own},
        [](Reader& r, const Entry& e) { r.read_duration(e, r.config().block_time_max); }},
    Row{{"BLOCK_TIME_FORGEABLE", monitor, own},
        [](Reader& r, const Entry& e) { r.read_duration(e, r.config().block_time_forgeable); }},
    Row{{"BAN_SCOPE", root, own}, [](Reader& r, const Entry& e) { r.read_scope(e); }},
    Row{{"LOGIN_PORTS", root, own}, [](Reader& r, const Entry& e) { r.read_login_ports(e); }},
    Row{{"PROTECT_NETWORKS", both, own}, [](Reader& r, const Entry& e) { r.read_networks(e); }},
    Row{{"PROTECT_SESSIONS", monitor, own},
        [](Reader& r, const Entry& e) { r.read_switch(e, r.config().protect_sessions); }},
    Row{{"FIREWALL", root, own}, [](Reader& r, const Entry& e) { r.read_firewall(e); }},
    Row{{"HOLD", root, own}, [](Reader& r, const Entry& e) { r.read_hold(e); }},
    Row{{"NFLOG_GROUP", root, own},
        [](Reader& r, const Entry& e) { r.read_number(e, 1, 65535, r.config().nflog_group); }},
    Row{{"KILL_ROUTE", root, classic},
        [](Reader& r, const Entry& e) { r.read_command(e, r.config().kill_route); }},
    Row{{"KILL_ROUTE_REMOVE", root, guide},
        [](Reader& r, const Entry& e) { r.read_command(e, r.config().kill_route_remove); }},
    Row{{"KILL_HOSTS_DENY", root, classic},
        [](Reader& r, const Entry& e) { r.read_command(e, r.config().kill_hosts_deny); }},
    Row{{"KILL_RUN_CMD", root, classic},
        [](Reader& r, const Entry& e) { r.read_command(e, r.config().kill_run_cmd); }},
    Row{{"KILL_RUN_CMD_FIRST", monitor, classic},
        [](Reader& r, const Entry& e) { r.read_old_switch(e, r.config().kill_run_cmd_first); }},
    Row{{"EXTERNAL_COMMAND", root, guide},
        [](Reader& r, const Entry& e) { r.read_command(e, r.config().external_command); }},
    Row{{"RESOLVE_HOST", both, classic},
        [](Reader& r, const Entry& e) { r.read_old_switch(e, r.config().resolve_host); }},
    Row{{"IGNORE_FILE", root, classic},
        [](Reader& r, const Entry& e) { r.read_path(e, r.config().ignore_file); }},
    Row{{"HISTORY_FILE", root, classic},
        [](Reader& r, const Entry& e) { r.read_path(e, r.config().history_file); }},
    Row{{"BLOCKED_FILE", root, classic},
        [](Reader& r, const Entry& e) { r.read_path(e, r.config().blocked_file); }},
    Row{{"LOG_FILE", root, own},
        [](Reader& r, const Entry& e) { r.read_path(e, r.config().log_file); }},
    Row{{"LOG_FORMAT", monitor, own}, [](Reader& r, const Entry& e) { r.read_format(e); }},
    Row{{"LOG_OUTPUT", monitor, own}, [](Reader& r, const Entry& e) { r.read_output(e); }},
    Row{{"LOG_FACILITY", monitor, own}, [](Reader& r, const Entry& e) { r.read_facility(e); }},
    Row{{"LOG_TAG", monitor, own}, [](Reader& r, const Entry& e) { r.read_tag(e); }},
};

constexpr auto kKeys = [] {
  std::array<ConfigKey, kRows.size()> keys{};
  std::transform(kRows.begin(), kRows.end(), keys.begin(), [](const Row& row) { return row.key; });
  return keys;
}();

// In PortSentry 2 the beginning of a name was as good as the name, and of several the first of this
// list was meant (configfile.c of 2.0.7).
constexpr std::array<std::string_view, 14> kTwoKeys{
    "BLOCK_TCP",       "BLOCK_UDP",    "RESOLVE_HOST",       "SCAN_TRIGGER", "KILL_ROUTE",
    "KILL_HOSTS_DENY", "KILL_RUN_CMD", "KILL_RUN_CMD_FIRST", "BLOCKED_FILE", "HISTORY_FILE",
    "IGNORE_FILE",     "TCP_PORTS",    "UDP_PORTS",          "PORT_BANNER"};

const Row* row_of(std::string_view key) {
  const auto row =
      std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.key.name == key; });
  return row == kRows.end() ? nullptr : &*row;
}

// ---- Reading --------------------------------------------------------------------------------

Reader::Reader(std::string_view file, ConfLexing lexing, std::span<const ConfigOverride> overrides)
    : file_(file),
      entries_(std::move(lexing.entries)),
      written_for_us_(std::any_of(entries_.begin(), entries_.end(), [](const ConfEntry& entry) {
        const Row* row = row_of(entry.key);
        return row != nullptr && row->key.origin == own;
      })) {
  out_.written_for_us = written_for_us_;
  out_.findings = std::move(lexing.findings);
  for (const ConfigOverride& given : overrides)
    override(given);
}

void Reader::override(const ConfigOverride& given) {
  const ConfEntry entry{given.key, given.value, 0, {}};
  if (has_control_byte(given.value))
    return error(entry, "the value holds a control byte: " + in_quotes(given.value));
  const auto same = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const ConfEntry& other) { return other.key == given.key; });
  if (same != entries_.end())
    *same = entry;
  else
    entries_.push_back(entry);
}

void Reader::unknown(const ConfEntry& entry) {
  const auto two = std::find_if(kTwoKeys.begin(), kTwoKeys.end(),
                                [&](std::string_view name) { return name.starts_with(entry.key); });
  std::vector<std::string_view> names(kKeys.size());
  std::transform(kKeys.begin(), kKeys.end(), names.begin(),
                 [](const ConfigKey& key) { return key.name; });
  const std::string_view guess = two != kTwoKeys.end() ? *two : nearest(entry.key, names);
  std::string text = "unknown key, ignored";
  if (!guess.empty()) text += "; did you mean " + std::string(guess) + "?";
  if (two != kTwoKeys.end()) text += " PortSentry 2 read it so";
  add(Severity::warning, entry, std::move(text), true);
}

void Reader::tell_quirks(const ConfEntry& entry) {
  if (entry.quirks.indented) {
    warn(entry,
         "the blanks before the key mean nothing (1.2 did not find such a key, 2.x refused the "
         "file)");
  }
  if (entry.quirks.long_line) {
    warn(entry,
         "the line is longer than 1023 bytes and read whole (1.2 cut it there, 2.x refused the "
         "file)");
  }
  if (entry.quirks.cut_value) {
    warn(entry,
         "the value holds a tab or a byte outside ASCII and is read whole, as in PortSentry 2 (1.2 "
         "ended it there)");
  }
}

void Reader::read_entry(const ConfEntry& entry) {
  const Row* row = row_of(entry.key);
  if (row == nullptr) return unknown(entry);
  if (!written_for_us_) tell_quirks(entry);
  row->read(*this, entry);
}

ConfigReading Reader::read() {
  for (const ConfEntry& entry : entries_) {
    if (out_.findings.size() >= kMaxFindings) {
      // Above the cap the lexer has said so already.
      if (out_.findings.size() == kMaxFindings) {
        add(Severity::error, {{}, {}, entry.line, {}},
            "too many findings: the rest was not checked");
      }
      break;
    }
    read_entry(entry);
  }
  // After an error what was not read has its default, and would be judged for it.
  if (error_free(out_.findings)) {
    auto found = check_config(config(), {file_, entries_, written_for_us_});
    std::move(found.begin(), found.end(), std::back_inserter(out_.findings));
  }
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

PortSet default_login_ports() {
  PortSet ports;
  ports.add(*Port::make(22));
  return ports;
}

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

std::optional<ConfigOverride> ConfigOverride::parse(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos) return std::nullopt;
  return ConfigOverride{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

ConfigReading read_config(std::string_view text, std::string_view file,
                          std::span<const ConfigOverride> overrides) {
  return Reader(file, lex_conf(text, file), overrides).read();
}

}  // namespace portsentry
