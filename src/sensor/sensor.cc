#include "sensor/sensor.h"

#include <linux/if_packet.h>

#include <algorithm>
#include <utility>

#include "sensor/classify.h"
#include "sensor/noise.h"

namespace portsentry::sensor {
namespace {

// How long a successor waits for its predecessor's memory, and how many hits it keeps meanwhile.
constexpr std::chrono::seconds kEarly{10};
constexpr std::size_t kMostEarly = 1024;

// Look-ups of the kernel's sockets: each some 3 microseconds. A flood of forged sources takes what it
// can: a source with a hit is left a half of the burst that it cannot have, and one whose next port
// makes it a scanner beyond doubt a quarter that neither can have. Who has been told of as one gets the
// least: its next report says nothing new, and it may be the flood.
constexpr std::uint32_t kLookupsPerSecond = 20'000;
constexpr std::uint32_t kLookupBurst = 2'000;
constexpr unsigned kForTold = 25;  // percent
constexpr unsigned kForStrangers = 50;
constexpr unsigned kForKnown = 75;

// Reports of few ports a second, and at once: fewer than the channel holds, so that under a flood of
// them there is room for the others.
constexpr std::uint32_t kSinglesPerSecond = 2'000;
constexpr std::uint32_t kSinglesBurst = 100;

// How long a list of the bound ports is believed, how often a new one is asked for at most, and
// which part of the time may go into making it.
constexpr std::chrono::seconds kListLife{1};
constexpr std::chrono::milliseconds kListEvery{250};
constexpr int kListShare = 20;

// A half of a header may have come in anywhere; to sock_diag 0 means that no interface is known.
constexpr std::uint32_t kAnyInterface = 0;

std::optional<ScanKind> kind_of(const Segment& packet) {
  if (packet.header == Header::first_half) return ScanKind::odd_flags;
  const auto kind = classify(packet.protocol, packet.flags);
  return !kind && packet.header == Header::cut ? ScanKind::odd_flags : kind;
}

}  // namespace

Sensor::Sensor(const PortSets& ports, const SensorConfig& config, const HashKey& seed, Edges edges,
               Clock::time_point born, const EphemeralPorts& ephemeral)
    : ports_(ports),
      interfaces_(config.interfaces),
      local_check_(config.local_check),
      service_check_(config.service_check),
      edges_(std::move(edges)),
      own_flows_(seed, born, ephemeral),
      lookups_(kLookupsPerSecond, kLookupBurst),
      singles_(kSinglesPerSecond, kSinglesBurst),
      tracker_({.trigger = config.scan_trigger,
                .window = config.scan_window,
                .max_sources = config.max_sources,
                .seed = seed}),
      proofs_(config.scan_window) {}

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
  const Judgement judged = judgement(packet, interface, view, now);
  if (judged.excuse) return tally_.add(*judged.excuse);
  if (!judged.certain) tally_.add(SensorCounter::counted_by_list);
  // judgement() has seen to it that both exist.
  const auto port = Port::make(packet.target_port);
  const auto kind = kind_of(packet);
  if (!port || !kind) return;
  count({.source = Source::of(packet.source, view.is_on_link(packet.source)),
         .address = packet.source,
         .target = packet.target,
         .protocol = packet.protocol,
         .port = *port,
         .kind = *kind,
         .flags = packet.flags,
         .distinct_ports = 0,
         .first = false,
         .ip_options = packet.ip_options,
         .fragmented = packet.fragmented,
         .interface = interface},
        judged.certain, now);
}

bool Sensor::contact(const Contact& contact, const LocalView& view, Clock::time_point now) {
  tally_.add(SensorCounter::contacts);
  if (const auto reason = why_not(contact, view)) {
    tally_.add(*reason);
    return false;
  }
  const bool shook_hands = contact.protocol == Protocol::tcp;
  if (shook_hands) proofs_.found(contact.source, now);
  const Tracker::Hit hit =
      count({.source = Source::of(contact.source, view.is_on_link(contact.source)),
             .address = contact.source,
             .target = contact.target,
             .protocol = contact.protocol,
             .port = contact.port,
             .kind = ScanKind::connect,
             .flags = {},
             .distinct_ports = 0,
             .first = false,
             .ip_options = false,
             .fragmented = false,
             .interface = contact.interface,
             .proof = shook_hands ? Proof::handshake : Proof::forgeable},
            true, now);
  switch (hit.verdict) {
    case Tracker::Verdict::counted:
    case Tracker::Verdict::repeated:
      return false;
    case Tracker::Verdict::report_first:
    case Tracker::Verdict::report_again:
      return shook_hands || !hit.early;
    case Tracker::Verdict::withheld:
      return shook_hands;
  }
  return false;
}

