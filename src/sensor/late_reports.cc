#include "sensor/late_reports.h"

namespace portsentry::sensor {

void LateReports::keep(const Detection& probe, Clock::time_point due) {
  const Key key{probe.source, probe.protocol};
  const auto known = waiting_.find(key);
  if (known != waiting_.end()) {
    known->second.probe = probe;
    return;
  }
  // What was told meanwhile stays in by_time_ for up to a second: that is bounded, too.
  if (by_time_.size() >= kMost) return;
  waiting_.emplace(key, Waiting{probe, due});
  by_time_.emplace_back(due, key);
}

void LateReports::told(const Source& source, Protocol protocol) {
  if (waiting_.erase({source, protocol}) != 0) drop_stale();
}

std::optional<Clock::time_point> LateReports::due() const {
  if (by_time_.empty()) return std::nullopt;
  return by_time_.front().first;
}

std::optional<Detection> LateReports::take(Clock::time_point now) {
  if (by_time_.empty() || by_time_.front().first > now) return std::nullopt;
  const Key key = by_time_.front().second;
  by_time_.pop_front();
  std::optional<Detection> probe = std::move(waiting_.at(key).probe);
  waiting_.erase(key);
  drop_stale();
  return probe;
}

// So that the first of by_time_ waits, and due() is true.
void LateReports::drop_stale() {
  while (!by_time_.empty()) {
    const auto& [due, key] = by_time_.front();
    const auto known = waiting_.find(key);
    if (known != waiting_.end() && known->second.due == due) return;
    by_time_.pop_front();
  }
}

}  // namespace portsentry::sensor
