// portsentryd: the launcher, and, executed again by itself, its other half, the enforcer.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "build_paths.h"
#include "common/log.h"
#include "common/result.h"
#include "enforcer/background.h"
#include "enforcer/enforcer.h"
#include "enforcer/hosts_deny.h"
#include "enforcer/launcher.h"
#include "enforcer/migrate.h"
#include "enforcer/options.h"
#include "enforcer/prepare.h"

namespace portsentry::enforcer {
namespace {

// A sanitizer build has wider policies (sanitizer_rows.h), and says what it is.
#ifdef PORTSENTRY_SANITIZED
constexpr std::string_view kBuildMark = " (sanitizer build, for tests only)";
#else
constexpr std::string_view kBuildMark;
#endif

void say(std::string_view text) {
  // Nothing sensible is left to do when standard output does not take it.
  static_cast<void>(!write(STDOUT_FILENO, text.data(), text.size()));
}

int serve(const Options& options) {
  Background background = Background::begin(options.ground);
  Ready ready = prepare(options);
  return Launcher(std::move(ready.prepared), std::move(ready.first), background).run();
}

// Who starts us may have left other habits: with SIGCHLD ignored no child's end would ever be told,
// and a reader of standard error that goes away must not end the daemon.
void have_own_signals() {
  if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
    fatal(Error::from_errno("signal", errno).what);
}

int run(const std::vector<std::string_view>& arguments) {
  have_own_signals();
  // Only the launcher starts us like this; the enforcer half checks that it was (enforcer.h).
  if (!arguments.empty() && arguments.front() == "--enforcer") {
    const auto backend = arguments.size() == 3 ? backend_of_word(arguments[1]) : std::nullopt;
    if (!backend) fatal("--enforcer is for portsentryd itself, not for people", kExitUsage);
    return serve_enforcer(*backend, arguments[2] == "resolver");
  }
  if (!arguments.empty() && arguments.front() == "--hosts-deny") return run_hosts_deny();
  have_clean_descriptors();
  const auto options = parse_options(arguments);
  if (!options) {
    complain(options.error().what);
    complain("usage: portsentryd [MODE...] [-f FILE | -c FILE] [-t] | --migrate FILE | -V | -h");
    return kExitUsage;
  }
  for (const std::string& warning : options->warnings)
    complain("warning: " + warning);
  switch (options->action) {
    case Options::Action::help:
      say(usage());
      return kExitOk;
    case Options::Action::version:
      say(std::string("portsentryd ") + kVersion + std::string(kBuildMark) + "\n");
      return kExitOk;
    case Options::Action::migrate:
      return migrate(options->config);
    case Options::Action::check:
      return check(*options);
    case Options::Action::serve:
      // The guide's way to check a configuration, by who could not start the daemon anyway.
      if (options->check_unless_root && geteuid() != 0) return check(*options);
      return serve(*options);
  }
  return kExitUsage;
}

}  // namespace
}  // namespace portsentry::enforcer

int main(int argc, char** argv) {
  return portsentry::enforcer::run({argv + (argc > 0 ? 1 : 0), argv + argc});
}
