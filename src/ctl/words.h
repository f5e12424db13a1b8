// The values of channel C as words: snake_case for JSON and columns, the same in both.
#pragma once

#include <string>
#include <string_view>

#include "common/control_messages.h"

namespace portsentry::ctl {

[[nodiscard]] std::string_view word(Backend backend);
[[nodiscard]] std::string_view word(Proof proof);
[[nodiscard]] std::string_view word(Protocol protocol);  // "tcp", "udp"
[[nodiscard]] std::string_view word(ScanKind kind);
[[nodiscard]] std::string_view word(BanStateShown state);
[[nodiscard]] std::string_view word(OriginShown origin);
[[nodiscard]] std::string_view word(ProcessState state);
[[nodiscard]] std::string_view word(Drift drift);
[[nodiscard]] std::string_view word(ScoutShown scout);
[[nodiscard]] std::string_view word(RefusedCode code);
[[nodiscard]] std::string_view word(TopBy by);

// "SYN", "FIN,PSH,URG"; "none" where none is set.
[[nodiscard]] std::string flags_text(TcpFlags flags);

// "1 ban", "2 bans".
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view noun);

}  // namespace portsentry::ctl
