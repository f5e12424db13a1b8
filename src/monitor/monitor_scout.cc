// Channel S: whom the scout has found that must not be banned, and what follows from it.
#include <utility>
#include <vector>

#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// Reading a few files takes milliseconds; who needs longer is not going to.
constexpr std::chrono::seconds kScoutPatience{5};

}  // namespace

bool Monitor::on(const ScoutChannel&, Now) {
  scout_there_ = true;
  scout_spoke_ = false;
  return true;
}

// What it told last stays true, until the next one has looked.
bool Monitor::on(const ScoutLost&, Now) {
  scouted_.lost();
  scout_restarts_ += std::exchange(scout_there_, false) ? 1 : 0;
  say(lines_.scout_lost(scouted_.known()));
  return true;
}

bool Monitor::on_scout(const ScoutToMonitor& message, Now now) {
  scout_spoke_ = true;
  switch (scouted_.hear(message, now)) {
    case Scouted::Heard::wrong:
      return false;
    case Scouted::Heard::more:
      break;
    case Scouted::Heard::same:
      scout_told(now);
      break;
    case Scouted::Heard::changed:
      scout_told(now);
      // Whom it names, and not everybody who is banned: a captured scout could change its mind so
      // often that nothing else was done.
      scouted_.each([&](const Scouted::Entry& entry) {
        for (const bool exact : {true, false})
          lift_where_protected(Source::of(entry.address, exact), now);
      });
      break;
  }
  pump(now);
  return true;
}

void Monitor::scout_broken(std::string_view what, Now) {
  scouted_.lost();
  say(lines_.scout_broken(what));
}

// A snapshot is complete.
void Monitor::scout_told(Now now) {
  if (scout_overdue_.told) say(lines_.notice("the scout has told whom not to ban; bans are made"));
  scout_overdue_ = {};
  // Once for as long as it lasts.
  if (scouted_.files() == 0 && !std::exchange(told_nothing_to_read_, true))
    say(lines_.nothing_to_scout());
  if (scouted_.files() > 0) told_nothing_to_read_ = false;
  tell_exempt(now);
  announce_when_ready(now);
}

// From when on the first snapshot is due.
void Monitor::await_scout(Now now) {
  if (!scouted_.known()) scout_overdue_.at = now.steady + kScoutPatience;
}

void Monitor::scout_tick(Now now) {
  const auto due = scouted_.next_due();
  scouted_.expire(now);
  if (due && *due <= now.steady) tell_exempt(now);
  if (!scout_overdue_.at || *scout_overdue_.at > now.steady) return;
  // Root starts it once everything that held is put back.
  if (bans_.being_restored() > 0 && backend_ != Backend::none) {
    scout_overdue_.at = now.steady + kScoutPatience;
    return;
  }
  scout_overdue_ = {.at = std::nullopt, .told = true};
  say(lines_.scout_overdue());
  announce_when_ready(now);
}

std::optional<Clock::time_point> Monitor::scout_due() const {
  const auto ended = scouted_.next_due();
  if (!ended || !scout_overdue_.at) return ended ? ended : scout_overdue_.at;
  return std::min(*ended, *scout_overdue_.at);
}

Shield Monitor::shield() const {
  return {.local = setup_.local,
          .scouted = scouted_,
          .networks = setup_.config.protect_networks,
          .sessions = setup_.config.protect_sessions};
}

// A ban of somebody who has logged in, which only PROTECT_SESSIONS="0" allows, leaves them that
// session.
MonitorToEnforcer Monitor::with_sessions(MonitorToEnforcer message) const {
  const auto keep = [&](const Source& source) { return scouted_.session_inside(source.prefix()); };
  if (auto* ban = std::get_if<portsentry::Ban>(&message)) ban->keep_sessions = keep(ban->source);
  if (auto* restore = std::get_if<Restore>(&message))
    restore->keep_sessions = keep(restore->source);
  return message;
}

std::vector<ProtectedEntry> Monitor::protected_entries(Now now) const {
  return monitor::protected_entries(shield(), now);
}

std::optional<ProtectedEntry> Monitor::protection_of(const Prefix& prefix, Now now) const {
  return protection_inside(prefix, shield(), now);
}

}  // namespace portsentry::monitor
