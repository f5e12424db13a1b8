#include "monitor/log_budget.h"

#include <utility>

namespace portsentry::monitor {

void LogBudget::roll(Now now) {
  if (window_start_ && now.steady < *window_start_ + kWindow) return;
  window_start_ = now.steady;
  in_all_ = 0;
  accounts_.clear();
}

bool LogBudget::allow(const Source& source, unsigned lines, Now now) {
  roll(now);
  const auto found = accounts_.find(source);
  const unsigned spent = found == accounts_.end() ? 0 : found->second.lines;
  const bool source_has = spent + lines <= kPerSource;
  const bool all_have = in_all_ + lines <= kInAll;
  if (source_has && all_have) {
    accounts_[source].lines += lines;
    in_all_ += lines;
    return true;
  }
  (source_has ? suppressed_.in_all : suppressed_.by_source) += lines;
  ever_ += lines;
  if (!first_suppressed_) first_suppressed_ = now.steady;
  return false;
}

bool LogBudget::is_news(const Source& source, ScanKind kind, Now now) {
  roll(now);
  const unsigned bit = 1U << static_cast<unsigned>(kind);
  const auto found = accounts_.find(source);
  if (found == accounts_.end()) {
    // Remembered only where a line can follow: that keeps the table as small as the budget.
    if (in_all_ >= kInAll || accounts_.size() >= kInAll) return false;
    accounts_[source].kinds = bit;
    return true;
  }
  if ((found->second.kinds & bit) != 0) return false;
  found->second.kinds |= bit;
  return true;
}

std::optional<Clock::time_point> LogBudget::summary_due() const {
  if (!first_suppressed_) return std::nullopt;
  return *first_suppressed_ + kWindow;
}

LogBudget::Suppressed LogBudget::take_summary() {
  first_suppressed_.reset();
  return std::exchange(suppressed_, {});
}

}  // namespace portsentry::monitor
