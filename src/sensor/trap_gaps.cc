#include "sensor/trap_gaps.h"

#include <algorithm>
#include <utility>

namespace portsentry::sensor {

// At least one message is gone; how many shows when the next comes, if one does.
void TrapGaps::overrun() {
  dropping_ = true;
  dry_ = false;
  if (in_advance_ != 0) return;
  in_advance_ = 1;
  ++lost_;
}

void TrapGaps::ran_dry() {
  dry_ = dropping_;
}

void TrapGaps::read(std::uint32_t sequence) {
  const auto before = std::exchange(last_, sequence);
  if (!dropping_) return;
  const std::uint32_t gap = before ? sequence - *before - 1 : 0;
  const std::uint64_t known = std::min<std::uint64_t>(gap, in_advance_);
  lost_ += gap - known;
  if (gap != 0 || dry_) in_advance_ = 0;
  if (dry_) dropping_ = dry_ = false;
}

}  // namespace portsentry::sensor
