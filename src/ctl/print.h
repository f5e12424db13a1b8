// How answers look on a terminal, and as JSON for programs. Pure: values in, text out.
#pragma once

#include <string>
#include <vector>

#include "common/control_messages.h"

namespace portsentry::ctl {

// Lines for people, each with its newline: the state first, then the counters that are not zero.
std::string table(const StatusReply& status, const std::vector<NamedCount>& counters);

// One object on one line, with its newline: every counter, under "counters".
std::string json(const StatusReply& status, const std::vector<NamedCount>& counters);

}  // namespace portsentry::ctl
