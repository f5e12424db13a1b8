#include "monitor/log_lines.h"

#include <array>
#include <cstring>

#include "common/finding.h"
#include "monitor/log_words.h"

namespace portsentry::monitor {
namespace {

// As many as one start tells one by one; more are a count.
constexpr std::size_t kListedPorts = 64;
constexpr std::size_t kLongestOutput = 500;

std::string port_text(Port port) {
  return std::to_string(port.number());
}

std::string both(const Address& address, std::string_view host) {
  const std::string text = address.text();
  return (host.empty() ? text : std::string(host)) + "/" + text;
}

std::string attack(std::string_view text) {
  return "attackalert: " + std::string(text);
}

bool options_known(const Detection& probe) {
  return probe.address.is_v4() && probe.kind != ScanKind::connect;
}

// One row per Fate, from the table of PortSentry 2.x. `commanded` is our own: 2.x calls a host
// blocked for which a command ran, and nobody blocked it. So is `pending`, which 2.x cannot have.
struct Row {
  std::string_view ignored, triggered, noblock, blocked;
};
constexpr std::array<Row, static_cast<std::size_t>(Fate::count_)> kFates{{
    {"true", "unset", "unset", "unset"},   // ignored
    {"false", "false", "unset", "unset"},  // untriggered
    {"true", "true", "true", "false"},     // own_packet
    {"false", "true", "true", "false"},    // observed
    {"false", "true", "false", "false"},   // commanded
    {"false", "true", "false", "false"},   // pending
    {"false", "true", "false", "true"},    // blocked
    {"false", "true", "false", "true"},    // already_blocked
    {"false", "true", "false", "false"},   // failed
}};

std::string_view block_key(Protocol protocol) {
  return protocol == Protocol::tcp ? "BLOCK_TCP" : "BLOCK_UDP";
}

// Up to kListedPorts lines that end in a port, or one that counts.
template <class OfPort>
void list(const PortSet& ports, Text& to, std::string counted, const OfPort& of_port) {
  if (ports.size() > kListedPorts) {
    to.push_back(std::move(counted));
    return;
  }
  for (std::uint32_t number = 1; number <= 65535; ++number) {
    const auto port = Port::make(number);
    if (port && ports.contains(*port)) to.push_back(of_port(*port));
  }
}

}  // namespace

// ---- a probe, and what came of it ---------------------------------------------------------------

Text Lines::seen(const Detection& probe, std::string_view host) const {
  if (!classic()) return {};
  std::string what = words::kind(probe.kind, probe.flags);
  // 1.2 has a blank before "TCP NULL", and so two in a row. awk splits on runs of blanks, patterns
  // written against 1.2 count them: both are right as long as we keep it.
  if (probe.kind == ScanKind::null) what.insert(0, " ");
  if (probe.kind == ScanKind::udp) what += " scan";
  const std::string protocol(name(probe.protocol));
  const std::string where = " to " + protocol + " port: " + port_text(probe.port);
  Text text{attack(what + " from host: " + both(probe.address, host) + where)};
  if (probe.ip_options) {
    text.push_back(attack("Packet from host: " + both(probe.address, host) + where +
                          " has IP options set (detection avoidance technique)."));
  }
  return text;
}

Text Lines::judged(const Detection& probe, Fate fate, std::string_view host,
                   std::string_view reason) const {
  Text text;
  if (classic() && fate == Fate::observed) {
    text.push_back(attack("Ignoring " + std::string(name(probe.protocol)) +
                          " response per configuration file setting."));
  }
  if (fate == Fate::already_blocked) {
    // The bind modes of 1.2 have the address alone and a full stop, its stealth modes neither.
    text.push_back(
        attack(classic() && mode(probe.protocol) == WatchMode::bind
                   ? "Host: " + probe.address.text() + " is already blocked. Ignoring"
                   : "Host: " + both(probe.address, host) + " is already blocked Ignoring"));
  }
  if (fate == Fate::failed)
    text.push_back(could_not_block(probe.address, probe.protocol, reason, host));
  if (!classic()) text.push_back(scan_line(probe, fate, host));
  return text;
}

std::string Lines::could_not_block(const Address& address, Protocol protocol,
                                   std::string_view reason, std::string_view host) const {
  const std::string why = reason.empty() ? "" : " (" + std::string(reason) + ")";
  if (!classic()) {
    return attack("Error during target dispose " + both(address, host) + "!" + why);
  }
  std::string text = "ERROR: Could not block host ";
  switch (mode(protocol)) {
    case WatchMode::none:
    case WatchMode::stealth:
      text += both(address, host) + (protocol == Protocol::tcp ? " !!" : "!!");
      break;
    case WatchMode::advanced:
      text += both(address, host) + "!!";
      break;
    case WatchMode::bind:
      text += address.text() + " !!";
      break;
  }
  return attack(text + why);
}

std::string Lines::scan_line(const Detection& probe, Fate fate, std::string_view host) const {
  const Row& row = kFates.at(static_cast<std::size_t>(fate));
  const std::string address = probe.address.text();
  const std::string_view options = !options_known(probe) ? "unknown"
                                   : probe.ip_options    ? "set"
                                                         : "not set";
  std::string text = "Scan from:";
  const auto add = [&text](std::string_view before, std::string_view value, char open, char close) {
    text.append(" ").append(before);
    text += open;
    text.append(value);
    text += close;
  };
  add("", address, '[', ']');
  add("", host.empty() ? std::string_view(address) : host, '(', ')');
  add("protocol: ", name(probe.protocol), '[', ']');
  add("port: ", port_text(probe.port), '[', ']');
  add("type: ", words::kind(probe.kind, probe.flags), '[', ']');
  add("IP opts: ", options, '[', ']');
  add("ignored: ", row.ignored, '[', ']');
  add("triggered: ", row.triggered, '[', ']');
  add("noblock: ", row.noblock, '[', ']');
  add("blocked: ", row.blocked, '[', ']');
  return text;
}

// ---- what was done ------------------------------------------------------------------------------

std::string Lines::blocked_natively(const Source& source, std::chrono::seconds duration) const {
  const bool permanent = duration == std::chrono::seconds(0);
  return attack("Host " + source.text() + " has been blocked via nftables set \"inet portsentry " +
                std::string(words::set_name(source, permanent)) + "\" " +
                (permanent ? "for good" : "for " + words::duration(duration)));
}

std::string Lines::blocked_by_command(const Source& source, std::string_view command) const {
  return attack("Host " + source.text() + " has been blocked via dropped route using command: \"" +
                printable(command) + "\"");
}

std::string Lines::blocked_by_wrappers(const Source& source, std::string_view line) const {
  return attack("Host " + source.text() + " has been blocked via wrappers with string: \"" +
                printable(line) + "\"");
}

std::string Lines::external_run(const Source& source, std::string_view command) const {
  return attack("External command run for host: " + source.text() + " using command: \"" +
                printable(command) + "\"");
}

std::string Lines::blocked_compatible(const Address& address, const BanCause& cause,
                                      std::string_view host) const {
  return attack("Host: " + both(address, host) + " Port: " + port_text(cause.port) + " " +
                std::string(name(cause.protocol)) + " Blocked");
}

std::string Lines::command_failed(Command command, const Source& source, Verdict verdict,
                                  std::int32_t error) const {
  const std::string why =
      " (" + std::string(words::key(command)) + ": " + words::command_refusal(verdict, error) + ")";
  const std::string_view how =
      verdict == Verdict::command_not_run ? " (exec fail) " : " (system fail) ";
  switch (command) {
    case Command::external:
    case Command::run_cmd:
      return this->error("There was an error trying to run command" + std::string(how) +
                         source.text() + why);
    case Command::hosts_deny_add:
      if (!classic()) break;
      return "securityalert: ERROR: There was an error trying to block host " + source.text() + why;
    case Command::hosts_deny_remove:
      return this->error("the line about " + source.text() + " is still in hosts.deny" + why);
  }
  return this->error("There was an error trying to block host " + source.text() + why);
}

std::string Lines::command_said(const Source& source, std::string_view output) const {
  const bool cut = output.size() > kLongestOutput;
  return notice("command for host " + source.text() +
                " said: " + printable(output.substr(0, kLongestOutput)) + (cut ? "..." : ""));
}

// ---- bans, beside the events --------------------------------------------------------------------

std::string Lines::would_ban(const Source& source, std::chrono::seconds duration, Protocol protocol,
                             bool without_firewall, std::string_view conf_path) const {
  return notice("would ban " + source.text() + " for " + words::duration(duration) +
                " (observe mode); to arm, set " + std::string(block_key(protocol)) + "=\"1\"" +
                (without_firewall ? " and FIREWALL=\"auto\"" : "") + " in " + printable(conf_path));
}

std::string Lines::would_ban_but_observes(const Source& source,
                                          std::chrono::seconds duration) const {
  return notice("would ban " + source.text() + " for " + words::duration(duration) +
                " (observe mode); to arm, run \"portsentryctl arm\"");
}

std::string Lines::over_budget(BanClass how) const {
  return error(words::evidence(how) + " ask for more bans than are made (" +
               std::to_string(BanBudget::kPerSecond) + " a second, " +
               std::to_string(BanBudget::kBurst) +
               " at once): a flood, most likely under forged addresses. What is beyond is told and "
               "counted, and not banned; other scanners are banned as usual");
}

std::string Lines::within_budget(BanClass how, std::uint64_t refused) const {
  return notice("the flood is over: " + words::evidence(how) + " are banned again; " +
                std::to_string(refused) + (refused == 1 ? " probe" : " probes") +
                " of that kind banned nobody");
}

std::string Lines::would_not_ban(const Address& address, std::string_view reason) const {
  return notice("would not ban " + address.text() + " even when armed (" + std::string(reason) +
                ")");
}

std::string Lines::narrowed(const Source& from, const Address& to, Narrowed why) const {
  return notice("ban of " + from.text() + " narrowed to " + to.text() + ": the network holds " +
                std::string(words::others(why)));
}

std::string Lines::expired(const Source& source) const {
  return notice("ban of " + source.text() + " has expired");
}

std::string Lines::lifted_by_hand(const Source& source) const {
  return notice("ban of " + source.text() + " was lifted by hand");
}

std::string Lines::adopted(std::size_t bans) const {
  return notice(std::to_string(bans) + (bans == 1 ? " ban" : " bans") +
                " of an earlier run still in force");
}

std::string Lines::lifted_as_ignored(const Source& source) const {
  return notice("ban of " + source.text() + " lifted: IGNORE_FILE names it now");
}

std::string Lines::lifted_as_protected(const Source& source) const {
  return notice("ban of " + source.text() +
                " lifted: it is protected now, or holds somebody who is");
}

std::string Lines::could_not_lift(const Source& source, std::string_view reason) const {
  return error("Could not lift the ban of " + source.text() + " (" + std::string(reason) +
               "; trying again)");
}

std::string Lines::not_undone(const Source& source) const {
  return error("the ban of " + source.text() +
               " is over, and no command is known that undoes it: set KILL_ROUTE_REMOVE");
}

std::string Lines::table_lost(std::int32_t code) const {
  return error("firewall state was lost and could not be put back (code " + std::to_string(code) +
               "); bans are not in force; trying again");
}

std::string Lines::table_restored(std::size_t put_back, std::size_t failed) const {
  return notice("firewall state was lost; " + std::to_string(put_back) + " bans put back" +
                (failed > 0 ? ", " + std::to_string(failed) + " not yet" : ""));
}

// ---- the daemon itself --------------------------------------------------------------------------

std::string Lines::starting(std::string_view version) const {
  // 2.x prints a commit in the brackets.
  return classic() ? notice("PortSentry " + std::string(version) + " is starting.")
                   : "Portsentry " + std::string(version) + " (portsentryd)";
}

std::string Lines::observing(std::string_view conf_path) const {
  return notice("observe mode: BLOCK_TCP and BLOCK_UDP in " + printable(conf_path) +
                " arm nothing, so scans are told and nobody is blocked");
}

Text Lines::listening(const Config& config, const PortSets& unbound) const {
  Text text;
  listening_to(Protocol::tcp, config, unbound, text);
  listening_to(Protocol::udp, config, unbound, text);
  return text;
}

void Lines::listening_to(Protocol protocol, const Config& config, const PortSets& unbound,
                         Text& to) const {
  const bool tcp = protocol == Protocol::tcp;
  const std::string proto(name(protocol));
  const auto counted = [&](std::string_view what, std::size_t ports) {
    return notice(std::string(what) + std::to_string(ports) + " " + proto + " ports");
  };
  switch (mode(protocol)) {
    case WatchMode::none:
      return;
    case WatchMode::bind: {
      PortSet bound = config.ports.of(protocol);
      for (std::uint32_t number = 1; number <= 65535; ++number) {
        const auto port = Port::make(number);
        if (port && unbound.of(protocol).contains(*port)) bound.remove(*port);
      }
      const std::string_view how =
          classic() ? "Going into listen mode on " : "Listen on AF_INET6: ";
      return list(bound, to, counted(how, bound.size()), [&](Port port) {
        return notice(std::string(how) + proto + " port: " + port_text(port));
      });
    }
    case WatchMode::stealth: {
      const PortSet& ports = config.ports.of(protocol);
      constexpr std::string_view kHow = "Going into stealth listen mode on ";
      if (!classic()) return to.push_back(counted(kHow, ports.size()));  // 2.x does not list them
      return list(ports, to, counted(kHow, ports.size()), [&](Port port) {
        return notice(std::string(kHow) + proto + " port: " + port_text(port));
      });
    }
    case WatchMode::advanced: {
      const PortSet& excluded = tcp ? config.advanced_exclude_tcp : config.advanced_exclude_udp;
      to.push_back(notice(
          "Advanced mode will monitor first " +
          std::to_string(tcp ? config.advanced_ports_tcp : config.advanced_ports_udp) + " ports"));
      if (excluded.empty()) {
        return to.push_back(notice("Advanced mode will manually exclude no ports"));
      }
      return list(
          excluded, to, counted("Advanced mode will manually exclude ", excluded.size()),
          [&](Port port) {
            // The blank at its end is 1.2's.
            return notice("Advanced mode will manually exclude port: " + port_text(port) + " ");
          });
    }
  }
}

std::string Lines::could_not_bind(Protocol protocol, Port port, std::int32_t error) const {
  return this->error("could not bind " + std::string(name(protocol)) + " socket: " +
                     port_text(port) + ". Attempting to continue (" + std::strerror(error) + ")");
}

std::string Lines::could_not_bind_more(Protocol protocol, std::size_t ports) const {
  return error("could not bind " + std::to_string(ports) + " further " +
               std::string(name(protocol)) + " sockets. Attempting to continue");
}

std::string Lines::could_not_bind_any(Protocol protocol) const {
  return error("could not bind ANY " + std::string(name(protocol)) + " sockets.");
}

std::string Lines::active() const {
  return notice(classic() ? "PortSentry is now active and listening."
                          : "Portsentry is now active and listening.");
}

std::string Lines::shutting_down() const {
  return notice(classic() ? "PortSentry is shutting down" : "Portsentry is shutting down");
}

std::string Lines::reloaded(std::uint32_t generation) const {
  return notice("configuration read again: generation " + std::to_string(generation));
}

std::string Lines::reload_refused(std::string_view why, std::uint32_t generation) const {
  return error("reload refused: " + printable(why) + "; generation " + std::to_string(generation) +
               " stays");
}

std::string Lines::sensor_lost(const SensorLost& lost) const {
  std::string text = "sensor ";
  if (!lost.by_signal) {
    text += "ended with status " + std::to_string(lost.code);
  } else if (lost.code == 31) {  // SIGSYS on every Linux architecture that we build for
    text += "was killed by its own filter (SIGSYS)";
  } else {
    text += "was killed by signal " + std::to_string(lost.code);
  }
  const auto ms = lost.retry_in.count();
  return error(text + "; nothing is detected until it is back; starting it again in " +
               std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + "s");
}

std::string Lines::sensor_back() const {
  return notice("sensor restarted; listening again");
}

std::string Lines::sensor_broken(std::string_view what) const {
  return error("sensor is broken or captured (" + std::string(what) +
               "); it is killed and replaced");
}

std::string Lines::resolver_lost() const {
  return error("resolver ended; addresses are told without names until it is back");
}

std::string Lines::scout_lost(bool known) const {
  return error(known
                   ? "scout ended; whom it named last is not banned until it is back"
                   : "scout ended before it told whom not to ban; nobody is banned until it does");
}

std::string Lines::scout_broken(std::string_view what) const {
  return error("scout sent a " + std::string(what) + "; it is replaced");
}

std::string Lines::scout_overdue() const {
  return error("the scout has not told whom not to ban; nobody is banned until it does");
}

std::string Lines::nothing_to_scout() const {
  return notice(
      "no file tells of resolvers, leases or logins; only this host's own addresses, next hops, "
      "containers and PROTECT_NETWORKS are protected");
}

std::string Lines::suppressed(std::uint64_t lines, std::string_view reason) const {
  return notice("suppressed " + std::to_string(lines) + " lines (" + std::string(reason) + ")");
}

std::string Lines::suppressed_commands(std::uint64_t commands, std::string_view reason) const {
  return notice("suppressed " + std::to_string(commands) + " commands (" + std::string(reason) +
                ")");
}

std::string Lines::file_failed(std::string_view key, std::string_view what) const {
  return error(std::string(key) + ": " + printable(what) + "; further failures are only counted");
}

std::string Lines::notice(std::string_view text) const {
  return (classic() ? "adminalert: " : "") + std::string(text);
}

std::string Lines::error(std::string_view text) const {
  return notice("ERROR: " + std::string(text));
}

}  // namespace portsentry::monitor
