// What the enforcer says of the table as a whole: that there is one, what it holds, that it was lost,
// and what an administrator took out of it.
#include <utility>

#include "monitor/history.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {

bool Monitor::on(const TableCreated& table, Now now) {
  if (table.again != (phase_ == Phase::serving)) return false;
  const Backend before = std::exchange(backend_, table.backend);
  if (!table.again) {
    phase_ = Phase::adopting;
    follow_traps(table.traps, now);
    tell_armed(now);
    recall(now);
    return true;
  }
  table_lost_ = false;
  follow_traps(table.traps, now);
  listing_.reset();
  const bool moved = before != table.backend;
  if (!moved) tally_.tables_lost += 1;
  const std::size_t to_restore = bans_.table_created(table.backend, true, now);
  restoring_ = Restoring{.why = moved ? Restoring::Why::moved : Restoring::Why::lost};
  if (to_restore == 0) tell_restored_when_done();
  return true;
}

bool Monitor::on(const Adopted& adopted, Now now) {
  const Source& source = adopted.source;
  const bool at_start = phase_ == Phase::adopting;
  switch (bans_.adopt(source, adopted.remaining, setup_.config.block_time, now)) {
    case Bans::Adoption::joined:
      if (at_start) adopted_ += 1;
      return true;
    case Bans::Adoption::corrected:
      if (listing_) listing_->corrected += 1;
      return true;
    case Bans::Adoption::over:
    case Bans::Adoption::ignored:
      return true;
    case Bans::Adoption::recovered:
      break;
  }
  recovered_ += 1;
  if (listing_) listing_->recovered += 1;
  remember(source, *bans_.find(source));
  // Whether an earlier run added a line to hosts.deny nobody knows; taking back is harmless.
  if (!setup_.config.kill_hosts_deny.empty()) bans_.wrapped(source);
  // The administrator may have changed their mind, or the network its shape, since the last run.
  if (!at_start) lift_where_protected(source, now);
  return true;
}

bool Monitor::on(const AdoptedDone&, Now now) {
  if (phase_ == Phase::adopting) {
    phase_ = Phase::serving;
    bans_.table_created(backend_, false, now);
    recalled(now);
    effects_.blocked_rewrite(blocked_view(bans_));
    await_scout(now);
    announce_when_ready(now);
  } else if (listing_) {
    listed(now);
  }
  return true;
}

bool Monitor::on(const TableLost& lost, Now now) {
  follow_traps(false, now);
  // The enforcer tries again by itself, and may say so each time: one line until it is back.
  if (!std::exchange(table_lost_, true)) say(lines_.table_lost(lost.error));
  return true;
}

bool Monitor::on(const Lifted& lifted, Now now) {
  const Source& source = lifted.source;
  const Bans::Ban* ban = bans_.find(source);
  // While a request of ours is under way, its answer decides. And what a command holds is not in
  // the kernel's set.
  if (ban == nullptr || ban->id != 0 || ban->by != Backend::nftables || !Bans::holds(*ban)) {
    return true;
  }
  const bool wrapped = ban->wrapped;
  const BanClass of = ban->of;
  bans_.forget(source);
  tally_.lifted_by_hand += 1;
  log_limited(source, lines_.lifted_by_hand(source), now);
  record_end(EventKind::lifted, source, of, "deleted from the kernel's set by hand", now);
  ban_over(source, false, wrapped, now);
  by_hand_settled(source, true);
  blocked_changed(now);
  return true;
}

void Monitor::tell_restored_when_done() {
  if (!restoring_ || bans_.being_restored() > 0) return;
  const Restoring done = *std::exchange(restoring_, std::nullopt);
  const std::string failed =
      done.failed > 0 ? ", " + std::to_string(done.failed) + " not yet" : std::string();
  switch (done.why) {
    case Restoring::Why::lost:
      return say(lines_.table_restored(done.put_back, done.failed));
    case Restoring::Why::start:
      note(BootRestored{});
      return say(lines_.notice(std::to_string(done.put_back) +
                               (done.put_back == 1 ? " ban" : " bans") +
                               " of an earlier run made again" + failed));
    case Restoring::Why::moved:
      break;
  }
  switch (backend_) {
    case Backend::none:
      say(lines_.notice("bans are made no more; those in force stay until they end"));
      break;
    case Backend::nftables:
      say(lines_.notice("bans are made by nftables now; " + std::to_string(done.put_back) +
                        " taken over" + failed));
      break;
    case Backend::command:
      say(lines_.notice("bans are made by KILL_ROUTE now; " + std::to_string(done.put_back) +
                        " taken over" + failed));
      break;
  }
}

}  // namespace portsentry::monitor
