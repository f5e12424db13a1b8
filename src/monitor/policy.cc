#include "monitor/policy.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "common/policy_rows.h"
#include "monitor/descriptors.h"

namespace portsentry::monitor {
namespace {

// Descriptors: see descriptors.h; the accepted control connections, and what has just arrived with a
// message, wherever the kernel puts them. read(2) is for the signalfd and for what commands print: 1
// and 2 may be the administrator's terminal, and what is typed there is nobody's business. fcntl(2)
// has one command on one descriptor: F_SETFL would let a captured monitor take O_APPEND off the
// history and rewrite what it has already told. (It can put something else in the history's place, and so tell
// nothing any more; what it told before stays.) For the same reason dup3(2) moves only what arrives,
// which has a greater number than all that was there: the history at the blocked file's number could
// be emptied, and a terminal at a command's be read. (What a reload opens anew arrives: a monitor that
// is captured then can empty that history. What a rotation has put away before, it cannot.)

// dup3(2): what arrived with any number gets this one.
constexpr auto kArrived = on_descriptor_from(kFirstUnnamed);
constexpr ArgumentCheck to_number(std::uint32_t number) {
  return argument_is(1, number);
}

// The sixteen numbers from kFirstOutput on, as the argument `index`: all but the last four bits.
static_assert(kFirstOutput == 16 && kOutputs == 16);
constexpr ArgumentCheck an_output(std::uint8_t index) {
  return {.argument = index, .mask = kIntMask & ~std::uint64_t{15}, .value = 16};
}

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

    // Hearing.
    {SCMP_SYS(read), "read", "the signalfd: SIGTERM", {on_descriptor(11)}},
    {SCMP_SYS(read), "read", "what commands print", {an_output(0)}},
    {SCMP_SYS(pread64), "pread64", "a reload's configuration and ignore list", {on_descriptor(4)}},
    {SCMP_SYS(recvmsg), "recvmsg", "channels A, B, C, R and S, rtnetlink"},
    {SCMP_SYS(accept4), "accept4", "a portsentryctl connects", {on_descriptor(8)}},
    {SCMP_SYS(getsockopt), "getsockopt", "who connected",
     {argument_is(1, SOL_SOCKET), argument_is(2, SO_PEERCRED)}},
    {SCMP_SYS(getsockopt), "getsockopt", "and of which groups",
     {argument_is(1, SOL_SOCKET), argument_is(2, SO_PEERGROUPS)}},

    // Descriptors arrive with any number and are moved to the one that has their rows.
    {SCMP_SYS(dup3), "dup3", "channel B to its place", {kArrived, to_number(10)}},
    {SCMP_SYS(dup3), "dup3", "a successor's becomes channel B", {on_descriptor(15), to_number(10)}},
    {SCMP_SYS(dup3), "dup3", "channel B of a successor", {kArrived, to_number(15)}},
    {SCMP_SYS(dup3), "dup3", "channel R", {kArrived, to_number(14)}},
    {SCMP_SYS(dup3), "dup3", "channel S", {kArrived, to_number(5)}},
    {SCMP_SYS(dup3), "dup3", "what a command prints", {kArrived, an_output(1)}},
    {SCMP_SYS(dup3), "dup3", "a reload's texts, one at a time", {kArrived, to_number(4)}},
    {SCMP_SYS(dup3), "dup3", "the history, opened anew", {kArrived, to_number(6)}},
    {SCMP_SYS(dup3), "dup3", "the blocked file, opened anew", {kArrived, to_number(7)}},
    {SCMP_SYS(dup3), "dup3", "the log file, opened anew", {kArrived, to_number(13)}},
    // /dev/null takes the number of what has ended.
    {SCMP_SYS(dup3), "dup3", "no channel B", {on_descriptor(kNull), to_number(10)}},
    {SCMP_SYS(dup3), "dup3", "no successor", {on_descriptor(kNull), to_number(15)}},
    {SCMP_SYS(dup3), "dup3", "no channel R", {on_descriptor(kNull), to_number(14)}},
    {SCMP_SYS(dup3), "dup3", "no channel S", {on_descriptor(kNull), to_number(5)}},
    {SCMP_SYS(dup3), "dup3", "a command's output has ended", {on_descriptor(kNull), an_output(1)}},
    {SCMP_SYS(dup3), "dup3", "a reload's text has been read", {on_descriptor(kNull), to_number(4)}},

    // Speaking: to peers that are connected already; never with a descriptor (no sendmsg).
    {SCMP_SYS(sendto), "sendto", "channels A, B, C and R", {to_its_peer()}},
    {SCMP_SYS(sched_yield), "sched_yield", "a ban was asked for: the enforcer first, then lines"},
    {SCMP_SYS(sendto), "sendto", "rtnetlink: a new dump after an overrun", {on_descriptor(9)}},
    {SCMP_SYS(sendto), "sendto", "syslog: an unconnected socket outlives its daemon", {on_descriptor(12)}},
    {SCMP_SYS(write), "write", "standard output", {on_descriptor(1)}},
    {SCMP_SYS(write), "write", "diagnostics on standard error", {on_descriptor(2)}},
    {SCMP_SYS(write), "write", "history, opened for appending", {on_descriptor(6)}},
    {SCMP_SYS(write), "write", "the blocked file", {on_descriptor(7)}},
    {SCMP_SYS(write), "write", "the log file, opened for appending", {on_descriptor(13)}},
    {SCMP_SYS(ftruncate), "ftruncate", "the blocked file is written anew", {on_descriptor(7)}},

    // The state file (32) and its log (33), which SQLite opened before the seal (store.h).
    {SCMP_SYS(pread64), "pread64", "state: pages of the file", {on_descriptor(32)}},
    {SCMP_SYS(pread64), "pread64", "state: pages that are still in the log", {on_descriptor(33)}},
    {SCMP_SYS(pwrite64), "pwrite64", "state: pages go from the log to the file", {on_descriptor(32)}},
    {SCMP_SYS(pwrite64), "pwrite64", "state: a transaction is appended to the log", {on_descriptor(33)}},
    {SCMP_SYS(fdatasync), "fdatasync", "state: before the log is begun anew", {on_descriptor(32)}},
    {SCMP_SYS(fdatasync), "fdatasync", "state: a transaction is on the disk", {on_descriptor(33)}},
    {SCMP_SYS(lseek), "lseek", "state: how large the file is", {on_descriptor(32)}},
    {SCMP_SYS(lseek), "lseek", "state: how large the log is", {on_descriptor(33)}},
    {SCMP_SYS(ftruncate), "ftruncate", "state: the file gives back what it does not need", {on_descriptor(32)}},
    {SCMP_SYS(ftruncate), "ftruncate", "state: the log after a large transaction", {on_descriptor(33)}},
    {SCMP_SYS(fcntl), "fcntl", "state: its lock is given back at the end",
     {on_descriptor(32), argument_is(1, F_SETLK)}},

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
    {SCMP_SYS(close), "close", "control connections, what was moved to its number, surplus descriptors"},
    {SCMP_SYS(rt_sigreturn), "rt_sigreturn", "return from a signal handler"},
    {SCMP_SYS(exit_group), "exit_group", "the end"},
});
// clang-format on

}  // namespace

constinit const SyscallPolicy kPolicy{
    .process = "monitor", .allowed = kAllowed, .answered_enosys = kAnsweredEnosys};

}  // namespace portsentry::monitor
