// Which name servers a resolv.conf(5) names. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "common/net_types.h"

namespace portsentry::scout {

// libc asks the first three; all that are written here are protected, up to so many.
inline constexpr std::size_t kMostResolvers = 64;

// The addresses of `nameserver` lines, in their order, each once. What is not an address that a packet
// can come from across a network (a stub on loopback, a link-local one with its zone) is left out, and
// so is everything else in the file.
[[nodiscard]] std::vector<Address> name_servers(std::string_view text);

}  // namespace portsentry::scout
