// The capture against real packets: each test makes a network namespace of its own, with a veth
// pair inside, and sends from one end what the other end receives. Packets never leave it.
#include "sensor/sockets.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "common/unique_fd.h"
#include "craft.h"
#include "filter_machine.h"
#include "sensor/packet.h"

namespace portsentry::sensor {
namespace {

using Buffer = std::vector<std::byte>;

constexpr std::array<unsigned, ETH_ALEN> kHere{2, 0, 0, 0, 0, 1};   // the end that receives
constexpr std::array<unsigned, ETH_ALEN> kThere{2, 0, 0, 0, 0, 2};  // the end that sends

// True when `ip` did it.
bool ip(std::vector<std::string> arguments) {
  std::string program = "ip";
  std::vector<char*> argv{program.data()};
  for (std::string& argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  if (::posix_spawnp(&child, "ip", nullptr, nullptr, argv.data(), environ) != 0) return false;
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool make_veth(const std::string& here, const std::string& there) {
  return ip({"link", "add", here, "address", "02:00:00:00:00:01", "type", "veth", "peer", "name",
             there, "address", "02:00:00:00:00:02"}) &&
         ip({"link", "set", here, "addrgenmode", "none", "up"}) &&
         ip({"link", "set", there, "addrgenmode", "none", "up"});
}

void number(Buffer& to, std::uint32_t value, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;)
    to.push_back(static_cast<std::byte>(value >> (8 * i)));
}

constexpr std::string_view kSecret = "a password that nobody may read";

// An Ethernet frame with an IPv4 TCP segment that carries kSecret.
Buffer tcp_frame(std::uint8_t flags, std::uint16_t port = 23) {
  Buffer bytes;
  for (const unsigned octet : kHere)
    number(bytes, octet, 1);
  for (const unsigned octet : kThere)
    number(bytes, octet, 1);
  number(bytes, ETH_P_IP, 2);
  number(bytes, 0x4500, 2);
  number(bytes, static_cast<std::uint32_t>(40 + kSecret.size()), 2);
  number(bytes, 0, 4);
  number(bytes, 64, 1);
  number(bytes, IPPROTO_TCP, 1);
  number(bytes, 0, 2);
  number(bytes, 0xc6336407, 4);  // 198.51.100.7
  number(bytes, 0xc0000201, 4);  // 192.0.2.1
  number(bytes, 40000, 2);
  number(bytes, port, 2);
  number(bytes, 1, 4);
  number(bytes, 0, 4);
  number(bytes, 0x50, 1);
  number(bytes, flags, 1);
  number(bytes, 1024, 2);
  number(bytes, 0, 4);
  const auto secret = std::as_bytes(std::span(kSecret));
  bytes.insert(bytes.end(), secret.begin(), secret.end());
  return bytes;
}

constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kAck = 0x10;

struct Seen {
  std::uint32_t interface;
  std::uint8_t packet_type;
  std::uint16_t ethertype;
  Buffer network;
  [[nodiscard]] unsigned target_port() const {
    return network.size() < 24 ? 0
                               : std::to_integer<unsigned>(network[22]) << 8 |
                                     std::to_integer<unsigned>(network[23]);
  }
};

class CaptureTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes a network namespace and captures";
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno);
    ASSERT_TRUE(ip({"link", "set", "lo", "up"}));
    ASSERT_TRUE(make_veth("here", "there"));
    sender_ = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(sender_) << std::strerror(errno);
    auto opened = Capture::open();
    ASSERT_TRUE(opened) << opened.error().what;
    capture_.emplace(std::move(opened).value());
  }

  void filter() {
    const auto done = capture_->filter_for_good(capture_filter(every_port(), {}));
    ASSERT_TRUE(done) << done.error().what;
  }

