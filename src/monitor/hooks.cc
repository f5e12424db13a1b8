#include "monitor/hooks.h"

namespace portsentry::monitor {
namespace {

constexpr std::chrono::minutes kSummaryAfter{1};

}  // namespace

Hooks::Scan& Hooks::touch(const Source& source, Now now) {
  const auto found = scans_.find(source);
  if (found != scans_.end()) {
    Scan& scan = found->second;
    by_age_.erase({scan.last, source});
    if (now.steady - scan.last >= kScanGap) scan.ran = 0;
    scan.last = now.steady;
    by_age_.emplace(now.steady, source);
    return scan;
  }
  if (scans_.size() >= kMaxScans) {
    scans_.erase(by_age_.begin()->second);
    by_age_.erase(by_age_.begin());
  }
  by_age_.emplace(now.steady, source);
  return scans_.emplace(source, Scan{.last = now.steady}).first->second;
}

Hooks::Answer Hooks::may_run(Kind kind, const Source& source, Now now) {
  Scan& scan = touch(source, now);
  const auto which = static_cast<std::size_t>(kind);
  const auto bit = static_cast<std::uint8_t>(1U << which);
  if ((scan.ran & bit) != 0) return Answer::same_scan;
  auto& recent = recent_.at(which);
  while (!recent.empty() && now.steady - recent.front() >= kWindow)
    recent.pop_front();
  if (recent.size() >= kPerWindow) {
    // Not noted as having run: if the scan outlasts the budget's minute, its turn comes.
    refused_ += 1;
    if (!first_refused_) first_refused_ = now.steady;
    return Answer::over_budget;
  }
  recent.push_back(now.steady);
  scan.ran = static_cast<std::uint8_t>(scan.ran | bit);
  return Answer::run;
}

void Hooks::seen(const Source& source, Now now) {
  if (scans_.contains(source)) touch(source, now);
}

void Hooks::scan_over(const Source& source) {
  const auto found = scans_.find(source);
  if (found == scans_.end()) return;
  by_age_.erase({found->second.last, source});
  scans_.erase(found);
}

std::optional<Clock::time_point> Hooks::summary_due() const {
  if (!first_refused_) return std::nullopt;
  return *first_refused_ + kSummaryAfter;
}

std::uint64_t Hooks::take_summary() {
  first_refused_.reset();
  return std::exchange(refused_, 0);
}

}  // namespace portsentry::monitor
