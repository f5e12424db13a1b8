// Turns a policy table (src/*/policy.cc) into a seccomp filter. The tables are the policy; this
// file only carries them to libseccomp. Anything not in the table kills the process.
#pragma once

#include <seccomp.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/result.h"

namespace portsentry {

// One condition on one argument: (argument & mask) == value; or, with `any_bit`, the argument has at
// least one bit of `mask` (and `value` is 0). In a row only one check may be such.
struct ArgumentCheck {
  std::uint8_t argument = 0;  // 0..5
  std::uint64_t mask = 0;     // 0: no check
  std::uint64_t value = 0;
  bool any_bit = false;

  [[nodiscard]] constexpr bool holds(std::uint64_t given) const {
    return any_bit ? (given & mask) != 0 : (given & mask) == value;
  }
};

struct SyscallRow {
  int number;                             // SCMP_SYS(name)
  std::string_view name;                  // for documents and messages
  std::string_view reason;                // why this process needs it; never empty
  std::array<ArgumentCheck, 2> checks{};  // both must hold
};

struct SyscallPolicy {
  std::string_view process;
  std::span<const SyscallRow> allowed;
  std::span<const SyscallRow> answered_enosys;  // libc probes for it and lives without it
};

// Installs the filter for this process: default SCMP_ACT_KILL_PROCESS, no_new_privs set by
// libseccomp. On failure nothing is installed and the caller must end the process.
Result<void> install(const SyscallPolicy& policy);

// True on a machine whose architecture the policies were written for (x86-64, aarch64).
bool architecture_supported();

}  // namespace portsentry
