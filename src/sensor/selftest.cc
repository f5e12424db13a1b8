#include "sensor/selftest.h"

#include <linux/if_ether.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "sensor/classify.h"
#include "sensor/packet.h"
#include "sensor/tracker.h"

namespace portsentry::sensor {
namespace {

// A SYN from 192.0.2.1 port 40000 to 192.0.2.2 port 23: addresses of the documentation (RFC 5737).
constexpr auto kProbe = std::to_array<std::uint8_t>({
    0x45, 0,    0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 192,  0,    2, 1, 192, 0, 2, 2,  // IPv4
    0x9c, 0x40, 0, 23, 0, 0, 0, 1, 0,  0, 0, 0, 0x50, 0x02, 4, 0, 0,   0, 0, 0,  // TCP
});

}  // namespace

TestHop test_pipeline(const HashKey& seed) {
  const Parsed parsed = parse(std::as_bytes(std::span(kProbe)), ETH_P_IP);
  const auto* packet = std::get_if<Segment>(&parsed);
  if (packet == nullptr) return TestHop::none;
  const auto port = Port::make(packet->target_port);
  const auto kind = classify(packet->protocol, packet->flags);
  if (!port || kind != ScanKind::syn) return TestHop::parsed;

  Tracker tracker({.trigger = 2,
                   .window = std::chrono::seconds(1),
                   .max_sources = EvidenceTable::kMinSources,
                   .seed = seed});
  SensorTally tally;
  const Source source = Source::of(packet->source, false);
  const Clock::time_point now{};
  const auto other = Port::make(port->number() + 1U);
  const bool counted =
      tracker.add(source, packet->protocol, *port, now, tally).verdict == Tracker::Verdict::counted;
  const bool reported =
      other && tracker.add(source, packet->protocol, *other, now, tally).verdict ==
                   Tracker::Verdict::report_first;
  return counted && reported ? TestHop::tracked : TestHop::classified;
}

}  // namespace portsentry::sensor
