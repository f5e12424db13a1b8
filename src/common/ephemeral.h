// The ports that Linux gives to what this host asks others: net.ipv4.ip_local_port_range, which is
// IPv6's as well (Documentation/networking/ip-sysctl.rst). What comes to one of them is as a rule an
// answer.
#pragma once

#include <cstdint>
#include <string_view>

namespace portsentry {

struct EphemeralPorts {
  // On doubt the widest that is possible: every port that needs no privilege.
  std::uint16_t first = 1024;
  std::uint16_t last = 65535;

  [[nodiscard]] constexpr bool contains(std::uint32_t port) const {
    return port >= first && port <= last;
  }
  bool operator==(const EphemeralPorts&) const = default;
};

// `text`: two numbers, as the kernel prints them. Anything else is doubt.
[[nodiscard]] EphemeralPorts parse_ephemeral_ports(std::string_view text);

// Of the network namespace that the caller is in.
[[nodiscard]] EphemeralPorts read_ephemeral_ports();

}  // namespace portsentry
