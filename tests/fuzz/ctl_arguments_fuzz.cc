// What somebody types behind portsentryctl, one argument a line.
#include <algorithm>
#include <string>
#include <vector>

#include "ctl/arguments.h"
#include "fuzz.h"

namespace portsentry::ctl {
namespace {

using fuzz::require;

constexpr std::time_t kNow = 1'795'000'000;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return lines;
}

void check_command(const Command& command) {
  require(!command.time || (command.time->count() >= 1 && *command.time <= kMaxBan),
          "a duration is in bounds");
  require(!command.since || (*command.since >= 0 && *command.since <= kNow),
          "since is in the past");
  require(command.limit >= 1 && command.limit <= kMaxEntries, "a limit is in bounds");
  require(command.note.size() <= kMaxUserText, "a note is short");
  require(!(command.all && command.prefix), "all is no address");
  const bool named = command.verb == Verb::ban || command.verb == Verb::allow_add ||
                     command.verb == Verb::allow_remove || command.verb == Verb::why;
  require(!named || command.prefix.has_value(), "what needs an address has one");
  require(command.verb != Verb::unban || command.all || command.prefix.has_value(),
          "unban knows what");
}

// It is told on a terminal.
void check_error(const std::string& what) {
  require(!what.empty(), "a refusal says why");
  require(std::all_of(what.begin(), what.end(), [](char c) { return c >= ' ' && c <= '~'; }),
          "a refusal is printable, whatever was typed");
}

}  // namespace
}  // namespace portsentry::ctl

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry::ctl;
  const auto arguments = lines_of(portsentry::fuzz::as_text(data, size));
  const auto command = parse_arguments(arguments, kNow);
  if (command) {
    check_command(*command);
  } else {
    check_error(command.error().what);
  }
  return 0;
}
