#include "enforcer/options.h"

namespace portsentry::enforcer {

Result<Options> parse_options(std::span<const std::string_view> arguments) {
  Options options;
  bool file_given = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "-h" || argument == "--help") {
      options.action = Options::Action::help;
      return options;
    }
    if (argument == "-V" || argument == "--version") {
      options.action = Options::Action::version;
      return options;
    }
    if (argument == "-t") {
      options.action = Options::Action::check;
    } else if (argument == "-f") {
      if (i + 1 == arguments.size() || arguments[i + 1].empty()) return Error{"-f needs a file"};
      if (file_given) return Error{"-f is given twice"};
      options.config = arguments[++i];
      file_given = true;
    } else {
      return Error{"unknown argument \"" + std::string(argument) + "\""};
    }
  }
  return options;
}

std::string_view usage() {
  return "usage: portsentryd [-f FILE]      run in the foreground\n"
         "       portsentryd -t [-f FILE]   check the configuration (any user)\n"
         "       portsentryd -V | -h        version, this help\n"
         "\n"
         "FILE is /etc/portsentry/portsentry.conf unless given.\n"
         "Exit status: 0 ok, 1 run-time failure, 2 usage, 77 missing privilege, 78 "
         "configuration.\n";
}

}  // namespace portsentry::enforcer
