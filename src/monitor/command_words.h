// How the owner's commands read with their values in place, for log lines: the monitor's own reading
// of the same configuration that root runs them from. Nothing of this is ever executed. Pure.
#pragma once

#include <string>

#include "common/config.h"
#include "common/messages.h"

namespace portsentry::monitor::words {

std::string kill_route(const Config& config, const Source& source, const BanCause& cause);
std::string kill_run_cmd(const Config& config, const Source& source, const BanCause& cause);
std::string external_command(const Config& config, const Source& source, const BanCause& cause);
// hosts.deny wants IPv6 in brackets.
std::string hosts_deny(const Config& config, const Source& source);

}  // namespace portsentry::monitor::words
