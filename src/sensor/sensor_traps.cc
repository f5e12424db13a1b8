// The sensor's pipeline for packets of which the kernel's traps told. What the rules have decided is
// decided: that a packet is for this host, on an interface and a port that is watched, wanted by no
// socket, and explained by no connection or datagram of ours.
#include <utility>
#include <variant>

#include "sensor/classify.h"
#include "sensor/noise.h"
#include "sensor/sensor.h"

namespace portsentry::sensor {

void Sensor::note(const Trapped& trapped) {
  tally_.add(SensorCounter::trapped);
  switch (trapped.word) {
    case TrapWord::seen:
      return;
    case TrapWord::held:
      return tally_.add(SensorCounter::held);
    case TrapWord::spent:
      return tally_.add(SensorCounter::hold_over_budget);
    case TrapWord::full:
      return tally_.add(SensorCounter::traps_full);
  }
}

void Sensor::ignore(const Trapped& trapped) {
  note(trapped);
  if (trapped.word == TrapWord::held) tally_.add(SensorCounter::held_untold);
}

void Sensor::trapped(const Trapped& trapped, const LocalView& view, Clock::time_point now) {
  note(trapped);
  const bool held = trapped.word == TrapWord::held;
  const Parsed parsed = parse(trapped.network, trapped.ethertype);
  const auto* packet = std::get_if<Segment>(&parsed);
  const auto port = packet == nullptr ? std::nullopt : Port::make(packet->target_port);
  if (!port) {
    // Pieces of a datagram are put together before the traps see it, so this is none of a probe.
    const auto* reason = std::get_if<SensorCounter>(&parsed);
    tally_.add(reason == nullptr ? SensorCounter::fragment_dropped : *reason);
    if (held) acquit_of_refused(trapped, view);
    return;
  }

  const Source source = Source::of(packet->source, view.is_on_link(packet->source));
  const Acquitted acquitted{.source = source, .protocol = packet->protocol, .port = *port};
  const auto kind = classify_stray(packet->protocol, packet->flags);
  if (const auto excuse = trap_excuse(*packet, view); excuse || !kind) {
    tally_.add(excuse.value_or(SensorCounter::answer_flags));
    if (held) acquit(acquitted);
    return;
  }
  const Tracker::Hit hit = count({.source = source,
                                  .address = packet->source,
                                  .target = packet->target,
                                  .protocol = packet->protocol,
                                  .port = *port,
                                  .kind = *kind,
                                  .flags = packet->flags,
                                  .distinct_ports = 0,
                                  .first = false,
                                  .ip_options = packet->ip_options,
                                  .fragmented = packet->fragmented,
                                  .interface = trapped.interface,
                                  .held = held},
                                 true, now);
  // The kernel remembers touches that we do not: lost on the way to us, evicted, or older than this
  // process. Nobody is banned for what we did not see.
  const bool reported = hit.verdict == Tracker::Verdict::report_first ||
                        hit.verdict == Tracker::Verdict::report_again;
  if (held && !reported) acquit(acquitted);
}

// The rules go by ports, and look at no more of a header. Linux refuses what parse() refuses, so nobody
// has learnt anything; and who is not banned must not be held either, least of all without a word.
void Sensor::acquit_of_refused(const Trapped& trapped, const LocalView& view) {
  const auto aim = aim_of(trapped.network, trapped.ethertype);
  const auto port = aim ? Port::make(aim->target_port) : std::nullopt;
  // Who it was is in a part that is missing.
  if (!port) return tally_.add(SensorCounter::held_untold);
  acquit({.source = Source::of(aim->source, view.is_on_link(aim->source)),
          .protocol = aim->protocol,
          .port = *port});
}

std::optional<SensorCounter> Sensor::trap_excuse(const Segment& packet,
                                                 const LocalView& view) const {
  if (local_check_ && packet.source == packet.target) return SensorCounter::to_itself;
  // As in judgement(): who is link-local is reported, though nobody will ban it.
  const bool possible = packet.source.is_routable_unicast() || packet.source.is_link_local();
  if (!possible || (local_check_ && view.is_own(packet.source))) return SensorCounter::bad_source;
  const auto port = Port::make(packet.target_port);
  // A reload changes the rules and us, not in one instant.
  if (!port || !ports_.of(packet.protocol).contains(*port)) return SensorCounter::unwatched_port;
  if (is_discovery_noise(packet.source, packet.protocol, *port, view))
    return SensorCounter::discovery_noise;
  return std::nullopt;
}

void Sensor::acquit(const Acquitted& acquitted) {
  tally_.add(edges_.acquit(acquitted) ? SensorCounter::acquitted : SensorCounter::held_untold);
}

}  // namespace portsentry::sensor
