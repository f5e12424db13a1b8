#include "monitor/events.h"

#include <chrono>

namespace portsentry::monitor {
namespace {

std::string place(Protocol protocol, Port port) {
  return std::string(name(protocol)) + " " + std::to_string(port.number());
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
