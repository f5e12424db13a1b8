// Where this host keeps what the scout looks for: the whole list, for an auditor to read. What is not
// there, or not for everybody to read (NetworkManager's leases, on many systems), is not seen.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "common/scout_messages.h"

namespace portsentry::scout {

struct Place {
  FoundIn where;
  std::string_view directory;
  std::string_view prefix;  // of a file's name
  std::string_view suffix;
  bool one = false;   // there is one such file, named `prefix`; else all that is_of() takes
  bool tail = false;  // a journal: of a long one the end counts
};

inline constexpr std::array kPlaces{
    Place{FoundIn::resolv_conf, "/etc", "resolv.conf", "", true},
    Place{FoundIn::systemd_resolved, "/run/systemd/resolve", "resolv.conf", "", true},
    Place{FoundIn::network_manager, "/run/NetworkManager", "resolv.conf", "", true},
    Place{FoundIn::network_manager, "/run/NetworkManager", "no-stub-resolv.conf", "", true},
    Place{FoundIn::dhclient_lease, "/var/lib/dhcp", "dhclient", ".leases", false, true},
    Place{FoundIn::dhclient_lease, "/var/lib/dhclient", "dhclient", ".leases", false, true},
    Place{FoundIn::dhclient_lease, "/var/lib/NetworkManager", "dhclient", ".lease", false, true},
    Place{FoundIn::networkd_lease, "/run/systemd/netif/leases", "", ""},
    Place{FoundIn::network_manager_lease, "/var/lib/NetworkManager", "internal-", ".lease"},
    Place{FoundIn::dhcpcd_lease, "/var/lib/dhcpcd", "", ".lease"},
    Place{FoundIn::utmp, "/run", "utmp", "", true},
    Place{FoundIn::logind, "/run/systemd/sessions", "", ""},
};

// What of the file system the scout may reach, if it is there: for reading. /etc and /run as a whole,
// because the first name of the list is mostly a link to somewhere in the second.
inline constexpr std::array<std::string_view, 6> kReadable{
    "/etc",
    "/run",
    "/var/lib/dhcp",
    "/var/lib/dhclient",
    "/var/lib/NetworkManager",
    "/var/lib/dhcpcd",
};

// So much of one file is read, and so many files of one directory.
inline constexpr std::size_t kMostBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMostFiles = 4096;

// True when a file of that name is one of the place's. Hidden files are what is being written.
[[nodiscard]] constexpr bool is_of(const Place& place, std::string_view name) {
  if (place.one) return name == place.prefix;
  if (name.size() < place.prefix.size() + place.suffix.size() || name.empty()) return false;
  if (name.front() == '.') return false;
  if (!name.starts_with(place.prefix) || !name.ends_with(place.suffix)) return false;
  // Where every name will do, one with a dot is of something else (logind's N.ref).
  return !place.suffix.empty() || name.find('.') == std::string_view::npos;
}

}  // namespace portsentry::scout
