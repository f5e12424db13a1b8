// A machine for classic BPF, as far as the capture filter uses it, so that every branch can be
// tested without a kernel. Semantics: Linux, net/core/filter.c: a load beyond the packet drops it.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "common/bytes.h"
#include "common/port_set.h"

namespace portsentry::sensor {

inline PortSet every_port() {
  PortSet ports;
  ports.add_range(*Port::make(1), *Port::make(65535));
  return ports;
}

// What the kernel knows about a packet.
struct About {
  std::uint32_t interface = 2;
  std::uint32_t packet_type = 0;  // PACKET_HOST
  std::uint32_t ethertype = 0x0800;
};

// How many bytes are accepted, 0 for none; nothing if the program does what Linux would refuse.
inline std::optional<std::uint32_t> run_filter(std::span<const sock_filter> program, Bytes packet,
                                               const About& about) {
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory{};
  const auto load = [packet](std::uint64_t offset,
                             std::size_t size) -> std::optional<std::uint32_t> {
    ByteReader reader(packet);
    if (!reader.skip(offset)) return std::nullopt;
    if (size == 1) return reader.u8();
    if (size == 2) return reader.u16();
    return reader.u32();
  };
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& op = program[at];
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (op.k == static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_IFINDEX))
          a = about.interface;
        else if (op.k == static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE))
          a = about.packet_type;
        else if (op.k == static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL))
          a = about.ethertype;
        else
          return std::nullopt;
        break;
      case BPF_LD | BPF_H | BPF_ABS:
      case BPF_LD | BPF_B | BPF_ABS:
      case BPF_LD | BPF_H | BPF_IND:
      case BPF_LD | BPF_B | BPF_IND: {
        const std::uint64_t base = BPF_MODE(op.code) == BPF_IND ? x : 0;
        const auto value = load(base + op.k, BPF_SIZE(op.code) == BPF_B ? 1 : 2);
        if (!value) return 0;
        a = *value;
        break;
      }
      case BPF_LDX | BPF_B | BPF_MSH: {
        const auto value = load(op.k, 1);
        if (!value) return 0;
        x = (*value & 0xfU) * 4;
        break;
      }
      case BPF_LD | BPF_W | BPF_IMM:
        a = op.k;
        break;
      case BPF_LDX | BPF_W | BPF_IMM:
        x = op.k;
        break;
      case BPF_LD | BPF_W | BPF_MEM:
        a = memory.at(op.k);
        break;
      case BPF_ST:
        memory.at(op.k) = a;
        break;
      case BPF_MISC | BPF_TAX:
        x = a;
        break;
      case BPF_MISC | BPF_TXA:
        a = x;
        break;
      case BPF_ALU | BPF_ADD | BPF_K:
        a += op.k;
        break;
      case BPF_ALU | BPF_ADD | BPF_X:
        a += x;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= op.k;
        break;
      case BPF_ALU | BPF_LSH | BPF_K:
        a <<= op.k;
        break;
      case BPF_JMP | BPF_JA:
        at += op.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += a == op.k ? op.jt : op.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += a >= op.k ? op.jt : op.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        at += a > op.k ? op.jt : op.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        at += (a & op.k) != 0 ? op.jt : op.jf;
        break;
      case BPF_RET | BPF_K:
        return op.k;
      case BPF_RET | BPF_A:
        return a;
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;  // ran off the end
}

}  // namespace portsentry::sensor
