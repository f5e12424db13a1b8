#include "enforcer/enforcer.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
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

// How many commands may be with the launcher at a time. Its link holds some 270 messages, and each
// run is at most two of them: so neither half ever finds it full.
constexpr std::size_t kRunsAtATime = 100;

// How long the monitor may take to answer an offer before somebody is told.
constexpr std::chrono::seconds kOfferPatience{5};

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
  if (backend_ == Backend::nftables) {
    load_table();
  } else {
    announce_table();
  }
}

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

void Enforcer::handle(const RestoreDone&) {
  if (restore_deadline_) parts_.loop.cancel(*restore_deadline_);
  restore_deadline_.reset();
  phase_ = Phase::serving;
  if (std::exchange(served_, true)) return;
  start_sensor();
  if (resolver_wanted_) start_resolver();
}

// By this: to restart the sensor, which it could also ignore. Once per sensor: how often the
// launcher is asked is not for the monitor to say.
void Enforcer::handle(const DropSensor&) {
  if (std::exchange(sensor_runs_, false)) ask(LauncherOp::kill_sensor);
}

// By this: the owner's own commands, about sources that the guard lets through, as often as the
// budgets here and in the launcher allow. Which command, and every word of it, is root's.
void Enforcer::handle(const RunCommand& wanted) {
  const auto judged = [&](LauncherCommand command) {
    const Verdict verdict = judge(wanted.source, std::chrono::seconds(1), parts_.view());
    if (verdict != Verdict::ok) return tell(Outcome{wanted.id, verdict, 0});
    run(wanted.id, command, wanted.source, wanted.cause);
  };
  if (wanted.command == Command::hosts_deny_remove) {  // gives back, and so costs nothing
    return run(wanted.id, LauncherCommand::hosts_deny_remove, wanted.source, wanted.cause);
  }
  if (!additions_.spend(Clock::now())) return tell(Outcome{wanted.id, Verdict::over_budget, 0});
  switch (wanted.command) {
    case Command::external:  // tells somebody, and nobody is cut off by it
      return run(wanted.id, LauncherCommand::external, wanted.source, wanted.cause);
    case Command::run_cmd:
      return judged(LauncherCommand::run_cmd);
    case Command::hosts_deny_add:
      return judged(LauncherCommand::hosts_deny_add);
    case Command::hosts_deny_remove:
      return;
  }
}

// By this: to make somebody believe that it works, a moment earlier than it does. Once.
void Enforcer::handle(const Ready&) {
  if (std::exchange(ready_told_, true)) out_of_turn("Ready");
  ask(LauncherOp::ready);
}

// ---- reload: by all of these a hostile monitor keeps an old generation in force, or brings one
// that root has read by itself into force. It cannot make one up.

void Enforcer::out_of_turn(std::string_view verb) {
  fatal("the monitor sent " + std::string(verb) + " out of turn: stopping");
}

void Enforcer::handle(const ReloadAccept& answer) {
  if (offer_ != Offer::offered || answer.generation != offered_) out_of_turn("ReloadAccept");
  offer_ = Offer::accepted;
  ask(LauncherOp::reload_accept, offered_);
}

void Enforcer::handle(const ReloadRefuse& answer) {
  if (offer_ != Offer::offered || answer.generation != offered_) out_of_turn("ReloadRefuse");
  ask(LauncherOp::reload_abandon, offered_);
  reload_over();
}

void Enforcer::handle(const ReloadAbandon& answer) {
  // Its successor was lost meanwhile, and all is as it was.
  if (answer.generation != 0 && answer.generation == crossed_) {
    crossed_ = 0;
    return;
  }
  if (offer_ != Offer::accepted || answer.generation != offered_) out_of_turn("ReloadAbandon");
  ask(LauncherOp::reload_abandon, offered_);
  reload_over();
  successor_gone();
}

void Enforcer::handle(const ReloadCommit& answer) {
  if (answer.generation != 0 && answer.generation == crossed_) {
    crossed_ = 0;
    if (offer_ != Offer::none) {
      // The next one is offered already, and will be judged. But the sensor has handed over.
      handle(DropSensor{});
      return;
    }
    // It was ready when this was sent: the monitor has switched. The launcher starts another
    // sensor, with the new orders.
  } else if ((offer_ != Offer::offered && offer_ != Offer::accepted) ||
             answer.generation != offered_) {
    out_of_turn("ReloadCommit");
  }
  reload_over();
  offer_ = Offer::committing;
  successor_takes_over_ = std::exchange(successor_runs_, false);
  if (successor_takes_over_) {
    // From here on "the sensor" is this one; the end of the other is no news, nor is its restart.
    sensor_runs_ = true;
    sensor_since_ = successor_since_;
    predecessor_lost_.reset();
    if (sensor_due_) parts_.loop.cancel(*sensor_due_);
    sensor_due_.reset();
  }
  ask(LauncherOp::reload_commit, answer.generation);
}

