#include "monitor/log_words.h"

#include <array>
#include <cstring>

namespace portsentry::monitor::words {
namespace {

std::string flag_text(std::string_view label, bool set) {
  return std::string(label) + (set ? ": 1" : ": 0");
}

// `what`, and the error where there is one: strerror(3) of our libc, no word of anybody else.
std::string with_error(std::string what, std::int32_t error) {
  if (error != 0) what.append(": ").append(std::strerror(error));
  return what;
}

}  // namespace

std::string kind(ScanKind kind, TcpFlags flags) {
  switch (kind) {
    case ScanKind::syn:
      return "TCP SYN/Normal scan";
    case ScanKind::fin:
      return "TCP FIN scan";
    case ScanKind::null:
      return "TCP NULL scan";
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
      return "UDP";
    case ScanKind::connect:
      return "Connect";
    case ScanKind::ack:
      return "TCP ACK scan";
    case ScanKind::maimon:
      return "TCP Maimon scan";
  }
  return "";
}

std::string duration(std::chrono::seconds duration) {
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

std::string command_refusal(Verdict verdict, std::int32_t error) {
  switch (verdict) {
    case Verdict::ok:
      return "";
    case Verdict::kernel_refused:
      return std::string("kernel: ") + (error == 0 ? "no answer" : std::strerror(error));
    case Verdict::no_firewall:
      return "there is no firewall to block with";
    case Verdict::command_failed:
      return "command ended with status " + std::to_string(error);
    case Verdict::command_killed:
      return "command was killed by signal " + std::to_string(error);
    case Verdict::command_timed_out:
      return "command did not end in time and was killed";
    case Verdict::command_not_run:
      return with_error("command could not be run", error);
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
      return "too many at once";
    case Verdict::view_unknown:
      return "this host's own addresses are not known";
    case Verdict::protected_network:
      return "in PROTECT_NETWORKS";
    case Verdict::container_network:
      return "a network of this host's containers or virtual machines";
    case Verdict::not_read_back:
      return "the kernel agreed and holds something else";
  }
  return "";
}

std::string refusal(Verdict verdict, std::int32_t error) {
  std::string why = command_refusal(verdict, error);
  switch (verdict) {
    case Verdict::kernel_refused:
    case Verdict::no_firewall:
    case Verdict::command_failed:
    case Verdict::command_killed:
    case Verdict::command_timed_out:
    case Verdict::command_not_run:
    case Verdict::over_budget:
    case Verdict::view_unknown:
    case Verdict::not_read_back:
      return why + "; trying again";
    case Verdict::ok:
    case Verdict::no_command:
    case Verdict::not_unicast:
    case Verdict::own_address:
    case Verdict::next_hop:
    case Verdict::shared_prefix:
    case Verdict::bad_duration:
    case Verdict::protected_network:
    case Verdict::container_network:
      break;
  }
  return why;
}

std::string_view refusal(Reason reason) {
  switch (reason) {
    case Reason::not_unicast:
      return "link-local or reserved, never banned";
    case Reason::own_address:
      return "an address of this host";
    case Reason::next_hop:
      return "a next hop of this host's routes";
    case Reason::resolver:
      return "a resolver of this host";
    case Reason::dhcp_server:
      return "the DHCP server of this host";
    case Reason::login_session:
      return "somebody is logged in from there";
    case Reason::protected_network:
      return "in PROTECT_NETWORKS";
    case Reason::container_network:
      return "a network of this host's containers or virtual machines";
    case Reason::protected_unknown:
      return "it is not known yet whom not to ban";
    case Reason::allowed:
      return "allowed by portsentryctl";
    case Reason::ban:
    case Reason::ignored:
    case Reason::already_banned:
    case Reason::already_asked:
    case Reason::refused_before:
    case Reason::observe:
    case Reason::command_only:
    case Reason::over_budget:
    case Reason::over_budget_proven:
    case Reason::over_budget_spread:
    case Reason::over_budget_single:
    case Reason::count_:
      break;
  }
  return "";
}

std::string evidence(BanClass how) {
  switch (how) {
    case BanClass::single:
      return "sources of a few packets that anybody could have sent";
    case BanClass::spread:
      return "sources that probe port after port";
    case BanClass::proven:
      return "scanners that are proven to be where they say";
  }
  return "";
}

std::string_view others(Narrowed why) {
  switch (why) {
    case Narrowed::no:
      break;
    case Narrowed::ignored:
      return "an address of IGNORE_FILE";
    case Narrowed::allowed:
      return "an address that portsentryctl allows";
    case Narrowed::own_address:
      return "an address of this host";
    case Narrowed::next_hop:
      return "a next hop of this host's routes";
    case Narrowed::resolver:
      return "a resolver of this host";
    case Narrowed::dhcp_server:
      return "the DHCP server of this host";
    case Narrowed::login_session:
      return "somebody who is logged in";
    case Narrowed::protected_network:
      return "addresses of PROTECT_NETWORKS";
    case Narrowed::container_network:
      return "containers of this host";
    case Narrowed::shared_prefix:
      return "many unrelated hosts";
  }
  return "";
}

std::string problem(const ReloadFailed& failed) {
  switch (failed.problem) {
    case ReloadProblem::config_file:
      return with_error("the configuration file cannot be read", failed.error);
    case ReloadProblem::ignore_file:
      return with_error("IGNORE_FILE cannot be read", failed.error);
    case ReloadProblem::history_file:
      return with_error("HISTORY_FILE cannot be opened", failed.error);
    case ReloadProblem::blocked_file:
      return with_error("BLOCKED_FILE cannot be opened", failed.error);
    case ReloadProblem::log_file:
      return with_error("LOG_FILE cannot be opened", failed.error);
    case ReloadProblem::account:
      return "a user that it needs does not exist";
    case ReloadProblem::descriptors:
      return "more listening ports than the limit of open files allows";
    case ReloadProblem::firewall:
      return with_error("the firewall cannot be used", failed.error);
    case ReloadProblem::other:
      return with_error("it could not be prepared", failed.error);
  }
  return "";
}

std::string_view key(Command command) {
  switch (command) {
    case Command::external:
      return "EXTERNAL_COMMAND";
    case Command::run_cmd:
      return "KILL_RUN_CMD";
    case Command::hosts_deny_add:
    case Command::hosts_deny_remove:
      return "KILL_HOSTS_DENY";
  }
  return "";
}

std::string_view set_name(const Source& source, bool permanent) {
  if (source.is_v4()) return permanent ? "perm4" : "ban4";
  if (source.prefix().is_host()) return permanent ? "perm6" : "ban6";
  return permanent ? "perm6net" : "ban6net";
}

}  // namespace portsentry::monitor::words
