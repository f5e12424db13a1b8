#include "monitor/log_lines.h"

#include <array>
#include <cstring>

#include "common/finding.h"

namespace portsentry::monitor::lines {
namespace {

std::string twice(const Address& address) {
  return address.text() + "/" + address.text();
}

std::string port_text(Port port) {
  return std::to_string(port.number());
}

std::string flag_text(std::string_view label, bool set) {
  return std::string(label) + (set ? ": 1" : ": 0");
}

std::string kind_text(ScanKind kind, TcpFlags flags) {
  switch (kind) {
    case ScanKind::syn:
      return "TCP SYN/Normal scan";
    case ScanKind::fin:
      return "TCP FIN scan";
    // The leading blank is 1.2's own, and gives the log line two blanks in a row. awk splits on
    // runs of blanks, patterns written against 1.2 count them: both are right as long as we keep
    // it.
    case ScanKind::null:
      return " TCP NULL scan";
    case ScanKind::xmas:
      return "TCP XMAS scan";
    case ScanKind::odd_flags:
      return "Unknown Type: TCP Packet Flags: " + flag_text("SYN", flags.has(TcpFlags::syn)) + " " +
             flag_text("FIN", flags.has(TcpFlags::fin)) + " " +
             flag_text("ACK", flags.has(TcpFlags::ack)) + " " +
             flag_text("PSH", flags.has(TcpFlags::psh)) + " " +
             flag_text("URG", flags.has(TcpFlags::urg)) + " " +
             flag_text("RST", flags.has(TcpFlags::rst));
    case ScanKind::udp:
      return "UDP scan";
    case ScanKind::connect:
      return "Connect";
  }
  return "";
}

std::string_view block_key(Protocol protocol) {
  return protocol == Protocol::tcp ? "BLOCK_TCP" : "BLOCK_UDP";
}

// The sets of ruleset.nft, so that the line can be pasted after `nft list set`.
std::string_view set_name(const Source& source) {
  if (source.is_v4()) return "ban4";
  return source.prefix().is_host() ? "ban6" : "ban6net";
}

std::string attack(std::string_view text) {
  return "attackalert: " + std::string(text);
}
std::string admin(std::string_view text) {
  return "adminalert: " + std::string(text);
}

}  // namespace

std::string event(const Detection& detection) {
  return attack(kind_text(detection.kind, detection.flags)) +
         " from host: " + twice(detection.address) + " to " +
         std::string(name(detection.protocol)) + " port: " + port_text(detection.port);
}

std::string ip_options(const Detection& detection) {
  return attack("Packet from host: ") + twice(detection.address) + " to " +
         std::string(name(detection.protocol)) + " port: " + port_text(detection.port) +
         " has IP options set (detection avoidance technique).";
}

std::string blocked(const Source& source, std::chrono::seconds duration) {
  return attack("Host ") + source.text() + " has been blocked via nftables set \"inet portsentry " +
         std::string(set_name(source)) + "\" for " + duration_text(duration);
}

std::string blocked_compatible(const Address& address, const BanCause& cause) {
  return attack("Host: ") + twice(address) + " Port: " + port_text(cause.port) + " " +
         std::string(name(cause.protocol)) + " Blocked";
}

// No full stop after "blocked": the stealth modes of 1.2 have none (its bind modes do).
std::string already_blocked(const Address& address) {
  return attack("Host: ") + twice(address) + " is already blocked Ignoring";
}

std::string could_not_block(const Address& address, std::string_view reason) {
  return attack("ERROR: Could not block host ") + twice(address) + " !! (" + std::string(reason) +
         ")";
}

std::string ignoring_response(Protocol protocol) {
  return attack("Ignoring ") + std::string(name(protocol)) +
         " response per configuration file setting.";
}

std::string starting(std::string_view version) {
  return admin("PortSentry ") + std::string(version) + " is starting.";
}

std::string observing(std::string_view conf_path) {
  return admin("observe mode: BLOCK_TCP and BLOCK_UDP in ") + printable(conf_path) +
         " arm nothing, so scans are told and nobody is blocked";
}

std::string listening(Protocol protocol, Port port) {
  return admin("Going into stealth listen mode on ") + std::string(name(protocol)) +
         " port: " + port_text(port);
}

std::string listening_count(Protocol protocol, std::size_t ports) {
  return admin("Going into stealth listen mode on ") + std::to_string(ports) + " " +
         std::string(name(protocol)) + " ports";
}

std::string active() {
  return admin("PortSentry is now active and listening.");
}

std::string shutting_down() {
  return admin("PortSentry is shutting down");
}

std::string would_ban(const Source& source, std::chrono::seconds duration, Protocol protocol,
                      bool without_firewall, std::string_view conf_path) {
  return admin("would ban ") + source.text() + " for " + duration_text(duration) +
         " (observe mode); to arm, set " + std::string(block_key(protocol)) + "=\"1\"" +
         (without_firewall ? " and FIREWALL=\"auto\"" : "") + " in " + printable(conf_path);
}

std::string would_run_command(const Source& source, Protocol protocol) {
  return admin("no ban of ") + source.text() + ": " + std::string(block_key(protocol)) +
         "=\"2\" asks for commands only, and this version runs none";
}

std::string would_not_ban(const Address& address, std::string_view reason) {
  return admin("would not ban ") + address.text() + " even when armed (" + std::string(reason) +
         ")";
}

std::string narrowed(const Source& from, const Address& to, Narrowed why) {
  std::string_view who;
  switch (why) {
    case Narrowed::no:
      break;
    case Narrowed::ignored:
      who = "an address of IGNORE_FILE";
      break;
    case Narrowed::own_address:
      who = "an address of this host";
      break;
    case Narrowed::next_hop:
      who = "a next hop of this host's routes";
      break;
    case Narrowed::shared_prefix:
      who = "many unrelated hosts";
      break;
  }
  return admin("ban of ") + from.text() + " narrowed to " + to.text() + ": the network holds " +
         std::string(who);
}

std::string lifted_by_hand(const Source& source) {
  return admin("ban of ") + source.text() + " was lifted by hand";
}

std::string expired(const Source& source) {
  return admin("ban of ") + source.text() + " has expired";
}

std::string adopted(std::size_t bans) {
  return admin(std::to_string(bans)) + (bans == 1 ? " ban" : " bans") +
         " of an earlier run still in force";
}

std::string lifted_as_ignored(const Source& source) {
  return admin("ban of ") + source.text() + " lifted: IGNORE_FILE names it now";
}

std::string lifted_as_protected(const Source& source) {
  return admin("ban of ") + source.text() + " lifted: it holds this host or one of its next hops";
}

std::string could_not_lift(const Source& source, std::string_view reason) {
  return admin("ERROR: Could not lift the ban of ") + source.text() + " (" + std::string(reason) +
         "; trying again)";
}

std::string table_lost(std::int32_t code) {
  return admin("ERROR: firewall state was lost and could not be put back (code ") +
         std::to_string(code) + "); bans are not in force; trying again";
}

std::string table_restored(std::size_t put_back, std::size_t failed) {
  std::string line =
      admin("firewall state was lost; ") + std::to_string(put_back) + " bans put back";
  if (failed > 0) line += ", " + std::to_string(failed) + " not yet";
  return line;
}

std::string sensor_lost(const SensorLost& lost) {
  std::string line = admin("ERROR: sensor ");
  if (!lost.by_signal) {
    line += "ended with status " + std::to_string(lost.code);
  } else if (lost.code == 31) {  // SIGSYS on every Linux architecture that we build for
    line += "was killed by its own filter (SIGSYS)";
  } else {
    line += "was killed by signal " + std::to_string(lost.code);
  }
  const auto ms = lost.retry_in.count();
  return line + "; nothing is detected until it is back; starting it again in " +
         std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + "s";
}

std::string sensor_back() {
  return admin("sensor restarted; listening again");
}

std::string sensor_broken(std::string_view what) {
  return admin("ERROR: sensor is broken or captured (") + std::string(what) +
         "); it is killed and replaced";
}

std::string suppressed(std::uint64_t count, std::string_view reason) {
  return admin("suppressed ") + std::to_string(count) + " lines (" + std::string(reason) + ")";
}

std::string duration_text(std::chrono::seconds duration) {
  struct Unit {
    long long seconds;
    char letter;
  };
  static constexpr std::array<Unit, 4> kUnits{{{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}}};
  long long left = duration.count();
  std::string text;
  for (const Unit& unit : kUnits) {
    if (left >= unit.seconds) {
      text += std::to_string(left / unit.seconds) + unit.letter;
      left %= unit.seconds;
    }
  }
  return text.empty() ? "0s" : text;
}

std::string refusal(Verdict verdict, std::int32_t error) {
  switch (verdict) {
    case Verdict::ok:
      return "";
    case Verdict::kernel_refused:
      return std::string("kernel: ") + (error == 0 ? "no answer" : std::strerror(error)) +
             "; trying again";
    case Verdict::no_firewall:
      return "there is no firewall to block with; trying again";
    case Verdict::command_failed:
      return "command ended with status " + std::to_string(error) + "; trying again";
    case Verdict::command_killed:
      return "command was killed by signal " + std::to_string(error) + "; trying again";
    case Verdict::command_timed_out:
      return "command did not end in time and was killed; trying again";
    case Verdict::command_not_run:
      return std::string("command could not be run") +
             (error == 0 ? "" : std::string(": ") + std::strerror(error)) + "; trying again";
    case Verdict::no_command:
      return "there is no command for this";
    case Verdict::not_unicast:
      return "link-local or reserved, never banned";
    case Verdict::own_address:
      return "an address of this host";
    case Verdict::next_hop:
      return "a next hop of this host's routes";
    case Verdict::shared_prefix:
      return "a network that stands for many hosts";
    case Verdict::bad_duration:
      return "a duration out of range";
    case Verdict::over_budget:
      return "too many bans at once; trying again";
    case Verdict::view_unknown:
      return "this host's own addresses are not known; trying again";
  }
  return "";
}

std::string_view refusal(Reason reason) {
  switch (reason) {
    case Reason::not_unicast:
      return "link-local or reserved, never banned";
    case Reason::own_address:
      return "an address of this host";
    case Reason::next_hop:
      return "a next hop of this host's routes";
    case Reason::ban:
    case Reason::ignored:
    case Reason::already_banned:
    case Reason::already_asked:
    case Reason::refused_before:
    case Reason::observe:
    case Reason::command_only:
    case Reason::over_budget:
    case Reason::count_:
      break;
  }
  return "";
}

}  // namespace portsentry::monitor::lines
