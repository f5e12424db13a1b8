#include "sensor/tracker.h"

namespace portsentry::sensor {
namespace {

EvidenceTable::Settings table_settings(const Tracker::Settings& settings) {
  return {.max_sources = settings.max_sources,
          .enough = settings.trigger,
          .window = settings.window,
          .seed = settings.seed};
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
  if (!reports.due && now - reports.last < kReportInterval) {
    tally.add(SensorCounter::updates_withheld);
    return {Verdict::withheld, touched.distinct};
  }
  const bool first = !reports.above;
  reports = {.last = now, .due = false, .above = true, .last_was_first = first};
  return {first ? Verdict::report_first : Verdict::report_again, touched.distinct};
}

void Tracker::not_delivered(const Source& source) {
  EvidenceTable::Reports* reports = table_of(source).find(source);
  if (reports == nullptr) return;
  reports->due = true;
  if (reports->last_was_first) reports->above = false;
}

std::size_t Tracker::tracked(bool v4) const {
  return v4 ? v4_.size() : v6_.size();
}

std::size_t Tracker::bytes() const {
  return v4_.bytes() + v6_.bytes();
}

}  // namespace portsentry::sensor
