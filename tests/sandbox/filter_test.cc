// The filters in the kernel, asked one call at a time: every row lives, everything around it dies.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>

#include "child.h"
#include "common/policy_rows.h"
#include "forbidden.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

using Arguments = std::array<std::uint64_t, 6>;

long call(long number, const Arguments& a) {
  return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// What the table says about a call; the kernel must agree.
bool table_allows(const SyscallPolicy& policy, int number, const Arguments& arguments) {
  return std::any_of(policy.allowed.begin(), policy.allowed.end(), [&](const SyscallRow& row) {
    return row.number == number &&
           std::all_of(row.checks.begin(), row.checks.end(), [&](const ArgumentCheck& check) {
             return check.mask == 0 || check.holds(arguments.at(check.argument));
           });
  });
}

constexpr timespec kAtOnce{};

// Arguments that satisfy the row and make the call return at once, whatever the descriptors are.
Arguments satisfying(const SyscallRow& row) {
  Arguments arguments{};
  if (row.name == "ppoll") arguments.at(2) = reinterpret_cast<std::uintptr_t>(&kAtOnce);
  for (const auto& check : row.checks) {
    const std::uint64_t lowest_bit = check.mask & -check.mask;
    arguments.at(check.argument) |= check.any_bit ? lowest_bit : check.value;
  }
  return arguments;
}

class EveryPolicy : public testing::TestWithParam<const SyscallPolicy*> {};

INSTANTIATE_TEST_SUITE_P(, EveryPolicy, testing::ValuesIn(all_policies()),
                         [](const auto& of) { return std::string(of.param->process); });

TEST_P(EveryPolicy, LetsEachOfItsRowsThrough) {
  for (const auto& row : GetParam()->allowed) {
    const auto ended = run([&] {
      const Arguments arguments = satisfying(row);
      REQUIRE(install(*GetParam()).has_value());
      call(row.number, arguments);
    });
    EXPECT_NE(ended.how, kDiedByFilter) << row.name << ": " << row.reason;
    EXPECT_NE(ended.how, "exit 99") << ended.words;
  }
}

// libseccomp compiles the rows into a tree of masked comparisons; this asks the kernel whether the
// tree still says what the table says, at the places where an attacker would push.
TEST_P(EveryPolicy, AgreesWithItsTableWhenOneBitOfAnArgumentFlips) {
  constexpr std::array<unsigned, 9> kBits{0, 1, 2, 3, 5, 6, 7, 15, 31};
  for (const auto& row : GetParam()->allowed) {
    for (const auto& check : row.checks) {
      for (const unsigned bit : kBits) {
        if ((check.mask & (1ULL << bit)) == 0) continue;
        Arguments arguments = satisfying(row);
        arguments.at(check.argument) ^= 1ULL << bit;
        if (table_allows(*GetParam(), row.number, arguments)) continue;
        EXPECT_DIES_BY_FILTER(*GetParam(), call(row.number, arguments));
      }
    }
  }
}

TEST_P(EveryPolicy, IgnoresTheUpperHalfOfAnIntAsTheKernelDoes) {
  EXPECT_LIVES(*GetParam(), call(SYS_write, {0xdeadbeef00000002ULL, 0, 0, 0, 0, 0}));
  EXPECT_DIES_BY_FILTER(*GetParam(), call(SYS_write, {0x0000000200000000ULL, 0, 0, 0, 0, 0}));
}

TEST_P(EveryPolicy, KillsWhatIsForbidden) {
  for (const auto& forbidden : kForbidden) {
    SCOPED_TRACE(forbidden.name);
    if (forbidden.is_for(GetParam()->process)) continue;
#if defined(PORTSENTRY_SANITIZED) && defined(SYS_open)
    if (forbidden.number == SYS_open) continue;  // refused without killing: sanitizer_rows.h
#endif
    const auto& a = forbidden.arguments;
    EXPECT_DIES_BY_FILTER(*GetParam(),
                          syscall(forbidden.number, a[0], a[1], a[2], a[3], a[4], a[5]));
  }
}

TEST_P(EveryPolicy, KillsCallsThatDoNotExistYet) {
  EXPECT_DIES_BY_FILTER(*GetParam(), syscall(1023));
}

TEST_P(EveryPolicy, AnswersEnosysToWhatLibcProbes) {
  for (const auto& row : GetParam()->answered_enosys) {
    if (allows_somehow(*GetParam(), row.number)) continue;
    EXPECT_LIVES(*GetParam(), REQUIRE(call(row.number, satisfying(row)) == -1 && errno == ENOSYS));
  }
}

#ifdef __x86_64__
TEST_P(EveryPolicy, KillsCallsByTheNumbersOfOtherArchitectures) {
  EXPECT_DIES_BY_FILTER(*GetParam(), syscall(0x40000000 | SYS_poll, 0, 0, 0));  // x32

  const auto i386_getpid = [] {
    long answer = 20;  // getpid there, writev here
    asm volatile("int $0x80" : "+a"(answer) : : "memory", "r8", "r9", "r10", "r11");
    return answer;
  };
  if (run([&] { REQUIRE(i386_getpid() > 0); }).how != kLived) {
    GTEST_SKIP() << "this kernel has no i386 calls";
  }
  EXPECT_DIES_BY_FILTER(*GetParam(), i386_getpid());
}
#endif

// "This number or a greater one" is many rules of libseccomp; each bit must count, and what the
// kernel ignores must not.
TEST(Filter, TellsHighDescriptorsFromLowOnesAsTheKernelReadsThem) {
  constexpr std::array<SyscallRow, 2> kHigh{
      {{SCMP_SYS(dup), "dup", "a harmless call", {on_descriptor_from(64)}},
       {SCMP_SYS(exit_group), "exit_group", "the end"}}};
  const SyscallPolicy policy{.process = "nobody", .allowed = kHigh, .answered_enosys = {}};
  for (const std::uint64_t high : {0x40ULL, 0x41ULL, 0x7fULL, 0x80ULL, 0x1000ULL, 0x1ffffULL,
                                   0x20000ULL, 0x100000ULL, 0xdeadbeef00000040ULL}) {
    EXPECT_LIVES(policy, call(SYS_dup, {high, 0, 0, 0, 0, 0}));
  }
  for (const std::uint64_t low : {0x0ULL, 0x3ULL, 0x3fULL, 0x100000003ULL, 0xffffffff0000003fULL}) {
    EXPECT_DIES_BY_FILTER(policy, call(SYS_dup, {low, 0, 0, 0, 0, 0}));
  }
}

TEST(Filter, ARowWithTwoChecksOfAnyBitIsRefused) {
  constexpr std::array<SyscallRow, 1> kTwo{
      {{SCMP_SYS(dup3),
        "dup3",
        "two",
        {on_descriptor_from(64), ArgumentCheck{.argument = 1, .mask = 6, .any_bit = true}}}}};
  const SyscallPolicy policy{.process = "nobody", .allowed = kTwo, .answered_enosys = {}};
  const auto ended = run([&] { REQUIRE(!install(policy).has_value()); });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(Filter, ChangesNothingWhenThePolicyCannotBeInstalled) {
  constexpr std::array<SyscallRow, 1> kNonsense{
      {{SCMP_SYS(exit_group),
        "exit_group",
        "a condition on a seventh argument",
        {ArgumentCheck{.argument = 6, .mask = 1, .value = 1}}}}};
  const SyscallPolicy broken{.process = "nobody", .allowed = kNonsense, .answered_enosys = {}};
  const auto ended = run([&] {
    REQUIRE(!install(broken).has_value());
    REQUIRE(status_line(getpid(), "Seccomp") == "0");
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

}  // namespace
}  // namespace portsentry::sandbox
