#include "monitor/ignore_list.h"

#include <algorithm>
#include <string>

#include "fuzz.h"

namespace portsentry::monitor {
namespace {

using fuzz::require;

constexpr std::time_t kNow = 1'795'359'750;

// What the list should answer, by reading every entry.
bool stands(const IgnoreList::Conditions* only) {
  return only == nullptr || !only->until || kNow < *only->until;
}
bool about_probes(const IgnoreList::Conditions* only) {
  return only != nullptr && only->about_probes();
}

// The list's lookups against the obvious ones, for one address and the prefixes around it.
void compare(const IgnoreList& list, const IgnoreQuestion& question) {
  const auto entries = list.entries();
  const bool covered = std::any_of(entries.begin(), entries.end(), [&](const IgnoreList::Entry& e) {
    const auto* only = list.conditions(e);
    return e.prefix.contains(question.address) && (only == nullptr || only->match(question));
  });
  require(list.covers(question) == covered, "covers() agrees with reading every entry");
  for (const unsigned length : {0U, 8U, 24U, 31U, 32U, 64U, 127U, 128U}) {
    const auto prefix = Prefix::make(question.address, length);
    if (!prefix) continue;
    const bool overlaps =
        std::any_of(entries.begin(), entries.end(), [&](const IgnoreList::Entry& e) {
          const auto* only = list.conditions(e);
          return !about_probes(only) && stands(only) &&
                 (e.prefix.contains(*prefix) || prefix->contains(e.prefix));
        });
    require(list.intersects(*prefix, kNow) == overlaps,
            "intersects() agrees with reading every entry");
  }
}

// Questions that the entry's own conditions are near to.
void compare_around(const IgnoreList& list, const IgnoreList::Conditions* only,
                    const Address& address) {
  IgnoreQuestion question{.address = address,
                          .protocol = Protocol::tcp,
                          .port = *Port::make(23),
                          .interface = "eth0",
                          .wall = kNow};
  compare(list, question);
  if (only == nullptr) return;
  if (only->protocol) question.protocol = *only->protocol;
  if (!only->interface.empty()) question.interface = only->interface;
  if (only->until) question.wall = std::min(kNow, *only->until - 1);
  if (!only->ports.empty()) {
    require(only->ports.front().first != 0, "port 0 is no port");
    question.port = *Port::make(only->ports.back().last);
  }
  compare(list, question);
}

}  // namespace
}  // namespace portsentry::monitor

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  const std::string_view text = fuzz::as_text(data, size);
  const monitor::IgnoreReading reading =
      monitor::read_ignore_list(text, "fuzz.ignore", monitor::kNow);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  fuzz::require(reading.findings.size() <= kMaxFindings + 1, "findings are bounded");
  fuzz::require(reading.ok() == error_free(reading.findings), "any error refuses the whole list");
  for (const Finding& finding : reading.findings) {
    const std::string printed = finding.print();
    fuzz::require(
        std::all_of(printed.begin(), printed.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }),
        "a printed finding is printable");
  }
  if (!reading.ok()) return 0;

  std::size_t compared = 0;
  for (const auto& entry : reading.list->entries()) {
    fuzz::require(entry.line >= 1 && entry.line <= lines, "an entry's line is in the file");
    if (++compared > 32) continue;  // the comparison is quadratic
    const auto* only = reading.list->conditions(entry);
    monitor::compare_around(*reading.list, only, entry.prefix.address());
    // The neighbour across the entry's last bit.
    const Bytes bytes = entry.prefix.address().bytes();
    std::vector<std::byte> flipped(bytes.begin(), bytes.end());
    flipped.back() ^= std::byte{1};
    const auto neighbour = Address::from_bytes(flipped);
    if (neighbour) monitor::compare_around(*reading.list, only, *neighbour);
  }
  return 0;
}