// The kernel has delivered it, so the target is ours, and the flags were in order.
std::optional<SensorCounter> Sensor::why_not(const Contact& contact, const LocalView& view) const {
  if (local_check_) {
    if (contact.source == contact.target) return SensorCounter::to_itself;
    if (contact.source.is_loopback() || view.is_own(contact.source))
      return SensorCounter::bad_source;
  }
  const bool possible = contact.source.is_routable_unicast() || contact.source.is_link_local() ||
                        contact.source.is_loopback();
  if (!possible) return SensorCounter::bad_source;
  if (is_discovery_noise(contact.source, contact.protocol, contact.port, view))
    return SensorCounter::discovery_noise;
  return std::nullopt;
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

// The first reason not to hold this packet against its source.
Sensor::Judgement Sensor::judgement(const Segment& packet, std::uint32_t interface,
                                    const LocalView& view, Clock::time_point now) {
  if (local_check_ && packet.source == packet.target) return {SensorCounter::to_itself};
  // A neighbour can scan from its link-local address, and gets answers: it is reported, though nobody
  // will ban it (guard.cc).
  const bool possible = packet.source.is_routable_unicast() || packet.source.is_link_local();
  if (!possible || (local_check_ && view.is_own(packet.source))) return {SensorCounter::bad_source};
  // Loopback addresses are ours too, and a packet for one that came over a wire is dropped by the
  // kernel.
  if (!view.is_own(packet.target) || packet.target.is_multicast() || packet.target.is_loopback()) {
    return {SensorCounter::not_ours};
  }
  if (!kind_of(packet)) return {SensorCounter::answer_flags};
  const auto port = Port::make(packet.target_port);
  if (!port || !ports_.of(packet.protocol).contains(*port)) return {SensorCounter::unwatched_port};
  if (is_discovery_noise(packet.source, packet.protocol, *port, view))
    return {SensorCounter::discovery_noise};
  if (packet.protocol == Protocol::udp) {
    const bool neighbour = packet.source.is_link_local() || view.is_on_link(packet.source);
    if (own_flows_.answers(packet, now, neighbour)) return {SensorCounter::own_flow};
  }
  if (!service_check_) return {};
  return service_judgement(packet, *port, interface, view, now);
}

// live_service, or why we could not find out; no excuse when no service is or was there.
Sensor::Judgement Sensor::service_judgement(const Segment& packet, Port port,
                                            std::uint32_t interface, const LocalView& view,
                                            Clock::time_point now) {
  if (grace_.fresh(packet.protocol, port, now)) return {SensorCounter::live_service};
  // Also when the kernel cannot be asked: grace needs no answer.
  const bool in_grace = grace_.in_grace(packet.protocol, port, now);
  const auto unless_in_grace = [in_grace](SensorCounter reason) {
    return Judgement{in_grace ? SensorCounter::live_service : reason};
  };
  const Source source = Source::of(packet.source, view.is_on_link(packet.source));
  const std::uint32_t known = tracker_.ports_of(source);
  const unsigned share = known == 0                      ? kForStrangers
                         : known + 1 < Tracker::kSpread  ? kForKnown
                         : tracker_.told_of_many(source) ? kForTold
                                                         : 100;
  if (!lookups_.take(now, share)) {
    short_since_ = now;
    if (!in_grace && on_list(packet.protocol, port, now)) return {{}, false};
    return unless_in_grace(SensorCounter::lookup_over_budget);
  }
  switch (edges_.ask(packet, interface)) {
    case Wanted::yes:
      grace_.seen(packet.protocol, port, now);
      return {SensorCounter::live_service};
    case Wanted::failed:
      return unless_in_grace(SensorCounter::lookup_failed);
    case Wanted::no:
      break;
  }
  if (in_grace) return {SensorCounter::live_service};
  return {};
}

// A fresh list of the bound ports exists, and does not have this one.
bool Sensor::on_list(Protocol protocol, Port port, Clock::time_point now) const {
  return bound_ && now - bound_->asked <= kListLife && !bound_->ports.of(protocol).contains(port);
}

bool Sensor::wants_list(Clock::time_point now) const {
  return short_since_ && now - *short_since_ <= kListLife && now >= list_again_;
}

void Sensor::listed(const std::optional<PortSets>& bound, Clock::time_point asked,
                    Clock::time_point now) {
  bound_.reset();
  if (bound) bound_.emplace(BoundPorts{*bound, asked});
  list_again_ = now + std::max<Clock::duration>(kListEvery, (now - asked) * kListShare);
}

Tracker::Hit Sensor::count(Detection probe, bool certain, Clock::time_point now) {
  const Tracker::Hit hit =
      tracker_.add(probe.source, probe.protocol, probe.port, now, tally_, probe.held);
  switch (hit.verdict) {
    case Tracker::Verdict::counted:
    case Tracker::Verdict::repeated:
      if (certain) keep_early(probe, now);
      break;
    case Tracker::Verdict::withheld:
      if (certain && !hit.repeated) late_.keep(probe, now + Tracker::kReportInterval);
      break;
    case Tracker::Verdict::report_first:
    case Tracker::Verdict::report_again:
      probe.distinct_ports = hit.distinct_ports;
      probe.first = hit.verdict == Tracker::Verdict::report_first;
      if (certain) {
        tell(probe, now);
      } else {
        tracker_.not_delivered(probe.source);
      }
      break;
  }
  return hit;
}

// With what else is known of the source.
void Sensor::tell(Detection& probe, Clock::time_point now) {
  if (probe.proof == Proof::forgeable && proofs_.proven(probe.address, now))
    probe.proof = Proof::established;
  const bool forgeable = probe.proof == Proof::forgeable;
  const bool many = probe.distinct_ports >= Tracker::kSpread;
  // Holds have a smaller budget of their own, in the kernel.
  if (forgeable && !many && !probe.held && !singles_.take(now)) {
    tracker_.not_delivered(probe.source);
    return tally_.add(SensorCounter::single_over_budget);
  }
  probe.touches = tracker_.others(probe, now);
  late_.told(probe.source, probe.protocol);
  if (!edges_.report(probe)) {
    tracker_.not_delivered(probe.source);
    if (probe.held) tally_.add(SensorCounter::held_untold);
    return tally_.add(SensorCounter::channel_full);
  }
  tally_.add(SensorCounter::detections);
  if (forgeable) proofs_.wonder(probe, many, now);
}

void Sensor::tick(Clock::time_point now) {
  while (auto probe = late_.take(now)) {
    const auto distinct = tracker_.late(probe->source, probe->protocol, now);
    if (!distinct) continue;
    probe->distinct_ports = *distinct;
    probe->first = false;
    tell(*probe, now);
  }
}

std::optional<Address> Sensor::next_question(Clock::time_point now) {
  const auto address = proofs_.next(now);
  if (address) tally_.add(SensorCounter::proofs_asked);
  return address;
}

// What was told as forgeable is told again, and does not wait for its second.
void Sensor::answered(bool connected, Clock::time_point now) {
  auto again = proofs_.answered(connected, now);
  if (!again) return;
  tally_.add(SensorCounter::proofs_found);
  again->held = false;  // what came of that hold is known already
  again->distinct_ports = std::max(again->distinct_ports, tracker_.ports_of(again->source));
  tell(*again, now);
}

void Sensor::keep_early(const Detection& probe, Clock::time_point now) {
  if (!early_until_) early_until_ = now + kEarly;
  if (now < *early_until_ && early_.size() < kMostEarly) {
    early_.push_back(probe);
    early_.back().held = false;  // by then it has been acquitted
  }
}

void Sensor::merge(const Evidence& evidence, Clock::time_point now) {
  const auto distinct = tracker_.merge(evidence, now, tally_);
  if (!distinct) return;
  const auto last = std::find_if(early_.rbegin(), early_.rend(), [&](const Detection& probe) {
    return probe.source == evidence.source;
  });
  // Not among them: then its next hit reports.
  if (last == early_.rend()) return;
  last->distinct_ports = *distinct;
  last->first = true;
  tracker_.reported(evidence.source, last->protocol, now);
  tell(*last, now);
}

}  // namespace portsentry::sensor
