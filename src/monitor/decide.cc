#include "monitor/decide.h"

#include <algorithm>

#include "monitor/protected.h"

namespace portsentry::monitor {
namespace {

Reason reason_of(Protection protection) {
  switch (protection) {
    case Protection::none:
      return Reason::ban;
    case Protection::not_unicast:
      return Reason::not_unicast;
    case Protection::own_address:
      return Reason::own_address;
    case Protection::next_hop:
      return Reason::next_hop;
    case Protection::resolver:
      return Reason::resolver;
    case Protection::dhcp_server:
      return Reason::dhcp_server;
    case Protection::login_session:
      return Reason::login_session;
    case Protection::protected_network:
      return Reason::protected_network;
    case Protection::container_network:
      return Reason::container_network;
  }
  return Reason::not_unicast;
}

Reason reason_of(Bans::State state) {
  switch (state) {
    case Bans::State::enforced:
    case Bans::State::changing:
    case Bans::State::restoring:
    case Bans::State::lifting:
    case Bans::State::stuck:
      return Reason::already_banned;
    case Bans::State::asked:
    case Bans::State::waiting:
      return Reason::already_asked;
    case Bans::State::refused:
    case Bans::State::count_:
      return Reason::refused_before;
  }
  return Reason::refused_before;
}

Shield shield_of(const Knowledge& known) {
  return {.local = known.local,
          .scouted = known.scouted,
          .networks = known.config.protect_networks,
          .sessions = known.config.protect_sessions};
}

Reason past_budget(BanClass how) {
  switch (how) {
    case BanClass::proven:
      return Reason::over_budget_proven;
    case BanClass::spread:
      return Reason::over_budget_spread;
    case BanClass::single:
      break;
  }
  return Reason::over_budget_single;
}

bool is_allowed(const Prefix& prefix, const Knowledge& known) {
  return known.allowed && known.allowed(prefix);
}

// Why the network around an unprotected host must not be banned as a whole.
Narrowed narrowed(const Prefix& prefix, const Knowledge& known) {
  if (known.ignored.intersects(prefix, known.wall)) return Narrowed::ignored;
  if (is_allowed(prefix, known)) return Narrowed::allowed;
  switch (protection(prefix, shield_of(known))) {
    case Protection::own_address:
      return Narrowed::own_address;
    case Protection::next_hop:
      return Narrowed::next_hop;
    case Protection::resolver:
      return Narrowed::resolver;
    case Protection::dhcp_server:
      return Narrowed::dhcp_server;
    case Protection::login_session:
      return Narrowed::login_session;
    case Protection::protected_network:
      return Narrowed::protected_network;
    case Protection::container_network:
      return Narrowed::container_network;
    case Protection::none:
    case Protection::not_unicast:
      return Narrowed::no;
  }
  return Narrowed::no;
}

// The sensor knows no ignore list: of the ports that it has counted, those that the list would have
// left out. It tells the newest ones only; the others count.
std::uint32_t ports_that_count(const Detection& detection, const Knowledge& known) {
  const auto ignored = static_cast<std::uint32_t>(
      std::count_if(detection.touches.begin(), detection.touches.end(), [&](const Touch& touch) {
        return known.ignored.covers({.address = detection.address,
                                     .protocol = touch.protocol,
                                     .port = touch.port,
                                     .interface = known.interface,
                                     .wall = known.wall});
      }));
  return detection.distinct_ports - std::min(ignored, detection.distinct_ports);
}

}  // namespace

Decision decide(const Detection& detection, const Knowledge& known) {
  const std::uint32_t ports = ports_that_count(detection, known);
  const auto answer = [&](Reason reason) {
    return Decision{reason, detection.source, Narrowed::no, class_of(detection.proof, ports)};
  };
  // The ignore list comes first: who is in it leaves no trace but a count.
  if (known.ignored.covers({.address = detection.address,
                            .protocol = detection.protocol,
                            .port = detection.port,
                            .interface = known.interface,
                            .wall = known.wall})) {
    return answer(Reason::ignored);
  }
  // Else the trigger is the sensor's word: a reload may just be changing it.
  if (ports < detection.distinct_ports && ports < known.config.scan_trigger) {
    return answer(Reason::ignored);
  }
  const Prefix host = Prefix::host(detection.address);
  if (is_allowed(host, known)) return answer(Reason::allowed);
  if (const auto ban = known.bans.seen_covering(detection.address)) {
    return answer(reason_of(ban->second.state));
  }
  if (const Protection why = protection(host, shield_of(known)); why != Protection::none) {
    return answer(reason_of(why));
  }

  Decision decision = answer(Reason::ban);
  if (!detection.source.prefix().is_host()) {
    decision.narrowed = narrowed(detection.source.prefix(), known);
    if (decision.narrowed != Narrowed::no) decision.target = Source::of(detection.address, true);
  }
  const Config& config = known.config;
  decision.offences = known.offences.count(decision.target, known.wall, config.block_time_max);
  decision.duration = ban_duration(decision.how, decision.offences, config);
  // Whoever only watches need not wait for the scout.
  if (!known.scouted.known() && config.block(detection.protocol) != BlockMode::observe) {
    decision.reason = Reason::protected_unknown;
    return decision;
  }
  switch (detection.protocol == Protocol::tcp ? config.block_tcp : config.block_udp) {
    case BlockMode::observe:
      decision.reason = Reason::observe;
      break;
    case BlockMode::command_only:
      decision.reason = Reason::command_only;
      break;
    case BlockMode::ban:
      if (!known.budget.has(decision.how, known.steady)) {
        decision.reason = past_budget(decision.how);
      } else if (known.bans.full(decision.how)) {
        decision.reason = Reason::over_budget;
      }
      break;
  }
  return decision;
}

}  // namespace portsentry::monitor
