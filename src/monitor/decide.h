// Ban or not: one pure function, and a reason for every answer. Each reason is counted, and people
// see the counts in `portsentryctl status`.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <string_view>

#include "common/config.h"
#include "common/local_view.h"
#include "common/messages.h"
#include "monitor/ban_budget.h"
#include "monitor/bans.h"
#include "monitor/ignore_list.h"
#include "monitor/offences.h"
#include "monitor/scouted.h"

namespace portsentry::monitor {

enum class Reason : std::uint8_t {
  ban,                // yes
  ignored,            // a line of IGNORE_FILE covers this probe
  already_banned,     // a ban of it holds
  already_asked,      // a ban of it is asked for or waits for another try
  refused_before,     // the enforcer's guard said no within the last minute
  not_unicast,        // no host of another network can have this address
  own_address,        // one of this host's own
  next_hop,           // a gateway of this host's routes
  resolver,           // a name server that this host asks
  dhcp_server,        // gave this host its address
  login_session,      // somebody has logged in from there
  protected_network,  // of PROTECT_NETWORKS
  container_network,  // behind a bridge of this host
  protected_unknown,  // the scout has not yet told whom not to ban
  observe,            // BLOCK_TCP or BLOCK_UDP is 0
  command_only,       // BLOCK_TCP or BLOCK_UDP is 2: KILL_RUN_CMD runs, and no ban is made
  over_budget,        // too many bans asked for and not confirmed, or the table is full
  allowed,            // `portsentryctl allow` names it
  // Its class has caused too many bans lately (ban_budget.h).
  over_budget_proven,
  over_budget_spread,
  over_budget_single,
  count_,
};

inline constexpr std::size_t kReasons = static_cast<std::size_t>(Reason::count_);

inline constexpr std::array<std::string_view, kReasons> kReasonNames{
    "ban",
    "ignored",
    "already_banned",
    "already_asked",
    "refused_before",
    "not_unicast",
    "own_address",
    "next_hop",
    "resolver",
    "dhcp_server",
    "login_session",
    "protected_network",
    "container_network",
    "protected_unknown",
    "observe",
    "command_only",
    "over_budget",
    "allowed",
    "over_budget_proven",
    "over_budget_spread",
    "over_budget_single",
};
static_assert(!kReasonNames.back().empty());

// Why a ban is of the host although its whole /64 is held responsible: the rest of that network
// holds somebody who must never be banned.
enum class Narrowed : std::uint8_t {
  no,
  ignored,
  own_address,
  next_hop,
  resolver,
  dhcp_server,
  login_session,
  shared_prefix,
  protected_network,
  container_network,
  allowed,
};

struct Decision {
  Reason reason;
  Source target;      // whom to ban; meaningful with Reason::ban, observe and command_only
  Narrowed narrowed;  // why `target` is less than the detection's source
  BanClass how = BanClass::single;
  // With the same reasons as `target` and when a budget is spent: for how long, and how many earlier
  // bans on proof that counts.
  std::chrono::seconds duration{0};
  std::uint32_t offences = 0;
};

// What a decision is made from, beside the detection itself.
struct Knowledge {
  const Config& config;
  const IgnoreList& ignored;
  const LocalView& local;
  const Scouted& scouted;
  const Bans& bans;
  std::time_t wall;            // now, for the ignore list's `until`
  std::string_view interface;  // by which the probe came in; empty: not known
  const BanBudget& budget;
  const OffenceBook& offences;
  Clock::time_point steady;  // now, for the budget
  // Somebody inside this prefix is allowed, or all of it is; empty: nobody is.
  std::function<bool(const Prefix&)> allowed;
};

Decision decide(const Detection& detection, const Knowledge& known);

}  // namespace portsentry::monitor
