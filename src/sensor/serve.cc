#include "sensor/serve.h"

#include <poll.h>

#include <chrono>
#include <string_view>
#include <utility>
#include <variant>

#include "common/messages.h"
#include "common/wire.h"
#include "sensor/selftest.h"

namespace portsentry::sensor {
namespace {

// After so many packets channel and rtnetlink get their turn, also under flood; likewise after so
// many messages.
constexpr unsigned kFramesPerTurn = 256;
constexpr unsigned kTrapsPerTurn = 256;
constexpr unsigned kWordsPerTurn = 64;

// When handing over, turns for those who had come before: a ring of packets, and more than the
// backlogs of a few ports.
constexpr unsigned kLastTurns = 64;

// How long nothing is accepted when the kernel had no descriptor or memory for it.
constexpr std::chrono::milliseconds kPause{100};

constexpr std::chrono::seconds kCountersInterval{1};

// How long after a report the kernel is asked whether its source is connected to us: that is a walk
// over all connections, 0.3 milliseconds and more, and where there is one processor the ban would wait
// for it.
constexpr std::chrono::milliseconds kAskLater{10};

// Reports that wait for room in the channel, while the monitor writes to its disk. Whoever has no
// place among them reports again with its next probe.
constexpr std::size_t kMostOwed = 256;

// What came of holds waits there as well, of lone and forgeable probes too: each is a source that is
// cut off meanwhile. Others are left as many places.
constexpr std::size_t kMostHoldsOwed = kMostOwed / 2;

}  // namespace

int Service::run() {
  loop_.watch(means_.channel.fd(), [this](short events) { hear(events); });
  loop_.watch(means_.rtnetlink.fd(), [this](short) { refresh_view(); });
  return loop_.run();
}

void Service::hear(short events) {
  if ((events & POLLOUT) != 0) say_on();
  if ((events & ~POLLOUT) == 0) return;
  const Channel::Received received = means_.channel.receive();
  switch (received.got) {
    case Channel::Got::nothing:
      return;
    case Channel::Got::closed:
      return loop_.stop(kSensorDone);
    case Channel::Got::malformed:
      return loop_.stop(kSensorBadMessage);
    case Channel::Got::message:
      break;
  }
  const auto message = decode_monitor_to_sensor(received.bytes, received.fd ? 1 : 0);
  if (!message) return loop_.stop(kSensorBadMessage);
  take(*message);
}

void Service::take(const MonitorToSensor& message) {
  if (const auto* config = std::get_if<SensorConfig>(&message)) {
    // Once: another would find packets judged by the first one.
    if (phase_ == Phase::waiting) return configure(*config);
  } else if (phase_ == Phase::serving) {
    if (std::holds_alternative<HandOver>(message)) return hand_over();
    if (std::holds_alternative<UseTraps>(message)) return use_traps();
    if (const auto* evidence = std::get_if<Evidence>(&message)) {
      sensor_->merge(*evidence, Clock::now());
      look_after();
      return count_later();
    }
    if (const auto* test = std::get_if<TestSensor>(&message)) {
      // An administrator asked for it: who asks so often that there is no room waits in vain.
      owe(SensorTested{.nonce = test->nonce, .reached = test_pipeline(means_.seed)}, kMostOwed);
      return;
    }
  }
  loop_.stop(kSensorBadMessage);
}

void Service::configure(const SensorConfig& config) {
  sensor_.emplace(
      means_.orders.capture, config, means_.seed,
      Sensor::Edges{
          .ask = [this](const Segment& packet,
                        std::uint32_t interface) { return means_.lookup.ask(packet, interface); },
          .report = [this](const Detection& detection) { return report(detection); },
          .acquit = [this](const Acquitted& acquitted) { return owe(acquitted, kMostHoldsOwed); },
      },
      Clock::now(), means_.orders.ephemeral);
  if (config.traps) use_traps();
  phase_ = Phase::announcing;
  say_on();
}

void Service::serve() {
  phase_ = Phase::serving;
  watch_capture();
  // Also where we do not look at it: what waits there would be old when we do.
  if (means_.feed) loop_.watch(means_.feed->fd(), [this](short) { hear_traps(); });
  loop_.watch(inquiry_.fd(), [this](short) { hear_kernel(); });
  watch_bound();
}

// The successor has been looking for a while: what arrives from here on is its business. What came
// before is still ours: packets that wait in the ring, of which a busy machine has kept us, and
// those who have completed a handshake with us.
void Service::hand_over() {
  for (unsigned i = 0; means_.capture && i < kLastTurns && see() != 0; ++i) {
  }
  for (unsigned i = 0; i < kLastTurns && greet_once() != 0; ++i) {
  }
  // Last, so that nobody is held for long whom we told nothing of. The successor reads there, too.
  for (unsigned i = 0; by_traps_ && i < kLastTurns && hear_traps() != 0; ++i) {
  }
  unwatch_capture();
  if (means_.feed) loop_.unwatch(means_.feed->fd());
  loop_.unwatch(inquiry_.fd());
  send_counters();
  phase_ = Phase::handing_over;
  say_on();
}

void Service::say_on() {
  if (!send_owed()) return watch_channel();
  for (unsigned i = 0; i < kWordsPerTurn && has_words(); ++i) {
    if (!unsaid_) unsaid_ = next_word();
    if (!send(*unsaid_)) break;
    const bool begins = std::holds_alternative<SensorReady>(*unsaid_);
    const bool ends = std::holds_alternative<HandedOver>(*unsaid_);
    unsaid_.reset();
    if (begins) serve();
    if (ends) phase_ = Phase::silent;
  }
  watch_channel();
}

void Service::watch_channel() {
  const short events = has_words() || !owed_.empty() ? POLLIN | POLLOUT : POLLIN;
  loop_.watch(
      means_.channel.fd(), [this](short happened) { hear(happened); }, events);
}

bool Service::send_owed() {
  while (!owed_.empty() && send(owed_.front()))
    owed_.pop_front();
  return owed_.empty();
}

// Many ports, or a proven source: it waits for room. A flood of all the others is lost first.
bool Service::report(const Detection& detection) {
  const bool waits =
      detection.distinct_ports >= Tracker::kSpread || detection.proof != Proof::forgeable;
  if (waits) return owe(detection, kMostOwed);
  if (detection.held) return owe(detection, kMostHoldsOwed);
  return owed_.empty() && send(detection);
}

bool Service::owe(const SensorToMonitor& message, std::size_t most) {
  if (owed_.empty() && send(message)) return true;
  if (owed_.size() >= most) return false;
  owed_.push_back(message);
  watch_channel();
  return true;
}

SensorToMonitor Service::next_word() {
  if (phase_ == Phase::announcing) {
    const auto failures = means_.bound.failures();
    if (announced_ == failures.size()) return SensorReady{};
    const BoundSockets::Failure& failure = failures[announced_++];
    return BindFailed{.protocol = failure.protocol, .port = failure.port, .error = failure.error};
  }
  if (auto evidence = sensor_->hand_over(Clock::now())) return std::move(*evidence);
  return HandedOver{};
}

void Service::watch_capture() {
  if (means_.capture) loop_.watch(means_.capture->fd(), [this](short) { look(); });
}

void Service::unwatch_capture() {
  if (draining_) loop_.cancel(*std::exchange(draining_, std::nullopt));
  if (means_.capture) loop_.unwatch(means_.capture->fd());
}

// Under a flood the timer's turn comes, whatever arrives: what the ring still holds after a turn waits
// for the others only.
void Service::look() {
  const bool was_draining = draining_.has_value();
  draining_.reset();
  const unsigned frames = see();
  const auto how = pace_.looked(frames, Clock::now());
  if (how == CapturePace::Look::at_once) {
    if (was_draining) watch_capture();
    return;
  }
  if (!was_draining) loop_.unwatch(means_.capture->fd());
  sensor_->set_capture_busy(pace_.busy());
  const bool more = frames == kFramesPerTurn;
  draining_ = loop_.after(more ? Clock::duration{} : CapturePace::kInterval, [this] { look(); });
}

unsigned Service::see() {
  // A packet may be for an address that is a moment old; the kernel told of that before it.
  if (!refresh_view()) return 0;
  const auto now = Clock::now();
  const auto frames = means_.capture->dispatch(kFramesPerTurn, [&](const Frame& frame) {
    sensor_->frame(frame, means_.rtnetlink.view(), now);
  });
  if (!frames) {
    loop_.stop(kSensorCaptureLost);
    return 0;
  }
  wait_for_fragments();
  look_after();
  count_later();
  return *frames;
}

// For good. Without a feed the capture stays: better two eyes than none. A packet that both show us
// is one probe, and its second sight a repetition.
void Service::use_traps() {
  if (!means_.feed || by_traps_) return;
  // What came before the traps waits in the ring.
  for (unsigned i = 0; phase_ == Phase::serving && means_.capture && i < kLastTurns && see() != 0;
       ++i) {
  }
  by_traps_ = true;
  if (!means_.capture) return;
  if (const auto dropped = means_.capture->kernel_dropped()) sensor_->set_kernel_dropped(*dropped);
  unwatch_capture();
  const auto closed = Capture::close(*std::exchange(means_.capture, std::nullopt));
  if (!closed) loop_.stop(kSensorCaptureLost);
}

unsigned Service::hear_traps() {
  // As in see().
  if (!refresh_view()) return 0;
  const auto now = Clock::now();
  const auto datagrams = means_.feed->read(kTrapsPerTurn, [&](const Trapped& trapped) {
    if (!by_traps_) return sensor_->ignore(trapped);
    sensor_->trapped(trapped, means_.rtnetlink.view(), now);
  });
  if (!datagrams) {
    loop_.stop(kSensorFeedLost);
    return 0;
  }
  sensor_->set_trap_lost(means_.feed->lost());
  look_after();
  count_later();
  return *datagrams;
}

void Service::watch_bound() {
  if (means_.bound.fd() >= 0) loop_.watch(means_.bound.fd(), [this](short) { greet(); });
}

void Service::greet() {
  greet_once();
  look_after();
  count_later();
}

// How many there were.
unsigned Service::greet_once() {
  if (means_.bound.fd() < 0 || !refresh_view()) return 0;
  const auto now = Clock::now();
  const auto turn = means_.bound.serve([&](const Contact& contact) -> std::string_view {
    // Handing over: few still come here, whose handshake had begun before the successor was there.
    if (phase_ != Phase::serving) return {};
    const bool earned = sensor_->contact(contact, means_.rtnetlink.view(), now);
    return earned ? means_.orders.banner_text() : std::string_view{};
  });
  sensor_->add_failed_contacts(turn.failed);
  if (turn.pause) {
    loop_.unwatch(means_.bound.fd());
    loop_.after(kPause, [this] { watch_bound(); });
  }
  return turn.taken;
}

void Service::wait_for_fragments() {
  if (judging_later_ || !sensor_->waits_for_fragments()) return;
  judging_later_ = true;
  loop_.after(FragmentTable::kLifetime, [this] {
    judging_later_ = false;
    // What waits belongs to the successor then, which has seen it too.
    if (phase_ != Phase::serving || !refresh_view()) return;
    sensor_->judge_overdue(means_.rtnetlink.view(), Clock::now());
    wait_for_fragments();
    look_after();
    count_later();
  });
}

// What is done later, beside the packets: what a source told too early, and questions to the kernel.
void Service::look_after() {
  if (phase_ != Phase::serving) return;
  const auto now = Clock::now();
  auto at = sensor_->late_at();
  const auto no_later_than = [&at](Clock::time_point other) {
    at = at ? std::min(*at, other) : other;
  };
  if (!inquiry_.busy()) {
    if (sensor_->wants_list(now)) no_later_than(now);
    if (const auto question = sensor_->question_at()) {
      if (!ask_at_) ask_at_ = now + kAskLater;
      no_later_than(std::max(*question, *ask_at_));
    }
  }
  if (at == look_at_) return;
  if (looking_after_) loop_.cancel(*looking_after_);
  looking_after_.reset();
  look_at_ = at;
  if (!at) return;
  looking_after_ = loop_.after(*at - now, [this] {
    looking_after_.reset();
    look_at_.reset();
    if (phase_ != Phase::serving) return;
    sensor_->tick(Clock::now());
    inquire();
    look_after();
    count_later();
  });
}

void Service::inquire() {
  if (inquiry_.busy()) return;
  const auto now = Clock::now();
  if (sensor_->wants_list(now)) {
    if (inquiry_.list_ports(now)) return;
    sensor_->listed(std::nullopt, now, now);
  }
  if (!ask_at_ || now < *ask_at_) return;
  ask_at_.reset();
  const auto address = sensor_->next_question(now);
  if (address && !inquiry_.ask_connections(*address)) sensor_->answered(false, now);
}

void Service::hear_kernel() {
  inquiry_.read({
      .connections = [this](bool connected) { sensor_->answered(connected, Clock::now()); },
      .ports = [this](const std::optional<PortSets>& bound,
                      Clock::time_point asked) { sensor_->listed(bound, asked, Clock::now()); },
  });
  look_after();
  count_later();
}

void Service::count_later() {
  if (telling_later_ || phase_ != Phase::serving) return;
  if (sensor_->tally().values() == told_.values()) return;
  telling_later_ = true;
  loop_.after(kCountersInterval, [this] { send_counters(); });
}

bool Service::refresh_view() {
  if (means_.rtnetlink.refresh()) return true;
  loop_.stop(kSensorViewLost);
  return false;
}

void Service::send_counters() {
  telling_later_ = false;
  if (phase_ != Phase::serving) return;
  if (means_.capture) {
    if (const auto dropped = means_.capture->kernel_dropped())
      sensor_->set_kernel_dropped(*dropped);
  }
  const auto& values = sensor_->tally().values();
  if (send(SensorCounters{.values = {values.begin(), values.end()}})) {
    told_ = sensor_->tally();
    return;
  }
  telling_later_ = true;
  loop_.after(kCountersInterval, [this] { send_counters(); });
}

bool Service::send(const SensorToMonitor& message) {
  const auto bytes = encode(message);
  switch (means_.channel.send(bytes)) {
    case Channel::Sent::ok:
      return true;
    case Channel::Sent::full:
      return false;
    case Channel::Sent::closed:
      loop_.stop(kSensorDone);
      return false;
  }
  return false;
}

}  // namespace portsentry::sensor
