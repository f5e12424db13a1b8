// The command line of portsentryd. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/result.h"

namespace portsentry::enforcer {

inline constexpr std::string_view kDefaultConfig = "/etc/portsentry/portsentry.conf";

struct Options {
  enum class Action { serve, check, version, help };
  Action action = Action::serve;
  std::string config{kDefaultConfig};
};

// `arguments` without the program's name. An error is what to print before the usage (exit 2).
Result<Options> parse_options(std::span<const std::string_view> arguments);

// The text of -h, which README and man page repeat.
std::string_view usage();

}  // namespace portsentry::enforcer
