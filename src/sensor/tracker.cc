#include "sensor/tracker.h"

namespace portsentry::sensor {
namespace {

EvidenceTable::Settings table_settings(const Tracker::Settings& settings) {
  return {.max_sources = settings.max_sources,
          .enough = settings.trigger,
          .window = settings.window,
          .seed = settings.seed};
}

std::size_t place_of(Protocol protocol) {
  return protocol == Protocol::tcp ? 0 : 1;
}

}  // namespace

Tracker::Tracker(const Settings& settings)
    : trigger_(settings.trigger), v4_(table_settings(settings)), v6_(table_settings(settings)) {}

Tracker::Hit Tracker::add(const Source& source, Protocol protocol, Port port, Clock::time_point now,
                          SensorTally& tally) {
  const EvidenceTable::Touched touched = table_of(source).touch(source, protocol, port, now);
  tally.add(touched.repeated ? SensorCounter::repeated : SensorCounter::probes);
  tally.add(SensorCounter::evicted, touched.evicted);

  EvidenceTable::Reports& reports = touched.reports;
  // Old hits fell out of the window: whatever was reported, the trigger must be reached again.
  if (touched.before < trigger_) reports.above = false;
  if (touched.distinct < trigger_) {
    return {touched.repeated ? Verdict::repeated : Verdict::counted, touched.distinct};
  }
  const std::size_t which = place_of(protocol);
  if (!reports.due.at(which) && now - reports.last.at(which) < kReportInterval) {
    tally.add(SensorCounter::updates_withheld);
    return {Verdict::withheld, touched.distinct};
  }
  const bool first = !reports.above;
  reports.last.at(which) = now;
  reports.due.at(which) = false;
  reports.above = true;
  reports.last_was_first = first;
  return {first ? Verdict::report_first : Verdict::report_again, touched.distinct};
}

void Tracker::not_delivered(const Source& source) {
  EvidenceTable::Reports* reports = table_of(source).find(source);
  if (reports == nullptr) return;
  reports->due.fill(true);
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
    evidence.touches.push_back({.protocol = memory.protocol,
                                .port = memory.port,
                                .age = std::chrono::floor<std::chrono::seconds>(now - memory.at)});
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
  reports->last.at(place_of(protocol)) = now;
  reports->due.at(place_of(protocol)) = false;
  reports->above = true;
  reports->last_was_first = true;
}

std::size_t Tracker::tracked(bool v4) const {
  return v4 ? v4_.size() : v6_.size();
}

std::size_t Tracker::bytes() const {
  return v4_.bytes() + v6_.bytes();
}

}  // namespace portsentry::sensor