void Enforcer::handle(const Arm&) {}
void Enforcer::handle(const Audit&) {}
void Enforcer::handle(const ListHeld&) {}
void Enforcer::handle(const TestFirewall&) {}
void Enforcer::handle(const RequestReload&) {}

void Enforcer::reload_over() {
  offer_ = Offer::none;
  if (offer_deadline_) parts_.loop.cancel(*offer_deadline_);
  offer_deadline_.reset();
}

void Enforcer::reload_file(const LauncherEvent& event, int fd) {
  if (fd < 0 || event.which < static_cast<std::uint32_t>(ReloadedFile::config) ||
      event.which > static_cast<std::uint32_t>(ReloadedFile::log_file)) {
    fatal("the launcher sent a file of no kind: stopping");
  }
  tell(ReloadFile{event.generation, static_cast<ReloadedFile>(event.which)}, fd);
}

void Enforcer::reload_offered(const LauncherEvent& event) {
  reload_over();
  offer_ = Offer::offered;
  offered_ = event.generation;
  tell(ReloadOffer{.generation = offered_, .new_watch = event.code != 0});
  // Nothing is taken back: an answer that is late must find what it answers, because the monitor
  // switches as it sends it.
  offer_deadline_ = parts_.loop.after(kOfferPatience, [this] {
    offer_deadline_.reset();
    if (offer_ == Offer::offered) {
      complain("the monitor has not judged generation " + std::to_string(offered_) +
               " of the configuration within five seconds; the one before stays");
    }
  });
}

void Enforcer::reload_failed(const LauncherEvent& event) {
  if (event.which < static_cast<std::uint32_t>(ReloadProblem::config_file) ||
      event.which > static_cast<std::uint32_t>(ReloadProblem::other)) {
    fatal("the launcher failed at something unknown: stopping");
  }
  if (event.generation != 0 && event.generation == offered_) {
    if (offer_ == Offer::accepted) crossed_ = offered_;
    successor_takes_over_ = false;
    reload_over();
    successor_gone();
  }
  tell(ReloadFailed{.problem = static_cast<ReloadProblem>(event.which),
                    .error = event.code,
                    .generation = event.generation});
}

void Enforcer::reload_committed(const LauncherEvent& event) {
  if (offer_ != Offer::committing) fatal("the launcher switched unasked: stopping");
  offer_ = Offer::none;
  successor_takes_over_ = false;
  resolver_wanted_ = event.code != 0;
  if (resolver_wanted_ && !resolver_runs_ && !resolver_due_) start_resolver();
  if (event.which > static_cast<std::uint32_t>(Backend::command))
    fatal("the launcher switched to an unknown backend: stopping");
  // Bans that another KILL_ROUTE made stay what they are, and are undone by what undoes that one.
  route_generation_ = static_cast<std::uint32_t>(event.id);
  change_backend(static_cast<Backend>(event.which));
}

// ---- bans ---------------------------------------------------------------------------------------

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

bool Enforcer::has_room_for_a_run() const {
  return runs_.size() < kRunsAtATime;
}

void Enforcer::start_run(Run run, std::uint32_t generation) {
  if (!has_room_for_a_run()) {
    if (run.id != 0) tell(Outcome{run.id, Verdict::over_budget, 0});
    return;
  }
  last_run_ += 1;
  LauncherRequest request = run_request(last_run_, run.command, run.source, run.cause);
  request.generation = generation;
  runs_.emplace(last_run_, std::move(run));
  ask(request);
}

void Enforcer::run(std::uint64_t id, LauncherCommand command, const Source& source,
                   const std::optional<BanCause>& cause) {
  start_run({.id = id, .command = command, .source = source, .cause = cause}, 0);
}

void Enforcer::undo_route(std::uint64_t id, const Source& source) {
  const auto made = routed_.find(source);
  start_run({.id = id,
             .command = LauncherCommand::kill_route_remove,
             .source = source,
             .cause = std::nullopt},
            made != routed_.end() ? made->second : 0);
}

