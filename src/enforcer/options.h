// The command line: portsentryd's own, the mode words of PortSentry 1.2, the long options of 2.x and
// the forms that their guides print. Pure.
//
// What the generations spell alike and mean differently is read as the guide has it: -v is the
// version (2.x: verbose), -d the background (2.x: debug).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "common/result.h"

namespace portsentry::enforcer {

inline constexpr std::string_view kDefaultConfig = "/etc/portsentry/portsentry.conf";

struct Options {
  enum class Action { serve, check, migrate, version, help };
  // Where the daemon runs. `as_started`: a mode word of 1.2 was given, which goes to the background
  // when a person at a terminal started it (background.h).
  enum class Ground { foreground, background, as_started };

  Action action = Action::serve;
  Ground ground = Ground::foreground;
  std::string config{kDefaultConfig};  // of migrate: the file to read
  // The guide's "-c FILE" is a check for those who could not start the daemon anyway.
  bool check_unless_root = false;
  // Keys of the configuration that the command line sets, each once: TCP_MODE, UDP_MODE,
  // INTERFACES, LOCAL_CHECK, SERVICE_CHECK, LOG_OUTPUT.
  std::vector<ConfigOverride> overrides;
  std::vector<std::string> warnings;  // to be told before anything else
};

// `arguments` without the program's name. An error is what to print before the usage (exit 2).
Result<Options> parse_options(std::span<const std::string_view> arguments);

// The mode words that `overrides` came from, as they are typed: "-tcp -udp"; empty without.
std::string mode_words(const std::vector<ConfigOverride>& overrides);

// What to run instead of a second daemon: the words of the running one and the new one together,
// "portsentry -tcp -udp". Empty where that cannot be: one of them has none, or both want the same
// protocol.
std::string both_together(const std::vector<ConfigOverride>& running,
                          const std::vector<ConfigOverride>& wanted);

// The text of -h, which README and man page repeat.
std::string_view usage();

}  // namespace portsentry::enforcer
