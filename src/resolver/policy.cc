#include "resolver/policy.h"

#include <asm/ioctls.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/policy_rows.h"

namespace portsentry::resolver {
namespace {

constexpr std::uint32_t kQuery = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
constexpr std::uint32_t kStream = SOCK_STREAM | SOCK_CLOEXEC;

// What a name server's answer could do to libc here must stay here: files are read, under Landlock
// only those below /etc and /run that everybody may read; sockets are IPv4 or IPv6, never packet,
// netlink or Unix ones, and TCP goes to port 53 only. Left over: a captured resolver can send UDP
// to whom it likes.
// A row stays a row:
// clang-format off
constexpr auto kAllowed = std::to_array<SyscallRow>({
    // Waiting and the clock.
    {SCMP_SYS(poll), "poll", "for a question, and for a name server's answer (x86-64)"},
    {SCMP_SYS(ppoll), "ppoll", "for a question, and for a name server's answer (aarch64: libc's poll)"},
    {SCMP_SYS(restart_syscall), "restart_syscall",
     "a timed poll goes on after SIGSTOP and SIGCONT"},
    {SCMP_SYS(clock_gettime), "clock_gettime",
     "the clock where the vDSO cannot read it (some virtual machines)"},

    // Channel R.
    {SCMP_SYS(recvmsg), "recvmsg", "channel R: an address, end of file", {on_descriptor(3)}},

    // Files: hosts, host.conf and resolv.conf, which may have changed since.
    {SCMP_SYS(openat), "openat", "files of the resolver's, for reading", {only_reading()}},
    {SCMP_SYS(read), "read", "what is in them; a name server's answer over TCP"},
    {SCMP_SYS(lseek), "lseek", "stdio goes back to what it has not given out"},
    {SCMP_SYS(fstat), "fstat", "stdio looks at a file for its block size"},
    {SCMP_SYS(newfstatat), "newfstatat", "has resolv.conf changed? and as fstat"},
    {SCMP_SYS(statx), "statx", "newer libcs in place of newfstatat"},

    {SCMP_SYS(uname), "uname", "this host's domain, where a new resolv.conf names none"},

    // Name servers.
    {SCMP_SYS(socket), "socket", "to a name server over IPv4",
     {argument_is(0, AF_INET), argument_is(1, kQuery)}},
    {SCMP_SYS(socket), "socket", "to a name server over IPv6",
     {argument_is(0, AF_INET6), argument_is(1, kQuery)}},
    {SCMP_SYS(socket), "socket", "again over TCP: its answer was too long for a datagram",
     {argument_is(0, AF_INET), argument_is(1, kStream)}},
    {SCMP_SYS(socket), "socket", "the same over IPv6",
     {argument_is(0, AF_INET6), argument_is(1, kStream)}},
    {SCMP_SYS(setsockopt), "setsockopt", "a name server that is not there says so by ICMP",
     {argument_is(1, IPPROTO_IP), argument_is(2, IP_RECVERR)}},
    {SCMP_SYS(setsockopt), "setsockopt", "the same over IPv6",
     {argument_is(1, IPPROTO_IPV6), argument_is(2, IPV6_RECVERR)}},
    {SCMP_SYS(connect), "connect", "to a name server; TCP to port 53 only (Landlock)"},
    {SCMP_SYS(sendto), "sendto", "the question; channel R: the name", {to_its_peer()}},
    {SCMP_SYS(writev), "writev", "the question, over TCP"},
    {SCMP_SYS(ioctl), "ioctl", "how long is the answer?", {argument_is(1, FIONREAD)}},
    {SCMP_SYS(recvfrom), "recvfrom", "the answer, and from whom"},
    {SCMP_SYS(getpeername), "getpeername", "is the TCP connection still to the right name server?"},

    {SCMP_SYS(write), "write", "last words on standard error", {on_descriptor(2)}},

    // Memory, never executable and never a file's.
    {SCMP_SYS(brk), "brk", "malloc"},
    {SCMP_SYS(mmap), "mmap", "malloc of large blocks", {not_executable(), anonymous()}},
    {SCMP_SYS(munmap), "munmap", "free of large blocks"},
    {SCMP_SYS(mremap), "mremap", "realloc of large blocks"},
    {SCMP_SYS(mprotect), "mprotect", "malloc grows a second arena when brk cannot",
     {not_executable()}},
    {SCMP_SYS(madvise), "madvise", "free gives pages back", {argument_is(2, MADV_DONTNEED)}},
    {SCMP_SYS(getrandom), "getrandom", "the number of a query; malloc keys its free lists"},
    {SCMP_SYS(futex), "futex", "libc releases a lock or a once-initialised static", {futex_wake()}},

    // Ending.
    {SCMP_SYS(close), "close", "files and sockets of a lookup"},
    {SCMP_SYS(rt_sigreturn), "rt_sigreturn", "return from a signal handler"},
    {SCMP_SYS(exit_group), "exit_group", "the end"},
});
// clang-format on

}  // namespace

constinit const SyscallPolicy kPolicy{
    .process = "resolver", .allowed = kAllowed, .answered_enosys = kAnsweredEnosys};

}  // namespace portsentry::resolver
