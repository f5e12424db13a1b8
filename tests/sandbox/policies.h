// The sealed processes, for tests that hold for each of them.
#pragma once

#include <algorithm>
#include <array>

#include "enforcer/hosts_deny_policy.h"
#include "enforcer/policy.h"
#include "monitor/policy.h"
#include "resolver/policy.h"
#include "scout/policy.h"
#include "sensor/policy.h"

namespace portsentry::sandbox {

inline std::array<const SyscallPolicy*, 6> all_policies() {
  return {&enforcer::kPolicy, &monitor::kPolicy, &sensor::kPolicy,
          &resolver::kPolicy, &scout::kPolicy,   &enforcer::kHostsDenyPolicy};
}

// Those that wait and look at the clock. The hosts.deny editor does its one thing and ends.
inline std::array<const SyscallPolicy*, 5> serving_policies() {
  return {&enforcer::kPolicy, &monitor::kPolicy, &sensor::kPolicy, &resolver::kPolicy,
          &scout::kPolicy};
}

// Some row of the process's own table lets this call through, with these or those arguments; then
// it is not answered ENOSYS (policy_rows.h).
inline bool allows_somehow(const SyscallPolicy& policy, int number) {
  return std::any_of(policy.allowed.begin(), policy.allowed.end(),
                     [&](const SyscallRow& row) { return row.number == number; });
}

}  // namespace portsentry::sandbox
