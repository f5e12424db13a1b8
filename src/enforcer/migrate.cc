#include "enforcer/migrate.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "common/conf_lexer.h"
#include "common/config.h"
#include "common/config_values.h"
#include "common/log.h"
#include "enforcer/root_files.h"

namespace portsentry::enforcer {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::size_t kMaxOldPorts = 64;
constexpr std::uint32_t kMaxOldTrigger = 50;

std::string assigned(std::string_view key, std::string_view value) {
  return std::string(key) + "=\"" + std::string(value) + "\"";
}

bool is_known(std::string_view key) {
  const auto keys = config_keys();
  return std::any_of(keys.begin(), keys.end(), [&](const ConfigKey& k) { return k.name == key; });
}

// "1,,2 , 3-4" without its empty items; nothing else changes.
std::string without_empty_items(std::string_view list) {
  std::string out;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    const std::string_view item = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const std::size_t first = item.find_first_not_of(" \t");
    if (first == std::string_view::npos) continue;
    if (!out.empty()) out += ',';
    out += item.substr(first, item.find_last_not_of(" \t") - first + 1);
  }
  return out;
}

// What becomes of one line that counts.
struct Verdict {
  std::string value;  // as it is written anew
  std::string why;    // of a value that was replaced, or of a meaning that changed; else empty
};

class Migrator {
 public:
  Migrator(std::string_view text, std::string_view file)
      : text_(text),
        file_(file),
        reading_(read_config(text, file)),
        lexing_(lex_conf(text, file)) {}

