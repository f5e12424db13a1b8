#include "enforcer/enforcer.h"

#include <cerrno>
#include <utility>
#include <vector>

#include "common/log.h"
#include "enforcer/guard.h"

namespace portsentry::enforcer {

// A hostile monitor gains by this: bans of sources that the guard lets through, at the budget's
// rate. By `keep_sessions`: that the connections which a source has to LOGIN_PORTS at this moment,
// kMaxSessions at most, outlive its ban, which it could also not have asked for.
void Enforcer::handle(const Ban& ban) {
  if (!budget_.spend(Clock::now())) return tell(Outcome{ban.id, Verdict::over_budget, 0});
  place(ban.id, ban.source, ban.duration, LauncherCommand::kill_route, ban.cause,
        ban.keep_sessions);
}

// By this: to end any ban in our own sets, or one that a command of the owner's made, which it may
// (it owns them). Also while nothing is armed: what was banned before can be let go.
void Enforcer::handle(const Unban& unban) {
  const bool by_command = configured_ == Backend::command || routed_.contains(unban.source);
  const bool natively = parts_.firewall != nullptr &&
                        (backend_ == Backend::nftables ||
                         (backend_ == Backend::none && parts_.firewall->table_exists()));
  if (natively) {
    const auto done = parts_.firewall->unban(unban.source);
    if (!done) return tell(Outcome{unban.id, Verdict::kernel_refused, done.error().code});
    // Its ban may be younger than the hold that came before it.
    if (has_traps()) static_cast<void>(parts_.firewall->release(unban.source));
    if (!by_command) return tell(Outcome{unban.id, Verdict::ok, 0});
  } else if (parts_.firewall != nullptr && has_traps()) {
    static_cast<void>(parts_.firewall->release(unban.source));
  }
  // Also where a reload has changed the backend since: who made it ends it.
  if (by_command) return undo_route(unban.id, unban.source);
  tell(Outcome{unban.id, Verdict::no_firewall, 0});
}

// By this: what Ban gives, faster, for a minute after each new table, up to the sets' size.
void Enforcer::handle(const Restore& restore) {
  if (++restored_ > kRestoreLimit)
    fatal("the monitor restored more than the sets can hold: stopping");
  const bool alone = backend_ != Backend::nftables || parts_.firewall == nullptr || one_by_one_ ||
                     restore.keep_sessions || routed_.contains(restore.source);
  if (!alone) {
    gathered_.push_back(restore);
    if (gathered_.size() == kMaxRestored) restore_gathered();
    return;
  }
  restore_gathered();
  place(restore.id, restore.source, restore.remaining, LauncherCommand::restore_route, std::nullopt,
        restore.keep_sessions);
}

// What has come together goes to the kernel together: a million one by one would take half a minute.
// Each is judged as if it had come alone.
void Enforcer::restore_gathered() {
  if (gathered_.empty()) return;
  const std::vector<Restore> all = std::exchange(gathered_, {});
  std::vector<Held> bans;
  std::vector<Verdict> verdicts;
  for (const Restore& restore : all) {
    verdicts.push_back(judged(restore.source, restore.remaining));
    if (verdicts.back() == Verdict::ok) bans.push_back({restore.source, restore.remaining});
  }
  const bool together = parts_.firewall->restore_all(bans).has_value();
  // Some hold already, most likely, and so do others; a transaction that fails costs 20 ms.
  if (!together) one_by_one_ = true;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Restore& restore = all[i];
    if (!together && verdicts[i] == Verdict::ok) {
      place(restore.id, restore.source, restore.remaining, LauncherCommand::restore_route,
            std::nullopt, false);
    } else {
      tell(Outcome{restore.id, verdicts[i], 0});
    }
  }
}

Verdict Enforcer::judged(const Source& source, std::chrono::seconds duration) const {
  const Verdict verdict = judge(source, duration, parts_.view(), networks_);
  // The monitor goes by the new PROTECT_NETWORKS already, which the launcher is about to tell: no ban
  // yet, and not a no for good.
  const bool about_to_know = offer_ == Offer::committing;
  return verdict == Verdict::protected_network && about_to_know ? Verdict::view_unknown : verdict;
}

void Enforcer::place(std::uint64_t id, const Source& source, std::chrono::seconds duration,
                     LauncherCommand command, const std::optional<BanCause>& cause,
                     bool keep_sessions) {
  const bool can =
      backend_ == Backend::command || (backend_ == Backend::nftables && parts_.firewall != nullptr);
  if (!can) return tell(Outcome{id, Verdict::no_firewall, 0});
  const Verdict verdict = judged(source, duration);
  if (verdict != Verdict::ok) return tell(Outcome{id, verdict, 0});
  if (backend_ == Backend::command) return run_route(id, command, source, cause);
  const auto done =
      ban_natively(source, duration, command == LauncherCommand::restore_route, keep_sessions);
  if (done) {
    tell(Outcome{id, Verdict::ok, 0});
  } else if (done.error().code == kNotReadBack) {
    tell(Outcome{id, Verdict::not_read_back, 0});
  } else {
    tell(Outcome{id, Verdict::kernel_refused, done.error().code});
  }
  // The ban has taken the place of what may have held its source, and is to end alone.
  if (done && cause && has_traps()) static_cast<void>(parts_.firewall->release(source));
  // It moved here with a reload: the command's rule goes, now that the kernel holds it.
  if (done && routed_.contains(source) && has_room_for_a_run()) undo_route(0, source);
}

Result<void> Enforcer::ban_natively(const Source& source, std::chrono::seconds duration,
                                    bool restoring, bool keep_sessions) {
  std::vector<Session> sessions;
  // With BAN_SCOPE="all" no rule would look at them.
  if (keep_sessions && scope_ == BanScope::inbound) {
    // Whose sessions cannot be told is not cut off blindly: no ban, and the monitor hears why.
    if (!parts_.sessions) return Error::from_errno("list connections", EOPNOTSUPP);
    auto listed = parts_.sessions(source, login_ports_);
    if (!listed) return listed.error();
    sessions = std::move(*listed);
  }
  if (restoring) return parts_.firewall->restore(source, duration, sessions);
  return parts_.firewall->ban(source, duration, sessions);
}

}  // namespace portsentry::enforcer
