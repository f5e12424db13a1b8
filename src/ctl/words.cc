#include "ctl/words.h"

#include <array>
#include <utility>

namespace portsentry::ctl {

std::string_view word(Backend backend) {
  switch (backend) {
    case Backend::none:
      return "none";
    case Backend::nftables:
      return "nftables";
    case Backend::command:
      return "command";
  }
  return "";
}

std::string_view word(Proof proof) {
  switch (proof) {
    case Proof::forgeable:
      return "forgeable";
    case Proof::handshake:
      return "handshake";
    case Proof::established:
      return "established";
  }
  return "";
}

std::string_view word(Protocol protocol) {
  switch (protocol) {
    case Protocol::tcp:
      return "tcp";
    case Protocol::udp:
      return "udp";
  }
  return "";
}

std::string_view word(ScanKind kind) {
  switch (kind) {
    case ScanKind::syn:
      return "syn";
    case ScanKind::fin:
      return "fin";
    case ScanKind::null:
      return "null";
    case ScanKind::xmas:
      return "xmas";
    case ScanKind::odd_flags:
      return "odd_flags";
    case ScanKind::udp:
      return "udp";
    case ScanKind::connect:
      return "connect";
    case ScanKind::ack:
      return "ack";
    case ScanKind::maimon:
      return "maimon";
  }
  return "";
}

std::string_view word(BanStateShown state) {
  switch (state) {
    case BanStateShown::enforced:
      return "enforced";
    case BanStateShown::pending:
      return "pending";
    case BanStateShown::waiting:
      return "waiting";
    case BanStateShown::refused:
      return "refused";
    case BanStateShown::lifting:
      return "lifting";
    case BanStateShown::not_undone:
      return "not_undone";
  }
  return "";
}

std::string_view word(OriginShown origin) {
  switch (origin) {
    case OriginShown::scan:
      return "scan";
    case OriginShown::hand:
      return "hand";
    case OriginShown::recovered:
      return "recovered";
  }
  return "";
}

std::string_view word(ProcessState state) {
  switch (state) {
    case ProcessState::running:
      return "running";
    case ProcessState::starting:
      return "starting";
    case ProcessState::down:
      return "down";
    case ProcessState::not_wanted:
      return "not_wanted";
  }
  return "";
}

std::string_view word(Drift drift) {
  switch (drift) {
    case Drift::unknown:
      return "unknown";
    case Drift::none:
      return "none";
    case Drift::drifting:
      return "drifting";
  }
  return "";
}

std::string_view word(ScoutShown scout) {
  switch (scout) {
    case ScoutShown::unknown:
      return "unknown";
    case ScoutShown::complete:
      return "complete";
    case ScoutShown::stale:
      return "stale";
  }
  return "";
}

std::string_view word(RefusedCode code) {
  switch (code) {
    case RefusedCode::not_supported:
      return "not_supported";
    case RefusedCode::no_match:
      return "no_match";
    case RefusedCode::policy:
      return "policy";
    case RefusedCode::not_permitted:
      return "not_permitted";
    case RefusedCode::invalid:
      return "invalid";
    case RefusedCode::busy:
      return "busy";
    case RefusedCode::failed:
      return "failed";
  }
  return "";
}

std::string_view word(TopBy by) {
  switch (by) {
    case TopBy::source:
      return "source";
    case TopBy::port:
      return "port";
    case TopBy::kind:
      return "kind";
    case TopBy::network:
      return "network";
  }
  return "";
}

std::string flags_text(TcpFlags flags) {
  static constexpr std::array<std::pair<std::uint8_t, std::string_view>, 8> kNames{
      {{TcpFlags::fin, "FIN"},
       {TcpFlags::syn, "SYN"},
       {TcpFlags::rst, "RST"},
       {TcpFlags::psh, "PSH"},
       {TcpFlags::ack, "ACK"},
       {TcpFlags::urg, "URG"},
       {TcpFlags::ece, "ECE"},
       {TcpFlags::cwr, "CWR"}}};
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if (!flags.has(bit)) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text.empty() ? "none" : text;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  std::string text = std::to_string(count) + " ";
  text += noun;
  if (count != 1) text += "s";
  return text;
}

}  // namespace portsentry::ctl
