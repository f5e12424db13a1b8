// portsentry.ignore: the addresses and networks that are never reported or banned. Pure: takes
// text, returns a list and findings.
//
// One entry per line: an address, or ADDRESS/LENGTH (host bits are cleared), IPv4 or IPv6 in any
// case; after it, in any order and at most once each, conditions:
//
//   proto tcp|udp      only probes of this protocol
//   port LIST          only probes of these ports: N, N-M, and commas without blanks between them
//   iface NAME         only probes that came in by this interface
//   until WHEN         only until then: YYYY-MM-DD (the end of that day), YYYY-MM-DDTHH:MM[:SS],
//                      in UTC: a time zone with a summer time has hours that exist twice
//
// A line with proto, port or iface is about single probes: none that it covers is reported or leads
// to a ban; the same source can be banned because of another one. A line without (an `until` alone
// included) is about the host: while it stands, no ban may touch it, not even one of its network.
//
// '#' begins a comment. Blank lines, CRLF and a last line without its newline are fine. Nothing
// else is: a name could be pointed at an attacker, or at nobody. 0.0.0.0 is that one address, as in
// PortSentry 1.2; 0.0.0.0/0 is every IPv4 address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/finding.h"
#include "common/net_types.h"

namespace portsentry::monitor {

// A probe as an ignore line sees it.
struct IgnoreQuestion {
  Address address;             // the exact source
  Protocol protocol;           // what was probed
  Port port;                   //
  std::string_view interface;  // where it came in; empty: not known (bind modes)
  std::time_t wall;            // now, for `until`
};

class IgnoreList {
 public:
  struct PortRange {
    std::uint16_t first;
    std::uint16_t last;
    bool operator==(const PortRange&) const = default;
  };
  // What a line asks for beside the address. All of it must hold.
  struct Conditions {
    std::optional<Protocol> protocol;
    std::vector<PortRange> ports;      // empty: every port
    std::string interface;             // empty: every interface
    std::optional<std::time_t> until;  // the first second in which the line is over
    // About single probes, and not about the host.
    [[nodiscard]] bool about_probes() const {
      return protocol.has_value() || !ports.empty() || !interface.empty();
    }
    // A probe whose interface is not known matches any: what is trusted is the address, and who
    // forges a trusted one hears no answer.
    [[nodiscard]] bool match(const IgnoreQuestion& question) const;
  };
  static constexpr std::uint32_t kAlways = UINT32_MAX;

  struct Entry {
    Prefix prefix;  // its text() is safe in any log
    unsigned line;  // 1-based; where a prefix stands twice without conditions, the first
    std::uint32_t conditions = kAlways;  // index into the list's conditions
  };

  IgnoreList() = default;  // ignores nobody
  explicit IgnoreList(std::vector<Entry> entries, std::vector<Conditions> conditions = {});

  // The entry that covers this probe, the most specific one; nullptr when none does. The pointer is
  // into this list.
  [[nodiscard]] const Entry* find(const IgnoreQuestion& question) const;
  [[nodiscard]] bool covers(const IgnoreQuestion& question) const {
    return find(question) != nullptr;
  }

  // An entry about hosts that stands at `wall` and has an address in common with `prefix`: one that
  // covers it, or lies inside it. To ban a /64 that holds one ignored host is to ban that host.
  [[nodiscard]] const Entry* find_overlap(const Prefix& prefix, std::time_t wall) const;
  [[nodiscard]] bool intersects(const Prefix& prefix, std::time_t wall) const {
    return find_overlap(prefix, wall) != nullptr;
  }

  // Those about hosts, then those about probes; by family and length, then in address order, then
  // by line.
  [[nodiscard]] std::span<const Entry> entries() const& { return entries_; }
  std::span<const Entry> entries() const&& = delete;  // it would outlive the list
  // nullptr: none.
  [[nodiscard]] const Conditions* conditions(const Entry& entry) const;

 private:
  // The entries of one kind, family and length: a slice of entries_, sorted by address. There are
  // at most twice 33 + 129 of these, so a lookup is that many binary searches at worst.
  struct Run {
    bool about_probes;
    bool v4;
    unsigned length;
    std::size_t first;
    std::size_t count;
  };
  [[nodiscard]] std::span<const Entry> slice(const Run& run) const;
  // Those of `run` whose prefix is the one that covers `address`.
  [[nodiscard]] std::span<const Entry> covering(const Run& run, const Address& address) const;
  [[nodiscard]] bool about_probes(const Entry& entry) const;
  [[nodiscard]] bool stands(const Entry& entry, std::time_t wall) const;

  std::vector<Entry> entries_;
  std::vector<Conditions> conditions_;
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
// Lines that are over at `wall` are warned of; 0: not asked.
IgnoreReading read_ignore_list(std::string_view text, std::string_view file, std::time_t wall = 0);

}  // namespace portsentry::monitor
