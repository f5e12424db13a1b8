// The one question that this process exists for, asked of libc: which name goes with an address?
#pragma once

#include <string>

#include "common/net_types.h"

namespace portsentry::resolver {

// Before the seal. Fixes what libc will do: /etc/hosts, then the name servers of /etc/resolv.conf,
// each asked once for a second; nothing else that nsswitch.conf may name (nscd, mDNS, LDAP,
// systemd's), because each of those is code of somebody else's in this process, and calls that the
// policy would have to allow. Later changes of the two files are seen.
void prepare_lookup();

// Escaped (escape.h), or empty when there is no name or none came. The name is the address owner's
// claim and is not confirmed. Waits: a second for each name server, of which libc takes three at
// most, and once more over TCP for an answer that was cut short.
std::string host_name_of(const Address& address);

}  // namespace portsentry::resolver