  void transmit(const Buffer& frame, const char* interface = "there") const {
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
    ASSERT_EQ(::sendto(sender_.get(), frame.data(), frame.size(), 0,
                       reinterpret_cast<const sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(frame.size()))
        << std::strerror(errno);
  }

  [[nodiscard]] bool readable(int milliseconds) const {
    pollfd entry{.fd = capture_->fd(), .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, milliseconds) == 1;
  }

  unsigned dispatch(unsigned budget) {
    const auto count = capture_->dispatch(budget, [this](const Frame& frame) {
      seen_.push_back({.interface = frame.interface,
                       .packet_type = frame.packet_type,
                       .ethertype = frame.ethertype,
                       .network = Buffer(frame.network.begin(), frame.network.end())});
    });
    EXPECT_TRUE(count) << count.error().what;
    return count ? *count : 0;
  }

  // Everything up to and including a probe of `port`, which the caller has sent last.
  void see_until(unsigned port) {
    for (int turn = 0; turn < 100; ++turn) {
      if (!seen_.empty() && seen_.back().target_port() == port) return;
      ASSERT_TRUE(readable(2000)) << "the last packet did not arrive";
      dispatch(256);
    }
    FAIL() << "a hundred turns without the last packet";
  }

  UniqueFd sender_;
  std::optional<Capture> capture_;
  std::vector<Seen> seen_;
};

TEST_F(CaptureTest, SeesTheHeadersOfAProbeAndNoByteOfItsPayload) {
  filter();
  const Buffer frame = tcp_frame(kSyn);
  transmit(frame);
  see_until(23);
  ASSERT_EQ(seen_.size(), 1U);
  const Seen& seen = seen_.front();
  EXPECT_EQ(seen.interface, ::if_nametoindex("here"));
  EXPECT_EQ(seen.packet_type, PACKET_HOST);
  EXPECT_EQ(seen.ethertype, ETH_P_IP);
  // The IPv4 header, and TCP up to its flags.
  ASSERT_EQ(seen.network.size(), 20U + 14U);
  EXPECT_TRUE(std::equal(seen.network.begin(), seen.network.end(), frame.begin() + ETH_HLEN));
}

TEST_F(CaptureTest, DoesNotSeeEstablishedTraffic) {
  filter();
  transmit(tcp_frame(kAck, 22));
  transmit(tcp_frame(kSyn, 23));
  see_until(23);
  EXPECT_EQ(seen_.size(), 1U);
}

TEST_F(CaptureTest, DoesNotSeeLoopback) {
  filter();
  const UniqueFd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(22);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::sendto(udp.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to), 1);
  const UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_NE(::connect(tcp.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0)
      << "port 22 is open here?";
  transmit(tcp_frame(kSyn, 23));
  see_until(23);
  EXPECT_EQ(seen_.size(), 1U);
}

TEST_F(CaptureTest, KeepsWorkingWhenInterfacesGoAndCome) {
  filter();
  transmit(tcp_frame(kSyn, 23));
  see_until(23);
  ASSERT_TRUE(ip({"link", "set", "here", "down"}));
  EXPECT_FALSE(readable(0));
  ASSERT_TRUE(ip({"link", "del", "here"}));
  EXPECT_FALSE(readable(0)) << "a loop would spin on this";
  EXPECT_EQ(dispatch(256), 0U);
  ASSERT_TRUE(make_veth("here2", "there2"));
  transmit(tcp_frame(kSyn, 24), "there2");
  see_until(24);
  EXPECT_EQ(seen_.back().interface, ::if_nametoindex("here2"));
}

TEST_F(CaptureTest, ThrowsAwayWhatCameBeforeTheFilter) {
  transmit(tcp_frame(kAck, 22));
  transmit(tcp_frame(kSyn, 22));
  ASSERT_TRUE(readable(2000));
  filter();
  transmit(tcp_frame(kSyn, 23));
  see_until(23);
  EXPECT_EQ(seen_.size(), 1U);
}

TEST_F(CaptureTest, HoldsAFilterThatRootCannotReplace) {
  filter();
  std::array<sock_filter, 1> everything{
      sock_filter{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0xffff}};
  sock_fprog program{.len = 1, .filter = everything.data()};
  const int off = 0;
  EXPECT_EQ(::setsockopt(capture_->fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program),
            -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::setsockopt(capture_->fd(), SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof off), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::setsockopt(capture_->fd(), SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof off), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST_F(CaptureTest, StopsAtItsBudgetAndStaysReadable) {
  filter();
  for (std::uint16_t port = 21; port <= 30; ++port)
    transmit(tcp_frame(kSyn, port));
  ASSERT_TRUE(readable(2000));
  EXPECT_EQ(dispatch(4), 4U);
  EXPECT_TRUE(readable(0));
  see_until(30);
  EXPECT_EQ(seen_.size(), 10U);
  EXPECT_FALSE(readable(0));
}

// ---- Headers that are longer than a place of the ring -------------------------------------------

using craft::operator+;

Buffer ip6_frame(const Buffer& network) {
  Buffer bytes;
  for (const unsigned octet : kHere)
    number(bytes, octet, 1);
  for (const unsigned octet : kThere)
    number(bytes, octet, 1);
  number(bytes, ETH_P_IPV6, 2);
  return bytes + network;
}

// A probe of `port` behind options of so many times 8 bytes.
Buffer behind_options(unsigned units, std::size_t payload, unsigned port = 23) {
  return craft::ip6(
      {.next = IPPROTO_DSTOPTS},
      craft::extension(IPPROTO_TCP, units) + craft::tcp({.target = port}) + craft::filled(payload));
}

unsigned probed_port(const Seen& seen) {
  const Parsed parsed = parse(seen.network, seen.ethertype);
  const auto* segment = std::get_if<Segment>(&parsed);
  return segment == nullptr ? 0 : segment->target_port;
}

TEST_F(CaptureTest, SeesAProbeWhereverItsHeadersEnd) {
  filter();
  for (unsigned units = 1; units <= 16; ++units) {
    for (std::size_t payload = 0; payload <= 48; ++payload) {
      const Buffer network = behind_options(units, payload);
      transmit(ip6_frame(network));
      ASSERT_TRUE(readable(2000));
      seen_.clear();
      ASSERT_EQ(dispatch(256), 1U);
      const Seen& seen = seen_.at(0);
      ASSERT_EQ(probed_port(seen), 23U) << units << " units, payload of " << payload;
      EXPECT_EQ(seen.interface, ::if_nametoindex("here"));
      EXPECT_EQ(seen.packet_type, PACKET_HOST);
      // No byte that was not in the packet.
      ASSERT_LE(seen.network.size(), network.size());
      ASSERT_TRUE(std::equal(seen.network.begin(), seen.network.end(), network.begin()));
    }
  }
  EXPECT_FALSE(readable(0));
}

TEST_F(CaptureTest, AFloodOfLongHeadersCostsItsLikeAndNobodyElse) {
  filter();
  constexpr unsigned kSent = 2000;
  for (unsigned i = 0; i < kSent; ++i)
    transmit(ip6_frame(behind_options(100, 400)));
  transmit(tcp_frame(kSyn, 24));
  std::uint64_t received = 0;
  while (const unsigned count = dispatch(256))
    received += count;
  EXPECT_EQ(received, kSent + 1);
  EXPECT_EQ(seen_.back().target_port(), 24U);
  EXPECT_GT(std::ranges::count(seen_, 23U, probed_port), 10);
  EXPECT_FALSE(readable(0)) << "nothing is left beside the ring";

  seen_.clear();
  transmit(ip6_frame(behind_options(100, 400, 25)));
  ASSERT_TRUE(readable(2000));
  dispatch(256);
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(probed_port(seen_.front()), 25U);
}

TEST_F(CaptureTest, HoldsABurstOfNineThousandPackets) {
  filter();
  constexpr unsigned kSent = 9000;
  const Buffer frame = tcp_frame(kSyn);
  for (unsigned i = 0; i < kSent; ++i)
    transmit(frame);
  EXPECT_EQ(*capture_->kernel_dropped(), 0U);
}

TEST_F(CaptureTest, CountsWhatTheRingHadNoRoomFor) {
  filter();
  EXPECT_EQ(*capture_->kernel_dropped(), 0U);
  constexpr unsigned kSent = 20'000;
  const Buffer frame = tcp_frame(kSyn);
  for (unsigned i = 0; i < kSent; ++i)
    transmit(frame);
  const std::uint64_t dropped = *capture_->kernel_dropped();
  EXPECT_GT(dropped, 0U);
  std::uint64_t received = 0;
  while (const unsigned count = dispatch(256))
    received += count;
  EXPECT_EQ(received + dropped, kSent);
  EXPECT_EQ(*capture_->kernel_dropped(), dropped)
      << "the kernel resets its own counter at each reading";
}

}  // namespace
}  // namespace portsentry::sensor
