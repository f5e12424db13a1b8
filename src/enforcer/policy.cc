#include "enforcer/policy.h"

#include <unistd.h>

#include "common/policy_rows.h"
#include "enforcer/descriptors.h"

namespace portsentry::enforcer {
namespace {

// Its descriptors have fixed numbers: descriptors.h.
// A row stays a row:
// clang-format off
constexpr auto kAllowed = std::to_array<SyscallRow>({
    // Waiting and the clock.
    {SCMP_SYS(poll), "poll", "the event loop waits here (x86-64)"},
    {SCMP_SYS(ppoll), "ppoll", "the event loop waits here (aarch64: libc's poll)"},
    {SCMP_SYS(restart_syscall), "restart_syscall",
     "a timed poll goes on after SIGSTOP and SIGCONT"},
    {SCMP_SYS(clock_gettime), "clock_gettime",
     "the clock where the vDSO cannot read it (some virtual machines)"},

    // Hearing: only from descriptors that it was born with; it can open none.
    {SCMP_SYS(recvmsg), "recvmsg", "channel A, the launcher, netlink"},

    // Speaking: each descriptor its own row.
    {SCMP_SYS(sendto), "sendto", "channel A: results to the monitor",
     {on_descriptor(kChannelA), to_its_peer()}},
    {SCMP_SYS(sendmsg), "sendmsg", "channel A: hands on what the launcher passes: channels, files, outputs",
     {on_descriptor(kChannelA)}},
    {SCMP_SYS(sendto), "sendto", "the launcher: one struct of its closed list",
     {on_descriptor(kLauncherLink), to_its_peer()}},
    {SCMP_SYS(sendto), "sendto", "nf_tables: ban and unban batches", {on_descriptor(kNftRequests)}},
    {SCMP_SYS(sendto), "sendto", "rtnetlink: a new dump after an overrun",
     {on_descriptor(kRoutes)}},
    {SCMP_SYS(sendto), "sendto", "nf_tables: which bans it holds", {on_descriptor(kNftAudit)}},
    {SCMP_SYS(sendto), "sendto", "sock_diag: the connections that a ban leaves alone",
     {on_descriptor(kSessions)}},
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
    {SCMP_SYS(close), "close", "descriptors passed on, and surplus ones of a malformed message"},
    {SCMP_SYS(rt_sigreturn), "rt_sigreturn", "return from a signal handler"},
    {SCMP_SYS(exit_group), "exit_group", "the end"},
});
// clang-format on

}  // namespace

constinit const SyscallPolicy kPolicy{
    .process = "enforcer", .allowed = kAllowed, .answered_enosys = kAnsweredEnosys};

}  // namespace portsentry::enforcer
