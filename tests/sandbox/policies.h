// The three sealed processes, for tests that hold for each of them.
#pragma once

#include <array>

#include "enforcer/policy.h"
#include "monitor/policy.h"
#include "sensor/policy.h"

namespace portsentry::sandbox {

inline std::array<const SyscallPolicy*, 3> all_policies() {
  return {&enforcer::kPolicy, &monitor::kPolicy, &sensor::kPolicy};
}

}  // namespace portsentry::sandbox
