#include "sensor/sockets.h"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "sensor/descriptors.h"

namespace portsentry::sensor {
namespace {

Error pcap_error(const std::string& what, pcap_t* handle) {
  return Error{what + ": " + pcap_geterr(handle)};
}

// What dispatch() hands through libpcap's C callback.
struct Delivery {
  const std::function<void(const Frame&)>& handler;
};

void deliver(u_char* user, const pcap_pkthdr* header, const u_char* data) {
  const auto* delivery = reinterpret_cast<const Delivery*>(user);
  const Bytes bytes(reinterpret_cast<const std::byte*>(data), header->caplen);
  if (const auto frame = read_cooked(bytes)) delivery->handler(*frame);
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
  return capture;
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
  return {};
}

Result<unsigned> Capture::dispatch(unsigned budget,
                                   const std::function<void(const Frame&)>& handler) {
  Delivery delivery{handler};
  const int count = pcap_dispatch(handle_.get(), static_cast<int>(budget), deliver,
                                  reinterpret_cast<u_char*>(&delivery));
  if (count < 0) return pcap_error("capture", handle_.get());
  return static_cast<unsigned>(count);
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
