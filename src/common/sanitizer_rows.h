// Only sanitizer builds compile this file (PORTSENTRY_SANITIZED): what ASan and UBSan need beyond
// the policies, so that the same sandbox tests run under them. No row opens, connects, forks or
// executes.
#pragma once

#ifndef PORTSENTRY_SANITIZED
#error "a release build must not gain these rows"
#endif

#include <sanitizer/common_interface_defs.h>

#include <array>

#include "common/policy_rows.h"

// Defaults for the process that this is linked into; ASAN_OPTIONS in the environment still wins.
// LeakSanitizer stops the process from a clone with ptrace, which no sealed process can do; leaks
// are the business of the unit tests of what does not seal.
extern "C" __attribute__((visibility("default"), used)) inline const char*
__asan_default_options() {
  return "detect_leaks=0:color=never";
}

namespace portsentry {

// A row stays a row:
// clang-format off
inline constexpr auto kSanitizerRows = std::to_array<SyscallRow>({
    {SCMP_SYS(sigaltstack), "sigaltstack", "before every call that does not return"},
    {SCMP_SYS(madvise), "madvise", "shadow of a large block", {argument_is(2, MADV_NOHUGEPAGE)}},
    {SCMP_SYS(madvise), "madvise", "shadow of a large block", {argument_is(2, MADV_DONTDUMP)}},
});
// clang-format on

// Refused without killing, so that a report is printed to its end: it looks at /proc/self/maps
// again by the old open(2), which no libc of ours uses (openat kills as ever), and falls back to
// what prepare_sanitizers() read.
// A row stays a row:
// clang-format off
inline constexpr auto kSanitizersAnsweredEnosys = std::to_array<SyscallRow>({
    {SCMP_SYS(open), "open", "a report reads the memory map once more"},
});
// clang-format on

// Before the seal: sanitizers read /proc/self/maps and the debug information now, since they cannot
// open anything when they have something to report.
inline void prepare_sanitizers() {
  __sanitizer_sandbox_on_notify(nullptr);
  std::array<char, 256> text{};
  __sanitizer_symbolize_pc(__builtin_return_address(0), "%f", text.data(), text.size());
}

}  // namespace portsentry
