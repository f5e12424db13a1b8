// Holds: root's part in what the traps do (trap_rules.h). They tell of probes while bans are wanted, and
// hold their sources when the monitor has said whom to spare: the kernel is told so once a minute, and
// forgets it in three.
#include <algorithm>
#include <utility>

#include "common/log.h"
#include "enforcer/enforcer.h"

namespace portsentry::enforcer {
namespace {

constexpr std::chrono::seconds kTrapsLast{180};
// By itself; the monitor's look at the sets, once a minute, does it before (enforcer_audit.cc).
constexpr std::chrono::seconds kRenewTraps{75};
// Routes and addresses may come in thousands a second.
constexpr std::chrono::seconds kExemptInterval{1};

}  // namespace

// By this a hostile monitor has nobody held, as it could by never answering a probe with a ban; and it
// makes us write at most kMaxExemptWritten networks, once a second.
void Enforcer::handle(const Exempt& exempt) {
  if (exempt_coming_.size() + exempt.networks.size() > kMaxExemptAll) out_of_turn("Exempt");
  exempt_coming_.insert(exempt_coming_.end(), exempt.networks.begin(), exempt.networks.end());
  if (exempt.more) return;
  exempt_told_ = std::exchange(exempt_coming_, {});
  write_exempt_soon();
}

// By this: what waiting ten seconds does too.
void Enforcer::handle(const Release& release) {
  if (!has_traps()) return tell(Outcome{release.id, Verdict::no_firewall, 0});
  const auto released = parts_.firewall->release(release.source);
  if (released) return tell(Outcome{release.id, Verdict::ok, 0});
  tell(Outcome{release.id, Verdict::kernel_refused, std::max(released.error().code, 0)});
}

// With KILL_ROUTE as well, for the sake of its traps. While nobody is to be banned no table is made for
// them; but where there is one they go on to tell, and no sensor has to be started anew.
bool Enforcer::wants_table() const {
  if (parts_.firewall == nullptr) return false;
  switch (backend_) {
    case Backend::nftables:
      return true;
    case Backend::command:
      return traps_;
    case Backend::none:
      return traps_ && table_made_ && loaded_traps_;
  }
  return false;
}

bool Enforcer::has_traps() const {
  return loaded_traps_ && table_made_ && wants_table();
}

void Enforcer::local_view_changed() {
  if (exempt_told_) write_exempt_soon();
}

void Enforcer::write_exempt_soon() {
  if (exempt_due_) return;
  const auto quiet_for = Clock::now() - exempt_written_;
  if (quiet_for >= kExemptInterval) return write_exempt(false);
  exempt_due_ = true;
  parts_.loop.after(kExemptInterval - quiet_for, [this] {
    exempt_due_ = false;
    write_exempt(false);
  });
}

// `table_is_new`: nothing of what was written may be there any more.
void Enforcer::write_exempt(bool table_is_new) {
  if (!has_traps()) return;
  if (table_is_new) exempt_in_force_.reset();
  // Who observes holds nobody.
  if (exempt_told_ && backend_ != Backend::none) exempt();
  keep_traps();
}

void Enforcer::exempt() {
  const LocalView* view = parts_.view();
  // Whoever does not know this host holds nobody.
  if (view == nullptr) return stop_holds();
  exempt_written_ = Clock::now();
  ExemptLists lists = exempt_lists(*view, networks_, *exempt_told_);
  if (exempt_in_force_ == lists) return;
  if (lists.cut && !std::exchange(told_of_cut_, true))
    complain("warning: more networks to spare than the kernel's traps are told of: nobody is held");
  if (lists.cut) return stop_holds();
  if (const auto written = parts_.firewall->exempt(lists.networks, lists.on_link); !written) {
    complain("warning: nobody is held before a ban: " + written.error().what);
    return stop_holds();
  }
  exempt_in_force_ = std::move(lists);
}

void Enforcer::keep_traps() {
  if (renewal_) parts_.loop.cancel(*renewal_);
  if (const auto kept = parts_.firewall->keep_traps(kTrapsLast, exempt_in_force_.has_value());
      !kept)
    complain("warning: the kernel's traps cannot be kept: " + kept.error().what);
  renewal_ = parts_.loop.after(kRenewTraps, [this] {
    renewal_.reset();
    // Some news of this host is read beside the loop, by who judges a ban.
    write_exempt(false);
  });
}

void Enforcer::stop_holds() {
  exempt_in_force_.reset();
  static_cast<void>(parts_.firewall->stop_holds());
}

// Where the table is gone there is nothing to stop.
void Enforcer::stop_traps() {
  if (renewal_) parts_.loop.cancel(*renewal_);
  renewal_.reset();
  exempt_in_force_.reset();
  if (parts_.firewall != nullptr && table_made_) static_cast<void>(parts_.firewall->stop_traps());
}

}  // namespace portsentry::enforcer
