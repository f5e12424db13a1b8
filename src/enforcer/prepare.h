// Start-up, read aloud: everything that is checked and opened before the first process is made, so
// that whatever is wrong is said in one line while nothing has been touched yet. And -t, which runs
// the same reading without being root.
#pragma once

#include <string>

#include "enforcer/generation.h"
#include "enforcer/instance_lock.h"
#include "enforcer/launcher.h"
#include "enforcer/options.h"

namespace portsentry::enforcer {

// The first thing of all: descriptors 0, 1 and 2 exist, no other is open, files are made as 022 says.
void have_clean_descriptors();

struct Ready {
  InstanceLock lock;
  Prepared prepared;
  Generation first;
};

// Ends the process with the right exit code and one line of reason when something is missing.
Ready prepare(const Options& options);

// -t: prints every finding on standard error. Returns 0 or 78.
int check(const Options& options);

}  // namespace portsentry::enforcer
