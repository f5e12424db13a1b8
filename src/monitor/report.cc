#include "monitor/report.h"

#include <algorithm>

namespace portsentry::monitor {
namespace {

// How much an outcome tells; 0: nothing about a scan.
int weight(EventKind kind) {
  switch (kind) {
    case EventKind::banned:
      return 4;
    case EventKind::would_ban:
      return 3;
    case EventKind::refused:
      return 2;
    case EventKind::detected:
      return 1;
    case EventKind::changed:
    case EventKind::expired:
    case EventKind::unbanned:
    case EventKind::lifted:
    case EventKind::recovered:
    case EventKind::budget:
    case EventKind::armed:
    case EventKind::confirmed:
    case EventKind::observed:
    case EventKind::allowed:
    case EventKind::disallowed:
    case EventKind::drift:
      break;
  }
  return 0;
}

}  // namespace

void Report::add(const Event& event) {
  // A ban by hand is no scan.
  if (weight(event.kind) == 0 || !event.source || !event.scan) return;
  auto found = rows_.find(*event.source);
  if (found == rows_.end()) {
    if (rows_.size() >= kMaxSources) {
      left_out_ += 1;
      return;
    }
    Row row{.source = *event.source, .outcome = event.kind, .ban_time = {}, .detail = event.detail};
    row.first = row.last = event.at;
    found = rows_.emplace(*event.source, std::move(row)).first;
  }
  Row& row = found->second;
  if (weight(event.kind) > weight(row.outcome)) {
    row.outcome = event.kind;
    row.detail = event.detail;
  }
  const Proof proof = event.proof.value_or(Proof::forgeable);
  row.how = std::max(row.how, class_of(proof, event.ports));
  if (proof != Proof::forgeable) row.proof = proof;
  row.times += 1;
  row.first = std::min(row.first, event.at);
  row.last = std::max(row.last, event.at);
  row.distinct_ports = std::max(row.distinct_ports, event.ports);
  if (event.until && *event.until > event.at) {
    const std::chrono::seconds time(*event.until - event.at);
    row.ban_time = std::max(row.ban_time.value_or(time), time);
  }
}

std::vector<Report::Row> Report::rows(std::size_t limit, const std::optional<Source>& after) const {
  std::vector<Row> found;
  auto next = after ? rows_.upper_bound(*after) : rows_.begin();
  for (; next != rows_.end() && found.size() < limit; ++next)
    found.push_back(next->second);
  return found;
}

}  // namespace portsentry::monitor
