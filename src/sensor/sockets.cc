#include "sensor/sockets.h"

#include <fcntl.h>
#include <linux/if_packet.h>
#include <pcap/pcap.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "sensor/descriptors.h"

namespace portsentry::sensor {
namespace {

Error pcap_error(const std::string& what, pcap_t* handle) {
  return Error{what + ": " + pcap_geterr(handle)};
}

// What dispatch() hands through libpcap's C callback: what libpcap has of a packet, and how long the
// packet was, both with the cooked header.
struct Delivery {
  const std::function<void(Bytes bytes, std::size_t length)>& handler;
};

void deliver(u_char* user, const pcap_pkthdr* header, const u_char* data) {
  const auto* delivery = reinterpret_cast<const Delivery*>(user);
  delivery->handler({reinterpret_cast<const std::byte*>(data), header->caplen}, header->len);
}

Result<unsigned> packet_option(int fd, int option, unsigned value = 0) {
  socklen_t size = sizeof value;
  if (::getsockopt(fd, SOL_PACKET, option, &value, &size) != 0)
    return Error::from_errno("capture: ask about the ring", errno);
  return value;
}

}  // namespace

void Capture::Close::operator()(pcap* handle) const {
  pcap_close(handle);
}

Result<Capture> Capture::open() {
  std::array<char, PCAP_ERRBUF_SIZE> reason{};
  Capture capture(std::unique_ptr<pcap, Close>(pcap_create("any", reason.data())));
  pcap_t* handle = capture.handle_.get();
  if (handle == nullptr) return Error{std::string("capture: ") + reason.data()};

  // Immediate mode costs more per packet than block mode, and bans 40 microseconds after the probe
  // instead of a timeout later. The setters fail only on an active handle.
  pcap_set_snaplen(handle, kSnapLength);
  pcap_set_promisc(handle, 0);
  pcap_set_immediate_mode(handle, 1);
  pcap_set_buffer_size(handle, kRingSize);
  const int active = pcap_activate(handle);
  if (active < 0) {
    return Error{std::string("capture on all interfaces: ") + pcap_statustostr(active) + " " +
                 pcap_geterr(handle)};
  }
  if (pcap_set_datalink(handle, DLT_LINUX_SLL2) != 0)
    return pcap_error("capture: cooked headers, version 2", handle);
  if (pcap_setnonblock(handle, 1, reason.data()) != 0)
    return Error{std::string("capture: ") + reason.data()};
  if (auto known = capture.know_the_ring(); !known) return known.error();
  return capture;
}

// The kernel and libpcap both make a place of the ring so (tpacket_rcv() in net/packet/af_packet.c):
// the packet begins behind a header, the sender's address and what is reserved, and the whole is
// rounded up.
Result<void> Capture::know_the_ring() {
  const auto header = packet_option(fd(), PACKET_HDRLEN, TPACKET_V2);
  if (!header) return header.error();
  const auto reserved = packet_option(fd(), PACKET_RESERVE);
  if (!reserved) return reserved.error();
  constexpr unsigned kLeastLinkHeader = 16;
  const unsigned begin = TPACKET_ALIGN(*header + kLeastLinkHeader) + *reserved;
  slot_ = TPACKET_ALIGN(begin + kSnapLength) - begin;
  return {};
}

int Capture::fd() const {
  return pcap_get_selectable_fd(handle_.get());
}

Result<void> Capture::filter_for_good(std::span<const sock_filter> filter) {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(filter.size());
  program.filter = const_cast<sock_filter*>(filter.data());  // the kernel only reads it
  if (::setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    return Error::from_errno("capture: attach the filter", errno);
  }
  const int on = 1;
  if (::setsockopt(fd(), SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) != 0) {
    return Error::from_errno("capture: lock the filter", errno);
  }
  // One whole ring at most: after that, whatever came in before the filter is gone, also under
  // flood.
  constexpr unsigned kMostFrames = kRingSize / kSnapLength;
  const auto drained = dispatch(kMostFrames, [](const Frame&) {});
  if (!drained) return drained.error();
  return queue_long_packets();
}

// Not before the filter decides which packets may be long.
Result<void> Capture::queue_long_packets() {
  const int on = 1;
  if (::setsockopt(fd(), SOL_PACKET, PACKET_COPY_THRESH, &on, sizeof on) != 0)
    return Error::from_errno("capture: queue long packets", errno);
  return {};
}

Result<unsigned> Capture::dispatch(unsigned budget,
                                   const std::function<void(const Frame&)>& handler) {
  const std::function<void(Bytes, std::size_t)> each = [&](Bytes bytes, std::size_t length) {
    auto frame = read_cooked(bytes);
    if (!frame) return;
    // Cut by libpcap, which counts its cooked header as a part of the packet.
    if (bytes.size() == kSnapLength && length > bytes.size()) frame = whole(*frame, length);
    handler(*frame);
  };
  Delivery delivery{each};
  const int count = pcap_dispatch(handle_.get(), static_cast<int>(budget), deliver,
                                  reinterpret_cast<u_char*>(&delivery));
  if (count < 0) return pcap_error("capture", handle_.get());
  return static_cast<unsigned>(count);
}

// Never kSlotLength bytes by the filter's own will: it wanted more of this packet.
Frame Capture::whole(const Frame& cut, std::size_t packet_length) {
  Frame frame = cut;
  const std::size_t length = packet_length - kCookedHeader;
  if (length <= slot_) {
    // All of it is in its place of the ring, behind what libpcap says is there.
    frame.network = Bytes(cut.network.data(), length);
    return frame;
  }
  // What is queued comes in the order of the ring, and says nothing but its bytes. Where there was no
  // room for this packet the next is that of a later one.
  if (long_packet_.empty() && !receive_long()) return cut;
  if (!std::ranges::equal(cut.network, Bytes(long_packet_).first(cut.network.size()))) return cut;
  packet_.swap(long_packet_);
  long_packet_.clear();
  frame.network = packet_;
  return frame;
}

bool Capture::receive_long() {
  long_packet_.resize(kCaptureLength);
  // MSG_TRUNC: the policy wants it, and the answer is then the packet's length, not the buffer's.
  const ssize_t length =
      ::recv(fd(), long_packet_.data(), long_packet_.size(), MSG_DONTWAIT | MSG_TRUNC);
  const bool whole = length >= static_cast<ssize_t>(kSlotLength);
  long_packet_.resize(whole ? std::min(static_cast<std::size_t>(length), long_packet_.size()) : 0);
  return whole;
}

Result<void> Capture::close(Capture capture) {
  capture.handle_.reset();
  for (int number = kFirstCapture; number < kCaptureEnd; ++number) {
    if (::dup3(kNull, number, O_CLOEXEC) < 0) return Error::from_errno("capture: dup3", errno);
  }
  return {};
}

Result<std::uint64_t> Capture::kernel_dropped() {
  pcap_stat stat{};
  if (pcap_stats(handle_.get(), &stat) != 0)
    return pcap_error("capture: statistics", handle_.get());
  return stat.ps_drop;
}

}  // namespace portsentry::sensor
