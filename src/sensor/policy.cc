#include "sensor/policy.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "common/policy_rows.h"
#include "sensor/bound.h"
#include "sensor/descriptors.h"

namespace portsentry::sensor {
namespace {

// Descriptors: 2 stderr (/dev/null by now), and those of descriptors.h. The capture socket has a
// number from 16 to 31, and no row below lets a byte out of it: sendto(2) on an AF_PACKET socket works
// without a capability and under a locked filter (tried), so this table is all that keeps a captured
// sensor from injecting frames. Packets arrive in a ring that was mapped before the seal,
// and the longest beside it.
//
// Nor out of the traps' feed, which root bound to its group: a captured sensor that could send there
// would be refused by the kernel only for want of CAP_NET_ADMIN.
//
// Bound sockets have numbers from 64 on. Every lower number is taken and none but the
// capture's can be closed or given to something else, so what is accepted lands above as well. A captured sensor could send
// what it likes to whoever connects to it, and datagrams from the ports that it was bound to; it
// cannot read what anybody sends there, nor connect (flags are fixed: MSG_FASTOPEN would connect).
constexpr auto kBound = on_descriptor_from(kFirstBound);

// The capture can be closed. Then its numbers are free for an instant, until they become /dev/null. A
// captured sensor could leave them free: what it accepts would land there, where no row lets it be
// used (read with MSG_TRUNC a TCP socket gives no byte, tcp(7)). Copying /dev/null onto them gains
// nothing either.
constexpr ArgumentCheck a_capture_number(std::uint8_t argument) {
  static_assert(kFirstCapture == 16 && kCaptureEnd == 2 * kFirstCapture);
  return {.argument = argument, .mask = kIntMask & ~std::uint64_t{15}, .value = kFirstCapture};
}

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
    {SCMP_SYS(recvfrom), "recvfrom", "a packet whose headers are longer than a place of the ring",
     {a_capture_number(0), argument_is(3, MSG_DONTWAIT | MSG_TRUNC)}},
    {SCMP_SYS(close), "close", "the traps take its place: the capture is closed", {a_capture_number(0)}},
    {SCMP_SYS(dup3), "dup3", "and its numbers are taken again",
     {on_descriptor(kNull), a_capture_number(1)}},

    // Hearing and speaking: each descriptor its own row.
    {SCMP_SYS(recvmsg), "recvmsg", "channel B: the configuration, end of file", {on_descriptor(kChannel)}},
    {SCMP_SYS(sendto), "sendto", "channel B: detections", {on_descriptor(kChannel), to_its_peer()}},
    {SCMP_SYS(recvmsg), "recvmsg", "the kernel's traps tell of a packet; nothing is sent there", {on_descriptor(kFeed)}},
    {SCMP_SYS(recvfrom), "recvfrom", "sock_diag: does a local socket want this packet?", {on_descriptor(kSockDiag)}},
    {SCMP_SYS(sendto), "sendto", "sock_diag: the question", {on_descriptor(kSockDiag)}},
    {SCMP_SYS(recvfrom), "recvfrom", "sock_diag: is that source connected to us? which ports are bound?", {on_descriptor(kSockDiagLists)}},
    {SCMP_SYS(sendto), "sendto", "sock_diag: these questions", {on_descriptor(kSockDiagLists)}},
    {SCMP_SYS(recvmsg), "recvmsg", "rtnetlink: addresses and interfaces change",
     {on_descriptor(kRtnetlink)}},
    {SCMP_SYS(sendto), "sendto", "rtnetlink: a new dump after an overrun", {on_descriptor(kRtnetlink)}},
    {SCMP_SYS(write), "write", "last words, to /dev/null except in sanitizer builds",
     {on_descriptor(2)}},

    // Bound sockets: who came, what they are told, and good-bye.
    {SCMP_SYS(epoll_wait), "epoll_wait", "which of thousands (x86-64)", {on_descriptor(kEpoll)}},
    {SCMP_SYS(epoll_pwait), "epoll_pwait", "which of thousands (aarch64)", {on_descriptor(kEpoll)}},
    {SCMP_SYS(accept4), "accept4", "a completed handshake",
     {kBound, argument_is(3, SOCK_NONBLOCK | SOCK_CLOEXEC)}},
    {SCMP_SYS(getsockname), "getsockname", "which of our addresses it was made to", {kBound}},
    {SCMP_SYS(recvfrom), "recvfrom", "who sent a datagram; without a buffer, so no payload",
     {kBound, no_bytes(2)}},
    {SCMP_SYS(sendto), "sendto", "the banner", {kBound, argument_is(3, MSG_DONTWAIT | MSG_NOSIGNAL)}},

    // Memory, never executable and never a file's.
    {SCMP_SYS(brk), "brk", "malloc"},
    {SCMP_SYS(mmap), "mmap", "malloc of large blocks; tables", {not_executable(), anonymous()}},
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

// libpcap takes its ring apart before it closes the capture, and closes it all the same where it
// cannot. That call has had holes of its own (CVE-2016-8655, CVE-2017-7308), so it does not happen.
constexpr auto kAnswered = [] {
  std::array<SyscallRow, kAnsweredEnosys.size() + 1> rows{};
  std::copy(kAnsweredEnosys.begin(), kAnsweredEnosys.end(), rows.begin());
  rows.back() = {SCMP_SYS(setsockopt),
                 "setsockopt",
                 "libpcap frees its ring, which goes with the capture anyway",
                 {argument_is(1, SOL_PACKET), argument_is(2, PACKET_RX_RING)}};
  return rows;
}();

}  // namespace

constinit const SyscallPolicy kPolicy{
    .process = "sensor", .allowed = kAllowed, .answered_enosys = kAnswered};

}  // namespace portsentry::sensor
