#include "monitor/server.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "common/log.h"
#include "common/wire.h"
#include "monitor/shown.h"

namespace portsentry::monitor {
namespace {

// How many messages of one peer are handled before the others get their turn.
constexpr int kBurst = 64;
// A command is killed after ten seconds; what holds its output open for longer is a grandchild.
constexpr std::chrono::seconds kLongestOutput{12};
// How many changes share one transaction, by time; and the pause after one that failed.
constexpr std::chrono::milliseconds kWriteSoon{100};
constexpr std::chrono::milliseconds kWriteRest{1};
constexpr std::chrono::seconds kWriteAgain{10};
// How often old events are looked for where none is written.
constexpr std::chrono::hours kTrimEvery{1};
// How soon a clock that was set is noticed where nothing happens.
constexpr std::chrono::seconds kTickEvery{60};

Now now() {
  return {Clock::now(), std::time(nullptr)};
}

Descriptor place_of(SensorRole role) {
  return role == SensorRole::current ? kChannelB : kSuccessor;
}

Descriptor output_place(std::size_t slot) {
  return static_cast<Descriptor>(kFirstOutput + static_cast<int>(slot));
}

RecordFile record_file(const std::string& path, Descriptor descriptor) {
  return RecordFile(UniqueFd(descriptor), !path.empty());
}

LogIdentity identity(const Config& config, const Server::Standing& standing) {
  return {.facility = config.log_facility,
          .tag = config.log_tag,
          .host = standing.host,
          .pid = standing.pid};
}

Destinations destinations_of(const Config& config, const Server::Standing& standing) {
  return destinations(config.log_output, config.log_facility, standing.foreground,
                      standing.journal);
}

std::string_view label(const Config& config) {
  return config.log_format == LogFormat::classic ? "adminalert: " : "";
}

}  // namespace

void put_at(int descriptor, Descriptor place) {
  if (::dup3(descriptor, place, O_CLOEXEC) < 0) {
    fatal(Error::from_errno("descriptor " + std::to_string(place) + ": dup3", errno).what);
  }
}

Result<std::string> read_sealed(int descriptor, std::size_t cap) {
  // Not all that it may be at once: that would be touched, and stay.
  constexpr std::size_t kPiece = 65536;
  std::string text;
  std::size_t size = 0;
  while (size <= cap) {
    if (size == text.size()) text.resize(std::min(size + kPiece, cap + 1));
    const ssize_t got =
        ::pread(descriptor, text.data() + size, text.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("read", errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > cap) return Error{"is too large"};
  text.resize(size);
  text.shrink_to_fit();
  return text;
}

Server::Server(Channel& enforcer, Rtnetlink& rtnetlink, UniqueFd stop, Monitor::Setup setup,
               Standing standing)
    : enforcer_(enforcer),
      rtnetlink_(rtnetlink),
      stop_(std::move(stop)),
      standing_(std::move(standing)),
      label_(label(setup.config)),
      log_({.identity = identity(setup.config, standing_),
            .to = destinations_of(setup.config, standing_),
            .standard_output = kLog,
            .syslog = kSyslog,
            .label = label(setup.config)},
           record_file(setup.config.log_file, kLogFile)),
      history_(record_file(setup.config.history_file, kHistory)),
      blocked_(record_file(setup.config.blocked_file, kBlocked)),
      monitor_(std::move(setup), *this),
      control_(
          UniqueFd(kControl), loop_,
          [this](const ControlRequest& request, uid_t who, Monitor::Answer answer) {
            monitor_.on_control(request, who, std::move(answer), now());
            rearm();
          },
          standing_.control_groups) {}

int Server::run() {
  const int status = serve();
  do {
    write_state();
  } while (!state_failing_ && standing_.store && standing_.store->unflushed() > 0);
  return status;
}

int Server::serve() {
  loop_.watch(stop_.get(), [this](short) {
    loop_.unwatch(stop_.get());
    monitor_.stop(now());
    rearm();
  });
  loop_.watch(enforcer_.fd(), [this](short) { hear_enforcer(); });
  loop_.watch(rtnetlink_.fd(), [this](short) {
    if (const auto fresh = rtnetlink_.refresh(); !fresh) fatal(fresh.error().what);
    monitor_.protection_changed(now());
    rearm();
  });
  trim_now_and_then();
  monitor_.start(now());
  rearm();
  return loop_.run();
}

// ---- channel A ----------------------------------------------------------------------------------

bool Server::to_enforcer(const MonitorToEnforcer& message) {
  switch (enforcer_.send(encode(message))) {
    case Channel::Sent::ok:
      // Where there is one processor the enforcer goes first; lines can wait.
      if (std::holds_alternative<Ban>(message)) ::sched_yield();
      return true;
    case Channel::Sent::full:
      return false;
    case Channel::Sent::closed:
      break;
  }
  fatal("channel A: the enforcer is gone");
}

void Server::hear_enforcer() {
  for (int i = 0; i < kBurst; ++i) {
    Channel::Received received = enforcer_.receive();
    switch (received.got) {
      case Channel::Got::nothing:
        return rearm();
      case Channel::Got::closed:
        fatal("channel A: the enforcer is gone");
      case Channel::Got::malformed:
        fatal("channel A: malformed message from the enforcer");
      case Channel::Got::message:
        break;
    }
    const auto message = decode_enforcer_to_monitor(received.bytes, received.fd ? 1 : 0);
    if (!message) fatal("channel A: message from the enforcer with impossible values");
    if (!monitor_.on_enforcer(*message, now())) {
      fatal("channel A: message from the enforcer out of its phase");
    }
    if (received.fd) take(*message, std::move(received.fd));
  }
  rearm();
}

// What came with a message that the monitor has accepted.
void Server::take(const EnforcerToMonitor& message, UniqueFd descriptor) {
  if (const auto* channel = std::get_if<SensorChannel>(&message)) {
    meet_sensor(channel->successor ? SensorRole::successor : SensorRole::current, descriptor);
  } else if (std::holds_alternative<CommandOutput>(message)) {
    meet_output(descriptor);
  } else if (const auto* file = std::get_if<ReloadFile>(&message)) {
    offered_.insert_or_assign(file->which, std::move(descriptor));
  } else if (std::holds_alternative<ResolverChannel>(message)) {
    meet_resolver(descriptor);
  } else if (std::holds_alternative<ScoutChannel>(message)) {
    meet_scout(descriptor);
  }
}

// ---- channel B ----------------------------------------------------------------------------------

// `channel` is moved to the number that the filter knows; the one that it came with is closed.
void Server::meet_sensor(SensorRole role, const UniqueFd& channel) {
  leave_sensor(role);
  if (!monitor_.expects(role)) return;
  put_at(channel.get(), place_of(role));
  sensor(role).emplace(UniqueFd(place_of(role)));
  // A new channel has room; a sensor that is gone already is reported by its SensorLost.
  static_cast<void>(sensor(role)->send(encode(MonitorToSensor(monitor_.sensor_config(role)))));
  watch_sensor(role);
}

void Server::watch_sensor(SensorRole role) {
  loop_.watch(place_of(role), [this, role](short) { hear_sensor(role); });
}

void Server::leave_sensor(SensorRole role) {
  if (!sensor(role)) return;
  loop_.unwatch(place_of(role));
  sensor(role).reset();
  put_at(kNull, place_of(role));
}

// From its number to the current sensor's, which closes that one's channel: no moment without.
void Server::promote_successor() {
  loop_.unwatch(kSuccessor);
  put_at(kSuccessor, kChannelB);
  if (!sensor_) sensor_.emplace(UniqueFd(kChannelB));
  successor_.reset();
  put_at(kNull, kSuccessor);
  watch_sensor(SensorRole::current);
}

bool Server::to_sensor(SensorRole role, const MonitorToSensor& message) {
  // To one that is gone: nothing waits for it, its end is told.
  if (!sensor(role)) return true;
  return sensor(role)->send(encode(message)) != Channel::Sent::full;
}

void Server::hear_sensor(SensorRole role) {
  for (int i = 0; sensor(role) && i < kBurst; ++i) {
    if (role == SensorRole::current && monitor_.holding_back()) break;
    const Channel::Received received = sensor(role)->receive();
    switch (received.got) {
      case Channel::Got::nothing:
        return rearm();
      case Channel::Got::closed:
        leave_sensor(role);
        monitor_.sensor_hung_up(now(), role);
        return rearm();
      case Channel::Got::malformed:
        return distrust_sensor(role, "malformed message");
      case Channel::Got::message:
        break;
    }
    const auto message = decode_sensor_to_monitor(received.bytes, received.fd ? 1 : 0);
    if (!message) return distrust_sensor(role, "message with impossible values");
    if (!monitor_.on_sensor(*message, now(), role)) {
      return distrust_sensor(role, "message out of its phase");
    }
  }
  rearm();
}

void Server::distrust_sensor(SensorRole role, std::string_view what) {
  leave_sensor(role);
  monitor_.sensor_broken(what, now(), role);
  rearm();
}

// ---- channel R ----------------------------------------------------------------------------------

void Server::meet_resolver(const UniqueFd& channel) {
  leave_resolver();
  put_at(channel.get(), kChannelR);
  resolver_.emplace(UniqueFd(kChannelR));
  loop_.watch(kChannelR, [this](short) { hear_resolver(); });
}

void Server::leave_resolver() {
  if (!resolver_) return;
  loop_.unwatch(kChannelR);
  resolver_.reset();
  put_at(kNull, kChannelR);
}

bool Server::to_resolver(const MonitorToResolver& message) {
  return resolver_ && resolver_->send(encode(message)) == Channel::Sent::ok;
}

// Names are only shown: a resolver that breaks the protocol loses its channel, which ends it, and
// nothing else happens.
void Server::hear_resolver() {
  for (int i = 0; resolver_ && i < kBurst; ++i) {
    const Channel::Received received = resolver_->receive();
    if (received.got == Channel::Got::nothing) break;
    const auto message = received.got == Channel::Got::message
                             ? decode_resolver_to_monitor(received.bytes, received.fd ? 1 : 0)
                             : std::nullopt;
    if (!message || !monitor_.on_resolver(*message, now())) {
      leave_resolver();
      monitor_.resolver_gone();
    }
  }
  rearm();
}

// ---- channel S ----------------------------------------------------------------------------------

void Server::meet_scout(const UniqueFd& channel) {
  leave_scout();
  put_at(channel.get(), kChannelS);
  scout_.emplace(UniqueFd(kChannelS));
  loop_.watch(kChannelS, [this](short) { hear_scout(); });
}

void Server::leave_scout() {
  if (!scout_) return;
  loop_.unwatch(kChannelS);
  scout_.reset();
  put_at(kNull, kChannelS);
}

void Server::hear_scout() {
  for (int i = 0; scout_ && i < kBurst; ++i) {
    const Channel::Received received = scout_->receive();
    switch (received.got) {
      case Channel::Got::nothing:
        return rearm();
      case Channel::Got::closed:  // ScoutLost says so
        leave_scout();
        return rearm();
      case Channel::Got::malformed:
        return distrust_scout("malformed message");
      case Channel::Got::message:
        break;
    }
    const auto message = decode_scout_to_monitor(received.bytes, received.fd ? 1 : 0);
    if (!message) return distrust_scout("message with impossible values");
    if (!monitor_.on_scout(*message, now())) return distrust_scout("message out of turn");
  }
  rearm();
}

// It can add protection and nothing else. Without its channel it has nobody to talk to, and ends.
void Server::distrust_scout(std::string_view what) {
  leave_scout();
  monitor_.scout_broken(what, now());
  rearm();
}

// ---- what is known after a restart --------------------------------------------------------------

std::uint64_t Server::note(const StateChange& change) {
  const auto* added = std::get_if<AddEvent>(&change);
  if (!standing_.store) {
    if (added != nullptr) control_.happened(shown(added->event, 0));
    return ++noted_;
  }
  const std::uint64_t sequence = standing_.store->note(change);
  // Who watches is told of a ban as everybody else is: when the disk has it.
  if (added != nullptr && unwatched_.size() < kMaxUnwatched)
    unwatched_.emplace_back(sequence, shown(added->event, 0));
  const auto* put = std::get_if<PutBan>(&change);
  // Once a command runs, its rule may be there, whoever dies then. The monitor is in the middle of
  // something: it is told of the commit when that is over.
  if (put != nullptr && put->ban.backend == BanBackend::asked && !state_failing_) {
    do {
      write_state();
    } while (!state_failing_ && standing_.store->unflushed() > 0);
    loop_.after(Clock::duration(0), [this] { tell_committed(); });
  } else {
    write_soon();
  }
  return sequence;
}

Result<EventPage> Server::events(const EventQuery& query) {
  if (!standing_.store) return Error{"state: nothing is remembered"};
  return standing_.store->events(query);
}
Result<std::vector<TopRow>> Server::top(const TopQuery& query) {
  if (!standing_.store) return Error{"state: nothing is remembered"};
  return standing_.store->top(query);
}

void Server::write_soon() {
  write_after(state_failing_ ? Clock::duration(kWriteAgain) : kWriteSoon);
}

void Server::write_state() {
  if (!standing_.store) return;
  const auto written = standing_.store->flush(std::time(nullptr));
  if (written) {
    state_failing_ = false;
    // A great many changes take several turns, and others have theirs in between.
    if (standing_.store->unflushed() > 0) write_after(kWriteRest);
    return;
  }
  state_failures_ += 1;
  if (!std::exchange(state_failing_, true)) tell(written.error(), "the memory of bans");
  write_after(kWriteAgain);
}

void Server::write_after(Clock::duration pause) {
  if (std::exchange(writing_soon_, true)) return;
  loop_.after(pause, [this] {
    writing_soon_ = false;
    write_state();
    tell_committed();
  });
}

void Server::tell_committed() {
  if (!standing_.store || standing_.store->committed() == committed_) return;
  committed_ = standing_.store->committed();
  for (; !unwatched_.empty() && unwatched_.front().first <= committed_; unwatched_.pop_front())
    control_.happened(unwatched_.front().second);
  monitor_.on_committed(committed_, now());
  rearm();
}

void Server::trim_now_and_then() {
  if (!standing_.store) return;
  loop_.after(kTrimEvery, [this] {
    standing_.store->trim_events();
    write_soon();
    trim_now_and_then();
  });
}

// Whatever happens puts it off: an idle daemon wakes for one thing a minute.
void Server::tick_now_and_then() {
  const Clock::time_point next = Clock::now() + kTickEvery;
  if (ticks_at_ && *ticks_at_ >= next) return;
  if (ticking_) loop_.cancel(*ticking_);
  ticks_at_ = next + kTickEvery / 4;
  ticking_ = loop_.after(*ticks_at_ - Clock::now(), [this] {
    ticking_.reset();
    ticks_at_.reset();
    monitor_.tick(now());
    rearm();
  });
}

// ---- what commands print ------------------------------------------------------------------------

void Server::meet_output(const UniqueFd& pipe) {
  // While we were busy, commands have ended: they make room, because one that still runs and lost
  // its reader would die of it (SIGPIPE). A pipe holds 64 KiB, so that this ends.
  const bool taken = std::ranges::all_of(outputs_, [](const auto& o) { return o.has_value(); });
  for (std::size_t slot = 0; taken && slot < outputs_.size(); ++slot) {
    pollfd waiting{.fd = output_place(slot), .events = POLLIN, .revents = 0};
    for (int i = 0; i < 17 && outputs_.at(slot) && ::poll(&waiting, 1, 0) == 1; ++i)
      read_output(slot);
  }
  for (std::size_t slot = 0; slot < outputs_.size(); ++slot) {
    if (outputs_.at(slot)) continue;
    put_at(pipe.get(), output_place(slot));
    const auto deadline = loop_.after(kLongestOutput, [this, slot] { end_output(slot); });
    outputs_.at(slot).emplace(Output{monitor_.output_of(), {}, deadline});
    loop_.watch(output_place(slot), [this, slot](short) { read_output(slot); });
    return;
  }
  outputs_unread_ += 1;
}

// Once per turn: poll(2) said that there is something, so that this does not wait, whatever flags
// the pipe has.
void Server::read_output(std::size_t slot) {
  std::array<char, 4096> bytes{};
  const ssize_t got = ::read(output_place(slot), bytes.data(), bytes.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) return end_output(slot);
  Output& output = *outputs_.at(slot);
  for (const std::string& line :
       output.text.add(std::string_view(bytes.data(), static_cast<std::size_t>(got)))) {
    monitor_.command_said(output.source, line, now());
  }
  rearm();
}

void Server::end_output(std::size_t slot) {
  Output& output = *outputs_.at(slot);
  for (const std::string& line : output.text.end())
    monitor_.command_said(output.source, line, now());
  loop_.unwatch(output_place(slot));
  loop_.cancel(output.deadline);
  outputs_.at(slot).reset();
  put_at(kNull, output_place(slot));
  rearm();
}

// ---- files --------------------------------------------------------------------------------------

void Server::log(std::string_view line) {
  log_.write(line, std::time(nullptr));
}

void Server::tell(const std::optional<Error>& error, std::string_view key) {
  if (!error) return;
  log(std::string(label_) + "ERROR: " + std::string(key) + ": " + error->what +
      "; further failures are only counted");
}

void Server::history(std::string_view line) {
  tell(history_.append(line), "HISTORY_FILE");
}
void Server::blocked_append(std::string_view line) {
  tell(blocked_.append(line), "BLOCKED_FILE");
}
void Server::blocked_rewrite(std::string_view whole) {
  tell(blocked_.rewrite(whole), "BLOCKED_FILE");
}

std::optional<std::string> Server::offered(ReloadedFile which) {
  const auto found = offered_.find(which);
  if (found == offered_.end()) return std::nullopt;
  put_at(found->second.get(), kConfig);
  auto text = read_sealed(kConfig, which == ReloadedFile::config ? kMaxConfFile : kMaxIgnoreFile);
  put_at(kNull, kConfig);
  if (!text) return std::nullopt;
  return std::move(*text);
}

void Server::end(int status, std::string_view why) {
  if (!standing_.foreground) complain(why);
  loop_.stop(status);
}

void Server::adopt_file(ReloadedFile which, bool configured) {
  const auto found = offered_.find(which);
  if (found == offered_.end()) return;
  switch (which) {
    case ReloadedFile::history:
      tell(history_.replace(std::move(found->second), configured), "HISTORY_FILE");
      break;
    case ReloadedFile::blocked:
      tell(blocked_.replace(std::move(found->second), configured), "BLOCKED_FILE");
      break;
    case ReloadedFile::log_file:
      tell(log_.replace_file(std::move(found->second), configured), "LOG_FILE");
      break;
    case ReloadedFile::config:
    case ReloadedFile::ignore:
      break;
  }
  offered_.erase(found);
}

void Server::log_by(const Config& config) {
  label_ = label(config);
  log_.change(identity(config, standing_), destinations_of(config, standing_), label_);
}

Effects::Losses Server::losses() const {
  return {.log_lines = log_.lost(),
          .history_writes = history_.failures(),
          .blocked_writes = blocked_.failures(),
          .state_writes = state_failures_,
          .command_outputs = outputs_unread_,
          .control_strangers = control_.tally().strangers,
          .control_no_seat = control_.tally().no_seat,
          .control_malformed = control_.tally().malformed,
          .control_not_permitted = control_.tally().not_permitted,
          .control_silent = control_.tally().silent,
          .events_missed = control_.tally().events_missed,
          .events_lost = standing_.store ? standing_.store->events_lost() : 0};
}

void Server::stop() {
  if (std::exchange(stopped_, true)) return;
  // What waits for the disk is told before the last line.
  write_state();
  tell_committed();
  monitor_.shut_down();
  loop_.stop(kExitOk);
}

// After every event: the monitor says when it must be woken, and nothing else wakes it.
void Server::rearm() {
  if (monitor_.stopped()) return stop();
  tick_now_and_then();
  if (sensor_ && monitor_.holding_back() != held_back_) {
    held_back_ = !held_back_;
    if (held_back_) {
      loop_.unwatch(kChannelB);
    } else {
      watch_sensor(SensorRole::current);
    }
  }
  const auto wake = monitor_.wake_at();
  if (wake == armed_for_) return;
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  armed_for_ = wake;
  if (!wake) return;
  timer_ = loop_.after(*wake - Clock::now(), [this] {
    timer_.reset();
    armed_for_.reset();
    monitor_.tick(now());
    rearm();
  });
}

}  // namespace portsentry::monitor
