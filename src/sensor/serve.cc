#include "sensor/serve.h"

#include <chrono>
#include <utility>
#include <variant>

#include "common/messages.h"
#include "common/wire.h"

namespace portsentry::sensor {
namespace {

// After so many packets channel and rtnetlink get their turn, also under flood.
constexpr unsigned kFramesPerTurn = 256;

constexpr std::chrono::seconds kCountersInterval{1};

}  // namespace

int Service::run() {
  loop_.watch(means_.channel.fd(), [this](short) { hear(); });
  loop_.watch(means_.rtnetlink.fd(), [this](short) { refresh_view(); });
  return loop_.run();
}

void Service::hear() {
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
  // The configuration comes once. Another would find packets judged by the first one.
  const auto* config = message ? std::get_if<SensorConfig>(&*message) : nullptr;
  if (config == nullptr || sensor_) return loop_.stop(kSensorBadMessage);
  configure(*config);
}

void Service::configure(const SensorConfig& config) {
  sensor_.emplace(
      means_.ports, config, means_.seed,
      Sensor::Edges{
          .ask = [this](const Segment& packet,
                        std::uint32_t interface) { return means_.lookup.ask(packet, interface); },
          .report = [this](const Detection& detection) { return send(detection); },
      });
  send(SensorReady{});  // our first message: there is room
  loop_.watch(means_.capture.fd(), [this](short) { see(); });
}

void Service::see() {
  // A packet may be for an address that is a moment old; the kernel told of that before it.
  if (!refresh_view()) return;
  const auto now = Clock::now();
  const auto frames = means_.capture.dispatch(kFramesPerTurn, [&](const Frame& frame) {
    sensor_->frame(frame, means_.rtnetlink.view(), now);
  });
  if (!frames) return loop_.stop(kSensorCaptureLost);
  wait_for_fragments();
  count_later();
}

void Service::wait_for_fragments() {
  if (judging_later_ || !sensor_->waits_for_fragments()) return;
  judging_later_ = true;
  loop_.after(FragmentTable::kLifetime, [this] {
    judging_later_ = false;
    if (!refresh_view()) return;
    sensor_->judge_overdue(means_.rtnetlink.view(), Clock::now());
    wait_for_fragments();
    count_later();
  });
}

void Service::count_later() {
  if (telling_later_ || sensor_->tally().values() == told_.values()) return;
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
  if (const auto dropped = means_.capture.kernel_dropped()) sensor_->set_kernel_dropped(*dropped);
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
