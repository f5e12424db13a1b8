// What outlives this process: bans that a command made, which exist nowhere else, and those with a
// line in hosts.deny, which somebody must take back. The kernel remembers its own.
#include <algorithm>

#include "monitor/monitor.h"

namespace portsentry::monitor {

void Monitor::remember(const Source& source, const Bans::Ban& ban, Now now) {
  const bool by_command = ban.by == Backend::command;
  if (!by_command && setup_.config.kill_hosts_deny.empty()) return forget(source);
  remember(source, ban, by_command ? BanBackend::command : BanBackend::nftables, now);
}

// On the disk before the command can run: a rule that outlives everybody who knew of it would never
// be undone, and stand twice once the source scans again.
void Monitor::remember_asked(const MonitorToEnforcer& message, Now now) {
  if (backend_ != Backend::command) return;
  const auto* ban = std::get_if<portsentry::Ban>(&message);
  const auto* restore = std::get_if<Restore>(&message);
  if (ban == nullptr && restore == nullptr) return;
  const Source& source = ban != nullptr ? ban->source : restore->source;
  if (const Bans::Ban* known = bans_.find(source)) remember(source, *known, BanBackend::asked, now);
}

void Monitor::remember(const Source& source, const Bans::Ban& ban, BanBackend by, Now now) {
  const bool endless = ban.until == Clock::time_point::max();
  const auto left = std::chrono::ceil<std::chrono::seconds>(ban.until - now.steady);
  const std::time_t since = std::max<std::time_t>(ban.since, 0);
  effects_.note(PutBan{
      {.source = source,
       .address = ban.address,
       .cause = ban.cause,
       .backend = by,
       .since = since,
       .until = endless ? std::nullopt
                        : std::optional(std::max<std::time_t>(since, now.wall + left.count())),
       .offences = 1}});
}

// Until it holds. A command that was killed may have made it.
void Monitor::not_made(const Bans::Answer& answer, Verdict verdict, Now now) {
  if (verdict == Verdict::command_killed || verdict == Verdict::command_timed_out) return;
  if (answer.ban.wrapped) return remember_line(answer.source, now);
  if (answer.was_restore || answer.ban.sent_to == Backend::command) forget(answer.source);
}

// All that is left, or that there ever was, is a line in hosts.deny, to be taken back: like that of a
// ban which the kernel has ended.
void Monitor::remember_line(const Source& source, Now now) {
  const Bans::Ban line{.address = source.prefix().address(),
                       .cause = {Protocol::tcp, *Port::make(1)},
                       .until = now.steady,
                       .since = now.wall};
  remember(source, line, BanBackend::nftables, now);
}

void Monitor::forget(const Source& source) {
  effects_.note(EraseBan{source});
}

void Monitor::on_committed(std::uint64_t /*sequence*/, Now /*now*/) {}

// At the start, after the kernel has told what it holds.
void Monitor::recall(Now now) {
  std::size_t left_behind = 0;
  for (const StoredBan& stored : setup_.remembered.bans) {
    const Source& source = stored.source;
    const BanCause& cause = stored.cause;
    if (stored.backend == BanBackend::nftables) {
      if (bans_.find(source) != nullptr) {
        bans_.describe(source, stored.address, cause, stored.since);
        bans_.wrapped(source);
      } else {  // it ended while nobody was there to take its line back
        ban_over(source, false, true, now);
      }
      continue;
    }
    if (backend_ == Backend::none) continue;  // nothing can be undone now; perhaps the next time
    // What a command did before a boot is gone. Where nftables bans now, it takes over, and the
    // command's rule, whose undo root may not know any more, is told.
    // What was asked for and not heard of is made again, which undoes first; or undone.
    const bool unheard =
        stored.backend == BanBackend::asked && (!stored.until || *stored.until > now.wall);
    const bool again = setup_.new_boot || backend_ != Backend::command || unheard;
    if (!setup_.new_boot && backend_ != Backend::command) left_behind += 1;
    const auto left =
        stored.until ? std::optional(std::chrono::seconds(*stored.until - now.wall)) : std::nullopt;
    const Bans::Remembered ban{source, stored.address, cause, stored.since, left};
    if (!bans_.recall(ban, again, now)) {
      ban_over(source, false, !setup_.config.kill_hosts_deny.empty(), now);
      continue;
    }
    if (!setup_.config.kill_hosts_deny.empty()) bans_.wrapped(source);
    if (again) continue;
    const bool holds_on = !left || *left > std::chrono::seconds(0);
    if (!lift_where_protected(source, now) && holds_on) adopted_ += 1;
  }
  setup_.remembered.bans.clear();
  if (left_behind > 0) {
    say(lines_.error("KILL_ROUTE of an earlier run is in force for " + std::to_string(left_behind) +
                     (left_behind == 1 ? " source" : " sources") +
                     ", and FIREWALL does not use it now: that stays until it is undone by hand"));
  }
  if (bans_.being_restored() > 0) {
    restoring_ = Restoring{.why = Restoring::Why::start};
  } else {
    effects_.note(BootRestored{});
  }
}

}  // namespace portsentry::monitor
