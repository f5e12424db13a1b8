// portsentry.ignore: the addresses and networks that are never reported or banned. Pure: takes
// text, returns a list and findings.
//
// One entry per line: an address, or ADDRESS/LENGTH (host bits are cleared), IPv4 or IPv6 in any
// case. '#' begins a comment at the start of a line or after a blank. Blank lines, CRLF and a last
// line without its newline are fine. Nothing else is: a name could be pointed at an attacker, or at
// nobody. 0.0.0.0 is that one address, as in PortSentry 1.2; 0.0.0.0/0 is every IPv4 address.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "common/finding.h"
#include "common/net_types.h"

namespace portsentry::monitor {

class IgnoreList {
 public:
  struct Entry {
    Prefix prefix;  // its text() is safe in any log
    unsigned line;  // 1-based; where a prefix stands twice, the first
  };

  IgnoreList() = default;  // ignores nobody
  explicit IgnoreList(std::vector<Entry> entries);

  // The entry that covers `address`, the most specific one; nullptr when none does. The pointer is
  // into this list.
  [[nodiscard]] const Entry* find(const Address& address) const;
  [[nodiscard]] bool contains(const Address& address) const { return find(address) != nullptr; }

  // An entry that has an address in common with `prefix`: one that covers it, or lies inside it. To
  // ban a /64 that holds one ignored host is to ban that host.
  [[nodiscard]] const Entry* find_overlap(const Prefix& prefix) const;
  [[nodiscard]] bool intersects(const Prefix& prefix) const {
    return find_overlap(prefix) != nullptr;
  }

  // Each prefix once, by family and length, then in address order.
  [[nodiscard]] std::span<const Entry> entries() const& { return entries_; }
  std::span<const Entry> entries() const&& = delete;  // it would outlive the list

 private:
  // The entries of one family and length: a slice of entries_, sorted by address. There are at most
  // 33 + 129 of these, so a lookup is that many binary searches at worst.
  struct Run {
    bool v4;
    unsigned length;
    std::size_t first;
    std::size_t count;
  };
  [[nodiscard]] std::span<const Entry> slice(const Run& run) const;
  // The entry that covers all of `prefix`, the most specific one.
  [[nodiscard]] const Entry* find_covering(const Prefix& prefix) const;

  std::vector<Entry> entries_;
  std::vector<Run> runs_;
};

struct IgnoreReading {
  // Nothing when any line was wrong. A list that is read in part would ban whom the lost lines
  // protect, so there is no such list: the caller must not start, or must keep the list it has.
  std::optional<IgnoreList> list;
  std::vector<Finding> findings;
  [[nodiscard]] bool ok() const { return list.has_value(); }
};

// `text` is the file's content, `file` its name for messages. An empty text is an empty list.
IgnoreReading read_ignore_list(std::string_view text, std::string_view file);

}  // namespace portsentry::monitor
