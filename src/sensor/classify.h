// What a probe is called, from its flags alone. Pure.
#pragma once

#include <optional>

#include "common/net_types.h"

namespace portsentry::sensor {

// Nothing for any TCP packet with ACK or RST: answers and established traffic look the same by
// flags, so bare ACK, window and Maimon (FIN+ACK) probes stay unclaimed here.
//
//   FIN SYN PSH URG                        name
//   only SYN, with or without ECE or CWR   syn (RFC 3168: an ECN client sends ECE and CWR)
//   only FIN                               fin
//   none                                   null if ECE and CWR are clear too, else odd_flags: NULL
//                                          means no flag at all, and its scanners send none
//   FIN+URG+PSH, SYN either way            xmas
//   anything else                          odd_flags
[[nodiscard]] std::optional<ScanKind> classify(Protocol protocol, TcpFlags flags);

// The same of a packet that belongs to no connection and that no socket wants, because the kernel
// said so (trap_message.h): then an ACK is no traffic, either. Bare ACK and window probes look the same
// (ack); with FIN it is a Maimon probe. Nothing for RST, and for SYN with ACK: answers, which provoke
// none.
[[nodiscard]] std::optional<ScanKind> classify_stray(Protocol protocol, TcpFlags flags);

}  // namespace portsentry::sensor
