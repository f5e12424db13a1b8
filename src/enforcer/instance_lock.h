// One instance per network namespace. Two witnesses, because neither alone sees everything:
// a byte of /run/portsentry/lock (its offset is the namespace's inode number), and an abstract
// socket name, which belongs to the network namespace even where /run is private to a mount
// namespace.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry::enforcer {

struct InstanceLock {
  UniqueFd file;
  UniqueFd name;
};

// Held until the process ends. The error names the pid of the instance that is in the way; so does
// `holder`, where it is of our pid namespace, else it is 0. Creates `directory` (mode 0755) and
// nothing else. Not inherited by children: they never hold the file.
Result<InstanceLock> lock_instance(const std::string& directory, pid_t& holder);

}  // namespace portsentry::enforcer
