// Which DHCP server gave this host an address, from what clients keep of their leases. A server writes
// most of what is in there, and may be hostile: all that is taken is one address for each lease. (A
// server whose offer was accepted names itself, and can name whom it likes; it also says which way this
// host's packets go.) Pure.
#pragma once

#include <ctime>
#include <optional>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/net_types.h"

namespace portsentry::scout {

inline constexpr std::size_t kMostServers = 64;

// dhclient.leases(5): a journal. Of each interface its last complete lease counts, if it has not
// expired at `now`; one whose expiry cannot be understood has not. `text` may begin in the middle of a
// lease.
[[nodiscard]] std::vector<Address> dhclient_servers(std::string_view text, std::time_t now);

// A file of /run/systemd/netif/leases, or NetworkManager's internal-*.lease: SERVER_ADDRESS=.
[[nodiscard]] std::optional<Address> systemd_server(std::string_view text);

// A file of dhcpcd: the server's last message as it came (RFC 2131 2: BOOTP and options), from which
// option 54.
[[nodiscard]] std::optional<Address> dhcp_message_server(Bytes message);

}  // namespace portsentry::scout
