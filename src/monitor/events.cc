#include "monitor/events.h"

#include <chrono>
#include <optional>

#include "common/config_values.h"

namespace portsentry::monitor {
namespace {

std::string place(Protocol protocol, Port port) {
  return std::string(name(protocol)) + " " + std::to_string(port.number());
}

// "TCP 23", and a word or two behind it where `kind`.
std::optional<TouchedPort> read_place(std::string_view text, bool kind) {
  const bool tcp = text.starts_with("TCP ");
  if (!tcp && !text.starts_with("UDP ")) return std::nullopt;
  text.remove_prefix(4);
  if (kind) text = text.substr(0, text.find(' '));
  const auto number = parse_number(text, 1, 65535);
  if (!number) return std::nullopt;
  return TouchedPort{tcp ? Protocol::tcp : Protocol::udp, *Port::make(*number)};
}

}  // namespace

std::string_view short_name(ScanKind kind) {
  switch (kind) {
    case ScanKind::syn:
      return "SYN";
    case ScanKind::fin:
      return "FIN";
    case ScanKind::null:
      return "NULL";
    case ScanKind::xmas:
      return "XMAS";
    case ScanKind::odd_flags:
      return "odd flags";
    case ScanKind::udp:
      return "datagram";
    case ScanKind::connect:
      return "connect";
    case ScanKind::ack:
      return "ACK";
    case ScanKind::maimon:
      return "Maimon";
  }
  return "";
}

std::string touched(const Detection& detection) {
  std::string text = place(detection.protocol, detection.port);
  text.append(" ").append(short_name(detection.kind));
  for (const Touch& touch : detection.touches)
    text += ", " + place(touch.protocol, touch.port);
  return text;
}

std::vector<TouchedPort> read_touched(std::string_view detail) {
  // Nothing of what touched() writes holds a colon: it begins behind the last one.
  if (const std::size_t why = detail.rfind(": "); why != std::string_view::npos)
    detail.remove_prefix(why + 2);
  std::vector<TouchedPort> found;
  while (!detail.empty()) {
    const std::size_t end = detail.find(", ");
    const auto place = read_place(detail.substr(0, end), found.empty());
    if (!place) return {};
    found.push_back(*place);
    detail.remove_prefix(end == std::string_view::npos ? detail.size() : end + 2);
  }
  return found;
}

Event event_of(EventKind kind, const Detection& detection, const Source& subject,
               std::string_view why, std::time_t now) {
  Event event{.at = now, .kind = kind};
  event.source = subject;
  event.address = detection.address;
  event.cause = BanCause{detection.protocol, detection.port};
  event.scan = detection.kind;
  event.proof = detection.proof;
  event.ports = detection.distinct_ports;
  event.detail = why.empty() ? touched(detection) : std::string(why) + ": " + touched(detection);
  if (event.detail.size() > kMaxDetail) event.detail.resize(kMaxDetail);
  return event;
}

bool EventBudget::take(BanClass how, Clock::time_point now) {
  const bool single = how == BanClass::single;
  Second& second = single ? single_ : other_;
  if (now - second.began >= std::chrono::seconds(1)) second = {.began = now, .taken = 0};
  if (second.taken >= (single ? kSingle : kOther)) {
    left_out_ += 1;
    return false;
  }
  second.taken += 1;
  return true;
}

}  // namespace portsentry::monitor