  Migration run() {
    if (!reading_.ok()) {
      std::copy_if(reading_.findings.begin(), reading_.findings.end(),
                   std::back_inserter(out_.errors),
                   [](const Finding& f) { return f.severity == Severity::error; });
      return std::move(out_);
    }
    std::string_view rest = text_;
    if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
    for (line_ = 1; !rest.empty(); ++line_) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      migrate_line(line);
    }
    if (!reading_.written_for_us) add_own_keys();
    // A file of the largest size may have become too large.
    const ConfigReading anew = read_config(out_.text, "the new configuration");
    if (!anew.ok()) return {.errors = anew.findings, .text = {}, .report = {}};
    return std::move(out_);
  }

 private:
  void migrate_line(std::string_view line) {
    const ConfLexing lexed = lex_conf(line, file_);
    if (lexed.entries.empty()) return write(std::string(line));
    const ConfEntry& entry = lexed.entries.front();
    if (!is_known(entry.key)) {
      comment_out("unknown to portsentryd", line);
      return report(entry.key, unknown(entry.key));
    }
    if (const unsigned last = line_that_counts(entry.key); last != line_) {
      comment_out("replaced further down", line);
      return report(entry.key, "replaced by line " + std::to_string(last));
    }
    const Verdict verdict = judge(entry);
    // The value is a view into the line, and a double quote follows it.
    const std::size_t value_end =
        static_cast<std::size_t>(entry.value.data() - line.data()) + entry.value.size() + 1;
    const std::string_view after = line.substr(value_end);
    const std::size_t mark = after.find_first_not_of(" \t");
    const bool comment = mark != std::string_view::npos && after[mark] == '#';
    std::string anew = assigned(entry.key, verdict.value);
    if (comment && anew.size() + after.size() <= kMaxConfLine) anew += after;
    write(anew);
    if (verdict.value != entry.value) {
      report(entry.key, "replaced by " + assigned(entry.key, verdict.value) + ": " + verdict.why);
    } else if (!verdict.why.empty()) {
      report(entry.key, "changed meaning: " + verdict.why);
    } else if (mark != std::string_view::npos && !comment) {
      report(entry.key, "kept, without what followed the value");
    } else {
      report(entry.key, "kept");
    }
  }

  [[nodiscard]] unsigned line_that_counts(std::string_view key) const {
    const auto found = std::find_if(lexing_.entries.begin(), lexing_.entries.end(),
                                    [&](const ConfEntry& entry) { return entry.key == key; });
    return found == lexing_.entries.end() ? line_ : found->line;
  }

  // What the reader said of this key, as one word of the report.
  [[nodiscard]] std::string unknown(std::string_view key) const {
    constexpr std::string_view kSaid = "unknown key, ignored";
    for (const Finding& finding : reading_.findings) {
      if (finding.line != line_ || finding.key != key || !finding.text.starts_with(kSaid)) continue;
      const std::string rest = finding.text.substr(kSaid.size());
      if (!rest.empty()) return "unknown" + rest;
    }
    return "unknown: neither 1.2 nor 2.x nor portsentryd reads it";
  }

  Verdict judge(const ConfEntry& entry) {
    const Config& config = reading_.config;
    const std::string same(entry.value);
    const bool old = !reading_.written_for_us;
    const auto meaning = [&](std::string_view why) {
      return Verdict{same, old ? std::string(why) : std::string()};
    };
    const auto is = [&](std::string_view key) { return entry.key == key; };

    if (is("BLOCK_TCP") || is("BLOCK_UDP")) {
      const BlockMode mode = config.block(is("BLOCK_TCP") ? Protocol::tcp : Protocol::udp);
      if (!parse_number(entry.value, 0, 2))
        return {"0", in_quotes(entry.value) + " bans nobody, as in 1.2"};
      if (mode == BlockMode::ban)
        return meaning(
            "a ban ends after BLOCK_TIME, or BLOCK_TIME_FORGEABLE where the packets could be "
            "forged "
            "(1.2 and 2.x ended none)");
    }
    if (is("SCAN_TRIGGER")) {
      if (config.scan_trigger == 1) {
        if (parse_number(entry.value, 1, 1)) return {same, {}};
        return {"1", "the first hit is the first, 0 and 1 alike"};
      }
      if (config.scan_trigger > kMaxOldTrigger) {
        return meaning(
            "waits for that many different ports within SCAN_WINDOW (1.2 took everything above 50 "
            "for 0)");
      }
      return meaning(
          "counts different ports within SCAN_WINDOW (1.2 and 2.x counted packets, without end)");
    }
    if (is("RESOLVE_HOST") || is("KILL_RUN_CMD_FIRST")) {
      const bool on = is("RESOLVE_HOST") ? config.resolve_host : config.kill_run_cmd_first;
      const auto found = parse_old_switch(entry.value);
      if (found && found->unusual) {
        return {on ? "1" : "0", "that is what 1.2 made of " + in_quotes(entry.value)};
      }
      if (on && is("RESOLVE_HOST"))
        return meaning("a line waits at most two seconds for a name, and a ban never");
    }
    if (is("TCP_PORTS") || is("UDP_PORTS") || is("ADVANCED_EXCLUDE_TCP") ||
        is("ADVANCED_EXCLUDE_UDP")) {
      const auto list = parse_port_list(entry.value);
      if (list && list->has_empty_items)
        return {without_empty_items(entry.value), "the same without the empty items"};
      if (list && list->has_ranges)
        return meaning("a range is all of its ports (1.2 took the first; 2.x as here)");
      if (list && list->items > kMaxOldPorts)
        return meaning("all of its ports count (1.2 took the first 64; 2.x as here)");
    }
    if (entry.quirks.indented) return meaning("blanks before the key do not hide it, as in 1.2");
    if (entry.quirks.long_line) return meaning("the line is read whole (1.2 cut it at 1023 bytes)");
    if (entry.quirks.cut_value)
      return meaning("the value is read whole (1.2 ended it at a tab or a byte outside ASCII)");
    if (is("ADVANCED_PORTS_TCP") || is("ADVANCED_PORTS_UDP"))
      return meaning("port 0 is not watched (1.2 watched it)");
    if (is("IGNORE_FILE"))
      return meaning("read at start and on reload (1.2 read it with each packet)");
    if (is("BLOCKED_FILE")) {
      return meaning(
          "exactly this file, text, the bans that hold now (1.2 put the mode behind its name, 2.x "
          "wrote bytes)");
    }
    if (same.empty()) return {same, {}};  // a command that is not set
    if (is("KILL_ROUTE")) {
      return meaning(
          "its exit status says whether the host is banned, and it is undone when the ban ends");
    }
    if (is("KILL_HOSTS_DENY")) {
      return meaning(
          config.kill_route.empty()
              ? "written beside a ban, which nftables enforces, and taken out when it ends"
              : "taken out when the ban ends");
    }
    if (is("KILL_RUN_CMD"))
      return meaning("killed after 10 seconds, run at most ten times a minute");
    return {same, {}};
  }

  // What says that this file was written for portsentryd, and what else to know about it.
  void add_own_keys() {
    const Config& config = reading_.config;
    // A mode by default that finds no port would be told as a mistake once it is written down.
    const auto mode = [](Protocol protocol, const PortSet& ports) {
      return mode_word(protocol, ports.empty() ? WatchMode::none : WatchMode::stealth);
    };
    const std::array<std::pair<std::string_view, std::string_view>, 10> keys{
        {{"TCP_MODE", mode(Protocol::tcp, config.ports.tcp)},
         {"UDP_MODE", mode(Protocol::udp, config.ports.udp)},
         {"BLOCK_TIME", "30m"},
         {"BLOCK_TIME_MAX", "7d"},
         {"BLOCK_TIME_FORGEABLE", "10m"},
         {"BAN_SCOPE", "inbound"},
         {"LOGIN_PORTS", "22"},
         {"PROTECT_SESSIONS", "1"},
         {"PROTECT_NETWORKS", ""},
         {"FIREWALL", "auto"}}};
    write("");
    write("# Added by portsentryd --migrate, with the values that count without them:");
    for (const auto& [key, value] : keys) {
      write(assigned(key, value));
      std::string line = printable(file_) + ": " + std::string(key);
      line += ": added: " + assigned(key, value) + ", as by default";
      if (key.ends_with("_MODE"))
        line += " (1.2 had it on its command line, Debian in /etc/default/portsentry)";
      out_.report.push_back(std::move(line));
    }
  }

  void comment_out(std::string_view why, std::string_view line) {
    std::string comment = "# " + std::string(why) + ": " + std::string(line);
    comment.resize(std::min(comment.size(), kMaxConfLine));
    write(comment);
  }

  // Without what would end a line once more, or be taken for such an end the next time.
  void write(std::string_view line) {
    while (line.ends_with('\r'))
      line.remove_suffix(1);
    out_.text.append(line).append("\n");
  }

  void report(std::string_view key, const std::string& what) {
    out_.report.push_back(printable(file_) + ":" + std::to_string(line_) + ": " + std::string(key) +
                          ": " + printable(what));
  }

  std::string_view text_;
  std::string_view file_;
  ConfigReading reading_;
  ConfLexing lexing_;
  unsigned line_ = 1;
  Migration out_;
};

bool write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(STDOUT_FILENO, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

}  // namespace

Migration migrate_config(std::string_view text, std::string_view file) {
  return Migrator(text, file).run();
}

int migrate(const std::string& path) {
  const auto text = read_trusted(path, kMaxConfFile, false);
  if (!text) fatal(text.error().what, kExitConfig);
  const Migration done = migrate_config(*text, path);
  for (const Finding& finding : done.errors)
    complain(finding.print());
  if (!done.errors.empty()) {
    complain(path + ": not migrated: correct the lines above first");
    return kExitConfig;
  }
  if (!write_all(done.text)) fatal(Error::from_errno("write the new configuration", errno).what);
  for (const std::string& line : done.report)
    complain(line);
  return kExitOk;
}

}  // namespace portsentry::enforcer
