// Channel S, scout -> monitor: who must not be banned, as this host's files tell it. Values only: no
// name, no path, no text. One way; the monitor says nothing to the scout.
//
// Told as snapshots: SnapshotBegin, any number of Found (at most kMaxFound), SnapshotEnd. A snapshot
// takes the place of the one before, whole.
#pragma once

#include <cstdint>
#include <variant>

#include "common/net_types.h"

namespace portsentry {

enum class FoundKind : std::uint8_t { resolver, dhcp_server, session };

// Where it stands, which is also what it is (kind_of).
enum class FoundIn : std::uint8_t {
  resolv_conf = 1,            // /etc/resolv.conf
  systemd_resolved = 2,       // /run/systemd/resolve/resolv.conf: those that the stub asks
  network_manager = 3,        // /run/NetworkManager/*resolv.conf, likewise
  dhclient_lease = 4,         // of dhclient, also where NetworkManager runs it
  networkd_lease = 5,         // of systemd-networkd
  network_manager_lease = 6,  // of NetworkManager's own client
  dhcpcd_lease = 7,
  utmp = 8,    // a login with a terminal
  logind = 9,  // a session of systemd-logind
};
inline constexpr FoundIn kLastFoundIn = FoundIn::logind;

[[nodiscard]] constexpr FoundKind kind_of(FoundIn where) {
  switch (where) {
    case FoundIn::resolv_conf:
    case FoundIn::systemd_resolved:
    case FoundIn::network_manager:
      return FoundKind::resolver;
    case FoundIn::dhclient_lease:
    case FoundIn::networkd_lease:
    case FoundIn::network_manager_lease:
    case FoundIn::dhcpcd_lease:
      return FoundKind::dhcp_server;
    case FoundIn::utmp:
    case FoundIn::logind:
      break;
  }
  return FoundKind::session;
}

struct SnapshotBegin {};
struct Found {
  Address address;         // routable unicast (Address::is_routable_unicast)
  FoundIn where;           // an address may be found in several places, once in each
  std::int64_t since = 0;  // of a session: when it began, Unix seconds, >= 0 (0: not known); else 0
};
struct SnapshotEnd {
  // How many files could be read. With none there is nothing to go by, which is worth a word.
  std::uint32_t files;
};
inline constexpr std::size_t kMaxFound = 8192;

using ScoutToMonitor = std::variant<SnapshotBegin, Found, SnapshotEnd>;

}  // namespace portsentry
