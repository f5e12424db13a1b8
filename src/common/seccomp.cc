#include "common/seccomp.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#ifdef PORTSENTRY_SANITIZED
#include "common/sanitizer_rows.h"
#endif

namespace portsentry {
namespace {

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

// libseccomp answers 0 or -errno.
Result<void> checked(int answer, std::string what) {
  if (answer == 0) return {};
  return Error::from_errno(std::move(what), -answer);
}

// One rule of libseccomp, whose conditions are masked comparisons only: a check for any of several
// bits is here narrowed to `bit`, and every bit gets a rule of its own.
Result<void> add_rule(const Filter& filter, std::uint32_t action, const SyscallRow& row,
                      std::uint64_t bit) {
  std::array<scmp_arg_cmp, std::tuple_size_v<decltype(row.checks)>> conditions{};
  unsigned count = 0;
  for (const ArgumentCheck& check : row.checks) {
    if (check.mask == 0) continue;
    conditions.at(count++) = {.arg = check.argument,
                              .op = SCMP_CMP_MASKED_EQ,
                              .datum_a = check.any_bit ? bit : check.mask,
                              .datum_b = check.any_bit ? bit : check.value};
  }
  // Not the "exact" variant: a call that this architecture never had (poll on aarch64) is no row
  // there, and its libc does not make it either.
  const int answer =
      seccomp_rule_add_array(filter.get(), action, row.number, count, conditions.data());
  return checked(answer, "seccomp row " + std::string(row.name));
}

Result<void> add_row(const Filter& filter, std::uint32_t action, const SyscallRow& row) {
  std::uint64_t bits = 0;
  for (const ArgumentCheck& check : row.checks) {
    if (!check.any_bit) continue;
    if (bits != 0) return Error{"seccomp row " + std::string(row.name) + ": two checks of any bit"};
    bits = check.mask;
  }
  if (bits == 0) return add_rule(filter, action, row, 0);
  for (; bits != 0; bits &= bits - 1) {
    if (auto added = add_rule(filter, action, row, bits & -bits); !added) return added;
  }
  return {};
}

Result<void> add_rows(const Filter& filter, std::uint32_t action,
                      std::span<const SyscallRow> rows) {
  for (const SyscallRow& row : rows) {
    if (auto added = add_row(filter, action, row); !added) return added;
  }
  return {};
}

bool lists(std::span<const SyscallRow> rows, int number) {
  for (const SyscallRow& row : rows) {
    if (row.number == number) return true;
  }
  return false;
}

Result<void> set_attribute(const Filter& filter, scmp_filter_attr attribute, std::uint32_t value) {
  return checked(seccomp_attr_set(filter.get(), attribute, value),
                 "seccomp attribute " + std::to_string(attribute));
}

}  // namespace

bool architecture_supported() {
  const std::uint32_t native = seccomp_arch_native();
  return native == SCMP_ARCH_X86_64 || native == SCMP_ARCH_AARCH64;
}

Result<void> install(const SyscallPolicy& policy) {
  if (!architecture_supported()) {
    return Error{"seccomp: the policies were not reviewed for this architecture", 0};
  }
  const Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (!filter) return Error{"seccomp: out of memory", ENOMEM};

  // Calls by another architecture's numbers (i386 and x32 on x86-64) would be read with the wrong
  // table. TSYNC: should a library have started a thread, it is sealed too or nothing is.
  constexpr std::array<std::pair<scmp_filter_attr, std::uint32_t>, 3> kAttributes{{
      {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
      {SCMP_FLTATR_CTL_NNP, 1},
      {SCMP_FLTATR_CTL_TSYNC, 1},
  }};
  for (const auto& [attribute, value] : kAttributes) {
    if (auto set = set_attribute(filter, attribute, value); !set) return set;
  }

  std::span<const SyscallRow> sanitizers_need;
  std::span<const SyscallRow> sanitizers_probe;
#ifdef PORTSENTRY_SANITIZED
  sanitizers_need = kSanitizerRows;
  sanitizers_probe = kSanitizersAnsweredEnosys;
  prepare_sanitizers();
#endif
  for (const auto rows : {policy.allowed, sanitizers_need}) {
    if (auto added = add_rows(filter, SCMP_ACT_ALLOW, rows); !added) return added;
  }
  for (const auto rows : {policy.answered_enosys, sanitizers_probe}) {
    for (const SyscallRow& row : rows) {
      if (lists(policy.allowed, row.number) || lists(sanitizers_need, row.number)) continue;
      if (auto added = add_row(filter, SCMP_ACT_ERRNO(ENOSYS), row); !added) return added;
    }
  }
  return checked(seccomp_load(filter.get()), "seccomp load for the " + std::string(policy.process));
}

}  // namespace portsentry
