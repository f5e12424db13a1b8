// A number for a set of bans, whatever their order: how the monitor, which knows what should hold,
// and the enforcer, which reads what does, compare hundreds of thousands of them by one message.
//
// Each source becomes a number, and these are added modulo 2^64. It tells what was lost or added by
// accident or by hand. It does not tell a set that somebody computed to have the same sum: who can
// write our sets is root.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/net_types.h"

namespace portsentry {

// Never 0, so that one more or one less always shows.
[[nodiscard]] inline std::uint64_t digest_of(const Source& source) {
  std::uint64_t digest = 0xcbf29ce484222325ULL ^ source.prefix().length();  // FNV-1a, 64 bits
  for (const std::byte byte : source.prefix().address().bytes()) {
    digest = (digest ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3ULL;
  }
  // FNV's low bits mix well and its high bits poorly: a sum needs both.
  digest ^= digest >> 32U;
  digest *= 0x9e3779b97f4a7c15ULL;
  digest ^= digest >> 29U;
  return digest | 1U;
}

}  // namespace portsentry
