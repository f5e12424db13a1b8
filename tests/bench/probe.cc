// A scanner of one address at an even pace: SYNs to FIRST..LAST, each once, in order or shuffled.
//   probe INTERFACE OUR_MAC THEIR_MAC SOURCE TARGET FIRST LAST PER_SECOND in-order|shuffled
// Needs CAP_NET_RAW. For benchmarks, in namespaces that they made; never installed.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

#include "common/unique_fd.h"

namespace {

using Frame = std::array<std::uint8_t, 54>;  // Ethernet, IPv4, TCP

std::uint32_t number(std::string_view text) {
  std::uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void put16(Frame& frame, std::size_t at, std::uint32_t value) {
  frame.at(at) = static_cast<std::uint8_t>(value >> 8U);
  frame.at(at + 1) = static_cast<std::uint8_t>(value);
}

// RFC 1071, over a range of even length.
std::uint32_t checksum(const Frame& frame, std::size_t from, std::uint32_t sum) {
  const std::size_t to = from == 14 ? 34 : frame.size();
  for (std::size_t at = from; at < to; at += 2)
    sum += (std::uint32_t{frame.at(at)} << 8U) + frame.at(at + 1);
  while (sum > 0xffff)
    sum = (sum & 0xffffU) + (sum >> 16U);
  return ~sum & 0xffffU;
}

void aim(Frame& frame, std::uint32_t port) {
  put16(frame, 36, port);
  put16(frame, 50, 0);
  put16(frame, 50, checksum(frame, 26, 6 + 20));  // with the pseudo header
}

// Sleeping takes longer than asked for: only for what is far ahead.
void wait_until(std::chrono::steady_clock::time_point due) {
  constexpr std::chrono::microseconds kFar{300};
  const auto now = std::chrono::steady_clock::now();
  if (due - now > kFar) std::this_thread::sleep_for(due - now - kFar / 2);
  while (std::chrono::steady_clock::now() < due) {
  }
}

int scan(int fd, Frame frame, const std::vector<std::uint32_t>& ports, std::uint32_t per_second) {
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t sent = 0;
  for (const std::uint32_t port : ports) {
    wait_until(begin + std::chrono::nanoseconds(sent * 1'000'000'000U / per_second));
    aim(frame, port);
    if (::send(fd, frame.data(), frame.size(), 0) < 0) return 1;
    ++sent;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%llu %.6f\n", static_cast<unsigned long long>(sent), took.count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<const char*> words(argv, argv + argc);
  if (words.size() != 10) return 2;
  const portsentry::UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll link{};
  link.sll_family = AF_PACKET;
  link.sll_protocol = htons(ETH_P_IP);
  link.sll_ifindex = static_cast<int>(if_nametoindex(words[1]));
  ether_addr ours{};
  ether_addr theirs{};
  in_addr source{};
  in_addr target{};
  const std::uint32_t first = number(words[6]);
  const std::uint32_t last = number(words[7]);
  const std::uint32_t per_second = number(words[8]);
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&link), sizeof link) != 0 ||
      ether_aton_r(words[2], &ours) == nullptr || ether_aton_r(words[3], &theirs) == nullptr ||
      inet_pton(AF_INET, words[4], &source) != 1 || inet_pton(AF_INET, words[5], &target) != 1 ||
      first == 0 || last < first || last > 65535 || per_second == 0) {
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
  std::memcpy(&frame[26], &source, 4);
  std::memcpy(&frame[30], &target, 4);
  put16(frame, 24, checksum(frame, 14, 0));
  put16(frame, 34, 40000);
  frame[41] = 1;
  frame[46] = 0x50;
  frame[47] = 0x02;
  put16(frame, 48, 1024);
  std::vector<std::uint32_t> ports(last - first + 1);
  std::iota(ports.begin(), ports.end(), first);
  if (std::string_view(words[9]) == "shuffled") {
    std::mt19937 order(std::random_device{}());
    std::shuffle(ports.begin(), ports.end(), order);
  }
  return scan(fd.get(), frame, ports, per_second);
}
