// How the capture is looked at: the moment a packet arrives, or, while packets arrive faster than each
// is worth a wake-up, once a millisecond. Pure.
//
// Each packet that wakes the sensor costs it three calls and the kernel a wake-up, ten times what the
// packet itself costs; and nobody is banned sooner for it while the next packet is 50 microseconds
// away. Slow again, and the first packet wakes it again.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/event_loop.h"

namespace portsentry::sensor {

class CapturePace {
 public:
  enum class Look : std::uint8_t { at_once, by_timer };

  static constexpr Clock::duration kInterval = std::chrono::milliseconds(1);
  // What decides is the mean over so long, so that a short burst changes nothing.
  static constexpr Clock::duration kWindow = std::chrono::milliseconds(10);
  // Packets in a window. Far apart, so that a steady rate is on one side.
  static constexpr std::uint64_t kBusy = 200;  // 20,000 a second: by timer from here on
  static constexpr std::uint64_t kCalm = 50;   // fewer than 5,000 a second: at once again

  // There was a look, and it found so many packets.
  Look looked(unsigned packets, Clock::time_point now) {
    packets_ += packets;
    const Clock::duration passed = now - since_;
    if (passed < kWindow) return look_;
    // As many a window: what came after a long silence says little about it.
    const auto windows = static_cast<std::uint64_t>(passed / kWindow);
    if (look_ == Look::at_once && packets_ / windows >= kBusy) {
      look_ = Look::by_timer;
      ++busy_;
    } else if (packets_ / windows < kCalm) {
      look_ = Look::at_once;
    }
    packets_ = 0;
    since_ = now;
    return look_;
  }

  // How often it has become busy.
  [[nodiscard]] std::uint64_t busy() const { return busy_; }

 private:
  Look look_ = Look::at_once;
  Clock::time_point since_{};
  std::uint64_t packets_ = 0;
  std::uint64_t busy_ = 0;
};

}  // namespace portsentry::sensor
