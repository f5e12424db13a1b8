// Every line that users read and tools parse, in the classic shapes of PortSentry 1.2: logwatch,
// Wazuh, fail2ban and people's own awk depend on them to the byte. Pure: values in, one line out,
// without its newline. A line holds our own words, numbers and addresses; nothing that an attacker
// or a name server chose.
//
// 1.2 prints "H/A", the resolved name and the address. We resolve nothing, so it is always "A/A",
// which is what 1.2 prints where a name does not resolve.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/messages.h"
#include "monitor/decide.h"
#include "monitor/log_budget.h"

namespace portsentry::monitor::lines {

// ---- attackalert --------------------------------------------------------------------------------

// What happened: "TCP SYN/Normal scan from host: A/A to TCP port: N". The exact address, also where
// a whole /64 is held responsible.
std::string event(const Detection& detection);
std::string ip_options(const Detection& detection);

// The kernel has confirmed it. logwatch looks for "Host ADDR has been blocked".
std::string blocked(const Source& source, std::chrono::seconds duration);
// The line that fail2ban's stock filter and the guide's `awk '{print $8}'` find in any log; the
// same text ends a history line (history.h).
std::string blocked_compatible(const Address& address, const BanCause& cause);
std::string already_blocked(const Address& address);
std::string could_not_block(const Address& address, std::string_view reason);
std::string ignoring_response(Protocol protocol);

// ---- adminalert ---------------------------------------------------------------------------------

std::string starting(std::string_view version);
std::string observing(std::string_view conf_path);
std::string listening(Protocol protocol, Port port);
std::string listening_count(Protocol protocol, std::size_t ports);
std::string active();  // the readiness line
std::string shutting_down();
std::string would_ban(const Source& source, std::chrono::seconds duration, Protocol protocol,
                      bool without_firewall, std::string_view conf_path);
std::string would_run_command(const Source& source, Protocol protocol);
std::string would_not_ban(const Address& address, std::string_view reason);
std::string narrowed(const Source& from, const Address& to, Narrowed why);
std::string expired(const Source& source);
std::string lifted_by_hand(const Source& source);
std::string adopted(std::size_t bans);
std::string lifted_as_ignored(const Source& source);
std::string lifted_as_protected(const Source& source);
std::string could_not_lift(const Source& source, std::string_view reason);
std::string table_lost(std::int32_t code);  // an errno or the exit status of nft: told as a number
std::string table_restored(std::size_t put_back, std::size_t failed);
std::string sensor_lost(const SensorLost& lost);
std::string sensor_back();
std::string sensor_broken(std::string_view what);
std::string suppressed(std::uint64_t lines, std::string_view reason);

// ---- parts --------------------------------------------------------------------------------------

// "30m", "1d12h", "45s": whole units from the largest down, the ones that are zero left out.
std::string duration_text(std::chrono::seconds duration);
// Why the enforcer said no, to end "… !! (REASON)".
std::string refusal(Verdict verdict, std::int32_t error);
// The same for what the monitor knows by itself; only for the three protected reasons.
std::string_view refusal(Reason reason);

}  // namespace portsentry::monitor::lines
