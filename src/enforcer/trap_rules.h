// The whole text that nft is fed with, for one configuration: ruleset.nft, what BAN_SCOPE adds, and the
// traps or their absence. Pure: takes root's own configuration, returns text; nothing of it was heard
// from anybody else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/config.h"
#include "common/ephemeral.h"

namespace portsentry::enforcer {

// Why this configuration has no traps; `none`: it has.
enum class NoTraps : std::uint8_t {
  none,
  not_wanted,       // HOLD="none"
  nothing_watched,  // bind modes only
  every_packet,     // LOCAL_CHECK or SERVICE_CHECK is off: the kernel would look away
  interface_names,  // one of INTERFACES is not of [A-Za-z0-9._@:-]
};
[[nodiscard]] NoTraps why_no_traps(const Config& config);

// `group`: by which the traps tell of probes (trap_feed.h); nothing: there are none. `ephemeral`: this
// host's.
[[nodiscard]] std::string firewall_rules(const Config& config, std::optional<std::uint16_t> group,
                                         const EphemeralPorts& ephemeral);

}  // namespace portsentry::enforcer
