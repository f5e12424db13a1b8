// The policy tables, read as data.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/policy_rows.h"
#include "forbidden.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

std::vector<SyscallRow> rows_of(const SyscallPolicy& policy) {
  std::vector<SyscallRow> rows(policy.allowed.begin(), policy.allowed.end());
  std::copy_if(policy.answered_enosys.begin(), policy.answered_enosys.end(),
               std::back_inserter(rows),
               [&](const SyscallRow& row) { return !allows_somehow(policy, row.number); });
  return rows;
}

bool checks(const SyscallRow& row, unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return std::any_of(row.checks.begin(), row.checks.end(), [&](const ArgumentCheck& check) {
    return check.argument == argument && check.mask == mask && check.value == value;
  });
}

TEST(PolicyTable, EveryRowHasAReason) {
  for (const auto* policy : all_policies()) {
    EXPECT_FALSE(policy->process.empty());
    EXPECT_FALSE(policy->allowed.empty());
    for (const auto& row : rows_of(*policy)) {
      EXPECT_GE(row.reason.size(), 5U) << policy->process << ": " << row.name;
    }
  }
}

TEST(PolicyTable, EveryNameIsItsNumber) {
  for (const auto* policy : all_policies()) {
    for (const auto& row : rows_of(*policy)) {
      EXPECT_EQ(seccomp_syscall_resolve_name(std::string(row.name).c_str()), row.number)
          << policy->process << ": " << row.name;
    }
  }
}

TEST(PolicyTable, NoRowStandsTwice) {
  for (const auto* policy : all_policies()) {
    std::set<std::string> seen;
    for (const auto& row : rows_of(*policy)) {
      std::string key(row.name);
      for (const auto& check : row.checks) {
        key += " " + std::to_string(check.argument) + "&" + std::to_string(check.mask) + "=" +
               std::to_string(check.value);
      }
      EXPECT_TRUE(seen.insert(key).second) << policy->process << ": " << key;
    }
  }
}

// libseccomp would otherwise merge the two into one that allows everything.
TEST(PolicyTable, NoCallHasBothAConditionedAndAnUnconditionedRow) {
  for (const auto* policy : all_policies()) {
    for (const auto& row : policy->allowed) {
      const bool unconditioned =
          std::all_of(row.checks.begin(), row.checks.end(), [](auto& c) { return c.mask == 0; });
      if (!unconditioned) continue;
      EXPECT_EQ(std::count_if(policy->allowed.begin(), policy->allowed.end(),
                              [&](auto& other) { return other.number == row.number; }),
                1)
          << policy->process << ": " << row.name;
    }
  }
}

TEST(PolicyTable, NoCheckComparesBitsOutsideItsMask) {
  for (const auto* policy : all_policies()) {
    for (const auto& row : policy->allowed) {
      for (const auto& check : row.checks) {
        EXPECT_EQ(check.value & ~check.mask, 0U) << policy->process << ": " << row.name;
        EXPECT_LE(check.argument, 5U) << policy->process << ": " << row.name;
      }
    }
  }
}

TEST(PolicyTable, NoForbiddenCallIsInAnyTable) {
  for (const auto* policy : all_policies()) {
    for (const auto& row : rows_of(*policy)) {
      for (const auto& call : kForbidden) {
        EXPECT_FALSE(row.number == call.number && !call.allowed_with_other_arguments &&
                     !call.is_for(policy->process))
            << policy->process << " may call " << row.name;
      }
    }
  }
}

TEST(PolicyTable, NoMemoryIsEverExecutable) {
  for (const auto* policy : all_policies()) {
    for (const auto& row : policy->allowed) {
      if (row.name != "mmap" && row.name != "mprotect") continue;
      EXPECT_TRUE(checks(row, 2, PROT_EXEC, 0)) << policy->process << ": " << row.name;
    }
  }
}

TEST(PolicyTable, EachProcessSendsOnlyOnItsOwnDescriptors) {
  const auto sending = [](const SyscallPolicy& policy) {
    std::set<std::string> found;
    for (const auto& row : policy.allowed) {
      if (row.name.find("send") == std::string_view::npos) continue;
      const auto on = std::find_if(row.checks.begin(), row.checks.end(),
                                   [](auto& c) { return c.mask == kIntMask && c.argument == 0; });
      const bool bound = std::any_of(row.checks.begin(), row.checks.end(), [](auto& c) {
        return c.any_bit && c.argument == 0 && c.mask == on_descriptor_from(64).mask;
      });
      const std::string where = bound                    ? "64 and above"
                                : on == row.checks.end() ? "any"
                                                         : std::to_string(on->value);
      found.insert(std::string(row.name) + " " + where + (checks(row, 4, ~0ULL, 0) ? " peer" : ""));
    }
    return found;
  };
  EXPECT_EQ(sending(sensor::kPolicy),
            (std::set<std::string>{"sendto 3 peer", "sendto 6", "sendto 7", "sendto 8",
                                   "sendto 64 and above"}));
  EXPECT_EQ(sending(monitor::kPolicy),
            (std::set<std::string>{"sendto any peer", "sendto 9", "sendto 12"}));
  EXPECT_EQ(sending(resolver::kPolicy), (std::set<std::string>{"sendto any peer"}));
  EXPECT_EQ(sending(scout::kPolicy), (std::set<std::string>{"sendto 3 peer"}));
  EXPECT_EQ(sending(enforcer::kPolicy),
            (std::set<std::string>{"sendto 3 peer", "sendmsg 3", "sendto 4 peer", "sendto 5",
                                   "sendto 7", "sendto 8", "sendto 9"}));
}

TEST(PolicyTable, TheHostsDenyEditorSendsNothingAndChangesItsTwoFilesAlone) {
  EXPECT_TRUE(std::none_of(
      enforcer::kHostsDenyPolicy.allowed.begin(), enforcer::kHostsDenyPolicy.allowed.end(),
      [](auto& row) { return row.name.find("send") != std::string_view::npos; }));
  for (const auto& row : enforcer::kHostsDenyPolicy.allowed) {
    if (row.name != "pwrite64" && row.name != "ftruncate" && row.name != "fallocate") continue;
    EXPECT_TRUE(checks(row, 0, kIntMask, enforcer::kEditorFile) ||
                checks(row, 0, kIntMask, enforcer::kEditorJournal))
        << row.name;
  }
}

TEST(PolicyTable, ThisMachineIsSupported) {
  EXPECT_TRUE(architecture_supported());
}

}  // namespace
}  // namespace portsentry::sandbox
