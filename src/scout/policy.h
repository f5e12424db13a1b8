// Every system call that the scout may make once it reads what strangers wrote.
#pragma once

#include "common/seccomp.h"

namespace portsentry::scout {

extern const SyscallPolicy kPolicy;

}  // namespace portsentry::scout
