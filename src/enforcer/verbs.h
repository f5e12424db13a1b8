// Which verb of channel A is legal in which phase: the state machine of the root side, as a table
// that can be read. A verb out of its phase means that the monitor is broken or captured.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/messages.h"

namespace portsentry::enforcer {

enum class Phase : std::uint8_t {
  waiting = 1,    // for the monitor to accept the configuration
  preparing = 2,  // the table is being made for the first time
  restoring =
      4,  // TableCreated was sent: at most kRestoreWindow long, at most kRestoreLimit elements
  serving = 8,
};

inline constexpr std::chrono::seconds kRestoreWindow{60};
inline constexpr std::uint32_t kRestoreLimit = 1'048'576;  // the sets' size in ruleset.nft

struct VerbRow {
  std::string_view verb;
  std::uint8_t phases;  // of Phase
};

constexpr std::uint8_t in(Phase a) {
  return static_cast<std::uint8_t>(a);
}
constexpr std::uint8_t in(Phase a, Phase b) {
  return static_cast<std::uint8_t>(in(a) | in(b));
}

// In the order of the variant MonitorToEnforcer. Ban and Unban are legal while restoring too,
// because a table can be lost, and made again, while they are on their way. That Ready comes once,
// and that an answer to a reload names the generation that was offered, is the handlers' to see.
inline constexpr std::array kVerbs{
    VerbRow{"Accept", in(Phase::waiting)},
    VerbRow{"Ban", in(Phase::restoring, Phase::serving)},
    VerbRow{"Unban", in(Phase::restoring, Phase::serving)},
    VerbRow{"Restore", in(Phase::restoring)},
    VerbRow{"RestoreDone", in(Phase::restoring)},
    VerbRow{"DropSensor", in(Phase::restoring, Phase::serving)},
    VerbRow{"RunCommand", in(Phase::restoring, Phase::serving)},
    VerbRow{"Ready", in(Phase::restoring, Phase::serving)},
    VerbRow{"ReloadAccept", in(Phase::restoring, Phase::serving)},
    VerbRow{"ReloadRefuse", in(Phase::restoring, Phase::serving)},
    VerbRow{"ReloadCommit", in(Phase::restoring, Phase::serving)},
    VerbRow{"ReloadAbandon", in(Phase::restoring, Phase::serving)},
    VerbRow{"Arm", in(Phase::restoring, Phase::serving)},
    VerbRow{"Audit", in(Phase::restoring, Phase::serving)},
    VerbRow{"ListHeld", in(Phase::restoring, Phase::serving)},
    VerbRow{"TestFirewall", in(Phase::restoring, Phase::serving)},
    VerbRow{"RequestReload", in(Phase::restoring, Phase::serving)},
    VerbRow{"Exempt", in(Phase::restoring, Phase::serving)},
    VerbRow{"Release", in(Phase::restoring, Phase::serving)},
};
static_assert(kVerbs.size() == std::variant_size_v<MonitorToEnforcer>);

constexpr const VerbRow& row_of(const MonitorToEnforcer& message) {
  return kVerbs.at(message.index());
}

constexpr bool legal(const MonitorToEnforcer& message, Phase phase) {
  return (row_of(message).phases & in(phase)) != 0;
}

}  // namespace portsentry::enforcer
