#include "scout/policy.h"

#include "common/policy_rows.h"

namespace portsentry::scout {
namespace {

// Files are read, under Landlock only those of places.h's directories that everybody may read; there
// is no socket but channel S, on which it speaks and does not listen, and no way to another.
// A row stays a row:
// clang-format off
constexpr auto kAllowed = std::to_array<SyscallRow>({
    // Waiting and the clock.
    {SCMP_SYS(poll), "poll", "for a change, and for the monitor's end (x86-64)"},
    {SCMP_SYS(ppoll), "ppoll", "for a change, and for the monitor's end (aarch64: libc's poll)"},
    {SCMP_SYS(restart_syscall), "restart_syscall",
     "a timed poll goes on after SIGSTOP and SIGCONT"},
    {SCMP_SYS(clock_gettime), "clock_gettime",
     "the clock where the vDSO cannot read it (some virtual machines)"},

    // Files.
    {SCMP_SYS(inotify_add_watch), "inotify_add_watch", "files that were replaced are watched anew",
     {on_descriptor(4)}},
    {SCMP_SYS(read), "read", "something has changed", {on_descriptor(4)}},
    {SCMP_SYS(openat), "openat", "the files and directories of places.h, for reading", {only_reading()}},
    {SCMP_SYS(fstat), "fstat", "is it a plain file, and how large?"},
    {SCMP_SYS(newfstatat), "newfstatat", "newer libcs in place of fstat"},
    {SCMP_SYS(statx), "statx", "newer libcs in place of newfstatat"},
    {SCMP_SYS(getdents64), "getdents64", "which leases and sessions are there?"},
    {SCMP_SYS(pread64), "pread64", "what is in a file"},

    // Speaking.
    {SCMP_SYS(sendto), "sendto", "channel S", {on_descriptor(3), to_its_peer()}},
    {SCMP_SYS(write), "write", "last words on standard error", {on_descriptor(2)}},

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
    {SCMP_SYS(close), "close", "files that have been read"},
    {SCMP_SYS(rt_sigreturn), "rt_sigreturn", "return from a signal handler"},
    {SCMP_SYS(exit_group), "exit_group", "the end"},
});
// clang-format on

}  // namespace

constinit const SyscallPolicy kPolicy{
    .process = "scout", .allowed = kAllowed, .answered_enosys = kAnsweredEnosys};

}  // namespace portsentry::scout
