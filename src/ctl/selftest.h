// `selftest` and `check`: does it work, and would this configuration? Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/control_messages.h"
#include "ctl/table.h"

namespace portsentry::ctl {

// Every hop passed, and there was one.
[[nodiscard]] bool all_passed(const SelfTestReply& reply);
[[nodiscard]] std::string selftest_text(const SelfTestReply& reply, const Layout& layout);
[[nodiscard]] std::string selftest_json(const SelfTestReply& reply);

// What `portsentryd -t` printed about `file` (empty: the one it has built in).
[[nodiscard]] std::string check_json(std::string_view file, bool good, std::string_view printed);

}  // namespace portsentry::ctl
