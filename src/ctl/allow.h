// `allow`: whom somebody said never to ban. Pure.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "common/control_messages.h"
#include "ctl/table.h"

namespace portsentry::ctl {

[[nodiscard]] std::string allow_list_text(const std::vector<AllowedShown>& entries, std::time_t now,
                                          const Layout& layout);
[[nodiscard]] std::string allow_list_json(const std::vector<AllowedShown>& entries);

[[nodiscard]] std::string allow_add_text(const AllowDone& done, std::time_t now,
                                         const Layout& layout);
[[nodiscard]] std::string allow_add_json(const AllowDone& done);

[[nodiscard]] std::string allow_remove_text(const Prefix& prefix, const Layout& layout);
[[nodiscard]] std::string allow_remove_json(const Prefix& prefix);

}  // namespace portsentry::ctl