// A source that an earlier generation's KILL_ROUTE cut off is let go by what undoes that one first,
// and only then cut off again: the other way round could take the new rule away.
void Enforcer::run_route(std::uint64_t id, LauncherCommand command, const Source& source,
                         const std::optional<BanCause>& cause) {
  const auto made = routed_.find(source);
  // While the launcher switches, which of the two it will run is not known here.
  const bool same =
      made != routed_.end() && made->second == route_generation_ && offer_ != Offer::committing;
  if (made == routed_.end() || same) return run(id, command, source, cause);
  start_run({.id = id,
             .command = LauncherCommand::kill_route_remove,
             .source = source,
             .cause = cause,
             .then = command},
            made->second);
}

void Enforcer::command_output(const LauncherEvent& event, UniqueFd pipe) {
  const auto known = runs_.find(event.id);
  if (known == runs_.end() || !pipe) fatal("the launcher sent output of nothing: stopping");
  Run& run = known->second;
  if (run.id == 0 || run.then != LauncherCommand::none) {
    run.unread = std::move(pipe);
  } else {
    tell(portsentry::CommandOutput{run.id}, pipe.get());
  }
}

void Enforcer::command_done(const LauncherEvent& event) {
  const auto known = runs_.find(event.id);
  const auto verdict = verdict_of(event.which);
  if (known == runs_.end() || !verdict) fatal("the launcher ended what was not run: stopping");
  const Run run = std::move(known->second);
  runs_.erase(known);
  const bool undone = run.command == LauncherCommand::kill_route_remove;
  const bool made =
      run.command == LauncherCommand::kill_route || run.command == LauncherCommand::restore_route;
  if (run.then != LauncherCommand::none) {
    // Whatever became of it: a rule that cannot be taken back is no reason for no ban.
    routed_.erase(run.source);
    return this->run(run.id, run.then, run.source, run.cause);
  }
  if (verdict == Verdict::ok) {
    if (undone) routed_.erase(run.source);
    if (made && routed_.size() < kRestoreLimit) routed_[run.source] = event.generation;
    // A ban that nftables held before a reload is held, or ended, by the command from here on: one
    // ban, one place that ends it. A source that is not in the set is no error.
    if ((made || undone) && table_made_ && backend_ == Backend::command)
      static_cast<void>(parts_.firewall->unban(run.source).has_value());
  }
  if (run.id != 0) tell(Outcome{run.id, *verdict, event.code});
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
  if (backend_ != Backend::nftables) return;  // a reload has changed its mind meanwhile
  watch_table();
  if (ok) {
    table_backoff_ = Backoff();
    table_made_ = true;
    // Loading ruleset.nft is exactly one transaction; a second one was somebody else's.
    const bool touched_meanwhile = look_at_table(1);
    announce_table();
    if (touched_meanwhile) load_table_after(kTableInterval);
    return;
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
    if (backend_ != Backend::nftables) return;
    // One restoring at a time: the RestoreDone of the first must not end the window of a second.
    if (phase_ == Phase::restoring) return load_table_after(kTableInterval);
    load_table();
  });
}

