// The parts that log lines are made of, the same in every format. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/messages.h"
#include "monitor/decide.h"
#include "monitor/offences.h"

namespace portsentry::monitor::words {

// What a probe is called: "TCP SYN/Normal scan", "Connect". Both generations agree but for UDP and
// for a blank before "TCP NULL scan", so those two are the formats' own.
std::string kind(ScanKind kind, TcpFlags flags);

// "30m", "1d12h", "45s": whole units from the largest down, the ones that are zero left out.
std::string duration(std::chrono::seconds duration);

// Why the enforcer said no, to end "… !! (REASON)". "; trying again" where bans.cc does.
std::string refusal(Verdict verdict, std::int32_t error);
// What became of a command that ran for its own sake: the same, and nothing is tried again.
std::string command_refusal(Verdict verdict, std::int32_t error);
// The same for what the monitor knows by itself; only for reasons by which somebody is protected.
std::string_view refusal(Reason reason);

// Those who cause bans of this class, at the beginning of a sentence.
std::string evidence(BanClass how);

// Who the rest of a network is, that a ban is narrowed for.
std::string_view others(Narrowed why);

// What root could not prepare for a reload.
std::string problem(const ReloadFailed& failed);

// "KILL_RUN_CMD", the key whose template a command is.
std::string_view key(Command command);

// The sets of ruleset.nft, so that the line can be pasted after `nft list set`.
std::string_view set_name(const Source& source, bool permanent);

}  // namespace portsentry::monitor::words
