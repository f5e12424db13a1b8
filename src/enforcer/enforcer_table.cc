#include "enforcer/enforcer.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "common/log.h"

namespace portsentry::enforcer {
namespace {

// Somebody who removes our table in a loop does not make us run nft in a tight one.
constexpr std::chrono::milliseconds kTableInterval{100};

}  // namespace

// By this a hostile monitor has nobody banned any more, which it can have by not asking; or it arms a
// daemon that its owner has observe, and then bans as the guard and the budget allow, by what root's
// own configuration names. What holds already holds on.
void Enforcer::handle(const Arm& arm) {
  armed_ = arm.armed;
  // It may be about the generation that the launcher is just switching to: see reload_committed().
  if (offer_ != Offer::committing) follow_configuration();
}

// By this: one element of a set that no rule reads, for a moment.
void Enforcer::handle(const TestFirewall& test) {
  if (!tests_.spend(Clock::now())) return tell(Outcome{test.id, Verdict::over_budget, 0});
  if (backend_ != Backend::nftables || parts_.firewall == nullptr)
    return tell(Outcome{test.id, Verdict::no_firewall, 0});
  const auto tested = parts_.firewall->selftest();
  if (tested) return tell(Outcome{test.id, Verdict::ok, 0});
  if (tested.error().code == kNotReadBack) return tell(Outcome{test.id, Verdict::not_read_back, 0});
  tell(Outcome{test.id, Verdict::kernel_refused, tested.error().code});
}

void Enforcer::load_table() {
  loading_ = true;
  // What is reported from here until nft has ended is mostly our own doing: read it then, and
  // count.
  parts_.loop.unwatch(parts_.table_events);
  last_load_ = Clock::now();
  loaded_rules_ = rules_;  // the launcher knew them before we did
  // With traps, or without them, another table: the monitor is to know.
  if (std::exchange(loaded_traps_, traps_) != traps_) rules_only_ = false;
  ask(LauncherOp::load_ruleset);
}

void Enforcer::table_loaded(bool ok, std::int32_t code) {
  loading_ = false;
  if (!wants_table()) return tell_followed();  // a reload has changed its mind meanwhile
  watch_table();
  if (ok) {
    table_backoff_ = Backoff();
    // Loading ruleset.nft is exactly one transaction; a second one was somebody else's.
    const bool touched_meanwhile = look_at_table(1);
    const bool rules_only = std::exchange(rules_only_, false) && table_made_ && !touched_meanwhile;
    // Who was held by traps of an earlier run is not judged by this one.
    const bool first = !std::exchange(table_made_, true);
    if (first && loaded_traps_) stop_traps();
    // Disarmed and armed anew while nft ran: one restoring at a time (load_table_after()).
    if (!rules_only && phase_ == Phase::restoring) return load_table_after(kTableInterval);
    if (!rules_only) announce_table();
    write_exempt(!rules_only);
    if (touched_meanwhile) load_table_after(kTableInterval);
    if (loaded_rules_ != rules_) load_rules_soon();
    return tell_followed();
  }
  rules_only_ = false;
  if (!announced_ && backend_ == Backend::command) {
    // Bans do not need it.
    complain("warning: nobody is held before a ban: nft could not make the table (status " +
             std::to_string(code) + ")");
    traps_ = loaded_traps_ = false;
    return announce_table();
  }
  if (!announced_)
    fatal("nft could not make the table inet portsentry (status " + std::to_string(code) + ")");
  tell(TableLost{code});
  load_table_after(table_backoff_.next({}));
}

void Enforcer::load_table_after(Clock::duration wait) {
  if (loading_ || retry_set_) return;
  retry_set_ = true;
  parts_.loop.after(wait, [this] {
    retry_set_ = false;
    if (!wants_table()) return tell_followed();
    // One restoring at a time: the RestoreDone of the first must not end the window of a second.
    if (phase_ == Phase::restoring) return load_table_after(kTableInterval);
    load_table();
  });
}

void Enforcer::announce_table() {
  const bool again = std::exchange(announced_, true);
  phase_ = Phase::restoring;
  restored_ = 0;
  one_by_one_ = false;
  restore_deadline_ = parts_.loop.after(kRestoreWindow, [] {
    fatal("the monitor did not finish restoring within a minute: stopping");
  });
  tell(TableCreated{.backend = backend_, .again = again, .traps = has_traps()});
  if (std::exchange(adopt_, false) && backend_ == Backend::nftables) adopt_what_holds();
  tell(AdoptedDone{});
}

void Enforcer::adopt_what_holds() {
  const auto held = parts_.firewall->list();
  if (!held) fatal("the bans of an earlier run cannot be listed: " + held.error().what);
  for (const Held& ban : *held)
    tell(Adopted{ban.source, std::min<std::chrono::seconds>(ban.remaining, kMaxBan)});
}

void Enforcer::announce_when_restored() {
  if (phase_ != Phase::restoring) return announce_table();
  if (std::exchange(announce_set_, true)) return;
  parts_.loop.after(kTableInterval, [this] {
    announce_set_ = false;
    if (backend_ != Backend::nftables) announce_when_restored();
  });
}

// What held by the old backend holds on: the monitor, told that there is a new one, restores its
// bans there. Disarming leaves what exists to its timeouts.
void Enforcer::follow_configuration() {
  const Backend backend = armed_ ? configured_ : Backend::none;
  const bool other_rules = loaded_rules_ != rules_;
  if (backend == backend_) {
    if (wants_table()) {
      if (other_rules) load_rules_soon();
    } else if (backend_ != Backend::nftables && other_rules && loaded_traps_) {
      // The table was for traps, which there are no more.
      leave_table();
      announce_when_restored();
    }
    return;
  }
  backend_ = backend;
  adopt_ = true;
  rules_only_ = false;
  if (wants_table()) {
    if (backend_ == Backend::none) stop_holds();
    if (backend_ == Backend::none && !other_rules) return announce_when_restored();
    // What happened while nobody watched is not news.
    static_cast<void>(parts_.table_touched(0));
    return load_table_soon();
  }
  leave_table();
  if (backend_ != Backend::nftables) return announce_when_restored();
  tell(TableLost{EPROTONOSUPPORT});
}

void Enforcer::leave_table() {
  if (loaded_traps_) stop_traps();
  loaded_traps_ = false;
  loaded_rules_ = 0;
  if (parts_.table_events >= 0) parts_.loop.unwatch(parts_.table_events);
}

// Other rules for the same sets: these stay as they are, so nothing is announced.
void Enforcer::load_rules_soon() {
  if (loading_) return;  // table_loaded() comes back to it
  // One that is due already, for whatever else, does this too.
  if (!retry_set_) rules_only_ = true;
  load_table_soon();
}

// A monitor that arms and disarms in a loop does not make us run nft in a tight one either.
void Enforcer::load_table_soon() {
  const auto quiet_for = Clock::now() - last_load_;
  load_table_after(quiet_for >= kTableInterval ? Clock::duration{} : kTableInterval - quiet_for);
}

void Enforcer::watch_table() {
  if (parts_.table_events < 0) return;
  parts_.loop.watch(parts_.table_events, [this](short) {
    if (!look_at_table(0)) return;
    rules_only_ = false;
    load_table_soon();
  });
}

// True when the table must be made again. A single ban that was ended by hand is left ended.
bool Enforcer::look_at_table(unsigned expected) {
  if (parts_.table_touched(expected)) return true;
  for (const Source& source : parts_.lifted())
    tell(Lifted{source});
  return false;
}

}  // namespace portsentry::enforcer