void Enforcer::announce_table() {
  const bool again = std::exchange(announced_, true);
  phase_ = Phase::restoring;
  restored_ = 0;
  restore_deadline_ = parts_.loop.after(kRestoreWindow, [] {
    fatal("the monitor did not finish restoring within a minute: stopping");
  });
  tell(TableCreated{.backend = backend_, .again = again});
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
void Enforcer::change_backend(Backend backend) {
  if (backend == backend_) return;
  backend_ = backend;
  adopt_ = true;
  if (backend_ != Backend::nftables) {
    if (parts_.table_events >= 0) parts_.loop.unwatch(parts_.table_events);
    return announce_when_restored();
  }
  if (parts_.firewall == nullptr) {
    tell(TableLost{EPROTONOSUPPORT});
    return;
  }
  // What happened while nobody watched is not news.
  static_cast<void>(parts_.table_touched(0));
  load_table_after({});
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

void Enforcer::ask(LauncherOp op, std::uint32_t generation) {
  LauncherRequest request{};
  request.op = op;
  request.generation = generation;
  ask(request);
}

void Enforcer::ask(const LauncherRequest& request) {
  if (parts_.launcher.send(std::as_bytes(std::span(&request, 1))) != Channel::Sent::ok) {
    fatal("the launcher does not listen: stopping");
  }
}

void Enforcer::on_launcher() {
  for (;;) {
    auto received = parts_.launcher.receive();
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
        command_output(event, std::move(received.fd));
        continue;
      case LauncherEventKind::command_done:
        command_done(event);
        continue;
      case LauncherEventKind::reload_file:
        reload_file(event, received.fd.get());
        continue;
      case LauncherEventKind::reload_offer:
        reload_offered(event);
        continue;
      case LauncherEventKind::reload_failed:
        reload_failed(event);
        continue;
      case LauncherEventKind::reload_committed:
        reload_committed(event);
        continue;
      case LauncherEventKind::successor_started:
        successor_started(received.fd.get());
        continue;
      case LauncherEventKind::successor_ended:
        successor_ended(event);
        continue;
      case LauncherEventKind::resolver_started:
        if (!received.fd) fatal("the launcher started a resolver without a channel: stopping");
        tell(ResolverChannel{}, received.fd.get());
        continue;
      case LauncherEventKind::resolver_ended:
        resolver_ended();
        continue;
    }
    fatal("the launcher sent an unknown event: stopping");
  }
}

void Enforcer::start_sensor() {
  sensor_since_ = Clock::now();
  ask(LauncherOp::spawn_sensor);
}

void Enforcer::start_sensor_after(Clock::duration wait) {
  if (sensor_due_) parts_.loop.cancel(*sensor_due_);
  sensor_due_ = parts_.loop.after(wait, [this] {
    sensor_due_.reset();
    start_sensor();
  });
}

void Enforcer::sensor_started(int channel) {
  if (channel < 0) fatal("the launcher started a sensor without a channel: stopping");
  sensor_runs_ = true;
  tell(SensorChannel{.successor = false}, channel);
}

void Enforcer::sensor_ended(const LauncherEvent& event) {
  // The predecessor's end, on the way when the switch was asked for.
  if (offer_ == Offer::committing && successor_takes_over_) return;
  sensor_runs_ = false;
  // Its successor is up, and the monitor, which sees it hang up, may be switching already: it would
  // take this for the end of the one that it has switched to.
  if (offer_ == Offer::accepted && successor_runs_) {
    predecessor_lost_ = event;
    return;
  }
  sensor_lost(event);
}

void Enforcer::sensor_lost(const LauncherEvent& event) {
  const auto wait = sensor_backoff_.next(Clock::now() - sensor_since_);
  tell(SensorLost{.by_signal = event.by_signal != 0,
                  .code = event.code & 0xff,
                  .retry_in = wait,
                  .successor = false});
  start_sensor_after(wait);
}

void Enforcer::successor_started(int channel) {
  if (channel < 0) fatal("the launcher started a successor without a channel: stopping");
  successor_since_ = Clock::now();
  // Abandoned meanwhile: its end will not be told either, and nobody is to wait for it.
  if (offer_ != Offer::accepted) return;
  successor_runs_ = true;
  tell(SensorChannel{.successor = true}, channel);
}

void Enforcer::successor_ended(const LauncherEvent& event) {
  // Too late to take the switch back: the launcher will say that there is no sensor, and another
  // follows.
  if (offer_ != Offer::accepted) return;
  crossed_ = offered_;
  reload_over();
  tell(SensorLost{.by_signal = event.by_signal != 0,
                  .code = event.code & 0xff,
                  .retry_in = {},
                  .successor = true});
  successor_gone();
}

// The one that was to be followed is the sensor again, or was.
void Enforcer::successor_gone() {
  successor_runs_ = false;
  if (const auto lost = std::exchange(predecessor_lost_, std::nullopt)) sensor_lost(*lost);
}

// ---- the resolver -------------------------------------------------------------------------------

void Enforcer::start_resolver() {
  resolver_since_ = Clock::now();
  resolver_runs_ = true;
  ask(LauncherOp::spawn_resolver);
}

void Enforcer::resolver_ended() {
  resolver_runs_ = false;
  tell(ResolverLost{});
  if (resolver_due_) return;
  resolver_due_ = true;
  parts_.loop.after(resolver_backoff_.next(Clock::now() - resolver_since_), [this] {
    resolver_due_ = false;
    if (resolver_wanted_ && !resolver_runs_) start_resolver();
  });
}

}  // namespace portsentry::enforcer
