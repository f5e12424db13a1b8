// Every system call that the hosts.deny editor may make once its files are open, and the numbers
// that they have then. Uid 0 without a capability: it can change two files, and nothing else.
#pragma once

#include "common/seccomp.h"

namespace portsentry::enforcer {

inline constexpr int kEditorBatch = 3;    // the sealed changes
inline constexpr int kEditorFile = 4;     // hosts.deny
inline constexpr int kEditorJournal = 5;  // its journal

extern const SyscallPolicy kHostsDenyPolicy;

}  // namespace portsentry::enforcer
