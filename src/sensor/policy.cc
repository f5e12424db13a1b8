#include "sensor/policy.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include "common/policy_rows.h"
#include "sensor/bound.h"

namespace portsentry::sensor {
namespace {

// Descriptors: 2 stderr (/dev/null by now), 3 channel B, 5 epoll over the bound sockets, 6
// sock_diag, 7 rtnetlink, 8 sock_diag's listings; the capture socket has any other number below 64, and no row below lets a
// byte out of it: sendto(2) on an AF_PACKET socket works without a capability and under a locked
// filter (tried), so this table is all that keeps a captured sensor from injecting frames. Packets
// arrive in a ring that was mapped before the seal.
//
// Bound sockets have numbers from 64 on. Every lower number is taken and none can be closed or
// given to something else, so what is accepted lands above as well. A captured sensor could send
// what it likes to whoever connects to it, and datagrams from the ports that it was bound to; it
// cannot read what anybody sends there, nor connect (flags are fixed: MSG_FASTOPEN would connect).
constexpr auto kBound = on_descriptor_from(kFirstBound);

// A row stays a row:
// clang-format off
constexpr auto kAllowed = std::to_array<SyscallRow>({
    // Waiting and the clock.
    {SCMP_SYS(poll), "poll", "the event loop and libpcap wait here (x86-64)"},
    {SCMP_SYS(ppoll), "ppoll", "the event loop and libpcap wait here (aarch64: libc's poll)"},
    {SCMP_SYS(restart_syscall), "restart_syscall",
     "a timed poll goes on after SIGSTOP and SIGCONT"},
    {SCMP_SYS(clock_gettime), "clock_gettime",
     "the clock where the vDSO cannot read it (some virtual machines)"},

    // The capture socket, beside poll: questions only.
    {SCMP_SYS(getsockopt), "getsockopt", "what the ring dropped",
     {argument_is(1, SOL_PACKET), argument_is(2, PACKET_STATISTICS)}},
    {SCMP_SYS(getsockopt), "getsockopt", "libpcap asks why poll reported an error",
     {argument_is(1, SOL_SOCKET), argument_is(2, SO_ERROR)}},

    // Hearing and speaking: each descriptor its own row.
    {SCMP_SYS(recvmsg), "recvmsg", "channel B: the configuration, end of file", {on_descriptor(3)}},
    {SCMP_SYS(sendto), "sendto", "channel B: detections", {on_descriptor(3), to_its_peer()}},
    {SCMP_SYS(recvfrom), "recvfrom", "sock_diag: does a local socket want this packet?", {on_descriptor(6)}},
    {SCMP_SYS(sendto), "sendto", "sock_diag: the question", {on_descriptor(6)}},
    {SCMP_SYS(recvfrom), "recvfrom", "sock_diag: is that source connected to us? which ports are bound?", {on_descriptor(8)}},
    {SCMP_SYS(sendto), "sendto", "sock_diag: these questions", {on_descriptor(8)}},
    {SCMP_SYS(recvmsg), "recvmsg", "rtnetlink: addresses and interfaces change",
     {on_descriptor(7)}},
    {SCMP_SYS(sendto), "sendto", "rtnetlink: a new dump after an overrun", {on_descriptor(7)}},
    {SCMP_SYS(write), "write", "last words, to /dev/null except in sanitizer builds",
     {on_descriptor(2)}},

    // Bound sockets: who came, what they are told, and good-bye.
    {SCMP_SYS(epoll_wait), "epoll_wait", "which of thousands (x86-64)", {on_descriptor(5)}},
    {SCMP_SYS(epoll_pwait), "epoll_pwait", "which of thousands (aarch64)", {on_descriptor(5)}},
    {SCMP_SYS(accept4), "accept4", "a completed handshake",
     {kBound, argument_is(3, SOCK_NONBLOCK | SOCK_CLOEXEC)}},
    {SCMP_SYS(getsockname), "getsockname", "which of our addresses it was made to", {kBound}},
    {SCMP_SYS(recvfrom), "recvfrom", "who sent a datagram; without a buffer, so no payload",
     {kBound, no_bytes(2)}},
    {SCMP_SYS(sendto), "sendto", "the banner", {kBound, argument_is(3, MSG_DONTWAIT | MSG_NOSIGNAL)}},

    // Memory, never executable and never a file's.
    {SCMP_SYS(brk), "brk", "malloc"},
    {SCMP_SYS(mmap), "mmap", "malloc of large blocks", {not_executable(), anonymous()}},
    {SCMP_SYS(munmap), "munmap", "free of large blocks; the ring at the end"},
    {SCMP_SYS(mremap), "mremap", "realloc of large blocks"},
    {SCMP_SYS(mprotect), "mprotect", "malloc grows a second arena when brk cannot",
     {not_executable()}},
    {SCMP_SYS(madvise), "madvise", "free gives pages back", {argument_is(2, MADV_DONTNEED)}},
    {SCMP_SYS(getrandom), "getrandom", "malloc keys its free lists"},
    {SCMP_SYS(futex), "futex", "libc releases a lock or a once-initialised static", {futex_wake()}},

    // Ending.
    {SCMP_SYS(close), "close", "a connection; surplus descriptors of a malformed message", {kBound}},
    {SCMP_SYS(rt_sigreturn), "rt_sigreturn", "return from a signal handler"},
    {SCMP_SYS(exit_group), "exit_group", "the end"},
});
// clang-format on

}  // namespace

constinit const SyscallPolicy kPolicy{
    .process = "sensor", .allowed = kAllowed, .answered_enosys = kAnsweredEnosys};

}  // namespace portsentry::sensor
