#include "sensor/tracker.h"

#include <algorithm>

namespace portsentry::sensor {
namespace {

using namespace std::chrono_literals;

EvidenceTable::Settings table_settings(const Tracker::Settings& settings) {
  return {.max_sources = settings.max_sources,
          // So that both the trigger and kSpread are reached when many share the memory.
          .enough = std::max(settings.trigger, Tracker::kSpread),
          .window = settings.window,
          .seed = settings.seed};
}

std::size_t place_of(Protocol protocol) {
  return protocol == Protocol::tcp ? 0 : 1;
}

// How long ago it was is told in whole seconds, which wire.cc bounds: a window is no longer.
Touch touch_of(const EvidenceTable::Memory& memory, Clock::time_point now) {
  const auto age = std::chrono::floor<std::chrono::seconds>(now - memory.at);
  return {.protocol = memory.protocol, .port = memory.port, .age = std::max(age, 0s)};
}

}  // namespace

Tracker::Tracker(const Settings& settings)
    : trigger_(settings.trigger), v4_(table_settings(settings)), v6_(table_settings(settings)) {}

Tracker::Hit Tracker::add(const Source& source, Protocol protocol, Port port, Clock::time_point now,
                          SensorTally& tally, bool at_once) {
  const EvidenceTable::Touched touched = table_of(source).touch(source, protocol, port, now);
  tally.add(touched.repeated ? SensorCounter::repeated : SensorCounter::probes);
  tally.add(SensorCounter::evicted, touched.evicted);

  EvidenceTable::Reports& reports = touched.reports;
  // Old hits fell out of the window: whatever was reported, the trigger must be reached again.
  if (touched.before < trigger_) reports.above = false;
  if (touched.before < kSpread) reports.spread = false;
  if (touched.distinct < trigger_) {
    return {touched.repeated ? Verdict::repeated : Verdict::counted, touched.distinct,
            touched.repeated};
  }
  const bool spreads = touched.distinct >= kSpread && !reports.spread;
  const std::size_t which = place_of(protocol);
  const bool early = !reports.due.at(which) && now - reports.last.at(which) < kReportInterval;
  if (early && !spreads && !at_once) {
    tally.add(SensorCounter::updates_withheld);
    return {Verdict::withheld, touched.distinct, touched.repeated};
  }
  const bool first = !reports.above;
  note_report(reports, protocol, touched.distinct, first, now);
  return {first ? Verdict::report_first : Verdict::report_again, touched.distinct, touched.repeated,
          early};
}

void Tracker::note_report(EvidenceTable::Reports& reports, Protocol protocol,
                          std::uint32_t distinct, bool first, Clock::time_point now) {
  reports.last.at(place_of(protocol)) = now;
  reports.due.at(place_of(protocol)) = false;
  reports.above = true;
  reports.last_was_first = first;
  if (distinct >= kSpread) reports.spread = true;
}

std::optional<std::uint32_t> Tracker::late(const Source& source, Protocol protocol,
                                           Clock::time_point now) {
  EvidenceTable::Reports* reports = table_of(source).find(source);
  const std::uint32_t distinct = ports_of(source);
  if (reports == nullptr || !reports->above || distinct < trigger_) return std::nullopt;
  const std::size_t which = place_of(protocol);
  if (reports->due.at(which) || now - reports->last.at(which) < kReportInterval)
    return std::nullopt;
  note_report(*reports, protocol, distinct, false, now);
  return distinct;
}

std::vector<Touch> Tracker::others(const Detection& detection, Clock::time_point now) {
  std::vector<Touch> touches;
  for (const EvidenceTable::Memory& memory :
       table_of(detection.source)
           .newest(detection.source, {detection.protocol, detection.port}, kMaxToldTouches, now)) {
    touches.push_back(touch_of(memory, now));
  }
  return touches;
}

void Tracker::not_delivered(const Source& source) {
  EvidenceTable::Reports* reports = table_of(source).find(source);
  if (reports == nullptr) return;
  reports->due.fill(true);
  reports->spread = false;
  if (reports->last_was_first) reports->above = false;
}

std::optional<Evidence> Tracker::hand_over(Clock::time_point now) {
  if (!walk4_) walk4_ = v4_.walk();
  if (!walk6_) walk6_ = v6_.walk();
  auto found = v4_.next(*walk4_, kMaxTouches, now);
  if (!found) found = v6_.next(*walk6_, kMaxTouches, now);
  if (!found) return std::nullopt;
  Evidence evidence{.source = found->source, .touches = {}, .reported = found->reported};
  evidence.touches.reserve(found->touches.size());
  for (const EvidenceTable::Memory& memory : found->touches) {
    evidence.touches.push_back(touch_of(memory, now));
  }
  return evidence;
}

std::optional<std::uint32_t> Tracker::merge(const Evidence& evidence, Clock::time_point now,
                                            SensorTally& tally) {
  EvidenceTable::Remembered other{
      .source = evidence.source, .reported = evidence.reported, .touches = {}};
  other.touches.reserve(evidence.touches.size());
  for (const Touch& touch : evidence.touches) {
    other.touches.push_back(
        {.protocol = touch.protocol, .port = touch.port, .at = now - touch.age});
  }
  const EvidenceTable::Merged merged = table_of(evidence.source).merge(other, now);
  tally.add(SensorCounter::evicted, merged.evicted);
  if (merged.reports == nullptr) return std::nullopt;
  // `due` stays as it is: when the predecessor told it last is not known, so the next hit may tell
  // it once too early.
  if (evidence.reported) merged.reports->above = true;
  if (merged.distinct < trigger_ || merged.reports->above) return std::nullopt;
  return merged.distinct;
}

void Tracker::reported(const Source& source, Protocol protocol, Clock::time_point now) {
  EvidenceTable::Reports* reports = table_of(source).find(source);
  if (reports == nullptr) return;
  note_report(*reports, protocol, ports_of(source), true, now);
}

std::size_t Tracker::tracked(bool v4) const {
  return v4 ? v4_.size() : v6_.size();
}

std::size_t Tracker::bytes() const {
  return v4_.bytes() + v6_.bytes();
}

}  // namespace portsentry::sensor
