// Every system call that the sensor may make once packets reach it: the process that an attacker
// talks to, so the shortest table of the three.
#pragma once

#include "common/seccomp.h"

namespace portsentry::sensor {

extern const SyscallPolicy kPolicy;

}  // namespace portsentry::sensor
