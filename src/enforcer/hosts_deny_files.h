// The hosts.deny editor's two files, and the order of writes between them. In place: the same inode,
// mode and owner, so that a bind mount (containers) and a watching program keep working.
#pragma once

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "enforcer/hosts_deny.h"

namespace portsentry::enforcer {

struct HostsDenyFiles {
  UniqueFd file;     // hosts.deny; empty when it does not exist and was not to be made
  UniqueFd journal;  // locked: one editor at a time, whoever started it
};

// Opens both by root's rules (root_files.h). A missing hosts.deny is made (0644) when `create`. The
// Error's code is the errno; EWOULDBLOCK: another editor is at work.
Result<HostsDenyFiles> open_hosts_deny(const std::string& file, const std::string& journal,
                                       bool create);

// Finishes what an earlier editor left, then makes the changes. On success they are on the disk. On
// an Error (its code is the errno) the file is as it was, or the journal holds what the next run
// needs to bring it there.
Result<void> apply_hosts_deny(const HostsDenyFiles& files, const HostsDenyBatch& batch);

}  // namespace portsentry::enforcer
