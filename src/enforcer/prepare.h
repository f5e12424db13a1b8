// Start-up, read aloud: everything that is checked and opened before the first process is made, so
// that whatever is wrong is said in one line while nothing has been touched yet. And -t, which runs
// the same reading without being root.
#pragma once

#include <string>

#include "enforcer/instance_lock.h"
#include "enforcer/launcher.h"

namespace portsentry::enforcer {

struct Ready {
  InstanceLock lock;
  Prepared prepared;
};

// Ends the process with the right exit code and one line of reason when something is missing.
Ready prepare(const std::string& config_path);

// -t: prints every finding on standard error. Returns 0 or 78.
int check(const std::string& config_path);

}  // namespace portsentry::enforcer
