// By all verbs of a reload a hostile monitor keeps an old generation in force, or brings one that
// root has read by itself into force. It cannot make one up.
#include "enforcer/enforcer.h"

#include <string>
#include <utility>

#include "common/log.h"

namespace portsentry::enforcer {
namespace {

// How long the monitor may take to answer an offer before somebody is told.
constexpr std::chrono::seconds kOfferPatience{5};

}  // namespace

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

// By this: what SIGHUP does, and no more often than somebody who has that signal could mean it.
void Enforcer::handle(const RequestReload&) {
  if (reload_requests_.spend(Clock::now())) ask(LauncherOp::request_reload);
}

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
    follow_configuration();  // what Arm has said meanwhile
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
  configured_ = static_cast<Backend>(event.which);
  following_ = event.generation;
  follow_configuration();
  tell_followed();
}

// When the kernel has its rules, where it is to have some.
void Enforcer::tell_followed() {
  const bool to_come = wants_table() && (loading_ || retry_set_ || loaded_rules_ != rules_);
  if (following_ != 0 && !to_come) tell(ReloadFollowed{std::exchange(following_, 0)});
}

// ---- what a generation says about bans. These come before its reload_committed; the first ones
// before the table is made for the first time.

void Enforcer::scope_told(const LauncherEvent& event) {
  if (event.which > static_cast<std::uint32_t>(BanScope::all))
    fatal("the launcher named an unknown scope: stopping");
  scope_ = static_cast<BanScope>(event.which);
  rules_ = event.id;
  traps_ = event.code != 0;
  login_ports_ = {};
}

void Enforcer::login_ports_told(const LauncherEvent& event) {
  const auto first = Port::make(event.which & 0xffff);
  const auto last = Port::make(event.which >> 16);
  if (!first || !last || *last < *first) fatal("the launcher named impossible ports: stopping");
  login_ports_.add_range(*first, *last);
}

}  // namespace portsentry::enforcer
