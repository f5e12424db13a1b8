// Enforced means enforced: what the kernel holds is compared with what it should, and mended.
#include <utility>

#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// Of the kernel's fullest set, in per cent: told from the one on, and again only after it fell below
// the other.
constexpr std::size_t kCapacityAlarm = 80;
constexpr std::size_t kCapacityFell = 70;

std::string counted(std::size_t bans, std::string_view what) {
  return std::to_string(bans) + (bans == 1 ? " ban " : " bans ") + std::string(what);
}

}  // namespace

// While something is being restored, what should hold is not known.
bool Monitor::comparable() const {
  return phase_ == Phase::serving && backend_ == Backend::nftables && !table_lost_ && !restoring_ &&
         bans_.being_restored() == 0;
}

Drift Monitor::drift() const {
  if (reconcile_.drifted() || listing_) return Drift::drifting;
  return comparable() && compared_ ? Drift::none : Drift::unknown;
}

void Monitor::reconcile(Now now) {
  watch_capacity();
  const bool can = comparable();
  if (std::exchange(reconciling_, can) != can) reconcile_.restored(can, now);
  if (!can || listing_) return;
  const auto id = reconcile_.begin({bans_.native(), bans_.native_changes()}, now);
  if (id) owe(Audit{*id}, now);
}

std::optional<Clock::time_point> Monitor::reconcile_due() const {
  return comparable() && !listing_ ? reconcile_.next_due() : std::nullopt;
}

bool Monitor::on(const Audited& audited, Now now) {
  const auto found = reconcile_.audited(audited, {bans_.native(), bans_.native_changes()}, now);
  if (!found) return false;
  if (*found == Reconcile::Found::same) compared_ = now.wall;
  if (*found != Reconcile::Found::drift || listing_ || backend_ != Backend::nftables) return true;
  tally_.drifts += 1;
  listing_ = Listing{};
  bans_.expect_all();
  owe(ListHeld{}, now);
  return true;
}

// Everything that the kernel holds was named.
void Monitor::listed(Now now) {
  const Listing found = *std::exchange(listing_, std::nullopt);
  const std::size_t missing = bans_.listed(now);
  tally_.missing += missing;
  if (missing + found.recovered + found.corrected == 0) return;
  std::string text = "the kernel's sets had drifted from what should hold:";
  if (missing > 0) text += " " + counted(missing, "were missing and are made again") + ",";
  if (found.recovered > 0) text += " " + counted(found.recovered, "recovered") + ",";
  if (found.corrected > 0) text += " " + counted(found.corrected, "given their time again") + ",";
  text.pop_back();
  say(lines_.error(text));
  note(AddEvent{{.at = now.wall, .kind = EventKind::drift, .detail = text}});
  blocked_changed(now);
}

std::size_t Monitor::capacity_percent() const {
  return bans_.fullest_set() * 100 / setup_.set_size;
}

void Monitor::watch_capacity() {
  const std::size_t percent = capacity_percent();
  if (percent < kCapacityFell) capacity_told_ = false;
  if (percent < kCapacityAlarm || std::exchange(capacity_told_, true)) return;
  say(lines_.error("one of the kernel's sets holds " + std::to_string(bans_.fullest_set()) +
                   " bans, four fifths of what fits: once it is full no more can be made there"));
}

}  // namespace portsentry::monitor
