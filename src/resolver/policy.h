// Every system call that the resolver may make once it asks strangers for names.
#pragma once

#include "common/seccomp.h"

namespace portsentry::resolver {

extern const SyscallPolicy kPolicy;

}  // namespace portsentry::resolver
