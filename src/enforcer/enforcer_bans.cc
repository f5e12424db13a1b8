#include "enforcer/enforcer.h"

#include <string>

#include "common/log.h"
#include "enforcer/guard.h"

namespace portsentry::enforcer {

// A hostile monitor gains by this: bans of sources that the guard lets through, at the budget's
// rate.
void Enforcer::handle(const Ban& ban) {
  if (!budget_.spend(Clock::now())) return tell(Outcome{ban.id, Verdict::over_budget, 0});
  place(ban.id, ban.source, ban.duration, LauncherCommand::kill_route, ban.cause);
}

// By this: to end any ban in our own sets, or one that a command of the owner's made, which it may
// (it owns them).
void Enforcer::handle(const Unban& unban) {
  if (backend_ == Backend::nftables && parts_.firewall != nullptr) {
    const auto done = parts_.firewall->unban(unban.source);
    if (!done) return tell(Outcome{unban.id, Verdict::kernel_refused, done.error().code});
    if (!routed_.contains(unban.source)) return tell(Outcome{unban.id, Verdict::ok, 0});
  }
  // Also where a reload has changed the backend since: who made it ends it.
  if (backend_ == Backend::command || routed_.contains(unban.source))
    return undo_route(unban.id, unban.source);
  tell(Outcome{unban.id, Verdict::no_firewall, 0});
}

// By this: what Ban gives, faster, for a minute after each new table, up to the sets' size.
void Enforcer::handle(const Restore& restore) {
  if (++restored_ > kRestoreLimit)
    fatal("the monitor restored more than the sets can hold: stopping");
  place(restore.id, restore.source, restore.remaining, LauncherCommand::restore_route,
        std::nullopt);
}

void Enforcer::place(std::uint64_t id, const Source& source, std::chrono::seconds duration,
                     LauncherCommand command, const std::optional<BanCause>& cause) {
  const bool can =
      backend_ == Backend::command || (backend_ == Backend::nftables && parts_.firewall != nullptr);
  if (!can) return tell(Outcome{id, Verdict::no_firewall, 0});
  const Verdict verdict = judge(source, duration, parts_.view());
  if (verdict != Verdict::ok) return tell(Outcome{id, verdict, 0});
  if (backend_ == Backend::command) return run_route(id, command, source, cause);
  const auto done = parts_.firewall->ban(source, duration);
  tell(done ? Outcome{id, Verdict::ok, 0}
            : Outcome{id, Verdict::kernel_refused, done.error().code});
  // It moved here with a reload: the command's rule goes, now that the kernel holds it.
  if (done && routed_.contains(source) && has_room_for_a_run()) undo_route(0, source);
}

}  // namespace portsentry::enforcer
