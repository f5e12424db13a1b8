// Every system call that the monitor may make once it parses what others wrote.
#pragma once

#include "common/seccomp.h"

namespace portsentry::monitor {

extern const SyscallPolicy kPolicy;

}  // namespace portsentry::monitor
