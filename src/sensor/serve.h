// The sealed sensor at work: one loop over three descriptors, nothing opened, nothing made.
#pragma once

#include <optional>

#include "common/channel.h"
#include "common/event_loop.h"
#include "common/port_set.h"
#include "common/rtnetlink.h"
#include "sensor/sensor.h"
#include "sensor/service_lookup.h"
#include "sensor/sockets.h"

namespace portsentry::sensor {

// Nobody reads the words of a sealed sensor: its exit status says why it ended, and the monitor
// logs that number (SensorLost). Before the seal the numbers are those of log.h.
enum SensorExit : int {
  kSensorDone = 0,          // channel B was closed: the daemon stops, or has replaced us
  kSensorBadMessage = 40,   // channel B spoke what it may not: malformed, too early or twice
  kSensorCaptureLost = 41,  // the capture broke; no packet would ever be seen again
  kSensorViewLost = 42,     // our own addresses are no longer known; anything might be counted
};

class Service {
 public:
  // What was opened while that was still possible. `seed`: secret and random.
  struct Means {
    Channel channel;
    Capture capture;
    ServiceLookup lookup;
    Rtnetlink rtnetlink;
    PortSets ports;
    HashKey seed;
  };
  explicit Service(Means means) : means_(std::move(means)) {}

  // Waits for the configuration, says SensorReady, then serves. How it ended: a SensorExit.
  int run();

 private:
  void hear();
  void configure(const SensorConfig& config);
  void see();
  bool refresh_view();
  void wait_for_fragments();
  void count_later();
  void send_counters();
  bool send(const SensorToMonitor& message);

  Means means_;
  EventLoop loop_;
  std::optional<Sensor> sensor_;  // once configured
  SensorTally told_;              // as the monitor knows it
  bool judging_later_ = false;    // the one-shot timer for lone halves of headers runs
  bool telling_later_ = false;    // the counters' one-shot timer runs
};

}  // namespace portsentry::sensor
