// The two files beside the log, in the formats that people's tools know. Pure: values in, lines
// out. Local time as in 1.2; the caller has called tzset() (afterwards localtime_r opens nothing).
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "monitor/bans.h"

namespace portsentry::monitor {

// HISTORY_FILE, appended once per new ban, in 1.2's format, which fail2ban's stock filter matches:
// "EPOCH - MM/DD/YYYY HH:MM:SS Host: NAME/IP Port: N TCP Blocked\n".
// The exact address, never a prefix: that filter takes a host. `host` is its name; empty: none is
// known, and the address stands in its place.
std::string history_line(std::time_t when, const Address& address, const BanCause& cause,
                         std::string_view host = {});

// BLOCKED_FILE: the bans that hold now, a view for `cat`, never read back: one line each,
// "IP - Blocked: Mon DD HH:MM:SS YYYY\n", the oldest first, as the guide shows it. One that is being
// lifted because nobody wants it any more is left out; one whose end has come stays until it ended.
std::string blocked_line(const Source& source, std::time_t since);
std::string blocked_view(const Bans& bans);

}  // namespace portsentry::monitor
