// The sensor's one eye: a libpcap capture on the "any" device, so that interfaces may come and go,
// with a kernel filter that is locked before the sensor gives up its rights. The only file of the
// program that sees libpcap.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "common/result.h"
#include "sensor/capture_filter.h"
#include "sensor/frame.h"

struct pcap;  // libpcap's pcap_t

namespace portsentry::sensor {

class Capture {
 public:
  // Needs CAP_NET_RAW. Non-blocking, not promiscuous; packets arrive at once, through a ring of
  // kRingSize bytes, cut to kSnapLength.
  static Result<Capture> open();

  // Everything that is seen from now on has passed `filter`, for as long as this capture lives: no
  // one, root included, can replace it (SO_LOCK_FILTER, socket(7)). What came in before is thrown
  // away.
  Result<void> filter_for_good(std::span<const sock_filter> filter);

  // Readable when packets wait. Must never be sent on: see the policy.
  [[nodiscard]] int fd() const;

  // Hands at most `budget` waiting packets to `handler`; how many there were. `network` in a Frame
  // is valid inside the call only. An error means that this capture is over.
  Result<unsigned> dispatch(unsigned budget, const std::function<void(const Frame&)>& handler);

  // Packets that the kernel had no room for in the ring, since open().
  Result<std::uint64_t> kernel_dropped();

  // The end of it, and of what it costs; some milliseconds. Its descriptors' numbers stay taken, by
  // copies of kNull: what is opened later must not get one (descriptors.h, policy.cc).
  static Result<void> close(Capture capture);

  static constexpr int kRingSize = 8 << 20;  // some 5000 packets
  // The filter returns exact lengths (headers only); this is a second limit above all of those,
  // with room for the cooked header that libpcap puts before a packet.
  static constexpr int kSnapLength = kCookedHeader + static_cast<int>(kCaptureLength);

 private:
  struct Close {
    void operator()(pcap* handle) const;
  };
  explicit Capture(std::unique_ptr<pcap, Close> handle) : handle_(std::move(handle)) {}

  std::unique_ptr<pcap, Close> handle_;
};

}  // namespace portsentry::sensor
