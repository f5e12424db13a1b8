#include "enforcer/hosts_deny_policy.h"

#include <unistd.h>

#include "common/policy_rows.h"

namespace portsentry::enforcer {
namespace {

// A row stays a row:
// clang-format off
constexpr auto kAllowed = std::to_array<SyscallRow>({
    // The two files, each call on each of them.
    {SCMP_SYS(pread64), "pread64", "hosts.deny as it is", {on_descriptor(kEditorFile)}},
    {SCMP_SYS(pread64), "pread64", "what an earlier run left", {on_descriptor(kEditorJournal)}},
    {SCMP_SYS(fallocate), "fallocate", "a full disk is noticed before anything is written",
     {on_descriptor(kEditorFile)}},
    {SCMP_SYS(pwrite64), "pwrite64", "hosts.deny in place", {on_descriptor(kEditorFile)}},
    {SCMP_SYS(pwrite64), "pwrite64", "the journal", {on_descriptor(kEditorJournal)}},
    {SCMP_SYS(ftruncate), "ftruncate", "hosts.deny becomes shorter", {on_descriptor(kEditorFile)}},
    {SCMP_SYS(ftruncate), "ftruncate", "the journal is done with",
     {on_descriptor(kEditorJournal)}},
    {SCMP_SYS(fsync), "fsync", "hosts.deny is on the disk before the journal goes",
     {on_descriptor(kEditorFile)}},
    {SCMP_SYS(fsync), "fsync", "the journal is on the disk before hosts.deny changes",
     {on_descriptor(kEditorJournal)}},
    {SCMP_SYS(fstat), "fstat", "whether somebody took the name away",
     {on_descriptor(kEditorFile)}},
    {SCMP_SYS(write), "write", "diagnostics on standard error", {on_descriptor(STDERR_FILENO)}},

    // Memory, never executable and never a file's.
    {SCMP_SYS(brk), "brk", "malloc"},
    {SCMP_SYS(mmap), "mmap", "malloc of large blocks", {not_executable(), anonymous()}},
    {SCMP_SYS(munmap), "munmap", "free of large blocks"},
    {SCMP_SYS(mremap), "mremap", "realloc of large blocks"},
    {SCMP_SYS(mprotect), "mprotect", "malloc grows a second arena when brk cannot",
     {not_executable()}},
    {SCMP_SYS(madvise), "madvise", "free gives pages back", {argument_is(2, MADV_DONTNEED)}},
    {SCMP_SYS(getrandom), "getrandom", "malloc keys its free lists"},
    {SCMP_SYS(futex), "futex", "libc releases a lock or a once-initialised static", {futex_wake()}},

    // Ending.
    {SCMP_SYS(close), "close", "its two files"},
    {SCMP_SYS(exit_group), "exit_group", "the end"},
});
// clang-format on

}  // namespace

constinit const SyscallPolicy kHostsDenyPolicy{
    .process = "hosts_deny", .allowed = kAllowed, .answered_enosys = kAnsweredEnosys};

}  // namespace portsentry::enforcer
