// One captured packet, as the kernel's cooked header (DLT_LINUX_SLL2) describes it.
#pragma once

#include <cstdint>
#include <optional>

#include "common/bytes.h"

namespace portsentry::sensor {

inline constexpr int kCookedHeader = 20;  // bytes

struct Frame {
  std::uint32_t interface;   // the kernel's index
  std::uint8_t packet_type;  // PACKET_HOST, PACKET_OUTGOING, ... (packet(7))
  std::uint16_t ethertype;   // of what `network` begins with
  Bytes network;             // from the first byte after the link layer; a view
};

// Nothing when there is no whole cooked header.
// https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
[[nodiscard]] inline std::optional<Frame> read_cooked(Bytes bytes) {
  ByteReader reader(bytes);
  const auto ethertype = reader.u16();
  const bool reserved = reader.skip(2);
  const auto interface = reader.u32();
  const bool hardware_type = reader.skip(2);
  const auto packet_type = reader.u8();
  const bool sender = reader.skip(1 + 8);  // length and bytes of the link-layer address
  if (!ethertype || !reserved || !interface || !hardware_type || !packet_type || !sender)
    return std::nullopt;
  return Frame{.interface = *interface,
               .packet_type = *packet_type,
               .ethertype = *ethertype,
               .network = reader.rest()};
}

}  // namespace portsentry::sensor
