// The sensor's one eye: a libpcap capture on the "any" device, so that interfaces may come and go,
// with a kernel filter that is locked before the sensor gives up its rights. The only file of the
// program that sees libpcap.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/result.h"
#include "sensor/capture_filter.h"
#include "sensor/frame.h"

struct pcap;  // libpcap's pcap_t

namespace portsentry::sensor {

class Capture {
 public:
  // Needs CAP_NET_RAW. Non-blocking, not promiscuous; packets arrive at once, through a ring of
  // kRingSize bytes with places for kSlotLength bytes of a packet. Of one that the filter lets
  // through for more, the kernel queues the whole beside the ring (PACKET_COPY_THRESH, packet(7)), as
  // many as the socket's receive buffer takes, some ninety; others of that kind arrive cut.
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

  // 9216 places of 224 bytes: 39 ms of a flood of 235,000 packets a second. Places of 1500 bytes,
  // which next to no packet needs, would be a thousand, and full while others have the processor.
  static constexpr int kRingSize = 2 << 20;
  // With the cooked header that libpcap puts before a packet.
  static constexpr int kSnapLength = kCookedHeader + static_cast<int>(kSlotLength);

 private:
  struct Close {
    void operator()(pcap* handle) const;
  };
  explicit Capture(std::unique_ptr<pcap, Close> handle) : handle_(std::move(handle)) {}

  Result<void> know_the_ring();
  Result<void> queue_long_packets();
  [[nodiscard]] Frame whole(const Frame& cut, std::size_t packet_length);
  bool receive_long();

  std::unique_ptr<pcap, Close> handle_;
  std::size_t slot_ = 0;                // bytes of a packet that a place of the ring really has
  std::vector<std::byte> packet_;       // the long one that is being handled
  std::vector<std::byte> long_packet_;  // the next, once it has been received
};

}  // namespace portsentry::sensor
