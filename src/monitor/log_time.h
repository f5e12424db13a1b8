// Local time as the peers write it: English in every locale, because tools parse it. Pure, but for
// the time zone: the caller has called tzset() once (afterwards localtime_r opens nothing).
#pragma once

#include <ctime>
#include <string>

namespace portsentry::monitor {

// "Aug  6 03:21:30": what every syslog line of the classic kind begins with (RFC 3164 4.1.2).
std::string syslog_time(std::time_t when);
// "08/06/2025 03:21:30", in 1.2's history.
std::string history_time(std::time_t when);
// "Aug 06 03:21:30 2025", in the guide's blocked file.
std::string blocked_time(std::time_t when);
// "12:03", and of another day than `now`'s "2025-08-06 12:03".
std::string session_time(std::time_t when, std::time_t now);

}  // namespace portsentry::monitor
