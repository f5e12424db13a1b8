#include "ctl/time_text.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <optional>

#include "common/config_values.h"
#include "common/finding.h"

namespace portsentry::ctl {
namespace {

// Exactly `digits` decimal digits at the front, and `after` behind them (0: nothing is expected).
std::optional<int> field(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool skip(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// The local time that is meant. mktime() would make the 31st of February the 3rd of March: what it
// gives back must be what was typed.
std::optional<std::time_t> calendar(std::string_view text) {
  std::tm typed{};
  const auto year = field(text, 4);
  if (!year || !skip(text, '-')) return std::nullopt;
  const auto month = field(text, 2);
  if (!month || !skip(text, '-')) return std::nullopt;
  const auto day = field(text, 2);
  if (!day) return std::nullopt;
  if (!text.empty()) {
    if (!skip(text, ' ') && !skip(text, 'T')) return std::nullopt;
    const auto hour = field(text, 2);
    if (!hour || !skip(text, ':')) return std::nullopt;
    const auto minute = field(text, 2);
    if (!minute || *hour > 23 || *minute > 59) return std::nullopt;
    typed.tm_hour = *hour;
    typed.tm_min = *minute;
    if (!text.empty()) {
      const auto second = skip(text, ':') ? field(text, 2) : std::nullopt;
      if (!second || *second > 59 || !text.empty()) return std::nullopt;
      typed.tm_sec = *second;
    }
  }
  typed.tm_year = *year - 1900;
  typed.tm_mon = *month - 1;
  typed.tm_mday = *day;
  typed.tm_isdst = -1;  // the zone knows
  const std::tm wanted = typed;
  const std::time_t at = std::mktime(&typed);
  if (at < 0 || typed.tm_mday != wanted.tm_mday || typed.tm_mon != wanted.tm_mon) {
    return std::nullopt;
  }
  return at;
}

}  // namespace

Result<std::time_t> parse_since(std::string_view text, std::time_t now) {
  if (const auto at = calendar(text)) {
    if (*at <= now) return *at;
    return Error{.what = in_quotes(text) + " is in the future"};
  }
  if (const auto ago = parse_duration(text)) {
    return std::max<std::time_t>(0, now - static_cast<std::time_t>(ago->count()));
  }
  return Error{.what = "found " + in_quotes(text) +
                       ", expected 1h, 7d, 2026-11-22 or \"2026-11-22 10:00\""};
}

std::string moment_text(std::time_t at) {
  std::tm local{};
  std::array<char, 64> out{};
  if (::localtime_r(&at, &local) == nullptr) return "-";
  const std::size_t size = std::strftime(out.data(), out.size(), "%Y-%m-%d %H:%M:%S", &local);
  return {out.data(), size};
}

std::string duration_text(std::chrono::seconds duration) {
  struct Unit {
    std::int64_t seconds;
    char letter;
  };
  static constexpr std::array<Unit, 4> kUnits{{{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}}};
  const std::int64_t count = std::max<std::int64_t>(0, duration.count());
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    const Unit& unit = kUnits.at(i);
    if (count < unit.seconds) continue;
    std::string text = std::to_string(count / unit.seconds) + unit.letter;
    if (i + 1 == kUnits.size()) return text;
    const Unit& next = kUnits.at(i + 1);
    const std::int64_t rest = count % unit.seconds / next.seconds;
    if (rest != 0) text += " " + std::to_string(rest) + next.letter;
    return text;
  }
  return "0s";
}

std::string left_text(std::time_t until, std::time_t now) {
  return until <= now ? "over" : duration_text(std::chrono::seconds(until - now));
}

std::string short_time_text(std::uint64_t microseconds) {
  std::array<char, 48> out{};
  const auto whole = static_cast<double>(microseconds);
  if (microseconds < 1000) return std::to_string(microseconds) + " us";
  if (microseconds < 1'000'000) {
    std::snprintf(out.data(), out.size(), "%.1f ms", whole / 1e3);
  } else {
    std::snprintf(out.data(), out.size(), "%.2f s", whole / 1e6);
  }
  return out.data();
}

}  // namespace portsentry::ctl
