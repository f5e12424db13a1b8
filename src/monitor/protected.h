// Whom the monitor never asks to ban: this host's own view of itself, what its scout has found in its
// files, and PROTECT_NETWORKS. The enforcer's guard judges every request again by what it can see by
// itself, and has the last word; asking first here spares it requests that cannot succeed, gives
// people the reason, and protects resolvers, DHCP servers and who has logged in, of which root, which
// reads no such file, knows nothing. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/local_view.h"
#include "common/net_types.h"
#include "monitor/now.h"
#include "monitor/scouted.h"

namespace portsentry::monitor {

enum class Protection : std::uint8_t {
  none,
  not_unicast,        // no host of another network can have this address
  own_address,        // one of this host's
  next_hop,           // a gateway of this host's routes
  resolver,           // a name server that this host asks
  dhcp_server,        // gave this host its address
  login_session,      // somebody has logged in from there, or had an hour ago
  protected_network,  // of PROTECT_NETWORKS
  container_network,  // behind a bridge of this host
};

// What protection is computed from; refers to what must outlive it.
struct Shield {
  const LocalView& local;
  const Scouted& scouted;
  std::span<const Prefix> networks;  // PROTECT_NETWORKS
  bool sessions;                     // PROTECT_SESSIONS
};

// One of the protected, or one reason why a prefix is.
struct ProtectedEntry {
  Prefix prefix;
  Protection why;
  // Printable, at most 100 bytes: "resolver, /etc/resolv.conf", "login session of a user since 12:03".
  std::string reason;
};

// Judges the whole prefix: a /64 that contains a protected address is protected. The first reason in
// the order of Protection.
[[nodiscard]] Protection protection(const Prefix& prefix, const Shield& shield);
// The same, with the address or network that it is for, for people to read.
[[nodiscard]] std::optional<ProtectedEntry> protection_inside(const Prefix& prefix,
                                                              const Shield& shield, Now now);

// Everything that is protected, each for each of its reasons, in the order of Protection and then of
// addresses; no entry twice. tzset() has been called.
[[nodiscard]] std::vector<ProtectedEntry> protected_entries(const Shield& shield, Now now);

}  // namespace portsentry::monitor
