#include "monitor/reconcile.h"

namespace portsentry::monitor {

void Reconcile::restored(bool can, Now now) {
  asked_.reset();
  restless_since_.reset();
  differed_ = false;
  if (!can) drifted_ = false;
  due_ = can ? std::optional(now.steady + kAfterWindow) : std::nullopt;
}

std::optional<std::uint64_t> Reconcile::begin(const View& view, Now now) {
  if (!due_ || now.steady < *due_) return std::nullopt;
  if (asked_) {  // kLost is over: its answer will not come, or means nothing any more
    asked_.reset();
    restless_since_.reset();
  }
  const std::uint64_t before = last_changes_;
  const bool calm = view.changes == before && now.steady - last_look_ >= kCalm;
  last_changes_ = view.changes;
  last_look_ = now.steady;
  if (!calm) {
    if (!restless_since_) restless_since_ = now.steady;
    if (now.steady - *restless_since_ < kPatience) {
      due_ = now.steady + kCalm;
      return std::nullopt;
    }
  }
  restless_since_.reset();
  asked_ = Asked{.id = next_id_++, .changes = calm ? view.changes : before, .calm = calm};
  due_ = now.steady + kLost;
  return asked_->id;
}

std::optional<Reconcile::Found> Reconcile::audited(const Audited& audited, const View& view,
                                                   Now now) {
  // Of one that was given up, or whose table is gone: nothing, and no sin.
  if (audited.id == 0 || audited.id >= next_id_) return std::nullopt;
  if (!asked_ || audited.id != asked_->id) return Found::stale;
  const Asked asked = *asked_;
  asked_.reset();
  const std::uint64_t changes = view.changes - asked.changes;
  bool same = audited.elements == view.native.elements && audited.digest == view.native.digest;
  if (!same && (!asked.calm || changes > 0)) {
    const std::uint64_t apart = audited.elements > view.native.elements
                                    ? audited.elements - view.native.elements
                                    : view.native.elements - audited.elements;
    same = apart <= changes + kRough;
  }
  if (same) {
    differed_ = false;
    drifted_ = false;
    due_ = now.steady + kEvery;
    return Found::same;
  }
  const bool twice = differed_;
  differed_ = !twice;
  drifted_ = drifted_ || twice;
  due_ = now.steady + (twice ? kEvery : kAgain);
  return twice ? Found::drift : Found::differs;
}

}  // namespace portsentry::monitor
