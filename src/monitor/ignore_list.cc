#include "monitor/ignore_list.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "monitor/ignore_line.h"

namespace portsentry::monitor {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // what some editors put first

auto place(const IgnoreList::Entry& e) {
  return std::tuple(!e.prefix.address().is_v4(), e.prefix.length(), e.prefix.address(), e.line);
}

bool before(const IgnoreList::Entry& e, const Address& address) {
  return e.prefix.address() < address;
}

}  // namespace

bool IgnoreList::Conditions::match(const IgnoreQuestion& question) const {
  if (until && question.wall >= *until) return false;
  if (protocol && *protocol != question.protocol) return false;
  if (!interface.empty() && !question.interface.empty() && interface != question.interface) {
    return false;
  }
  const std::uint16_t port = question.port.number();
  return ports.empty() || std::any_of(ports.begin(), ports.end(), [port](const PortRange& range) {
           return range.first <= port && port <= range.last;
         });
}

IgnoreList::IgnoreList(std::vector<Entry> entries, std::vector<Conditions> conditions)
    : entries_(std::move(entries)), conditions_(std::move(conditions)) {
  std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
    return std::tuple(about_probes(a), place(a)) < std::tuple(about_probes(b), place(b));
  });
  entries_.erase(std::unique(entries_.begin(), entries_.end(),
                             [](const Entry& a, const Entry& b) {
                               return a.prefix == b.prefix && a.conditions == kAlways &&
                                      b.conditions == kAlways;
                             }),
                 entries_.end());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Prefix& prefix = entries_[i].prefix;
    const bool probes = about_probes(entries_[i]);
    const bool v4 = prefix.address().is_v4();
    if (runs_.empty() || runs_.back().about_probes != probes || runs_.back().v4 != v4 ||
        runs_.back().length != prefix.length()) {
      runs_.push_back(
          {.about_probes = probes, .v4 = v4, .length = prefix.length(), .first = i, .count = 0});
    }
    ++runs_.back().count;
  }
  // Longest first: the first hit of a lookup is the most specific one.
  std::stable_sort(runs_.begin(), runs_.end(),
                   [](const Run& a, const Run& b) { return a.length > b.length; });
}

const IgnoreList::Conditions* IgnoreList::conditions(const Entry& entry) const {
  return entry.conditions < conditions_.size() ? &conditions_[entry.conditions] : nullptr;
}

bool IgnoreList::about_probes(const Entry& entry) const {
  const Conditions* only = conditions(entry);
  return only != nullptr && only->about_probes();
}

bool IgnoreList::stands(const Entry& entry, std::time_t wall) const {
  const Conditions* only = conditions(entry);
  return only == nullptr || !only->until || wall < *only->until;
}

std::span<const IgnoreList::Entry> IgnoreList::slice(const Run& run) const {
  return std::span(entries_).subspan(run.first, run.count);
}

std::span<const IgnoreList::Entry> IgnoreList::covering(const Run& run,
                                                        const Address& address) const {
  const auto wanted = Prefix::make(address, run.length);
  if (!wanted) return {};  // cannot happen: a run's length fits its family
  const auto entries = slice(run);
  const auto first = std::lower_bound(entries.begin(), entries.end(), wanted->address(), before);
  const auto last =
      std::find_if(first, entries.end(), [&](const Entry& e) { return e.prefix != *wanted; });
  return {first, last};
}

const IgnoreList::Entry* IgnoreList::find(const IgnoreQuestion& question) const {
  for (const Run& run : runs_) {
    if (run.v4 != question.address.is_v4()) continue;
    for (const Entry& entry : covering(run, question.address)) {
      const Conditions* only = conditions(entry);
      if (only == nullptr || only->match(question)) return &entry;
    }
  }
  return nullptr;
}

const IgnoreList::Entry* IgnoreList::find_overlap(const Prefix& prefix, std::time_t wall) const {
  // Prefixes nest or are disjoint: what overlaps either covers `prefix` or lies inside it.
  for (const Run& run : runs_) {
    if (run.about_probes || run.v4 != prefix.address().is_v4()) continue;
    if (run.length <= prefix.length()) {
      for (const Entry& entry : covering(run, prefix.address()))
        if (stands(entry, wall)) return &entry;
      continue;
    }
    // Those inside are neighbours in address order, and the first is at or after its own address.
    const auto entries = slice(run);
    for (auto at = std::lower_bound(entries.begin(), entries.end(), prefix.address(), before);
         at != entries.end() && prefix.contains(at->prefix); ++at) {
      if (stands(*at, wall)) return &*at;
    }
  }
  return nullptr;
}

IgnoreReading read_ignore_list(std::string_view text, std::string_view file, std::time_t wall) {
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
  std::vector<IgnoreList::Conditions> conditions;
  for (unsigned line = 1; !text.empty(); ++line) {
    if (reading.findings.size() >= kMaxFindings) {
      add(Severity::error, line, "too many findings: the rest of the file was not read");
      break;
    }
    const std::size_t end = std::min(text.find('\n'), text.size());
    IgnoreLine read = read_ignore_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!read.error.empty()) add(Severity::error, line, std::move(read.error));
    if (!read.prefix) continue;
    if (!read.warning.empty()) add(Severity::warning, line, std::move(read.warning));

    const Prefix& prefix = *read.prefix;
    IgnoreList::Conditions& only = read.conditions;
    if (prefix.length() == 0 && !only.about_probes()) {
      add(Severity::warning, line,
          in_quotes(prefix.text()) + " covers every IPv" + (prefix.address().is_v4() ? "4" : "6") +
              " address: no such source is ever reported or banned");
    }
    if (wall != 0 && only.until && wall >= *only.until) {
      add(Severity::warning, line, prefix.text() + " is ignored no longer: its until has passed");
    }
    std::uint32_t index = IgnoreList::kAlways;
    if (only.about_probes() || only.until) {
      index = static_cast<std::uint32_t>(conditions.size());
      conditions.push_back(std::move(only));
    }
    entries.push_back({.prefix = prefix, .line = line, .conditions = index});
  }
  if (error_free(reading.findings)) {
    reading.list.emplace(std::move(entries), std::move(conditions));
  }
  return reading;
}

}  // namespace portsentry::monitor
