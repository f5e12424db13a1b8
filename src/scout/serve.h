// The scout's life: look, tell, wait for a change.
#pragma once

#include "common/channel.h"
#include "scout/look.h"

namespace portsentry::scout {

// Until the monitor is gone. Returns the exit status.
int serve(Channel& monitor, const Watch& watch);

}  // namespace portsentry::scout
