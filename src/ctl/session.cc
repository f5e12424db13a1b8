#include "ctl/session.h"

#include <utmp.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

namespace portsentry::ctl {
namespace {

// Longer chains exist only where somebody builds them to be long.
constexpr int kMaxAncestors = 64;
constexpr std::size_t kMaxSessionId = 32;

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view take_line(std::string_view& text, char end = '\n') {
  const std::size_t at = text.find(end);
  const std::string_view line = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return line;
}

// It becomes part of a path.
bool is_session_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxSessionId && std::ranges::all_of(id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

// A field of a fixed size that ends at its first zero, if it has one.
template <std::size_t N>
std::string_view field(const char (&bytes)[N]) {
  const std::span<const char> all(bytes);
  const auto end = std::ranges::find(all, '\0');
  return {all.data(), static_cast<std::size_t>(end - all.begin())};
}

// What programs enter that open a terminal for somebody who is logged in already: xterm ":0", tmux
// "tmux(PID).%N", screen "HOST:S.N". A pseudo terminal without a host is one of them, too.
bool is_only_a_window(std::string_view line, std::string_view host) {
  if (!line.starts_with("pts/")) return false;
  return host.empty() || host.starts_with(':') || host.find("tmux(") != std::string_view::npos ||
         host.find(":S.") != std::string_view::npos;
}

std::optional<std::time_t> by_logind(const ReadFile& read, const std::string& process) {
  std::optional<std::string> id;
  if (const auto cgroup = read(process + "cgroup")) id = session_of_cgroup(*cgroup);
  if (!id) {
    if (const auto audit = read(process + "sessionid")) id = session_of_audit(*audit);
  }
  if (!id) return std::nullopt;
  const auto session = read("/run/systemd/sessions/" + *id);
  return session ? began_in_logind(*session) : std::nullopt;
}

std::optional<std::time_t> by_utmp(const ReadFile& read, pid_t self) {
  const auto utmp = read("/run/utmp");
  if (!utmp) return std::nullopt;
  std::uint32_t asked = 0;
  for (int i = 0; i < kMaxAncestors && self > 1; ++i) {
    const auto stat = read("/proc/" + std::to_string(self) + "/stat");
    const auto process = stat ? parse_process(*stat) : std::nullopt;
    if (!process) return std::nullopt;
    if (process->terminal != 0 && process->terminal != asked) {
      asked = process->terminal;
      const auto began =
          began_in_utmp(std::as_bytes(std::span(*utmp)), terminal_line(process->terminal));
      if (began) return began;
    }
    self = process->parent;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::time_t> session_began(const ReadFile& read, pid_t self) {
  const auto known = by_logind(read, "/proc/" + std::to_string(self) + "/");
  return known ? known : by_utmp(read, self);
}

std::optional<ProcessLine> parse_process(std::string_view stat) {
  // The name in brackets may hold anything, brackets and blanks too: the last one ends it.
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos || !stat.substr(name_end + 1).starts_with(' ')) {
    return std::nullopt;
  }
  stat.remove_prefix(name_end + 2);
  take_line(stat, ' ');  // state
  const auto parent = number<pid_t>(take_line(stat, ' '));
  take_line(stat, ' ');  // process group
  take_line(stat, ' ');  // session
  const auto terminal = number<std::int32_t>(take_line(stat, ' '));
  if (!parent || !terminal || *parent < 0) return std::nullopt;
  return ProcessLine{.parent = *parent, .terminal = static_cast<std::uint32_t>(*terminal)};
}

std::optional<std::string> session_of_cgroup(std::string_view cgroup) {
  constexpr std::string_view kScope = ".scope";
  constexpr std::string_view kSession = "session-";
  while (!cgroup.empty()) {
    std::string_view line = take_line(cgroup);
    while (!line.empty()) {
      std::string_view part = take_line(line, '/');
      if (!part.starts_with(kSession) || !part.ends_with(kScope)) continue;
      part.remove_prefix(kSession.size());
      if (part.size() <= kScope.size()) continue;
      part.remove_suffix(kScope.size());
      if (is_session_id(part)) return std::string(part);
    }
  }
  return std::nullopt;
}

std::optional<std::string> session_of_audit(std::string_view text) {
  const auto id = number<std::uint32_t>(take_line(text));
  if (!id || *id == UINT32_MAX) return std::nullopt;
  return std::to_string(*id);
}

std::optional<std::time_t> began_in_logind(std::string_view text) {
  std::optional<std::uint64_t> began;
  bool remote = false;
  bool user = false;
  bool console = false;
  while (!text.empty()) {
    std::string_view value = take_line(text);
    const std::string_view key = take_line(value, '=');
    if (key == "REALTIME") began = number<std::uint64_t>(value);
    if (key == "REMOTE") remote = value == "1";
    if (key == "CLASS") user = value == "user";
    if (key == "SEAT" && !value.empty()) console = true;
    if (key == "TTY" && value.starts_with("tty")) console = true;
  }
  if (!began || !user || (!remote && !console)) return std::nullopt;
  return static_cast<std::time_t>(*began / 1'000'000);
}

std::string terminal_line(std::uint32_t device) {
  const std::uint32_t major = (device >> 8) & 0xfffU;
  const std::uint32_t minor = (device & 0xffU) | ((device >> 12) & 0xfff00U);
  if (major >= 136 && major <= 143) return "pts/" + std::to_string((major - 136) * 256 + minor);
  if (major == 4 && minor < 64) return "tty" + std::to_string(minor);
  if (major == 4) return "ttyS" + std::to_string(minor - 64);
  return {};
}

std::optional<std::time_t> began_in_utmp(Bytes utmp, std::string_view line) {
  if (line.empty()) return std::nullopt;
  std::optional<std::time_t> began;
  while (utmp.size() >= sizeof(::utmp)) {
    ::utmp entry{};
    std::memcpy(&entry, utmp.data(), sizeof(entry));
    utmp = utmp.subspan(sizeof(entry));
    if (entry.ut_type != USER_PROCESS || field(entry.ut_line) != line) continue;
    if (is_only_a_window(line, field(entry.ut_host))) continue;
    const std::time_t at = entry.ut_tv.tv_sec;
    // Of two for one line one was left behind: the elder proves less.
    if (at > 0 && (!began || at < *began)) began = at;
  }
  return began;
}

}  // namespace portsentry::ctl
