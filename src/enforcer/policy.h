// Every system call that the enforcer may make once it listens to the monitor. A root process: this
// table, its one capability and the guard are what stands between a captured monitor and the
// machine.
#pragma once

#include "common/seccomp.h"

namespace portsentry::enforcer {

extern const SyscallPolicy kPolicy;

}  // namespace portsentry::enforcer
