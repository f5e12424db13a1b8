#include "monitor/ignore_list.h"

#include <algorithm>
#include <string>

#include "fuzz.h"

namespace portsentry::monitor {
namespace {

using fuzz::require;

// The list's lookups against the obvious ones, for one address and the prefixes around it.
void compare(const IgnoreList& list, const Address& address) {
  const auto entries = list.entries();
  const bool covered = std::any_of(entries.begin(), entries.end(), [&](const IgnoreList::Entry& e) {
    return e.prefix.contains(address);
  });
  require(list.contains(address) == covered, "contains() agrees with reading every entry");
  for (const unsigned length : {0U, 8U, 24U, 31U, 32U, 64U, 127U, 128U}) {
    const auto prefix = Prefix::make(address, length);
    if (!prefix) continue;
    const bool overlaps =
        std::any_of(entries.begin(), entries.end(), [&](const IgnoreList::Entry& e) {
          return e.prefix.contains(*prefix) || prefix->contains(e.prefix);
        });
    require(list.intersects(*prefix) == overlaps, "intersects() agrees with reading every entry");
  }
}

}  // namespace
}  // namespace portsentry::monitor

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  const std::string_view text = fuzz::as_text(data, size);
  const monitor::IgnoreReading reading = monitor::read_ignore_list(text, "fuzz.ignore");
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
    fuzz::require(reading.list->contains(entry.prefix.address()), "an entry covers itself");
    if (++compared > 32) continue;  // the comparison is quadratic
    monitor::compare(*reading.list, entry.prefix.address());
    // The neighbour across the entry's last bit.
    const Bytes bytes = entry.prefix.address().bytes();
    std::vector<std::byte> flipped(bytes.begin(), bytes.end());
    flipped.back() ^= std::byte{1};
    const auto neighbour = Address::from_bytes(flipped);
    if (neighbour) monitor::compare(*reading.list, *neighbour);
  }
  return 0;
}
