// When did the login session begin that this program was started from? `portsentryctl confirm` needs
// to know: only somebody who logged in after `arm` has shown that one still can.
//
// Asked in this order: systemd-logind, by our own control group or audit session; else utmp, by the
// controlling terminal of ourselves or of an ancestor (sudo and su give a new one). What is no login
// does not count: a new pane of an old tmux or screen, a new window of an old desktop, run0, cron.
//
// Pure: what it reads comes through a function.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/bytes.h"

namespace portsentry::ctl {

// The content of a file; nothing where it cannot be read, or is longer than a mebibyte.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

// Seconds since 1970. Nothing where no login is known: then it cannot be confirmed from here.
[[nodiscard]] std::optional<std::time_t> session_began(const ReadFile& read, pid_t self);

// ---- Its parts, each a format that somebody else defines ------------------------------------------

// Of /proc/PID/stat (proc_pid_stat(5)).
struct ProcessLine {
  pid_t parent = 0;
  std::uint32_t terminal = 0;  // device number; 0: none
};
[[nodiscard]] std::optional<ProcessLine> parse_process(std::string_view stat);

// "session-ID.scope" in /proc/PID/cgroup (systemd.io/CGROUP_DELEGATION): ID, of letters and digits.
[[nodiscard]] std::optional<std::string> session_of_cgroup(std::string_view cgroup);

// /proc/PID/sessionid: decimal; 4294967295 says that there is none.
[[nodiscard]] std::optional<std::string> session_of_audit(std::string_view text);

// /run/systemd/sessions/ID: when it began, if it is the session of somebody who logged in from
// elsewhere, or at a console.
[[nodiscard]] std::optional<std::time_t> began_in_logind(std::string_view text);

// "pts/3", "tty1", "ttyS0" from a device number (stat(2), documentation/admin-guide/devices); empty
// where login records do not know such a thing.
[[nodiscard]] std::string terminal_line(std::uint32_t device);

// /run/utmp (utmp(5)): since when somebody is logged in at this line. Nothing for what a terminal
// program entered for a new window of its own.
[[nodiscard]] std::optional<std::time_t> began_in_utmp(Bytes utmp, std::string_view line);

}  // namespace portsentry::ctl
