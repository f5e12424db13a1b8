// The sealed sensor at work: one loop over six descriptors, nothing opened but what it accepts.
#pragma once

#include <deque>
#include <optional>

#include "common/channel.h"
#include "common/event_loop.h"
#include "common/messages.h"
#include "common/rtnetlink.h"
#include "common/watch.h"
#include "sensor/bound.h"
#include "sensor/capture_pace.h"
#include "sensor/inquiry.h"
#include "sensor/sensor.h"
#include "sensor/service_lookup.h"
#include "sensor/sockets.h"
#include "sensor/trap_feed.h"

namespace portsentry::sensor {

// Nobody reads the words of a sealed sensor: its exit status says why it ended, and the monitor
// logs that number (SensorLost). Before the seal the numbers are those of log.h.
enum SensorExit : int {
  kSensorDone = 0,          // channel B was closed: the daemon stops, or has replaced us
  kSensorBadMessage = 40,   // channel B spoke what it may not: malformed, out of turn or twice
  kSensorCaptureLost = 41,  // the capture broke; no packet would ever be seen again
  kSensorViewLost = 42,     // our own addresses are no longer known; anything might be counted
  kSensorFeedLost = 43,     // the traps' feed broke, and the capture is closed
};

class Service {
 public:
  // What was opened while that was still possible. `seed`: secret and random.
  struct Means {
    Channel channel;
    std::optional<Capture> capture;  // where the orders have ports to look at
    std::optional<TrapFeed> feed;    // where root has one for us
    BoundSockets bound;
    ServiceLookup lookup;
    SocketDump dump;
    Rtnetlink rtnetlink;
    WatchOrders orders;
    HashKey seed;
  };
  explicit Service(Means means)
      : means_(std::move(means)), inquiry_({std::move(means_.dump), means_.lookup}) {}
  Service(const Service&) = delete;  // its parts know each other's place
  Service& operator=(const Service&) = delete;

  // Waits for the configuration, says what could not be bound and SensorReady, then serves, until a
  // successor takes over. How it ended: a SensorExit.
  int run();

 private:
  // Which message of channel B is in turn, and what we do meanwhile. Only forward.
  enum class Phase : std::uint8_t {
    waiting,       // for the configuration
    announcing,    // telling what could not be bound, then SensorReady
    serving,       // takes a predecessor's Evidence, and HandOver
    handing_over,  // telling our own Evidence, then HandedOver
    silent,        // until we are ended
  };

  void hear(short events);
  void take(const MonitorToSensor& message);
  void configure(const SensorConfig& config);
  void serve();
  void hand_over();

  // Announcing, what is owed, and handing over: message by message, as the channel has room.
  void say_on();
  bool send_owed();
  void watch_channel();
  bool report(const Detection& detection);
  // Sent now, or as soon as there is room. False: `most` wait already.
  bool owe(const SensorToMonitor& message, std::size_t most);
  [[nodiscard]] SensorToMonitor next_word();
  [[nodiscard]] bool has_words() const {
    return phase_ == Phase::announcing || phase_ == Phase::handing_over;
  }

  void watch_capture();
  void unwatch_capture();
  void look();
  unsigned see();
  void use_traps();
  unsigned hear_traps();
  void watch_bound();
  void greet();
  unsigned greet_once();
  bool refresh_view();
  void wait_for_fragments();
  void look_after();
  void inquire();
  void hear_kernel();
  void count_later();
  void send_counters();
  bool send(const SensorToMonitor& message);

  Means means_;
  Inquiry inquiry_;
  EventLoop loop_;
  Phase phase_ = Phase::waiting;
  std::optional<Sensor> sensor_;           // once configured
  std::optional<SensorToMonitor> unsaid_;  // found no room yet
  std::deque<SensorToMonitor> owed_;       // the same, of what was told while serving
  CapturePace pace_;
  std::optional<EventLoop::Timer> draining_;  // instead of watching the capture
  std::optional<EventLoop::Timer> looking_after_;
  std::optional<Clock::time_point> look_at_;
  std::optional<Clock::time_point> ask_at_;  // for a proof: not before
  std::size_t announced_ = 0;                // of the ports that could not be bound
  SensorTally told_;                         // as the monitor knows it
  bool by_traps_ = false;       // they are our eyes; else what they tell is thrown away
  bool judging_later_ = false;  // the one-shot timer for lone halves of headers runs
  bool telling_later_ = false;  // the counters' one-shot timer runs
};

}  // namespace portsentry::sensor
