// The command line of portsentryctl. Pure: words, the time and the zone of the caller in, a command
// out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/control_messages.h"
#include "common/net_types.h"
#include "common/result.h"
#include "ctl/verbs.h"

namespace portsentry::ctl {

// What was asked for. A field that the verb does not take has its default.
struct Command {
  Verb verb = Verb::help;
  bool json = false;
  bool plain = false;
  ListFilter only = ListFilter::all;
  std::optional<Prefix> prefix;
  bool all = false;  // unban all
  bool permanent = false;
  std::optional<std::chrono::seconds> time;  // --for, --allow-for or --confirm-within; 1 s..365 d
  std::optional<std::int64_t> since;         // seconds since 1970, not after now
  TopBy by = TopBy::source;
  std::uint32_t limit = 10;       // 1..kMaxEntries
  std::string note;               // what --note says has passed is_text(), and its length is right
  std::string config;             // check -f
  const VerbRow* help = nullptr;  // of which verb; of all of them without
};

// `arguments` without the program's name; `now` in seconds since 1970. An error is one line for
// standard error, printable ASCII whatever was typed; the exit status is kExitUsage.
Result<Command> parse_arguments(std::span<const std::string_view> arguments, std::int64_t now);

}  // namespace portsentry::ctl
