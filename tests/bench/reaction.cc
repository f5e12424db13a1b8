// How long it takes from a probe to the ban that it brings, as the kernel tells:
//   reaction INTERFACE OUR_MAC THEIR_MAC TARGET GUARD PORT COUNT PAUSE_MS SLEEP_US
// Sends one TCP SYN to PORT of TARGET from each of COUNT sources in 11.0.0.0/8 in turn, and asks the
// kernel of the namespace GUARD (a path) for the element in our set until it is there: without a pause
// (SLEEP_US 0), or every so many microseconds. PAUSE_MS between one ban and the next. Prints the
// microseconds of each, one a line; before them "question", what one question takes. Needs CAP_NET_RAW
// here and CAP_NET_ADMIN there.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/log.h"
#include "enforcer/nft_elements.h"

namespace portsentry::enforcer {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr std::size_t kFrame = 54;
using Frame = std::array<std::uint8_t, kFrame>;

void must(bool done, const char* what) {
  if (!done) fatal(std::string("reaction: ") + what);
}

unsigned number(std::string_view text) {
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void put16(Frame& frame, std::size_t at, unsigned value) {
  frame.at(at) = static_cast<std::uint8_t>(value >> 8U);
  frame.at(at + 1) = static_cast<std::uint8_t>(value);
}

unsigned sum16(const Frame& frame, std::size_t from, std::size_t to, unsigned sum) {
  for (std::size_t at = from; at < to; at += 2)
    sum += (unsigned{frame.at(at)} << 8U) + frame.at(at + 1);
  while (sum > 0xffff)
    sum = (sum & 0xffffU) + (sum >> 16U);
  return ~sum & 0xffffU;
}

Frame syn(const ether_addr& from_mac, const ether_addr& to_mac, Bytes from, const in_addr& to,
          unsigned port) {
  Frame frame{};
  std::copy_n(static_cast<const std::uint8_t*>(to_mac.ether_addr_octet), 6, frame.begin());
  std::copy_n(static_cast<const std::uint8_t*>(from_mac.ether_addr_octet), 6, frame.begin() + 6);
  put16(frame, 12, ETH_P_IP);
  frame[14] = 0x45;
  put16(frame, 16, 40);
  frame[22] = 64;
  frame[23] = IPPROTO_TCP;
  std::memcpy(&frame[26], from.data(), 4);
  std::memcpy(&frame[30], &to, 4);
  put16(frame, 24, sum16(frame, 14, 34, 0));
  put16(frame, 34, 40000);
  put16(frame, 36, port);
  frame[46] = 0x50;
  frame[47] = 0x02;
  put16(frame, 48, 1024);
  put16(frame, 50, sum16(frame, 26, 54, IPPROTO_TCP + 20));
  return frame;
}

// The kernel's word, on a socket that was born in the guard's namespace.
class Guard {
 public:
  explicit Guard(const char* path) : socket_(open_there(path)) {}

  bool holds(const Address& address) {
    const std::array asked{Element{"ban4", ElementKey(address), std::nullopt}};
    request_.clear();
    must(request_.elements(NFT_MSG_GETSETELEM, 0, ++sequence_, asked), "no memory");
    must(socket_.send(request_.bytes()).has_value(), "ask");
    for (;;) {
      const auto received = socket_.receive(Clock::now() + std::chrono::seconds(5));
      must(received && received->got == NetlinkSocket::Got::datagram, "no answer");
      NetlinkMessages messages(received->datagram);
      while (const auto message = messages.next()) {
        if (message->header.nlmsg_seq != sequence_) continue;
        return message->header.nlmsg_type != NLMSG_ERROR &&
               read_element(*message, asked[0].key).has_value();
      }
    }
  }

 private:
  static NetlinkSocket open_there(const char* path) {
    const UniqueFd home(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    const UniqueFd there(::open(path, O_RDONLY | O_CLOEXEC));
    must(home && there && ::setns(there.get(), CLONE_NEWNET) == 0, "the guard's namespace");
    auto socket = NetlinkSocket::open(NETLINK_NETFILTER, 0);
    must(socket.has_value() && ::setns(home.get(), CLONE_NEWNET) == 0, "netlink");
    return std::move(socket).value();
  }

  NetlinkSocket socket_;
  NftRequest request_;
  std::uint32_t sequence_ = 0;
};

double elapsed(Clock::time_point since) {
  return std::chrono::duration<double, std::micro>(Clock::now() - since).count();
}

int run(const std::vector<const char*>& words) {
  UniqueFd wire(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll link{};
  link.sll_family = AF_PACKET;
  link.sll_protocol = htons(ETH_P_IP);
  link.sll_ifindex = static_cast<int>(if_nametoindex(words[1]));
  ether_addr ours{};
  ether_addr theirs{};
  in_addr target{};
  must(wire && ::bind(wire.get(), reinterpret_cast<const sockaddr*>(&link), sizeof link) == 0,
       "packet socket");
  must(ether_aton_r(words[2], &ours) != nullptr && ether_aton_r(words[3], &theirs) != nullptr &&
           inet_pton(AF_INET, words[4], &target) == 1,
       "an address");
  must(::prctl(PR_SET_TIMERSLACK, 1) == 0, "timer slack");
  Guard guard(words[5]);
  const unsigned port = number(words[6]);
  const unsigned count = number(words[7]);
  const std::chrono::milliseconds pause(number(words[8]));
  const microseconds sleep(number(words[9]));

  const Address nobody = Address::v4(192, 0, 2, 1);
  constexpr unsigned kQuestions = 2000;
  const auto begin = Clock::now();
  for (unsigned i = 0; i < kQuestions; ++i)
    must(!guard.holds(nobody), "a ban of nobody");
  std::printf("question %.2f\n", elapsed(begin) / kQuestions);

  for (unsigned i = 0; i < count; ++i) {
    std::this_thread::sleep_for(pause);
    const Address source =
        Address::v4(11, 77, static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i));
    const Frame frame = syn(ours, theirs, source.bytes(), target, port);
    const auto sent = Clock::now();
    must(::send(wire.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(kFrame), "send");
    while (!guard.holds(source)) {
      must(Clock::now() - sent < std::chrono::seconds(5), "no ban");
      if (sleep.count() > 0) std::this_thread::sleep_for(sleep);
    }
    std::printf("%.1f\n", elapsed(sent));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace portsentry::enforcer

int main(int argc, char** argv) {
  const std::vector<const char*> words(argv, argv + argc);
  if (words.size() != 10) return 2;
  return portsentry::enforcer::run(words);
}
