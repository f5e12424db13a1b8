// Holds: root's part in what the traps do (trap_rules.h). They work while bans are wanted, the monitor
// has said whom to spare, and both are there: the kernel is told so once a minute, and forgets it in three.
#include <algorithm>
#include <utility>

#include "common/log.h"
#include "enforcer/enforcer.h"

namespace portsentry::enforcer {
namespace {

constexpr std::chrono::seconds kTrapsLast{180};
constexpr std::chrono::seconds kRenewTraps{60};
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

bool Enforcer::has_traps() const {
  return loaded_traps_ && table_made_ && backend_ == Backend::nftables &&
         parts_.firewall != nullptr;
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
  if (!has_traps() || !exempt_told_) return;
  const LocalView* view = parts_.view();
  // Whoever does not know this host holds nobody.
  if (view == nullptr) return stop_traps();
  exempt_written_ = Clock::now();
  ExemptLists lists = exempt_lists(*view, networks_, *exempt_told_);
  if (!table_is_new && exempt_in_force_ == lists) return keep_traps();
  exempt_in_force_.reset();
  if (const auto written = parts_.firewall->exempt(lists.networks, lists.on_link); !written) {
    complain("warning: nobody is held before a ban: " + written.error().what);
    return stop_traps();
  }
  exempt_in_force_ = std::move(lists);
  keep_traps();
}

void Enforcer::keep_traps() {
  if (renewal_) parts_.loop.cancel(*renewal_);
  renewal_.reset();
  if (!has_traps() || !exempt_in_force_) return;
  if (const auto kept = parts_.firewall->keep_traps(kTrapsLast); !kept)
    complain("warning: nobody is held before a ban: " + kept.error().what);
  renewal_ = parts_.loop.after(kRenewTraps, [this] {
    renewal_.reset();
    // Some news of this host is read beside the loop, by who judges a ban.
    write_exempt(false);
  });
}

// Where the table is gone there is nothing to stop.
void Enforcer::stop_traps() {
  if (renewal_) parts_.loop.cancel(*renewal_);
  renewal_.reset();
  exempt_in_force_.reset();
  if (parts_.firewall != nullptr && table_made_) static_cast<void>(parts_.firewall->stop_traps());
}

}  // namespace portsentry::enforcer
