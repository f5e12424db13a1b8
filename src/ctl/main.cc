// portsentryctl: asks the running daemon, and prints what it answers. This file is its edge: the
// terminal, the clock, the environment, files; what is decided is in the others.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "build_paths.h"
#include "common/config_values.h"
#include "common/log.h"
#include "ctl/arguments.h"
#include "ctl/check.h"
#include "ctl/perform.h"
#include "ctl/selftest.h"
#include "ctl/session.h"

namespace portsentry::ctl {
namespace {

constexpr char kSocket[] = "/run/portsentry/control.sock";
constexpr std::size_t kMaxRead = std::size_t{1} << 20;

bool print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

Layout layout() {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  winsize size{};
  std::size_t columns = 0;
  if (terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  if (columns == 0) {
    if (const auto number = parse_number(variable("COLUMNS"), 1, 10'000)) columns = *number;
  }
  std::string_view locale;
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (locale.empty()) locale = variable(name);
  }
  return layout_for(terminal, columns, variable("TERM"), locale, !variable("NO_COLOR").empty());
}

std::optional<std::string> read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return std::nullopt;
  std::string text;
  std::array<char, 4096> some{};
  for (;;) {
    const ssize_t size = ::read(fd.get(), some.data(), some.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 || text.size() > kMaxRead) return std::nullopt;
    if (size == 0) return text;
    text.append(some.data(), static_cast<std::size_t>(size));
  }
}

int tell(const Command& command, const Failure& failure) {
  complain(failure.text);
  if (command.json) print(failure_json(command.verb, failure));
  return failure.exit;
}

// The file that the running daemon was started with; empty where none runs, or where it will not
// tell.
std::string running_config() {
  auto channel = connect_to(kSocket);
  if (std::holds_alternative<Failure>(channel)) return {};
  Client client(std::get<Channel>(std::move(channel)));
  const auto answer = client.ask<StatusReply>(StatusRequest{});
  const auto* status = std::get_if<StatusReply>(&answer);
  return status != nullptr && status->conf_path.starts_with('/') ? status->conf_path
                                                                 : std::string();
}

int run_check(const Command& command) {
  const std::string file = command.config.empty() ? running_config() : command.config;
  const auto checked = check(file, command.json);
  if (const auto* failure = std::get_if<Failure>(&checked)) return tell(command, *failure);
  const auto& result = std::get<Checked>(checked);
  if (command.json) print(check_json(file, result.good, result.printed));
  if (!result.good) return kExitNoMatch;
  return kExitOk;
}

int run_command(const Command& command, std::time_t now) {
  auto channel = connect_to(kSocket);
  if (const auto* failure = std::get_if<Failure>(&channel)) return tell(command, *failure);
  Client client(std::get<Channel>(std::move(channel)));
  const Surroundings around{.now = now, .layout = layout(), .print = print, .session = [] {
                              return session_began(read_file, ::getpid());
                            }};
  const auto ended = perform(command, client, around);
  if (const auto* failure = std::get_if<Failure>(&ended)) return tell(command, *failure);
  return std::get<int>(ended);
}

int run(const std::vector<std::string_view>& arguments) {
  const std::time_t now = std::time(nullptr);
  const auto command = parse_arguments(arguments, now);
  if (!command) {
    complain(command.error().what);
    return kExitUsage;
  }
  switch (command->verb) {
    case Verb::help:
      print(command->help == nullptr ? usage() : usage(*command->help));
      return kExitOk;
    case Verb::version:
      print(std::string("portsentryctl ") + kVersion + "\n");
      return kExitOk;
    case Verb::check:
      return run_check(*command);
    case Verb::status:
    case Verb::list:
    case Verb::why:
    case Verb::ban:
    case Verb::unban:
    case Verb::allow_list:
    case Verb::allow_add:
    case Verb::allow_remove:
    case Verb::protected_set:
    case Verb::top:
    case Verb::watch:
    case Verb::reload:
    case Verb::arm:
    case Verb::confirm:
    case Verb::observe:
    case Verb::follow:
    case Verb::selftest:
    case Verb::flush:
    case Verb::history:
    case Verb::report:
      break;
  }
  return run_command(*command, now);
}

}  // namespace
}  // namespace portsentry::ctl

int main(int argc, char** argv) {
  portsentry::set_log_name("portsentryctl");
  ::tzset();
  return portsentry::ctl::run({argv + 1, argv + argc});
}
