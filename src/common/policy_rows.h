// The vocabulary of the policy tables (src/*/policy.cc): conditions on arguments, and the one list
// of calls that are answered ENOSYS instead of killing. Read this page before the tables.
//
// Conditions compare the low 32 bits where the kernel's own parameter is an int: the upper half of
// the register is then anybody's, and the kernel ignores it as well.
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>

#include <array>
#include <cstdint>

#include "common/seccomp.h"

namespace portsentry {

inline constexpr std::uint64_t kIntMask = 0xffffffffU;

// The int argument `index` (0..5) is exactly `value`.
constexpr ArgumentCheck argument_is(std::uint8_t index, std::uint32_t value) {
  return {.argument = index, .mask = kIntMask, .value = value};
}

// The call's first argument is descriptor `number`; dies for any other.
constexpr ArgumentCheck on_descriptor(std::uint32_t number) {
  return argument_is(0, number);
}

// The call's first argument is a descriptor from `lowest` (a power of two) up to 2^21 - 1, which is
// twice what fs.nr_open lets a process have by default. A comparison "not less than" would look at
// all 64 bits of a register whose upper half the kernel ignores (and be fooled by it), so this is
// "has a bit that no number below `lowest` has".
constexpr ArgumentCheck on_descriptor_from(std::uint32_t lowest) {
  return {.argument = 0, .mask = (std::uint64_t{1} << 21U) - lowest, .any_bit = true};
}

// openat(2): for reading, and nothing is created, cut or appended to by it. (O_TMPFILE without the bit
// of O_DIRECTORY that it contains: directories may be read.)
constexpr ArgumentCheck only_reading() {
  return {
      .argument = 2,
      .mask = std::uint64_t{O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY)},
      .value = std::uint64_t{O_RDONLY}};
}

// sendto(2) without a destination: only to where the socket is connected already.
constexpr ArgumentCheck to_its_peer() {
  return {.argument = 4, .mask = ~std::uint64_t{0}, .value = 0};
}

// The size_t argument `index` is 0.
constexpr ArgumentCheck no_bytes(std::uint8_t index) {
  return {.argument = index, .mask = ~std::uint64_t{0}, .value = 0};
}

// mmap(2), mprotect(2): memory that cannot be executed, so that no new code ever appears.
constexpr ArgumentCheck not_executable() {
  return {.argument = 2, .mask = std::uint64_t{PROT_EXEC}, .value = 0};
}

// mmap(2): fresh memory, no file.
constexpr ArgumentCheck anonymous() {
  return {
      .argument = 3, .mask = std::uint64_t{MAP_ANONYMOUS}, .value = std::uint64_t{MAP_ANONYMOUS}};
}

// futex(2): waking only, private or shared. Single-threaded processes have nobody to wait for, and
// the operations that were exploited (requeue and PI: CVE-2014-3153) stay out of reach.
constexpr ArgumentCheck futex_wake() {
  return {.argument = 1,
          .mask = kIntMask & ~std::uint64_t{FUTEX_PRIVATE_FLAG},
          .value = std::uint64_t{FUTEX_WAKE}};
}

// The ENOSYS list, the same for every process: what libc (or a newer one) tries first and has a way
// around, as on a kernel that lacks the call. Nothing is permitted by it: the call does not happen.
// A row that a process's own table allows is not answered ENOSYS there.
// A row stays a row:
// clang-format off
inline constexpr auto kAnsweredEnosys = std::to_array<SyscallRow>({
    // abort(): with these refused it falls through to its trap instruction. The exit status then
    // says "crashed" (SIGSEGV, SIGTRAP) where killing would say "broke its sandbox" (SIGSYS).
    {SCMP_SYS(rt_sigprocmask), "rt_sigprocmask", "abort() unblocks SIGABRT first"},
    {SCMP_SYS(getpid), "getpid", "abort() asks whom to signal"},
    {SCMP_SYS(gettid), "gettid", "abort() asks whom to signal"},
    {SCMP_SYS(tgkill), "tgkill", "abort() raises; no other process may be signalled"},
    {SCMP_SYS(rt_sigaction), "rt_sigaction", "abort() restores the default action and tries again"},
    // malloc, when memory is short.
    {SCMP_SYS(sched_getaffinity), "sched_getaffinity",
     "malloc counts processors for another arena"},
    // stdio and time zone code look at a file before they use it, and cope when they cannot.
    {SCMP_SYS(fstat), "fstat", "stdio looks at a descriptor for its block size"},
    {SCMP_SYS(newfstatat), "newfstatat", "stdio (as fstat), and tzset() whether the zone changed"},
    {SCMP_SYS(statx), "statx", "newer libcs in place of newfstatat"},
    // Newer libcs probe for these and fall back to older calls or to none.
    {SCMP_SYS(rseq), "rseq", "libc registers it per thread; ours did before the seal"},
    {SCMP_SYS(membarrier), "membarrier", "libc's fast paths probe for it"},
    {SCMP_SYS(futex_waitv), "futex_waitv", "newer than futex; nothing here waits"},
});
// clang-format on

}  // namespace portsentry
