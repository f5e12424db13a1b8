// `protected`: whom this host needs or is. Pure.
#pragma once

#include <string>
#include <vector>

#include "common/control_messages.h"
#include "ctl/table.h"

namespace portsentry::ctl {

[[nodiscard]] std::string protected_text(const std::vector<ProtectedShown>& entries,
                                         const Layout& layout);
[[nodiscard]] std::string protected_json(const std::vector<ProtectedShown>& entries);

}  // namespace portsentry::ctl
