#include "monitor/ignore_list.h"

#include <algorithm>
#include <bit>
#include <string>
#include <tuple>
#include <utility>

namespace portsentry::monitor {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // what some editors put first

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Up to a '#' that begins the line or follows a blank.
std::string_view without_comment(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '#') continue;
    if (i == 0 || kBlanks.find(line[i - 1]) != std::string_view::npos) return line.substr(0, i);
  }
  return line;
}

// The length that a dotted mask stands for; nothing when its one bits are not all in front.
std::optional<unsigned> mask_length(const Address& mask) {
  std::uint32_t bits = 0;
  for (const std::byte b : mask.bytes())
    bits = (bits << 8U) | std::to_integer<std::uint32_t>(b);
  const int ones = std::countl_one(bits);
  if (ones != std::popcount(bits)) return std::nullopt;
  return static_cast<unsigned>(ones);
}

// Why `entry` is no prefix, and what to write instead where that is plain.
std::string complaint(std::string_view entry) {
  const std::string found = "found " + in_quotes(entry) + ", ";
  if (entry.find_first_of(kBlanks) != std::string_view::npos) {
    return found + "expected one address or ADDRESS/LENGTH per line";
  }
  const std::size_t hash = entry.find('#');
  if (hash != std::string_view::npos && Prefix::parse(entry.substr(0, hash))) {
    return found + "expected a blank before the '#'";
  }
  const std::size_t slash = entry.find('/');
  const std::string_view before = entry.substr(0, slash);
  const auto address = Address::parse(before);
  if (!address) {
    return found + "expected an IPv4 or IPv6 address (names are not looked up), or ADDRESS/LENGTH";
  }
  // A v4-mapped address counts its length in IPv6 bits, of which the first 96 are not its own.
  const bool mapped = address->is_v4() && before.find(':') != std::string_view::npos;
  const auto mask = Address::parse(entry.substr(slash + 1));
  if (mask && mask->is_v4() && address->is_v4() && !mapped) {
    const auto length = mask_length(*mask);
    if (length) {
      return found + "expected the length of the mask: write " + std::string(before) + "/" +
             std::to_string(*length);
    }
  }
  return found + "expected a length from " +
         (mapped ? "96 to 128" : "0 to " + std::to_string(address->bit_length())) +
         " after the '/'";
}

auto order(const IgnoreList::Entry& e) {
  return std::tuple(!e.prefix.address().is_v4(), e.prefix.length(), e.prefix.address(), e.line);
}

}  // namespace

IgnoreList::IgnoreList(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return order(a) < order(b); });
  entries_.erase(std::unique(entries_.begin(), entries_.end(),
                             [](const Entry& a, const Entry& b) { return a.prefix == b.prefix; }),
                 entries_.end());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Prefix& prefix = entries_[i].prefix;
    const bool v4 = prefix.address().is_v4();
    if (runs_.empty() || runs_.back().v4 != v4 || runs_.back().length != prefix.length()) {
      runs_.push_back({.v4 = v4, .length = prefix.length(), .first = i, .count = 0});
    }
    ++runs_.back().count;
  }
  // Longest first: the first hit of a lookup is the most specific one.
  std::reverse(runs_.begin(), runs_.end());
}

std::span<const IgnoreList::Entry> IgnoreList::slice(const Run& run) const {
  return std::span(entries_).subspan(run.first, run.count);
}

const IgnoreList::Entry* IgnoreList::find(const Address& address) const {
  return find_covering(Prefix::host(address));
}

const IgnoreList::Entry* IgnoreList::find_covering(const Prefix& prefix) const {
  for (const Run& run : runs_) {
    if (run.v4 != prefix.address().is_v4() || run.length > prefix.length()) continue;
    const auto wanted = Prefix::make(prefix.address(), run.length);
    if (!wanted) continue;  // cannot happen: a run's length fits its family
    const auto entries = slice(run);
    const auto at =
        std::lower_bound(entries.begin(), entries.end(), wanted->address(),
                         [](const Entry& e, const Address& a) { return e.prefix.address() < a; });
    if (at != entries.end() && at->prefix == *wanted) return &*at;
  }
  return nullptr;
}

const IgnoreList::Entry* IgnoreList::find_overlap(const Prefix& prefix) const {
  // Prefixes nest or are disjoint: what overlaps either covers `prefix` or lies inside it.
  if (const Entry* covering = find_covering(prefix)) return covering;
  for (const Run& run : runs_) {
    if (run.v4 != prefix.address().is_v4() || run.length <= prefix.length()) continue;
    // Those inside are neighbours in address order, and the first is at or after its own address.
    const auto entries = slice(run);
    const auto at =
        std::lower_bound(entries.begin(), entries.end(), prefix.address(),
                         [](const Entry& e, const Address& a) { return e.prefix.address() < a; });
    if (at != entries.end() && prefix.contains(at->prefix)) return &*at;
  }
  return nullptr;
}

IgnoreReading read_ignore_list(std::string_view text, std::string_view file) {
  IgnoreReading reading;
  const auto add = [&](Severity severity, unsigned line, std::string what) {
    reading.findings.push_back({.severity = severity,
                                .file = std::string(file),
                                .line = line,
                                .key = {},
                                .text = std::move(what)});
  };
  if (text.size() > kMaxIgnoreFile) {
    add(Severity::error, 0,
        "the file has " + std::to_string(text.size()) + " bytes, expected at most " +
            std::to_string(kMaxIgnoreFile));
    return reading;
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());

  std::vector<IgnoreList::Entry> entries;
  for (unsigned line = 1; !text.empty(); ++line) {
    if (reading.findings.size() >= kMaxFindings) {
      add(Severity::error, line, "too many findings: the rest of the file was not read");
      break;
    }
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view content = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (content.ends_with('\r')) content.remove_suffix(1);

    const std::string_view entry = trimmed(without_comment(content));
    if (entry.empty()) continue;
    const auto prefix = Prefix::parse(entry);
    if (!prefix) {
      add(Severity::error, line, complaint(entry));
      continue;
    }
    if (prefix->length() == 0) {
      add(Severity::warning, line,
          in_quotes(entry) + " covers every IPv" + (prefix->address().is_v4() ? "4" : "6") +
              " address: no such source is ever reported or banned");
    }
    entries.push_back({.prefix = *prefix, .line = line});
  }
  if (error_free(reading.findings)) reading.list.emplace(std::move(entries));
  return reading;
}

}  // namespace portsentry::monitor
