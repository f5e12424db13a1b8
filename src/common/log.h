// Last words and diagnostics on standard error, in one write each. The event lines that users parse
// are not here: only the monitor writes those (src/monitor/log_lines.h).
#pragma once

#include <string_view>

namespace portsentry {

// sysexits.h has 77 and 78; 0..2 are the common ones. The same numbers in README and man page.
enum ExitCode : int {
  kExitOk = 0,
  kExitRuntime = 1,
  kExitUsage = 2,
  kExitPrivilege = 77,
  kExitConfig = 78
};

// How this process signs its lines; "portsentryd" until set. The string must live for ever.
void set_log_name(const char* name);

// Where else complain() goes, in addition to standard error: a daemon in the background has nobody
// at that end. Given the message without name and newline, control characters replaced.
void set_log_sink(void (*sink)(std::string_view line));

// "NAME: MESSAGE\n" on standard error. Control characters are replaced; never fails.
void complain(std::string_view message);

// complain(), then the process ends with `code`: for what is impossible unless we or the machine
// are broken ("what: why"), and for start-up errors.
[[noreturn]] void fatal(std::string_view message, int code = kExitRuntime);

}  // namespace portsentry
