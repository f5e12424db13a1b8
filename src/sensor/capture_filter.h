// The kernel's first look at every packet: classic BPF for an AF_PACKET SOCK_DGRAM socket, whose
// data begin at the network header. It decides what the sensor may see, and how much of it: up to
// the end of the transport header that is needed, so that payload does not reach the capture ring.
//
// Accepted, everything else is dropped in the kernel:
//   to us (PACKET_HOST), not on loopback:
//     IPv4 TCP  whole, neither ACK nor RST               header to the flags: ihl + 14
//     IPv4 TCP  fragment at offset 0; at offset 8        ihl + 14; ihl + 6
//     IPv4 UDP  whole or first fragment, to a port that  ihl + 8
//               is looked at
//     IPv6      the same behind up to 4 extension headers, to the same byte; a longer chain that
//               is all extension headers: kCaptureLength bytes, for user space to walk
//     priority tags (VLAN 0) behind the first one, which Linux skips, however many there are:
//               kCaptureLength bytes, for user space to walk
//     of all of these where those bytes are kSlotLength or more, which nobody but an attacker sends:
//               kCaptureLength bytes
//     (a tag with a number belongs to a VLAN interface, which shows the packet again without it)
//   from us (PACKET_OUTGOING), not on loopback:
//     UDP over IPv4 (whole or first fragment) and IPv6 (directly after the fixed header), from a port
//     that is looked at
// Lengths are from the network header on; "14" ends behind TCP's flags. The instructions are those
// of the kernel's Documentation/networking/filter.rst.
//
// TCP goes by its flags alone: what is established never passes, whatever the port, and a list of
// ports would cost each packet more than the bitmap in user space (1,000 ports: 1,700 instructions).
// UDP has no flags. Its ports are looked at in a few ranges: exactly those that are asked for where
// that is possible, else with gaps in between, of which the ports of answers are the last to go.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "common/ephemeral.h"
#include "common/port_set.h"

namespace portsentry::sensor {

// What is handed up of a chain that the filter does not walk itself. A transport header beyond it is
// out of the parser's reach, and its packet counts as malformed. Linux answers a probe behind any
// number of extension headers that fit one packet (tried), so this is Ethernet's longest.
inline constexpr std::uint32_t kCaptureLength = 1500;

// What a place of the capture's ring holds at least. IPv4 needs 74 bytes at most, IPv6 without
// extension headers 54. Exactly so many bytes are never asked for: Capture::whole().
inline constexpr std::uint32_t kSlotLength = 108;

[[nodiscard]] std::vector<sock_filter> capture_filter(const PortSet& udp,
                                                      const EphemeralPorts& ephemeral);

// At most kUdpRanges ranges that hold all of `ports`, in order, with as few others as that takes; as
// few `ephemeral` ones before all.
inline constexpr std::size_t kUdpRanges = 10;
[[nodiscard]] std::vector<std::pair<Port, Port>> covering_ranges(const PortSet& ports,
                                                                 const EphemeralPorts& ephemeral);

}  // namespace portsentry::sensor
