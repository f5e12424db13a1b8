#include "sensor/sensor.h"

#include <linux/if_packet.h>

#include <algorithm>
#include <utility>

#include "sensor/classify.h"

namespace portsentry::sensor {
namespace {

// A half of a header may have come in anywhere; to sock_diag 0 means that no interface is known.
constexpr std::uint32_t kAnyInterface = 0;

std::optional<ScanKind> kind_of(const Segment& packet) {
  if (packet.header == Header::first_half) return ScanKind::odd_flags;
  const auto kind = classify(packet.protocol, packet.flags);
  return !kind && packet.header == Header::cut ? ScanKind::odd_flags : kind;
}

}  // namespace

Sensor::Sensor(const PortSets& ports, const SensorConfig& config, const HashKey& seed, Edges edges)
    : ports_(ports),
      interfaces_(config.interfaces),
      edges_(std::move(edges)),
      own_flows_(seed),
      tracker_({.trigger = config.scan_trigger,
                .window = config.scan_window,
                .max_sources = config.max_sources,
                .seed = seed}) {}

void Sensor::frame(const Frame& frame, const LocalView& view, Clock::time_point now) {
  // Our own packets come before the interface question: an answer may come in on another interface
  // than the one that its question left by.
  if (frame.packet_type == PACKET_OUTGOING) return remember_outgoing(frame, now);

  tally_.add(SensorCounter::seen);
  if (!on_watched_interface(frame, view)) return tally_.add(SensorCounter::other_interface);
  for (const Segment& packet : segments(frame, now))
    judge(packet, frame.interface, view, now);
}

void Sensor::judge_overdue(const LocalView& view, Clock::time_point now) {
  for (const Segment& packet : fragments_.overdue(now, tally_))
    judge(packet, kAnyInterface, view, now);
}

void Sensor::judge(const Segment& packet, std::uint32_t interface, const LocalView& view,
                   Clock::time_point now) {
  if (const auto reason = why_not(packet, interface, view, now)) return tally_.add(*reason);
  count(packet, view, now);
}

// Not counted anywhere: what we send is evidence of nothing.
void Sensor::remember_outgoing(const Frame& frame, Clock::time_point now) {
  const Parsed parsed = parse(frame.network, frame.ethertype);
  const auto* packet = std::get_if<Segment>(&parsed);
  if (packet == nullptr || packet->protocol != Protocol::udp) return;
  // An answer to any other port would not be looked at.
  const auto from = Port::make(packet->source_port);
  if (from && ports_.udp.contains(*from)) own_flows_.sent(*packet, now);
}

bool Sensor::on_watched_interface(const Frame& frame, const LocalView& view) const {
  if (interfaces_.empty()) return true;
  const auto name = view.interface_name(frame.interface);
  return name && std::ranges::find(interfaces_, *name) != interfaces_.end();
}

std::vector<Segment> Sensor::segments(const Frame& frame, Clock::time_point now) {
  const Parsed parsed = parse(frame.network, frame.ethertype);
  if (const auto* packet = std::get_if<Segment>(&parsed)) return {*packet};
  if (const auto* piece = std::get_if<HeaderPiece>(&parsed))
    return fragments_.add(*piece, now, tally_);
  tally_.add(std::get<SensorCounter>(parsed));
  return {};
}

// The first reason not to hold this packet against its source; nothing when there is none.
std::optional<SensorCounter> Sensor::why_not(const Segment& packet, std::uint32_t interface,
                                             const LocalView& view, Clock::time_point now) {
  if (packet.source == packet.target) return SensorCounter::to_itself;
  // A neighbour can scan from its link-local address, and gets answers: it is reported, though nobody
  // will ban it (guard.cc).
  const bool possible = packet.source.is_routable_unicast() || packet.source.is_link_local();
  if (!possible || view.is_own(packet.source)) return SensorCounter::bad_source;
  // Loopback addresses are ours too, and a packet for one that came over a wire is dropped by the
  // kernel.
  if (!view.is_own(packet.target) || packet.target.is_multicast() || packet.target.is_loopback()) {
    return SensorCounter::not_ours;
  }
  if (!kind_of(packet)) return SensorCounter::answer_flags;
  const auto port = Port::make(packet.target_port);
  if (!port || !ports_.of(packet.protocol).contains(*port)) return SensorCounter::unwatched_port;
  if (packet.protocol == Protocol::udp && own_flows_.answers(packet, now))
    return SensorCounter::own_flow;
  return why_service(packet, *port, interface, view, now);
}

// live_service, or why we could not find out; nothing when no service is or was there.
std::optional<SensorCounter> Sensor::why_service(const Segment& packet, Port port,
                                                 std::uint32_t interface, const LocalView& view,
                                                 Clock::time_point now) {
  if (grace_.fresh(packet.protocol, port, now)) return SensorCounter::live_service;
  // Also when the kernel cannot be asked: grace needs no answer.
  const bool in_grace = grace_.in_grace(packet.protocol, port, now);
  const auto unless_in_grace = [in_grace](SensorCounter reason) {
    return in_grace ? SensorCounter::live_service : reason;
  };
  const Source source = Source::of(packet.source, view.is_on_link(packet.source));
  if (!budget_.take(now, tracker_.knows(source)))
    return unless_in_grace(SensorCounter::lookup_over_budget);
  switch (edges_.ask(packet, interface)) {
    case Wanted::yes:
      grace_.seen(packet.protocol, port, now);
      return SensorCounter::live_service;
    case Wanted::failed:
      return unless_in_grace(SensorCounter::lookup_failed);
    case Wanted::no:
      break;
  }
  if (in_grace) return SensorCounter::live_service;
  return std::nullopt;
}

void Sensor::count(const Segment& packet, const LocalView& view, Clock::time_point now) {
  // why_not() has seen to it that both exist.
  const auto port = Port::make(packet.target_port);
  const auto kind = kind_of(packet);
  if (!port || !kind) return;

  const Source source = Source::of(packet.source, view.is_on_link(packet.source));
  const Tracker::Hit hit = tracker_.add(source, packet.protocol, *port, now, tally_);
  switch (hit.verdict) {
    case Tracker::Verdict::counted:
    case Tracker::Verdict::repeated:
    case Tracker::Verdict::withheld:
      return;
    case Tracker::Verdict::report_first:
    case Tracker::Verdict::report_again:
      break;
  }
  const bool on_its_way = edges_.report(Detection{
      .source = source,
      .address = packet.source,
      .target = packet.target,
      .protocol = packet.protocol,
      .port = *port,
      .kind = *kind,
      .flags = packet.flags,
      .distinct_ports = hit.distinct_ports,
      .first = hit.verdict == Tracker::Verdict::report_first,
      .ip_options = packet.ip_options,
      .fragmented = packet.fragmented,
  });
  if (!on_its_way) tracker_.not_delivered(source);
  tally_.add(on_its_way ? SensorCounter::detections : SensorCounter::channel_full);
}

}  // namespace portsentry::sensor
