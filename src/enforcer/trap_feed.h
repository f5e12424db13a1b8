// The socket by which the kernel's traps tell of probes: one NFLOG group of our own (nfnetlink_log). Root
// binds it and never reads it; each sensor is born with a duplicate. The group lives as long as one
// descriptor of the socket does: the launcher's keeps it while sensors come and go.
#pragma once

#include <cstdint>

#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry::enforcer {

// What the kernel copies of a packet at most. The rules say how much (ruleset_traps.nft): 128 bytes, in
// which every header fits, and all only where IPv6 has headers before the one that matters.
inline constexpr std::uint32_t kFeedSnapshot = 1500;
// How much may wait for a busy sensor, in bytes of kernel memory. About 2,000 packets.
inline constexpr int kFeedBuffer = 4 << 20;

// Close-on-exec, non-blocking, each packet told at once and numbered. Needs CAP_NET_ADMIN. Error::code
// is EPERM when the group is somebody else's; others mean that this kernel has no nfnetlink_log.
Result<UniqueFd> open_trap_feed(std::uint16_t group);

}  // namespace portsentry::enforcer
