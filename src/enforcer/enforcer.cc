#include "enforcer/enforcer.h"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "common/log.h"
#include "common/wire.h"
#include "enforcer/guard.h"

namespace portsentry::enforcer {
namespace {

constexpr std::chrono::milliseconds kFirstWait{100};
constexpr std::chrono::milliseconds kLongestWait{30'000};
constexpr std::chrono::seconds kLongLife{60};

// Somebody who removes our table in a loop does not make us run nft in a tight one.
constexpr std::chrono::milliseconds kTableInterval{100};

// How long the monitor may leave its channel full. It reads before it writes, so this is a stuck
// one.
constexpr int kStuckMilliseconds = 5000;

// How many of its messages are handled before launcher, timers and the kernel get their turn. Few:
// the kernel can take 15 ms to replace one ban.
constexpr int kBurst = 8;

}  // namespace

std::chrono::milliseconds Backoff::next(Clock::duration lived) {
  wait_ = wait_.count() == 0 || lived >= kLongLife ? kFirstWait : std::min(wait_ * 2, kLongestWait);
  return wait_;
}

// ---- channel A ----------------------------------------------------------------------------------

void Enforcer::on_monitor() {
  for (int i = 0; i < kBurst; ++i) {
    const auto received = parts_.monitor.receive();
    switch (received.got) {
      case Channel::Got::nothing:
        return;
      // The launcher sees the monitor's end and stops everything; there is nothing left to listen
      // to.
      case Channel::Got::closed:
        return parts_.loop.stop(kExitOk);
      case Channel::Got::malformed:
        fatal("the monitor sent a malformed message: stopping");
      case Channel::Got::message:
        break;
    }
    const auto message = decode_monitor_to_enforcer(received.bytes, received.fd ? 1 : 0);
    if (!message) fatal("the monitor sent an invalid message: stopping");
    if (!legal(*message, phase_)) {
      fatal("the monitor sent " + std::string(row_of(*message).verb) + " out of turn: stopping");
    }
    std::visit([this](const auto& m) { handle(m); }, *message);
  }
}

void Enforcer::handle(const Accept&) {
  phase_ = Phase::preparing;
  if (parts_.firewall == nullptr) {
    announce_table();
  } else {
    load_table();
  }
}

// A hostile monitor gains by this: bans of sources that the guard lets through, at the budget's
// rate.
void Enforcer::handle(const Ban& ban) {
  if (!budget_.spend(Clock::now())) return tell(Outcome{ban.id, Verdict::over_budget, 0});
  tell(place(ban.id, ban.source, ban.duration));
}

// By this: to end any ban in our own sets, which it may (it owns them).
void Enforcer::handle(const Unban& unban) {
  if (parts_.firewall == nullptr) return tell(Outcome{unban.id, Verdict::no_firewall, 0});
  const auto done = parts_.firewall->unban(unban.source);
  tell(done ? Outcome{unban.id, Verdict::ok, 0}
            : Outcome{unban.id, Verdict::kernel_refused, done.error().code});
}

// By this: what Ban gives, faster, for a minute after each new table, up to the sets' size.
void Enforcer::handle(const Restore& restore) {
  if (++restored_ > kRestoreLimit)
    fatal("the monitor restored more than the sets can hold: stopping");
  tell(place(restore.id, restore.source, restore.remaining));
}

void Enforcer::handle(const RestoreDone&) {
  if (restore_deadline_) parts_.loop.cancel(*restore_deadline_);
  restore_deadline_.reset();
  phase_ = Phase::serving;
  if (sensor_since_ == Clock::time_point{}) start_sensor();
}

// By this: to restart the sensor, which it could also ignore. Once per sensor: how often the
// launcher is asked is not for the monitor to say.
void Enforcer::handle(const DropSensor&) {
  if (std::exchange(sensor_runs_, false)) ask(LauncherOp::kill_sensor);
}

void Enforcer::handle(const RunCommand& run) {
  tell(Outcome{run.id, Verdict::no_command, 0});
}

// By this: to have the start told as done too early, once.
void Enforcer::handle(const Ready&) {
  if (std::exchange(ready_, true)) fatal("the monitor sent Ready out of turn: stopping");
  ask(LauncherOp::ready);
}

// Nothing has been offered.
void Enforcer::handle(const ReloadAccept&) {
  fatal("the monitor sent ReloadAccept out of turn: stopping");
}
void Enforcer::handle(const ReloadRefuse&) {
  fatal("the monitor sent ReloadRefuse out of turn: stopping");
}
void Enforcer::handle(const ReloadCommit&) {
  fatal("the monitor sent ReloadCommit out of turn: stopping");
}
void Enforcer::handle(const ReloadAbandon&) {
  fatal("the monitor sent ReloadAbandon out of turn: stopping");
}

Outcome Enforcer::place(std::uint64_t id, const Source& source, std::chrono::seconds duration) {
  if (parts_.firewall == nullptr) return {id, Verdict::no_firewall, 0};
  const Verdict verdict = judge(source, duration, parts_.view());
  if (verdict != Verdict::ok) return {id, verdict, 0};
  const auto done = parts_.firewall->ban(source, duration);
  if (!done) return {id, Verdict::kernel_refused, done.error().code};
  return {id, Verdict::ok, 0};
}

void Enforcer::tell(const EnforcerToMonitor& message, int passed) {
  const auto bytes = encode(message);
  for (;;) {
    switch (parts_.monitor.send(bytes, passed)) {
      case Channel::Sent::ok:
        return;
      case Channel::Sent::closed:
        return parts_.loop.stop(kExitOk);
      case Channel::Sent::full:
        break;
    }
    pollfd polled{parts_.monitor.fd(), POLLOUT, 0};
    if (poll(&polled, 1, kStuckMilliseconds) == 0) fatal("the monitor does not read: stopping");
  }
}

// ---- the table ----------------------------------------------------------------------------------

void Enforcer::load_table() {
  loading_ = true;
  // What is reported from here until nft has ended is mostly our own doing: read it then, and
  // count.
  parts_.loop.unwatch(parts_.table_events);
  last_load_ = Clock::now();
  ask(LauncherOp::load_ruleset);
}

void Enforcer::table_loaded(bool ok, std::int32_t code) {
  loading_ = false;
  watch_table();
  if (ok) {
    table_backoff_ = Backoff();
    // Loading ruleset.nft is exactly one transaction; a second one was somebody else's.
    const bool touched_meanwhile = look_at_table(1);
    announce_table();
    if (touched_meanwhile) load_table_after(kTableInterval);
    return;
  }
  if (!made_once_)
    fatal("nft could not make the table inet portsentry (status " + std::to_string(code) + ")");
  tell(TableLost{code});
  load_table_after(table_backoff_.next({}));
}

void Enforcer::load_table_after(Clock::duration wait) {
  if (loading_ || retry_set_) return;
  retry_set_ = true;
  parts_.loop.after(wait, [this] {
    retry_set_ = false;
    // One restoring at a time: the RestoreDone of the first must not end the window of a second.
    if (phase_ == Phase::restoring) return load_table_after(kTableInterval);
    load_table();
  });
}

void Enforcer::announce_table() {
  const bool again = made_once_;
  made_once_ = true;
  phase_ = Phase::restoring;
  restored_ = 0;
  restore_deadline_ = parts_.loop.after(kRestoreWindow, [] {
    fatal("the monitor did not finish restoring within a minute: stopping");
  });
  tell(TableCreated{.backend = parts_.firewall != nullptr ? Backend::nftables : Backend::none,
                    .again = again});
  if (!again && parts_.firewall != nullptr) {
    const auto held = parts_.firewall->list();
    if (!held) fatal("the bans of an earlier run cannot be listed: " + held.error().what);
    for (const Held& ban : *held)
      tell(Adopted{ban.source, std::min<std::chrono::seconds>(ban.remaining, kMaxBan)});
  }
  tell(AdoptedDone{});
}

void Enforcer::watch_table() {
  if (parts_.table_events < 0) return;
  parts_.loop.watch(parts_.table_events, [this](short) {
    if (!look_at_table(0)) return;
    const auto quiet_for = Clock::now() - last_load_;
    load_table_after(quiet_for >= kTableInterval ? Clock::duration{} : kTableInterval - quiet_for);
  });
}

// True when the table must be made again. A single ban that was ended by hand is left ended.
bool Enforcer::look_at_table(unsigned expected) {
  if (parts_.table_touched(expected)) return true;
  for (const Source& source : parts_.lifted())
    tell(Lifted{source});
  return false;
}

// ---- the launcher -------------------------------------------------------------------------------

void Enforcer::ask(LauncherOp op) {
  LauncherRequest request{};
  request.op = op;
  if (parts_.launcher.send(std::as_bytes(std::span(&request, 1))) != Channel::Sent::ok) {
    fatal("the launcher does not listen: stopping");
  }
}

void Enforcer::on_launcher() {
  for (;;) {
    const auto received = parts_.launcher.receive();
    if (received.got == Channel::Got::nothing) return;
    if (received.got == Channel::Got::closed) return parts_.loop.stop(kExitOk);
    LauncherEvent event{};
    if (received.got != Channel::Got::message || received.bytes.size() != sizeof(event)) {
      fatal("the launcher sent a malformed event: stopping");
    }
    std::memcpy(&event, received.bytes.data(), sizeof(event));
    switch (event.kind) {
      case LauncherEventKind::sensor_started:
        sensor_started(received.fd.get());
        continue;
      case LauncherEventKind::sensor_ended:
        sensor_ended(event);
        continue;
      case LauncherEventKind::ruleset_loaded:
        table_loaded(event.by_signal == 0 && event.code == 0, event.code);
        continue;
      case LauncherEventKind::command_output:
      case LauncherEventKind::command_done:
      case LauncherEventKind::reload_file:
      case LauncherEventKind::reload_offer:
      case LauncherEventKind::reload_failed:
      case LauncherEventKind::reload_committed:
      case LauncherEventKind::successor_started:
      case LauncherEventKind::successor_ended:
      case LauncherEventKind::resolver_started:
      case LauncherEventKind::resolver_ended:
        break;
    }
    fatal("the launcher sent an unknown event: stopping");
  }
}

void Enforcer::start_sensor() {
  sensor_since_ = Clock::now();
  ask(LauncherOp::spawn_sensor);
}

void Enforcer::sensor_started(int channel) {
  if (channel < 0) fatal("the launcher started a sensor without a channel: stopping");
  sensor_runs_ = true;
  tell(SensorChannel{.successor = false}, channel);
}

void Enforcer::sensor_ended(const LauncherEvent& event) {
  sensor_runs_ = false;
  const auto wait = sensor_backoff_.next(Clock::now() - sensor_since_);
  tell(SensorLost{.by_signal = event.by_signal != 0,
                  .code = event.code & 0xff,
                  .retry_in = wait,
                  .successor = false});
  parts_.loop.after(wait, [this] { start_sensor(); });
}

}  // namespace portsentry::enforcer
