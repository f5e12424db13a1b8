// The capture filter in the kernel: frames written to a TAP device in a network namespace of its
// own, received by an AF_PACKET socket behind the filter.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "common/unique_fd.h"
#include "craft.h"
#include "filter_machine.h"
#include "sensor/capture_filter.h"
#include "tests/common/network_namespace.h"

namespace portsentry::sensor {
namespace {

using namespace craft;

class CaptureFilterInTheKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    PORTSENTRY_NEEDS_ROOT();
    space_ = NetworkNamespace::make();
    ASSERT_TRUE(space_);
    const NetworkNamespace::Visit inside(*space_);
    tap_ = UniqueFd(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (tap_.get() < 0) GTEST_SKIP() << "needs /dev/net/tun: writes frames to a TAP device";
    ifreq request{};
    std::memcpy(request.ifr_name, "tap0", 5);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    ASSERT_EQ(ioctl(tap_.get(), TUNSETIFF, &request), 0);
    ASSERT_EQ(ioctl(tap_.get(), SIOCGIFHWADDR, &request), 0);
    for (std::size_t i = 0; i < ETH_ALEN; ++i) {
      mac_.push_back(static_cast<std::byte>(request.ifr_hwaddr.sa_data[i]));
    }

    socket_ = UniqueFd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_GE(socket_.get(), 0);
    std::vector<sock_filter> program = capture_filter(every_port(), {});
    const sock_fprog filter{.len = static_cast<unsigned short>(program.size()),
                            .filter = program.data()};
    ASSERT_EQ(setsockopt(socket_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)), 0);
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    ASSERT_EQ(setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    sockaddr_ll everything{};
    everything.sll_family = AF_PACKET;
    everything.sll_protocol = htons(ETH_P_ALL);
    // A generic address, as bind(2) wants it.
    ASSERT_EQ(
        bind(socket_.get(), reinterpret_cast<const sockaddr*>(&everything), sizeof(everything)), 0);
    ASSERT_TRUE(run("ip link set tap0 up"));
  }

  void send(const Packet& to, std::size_t ethertype, const Packet& network) {
    const Packet frame = to + raw({2, 0, 0, 0, 0, 9}) + be16(ethertype) + network;
    ASSERT_EQ(write(tap_.get(), frame.data(), frame.size()), static_cast<ssize_t>(frame.size()));
  }

  // The bytes that came through, before a marker that was sent behind them; nothing if none did.
  Packet received(std::size_t ethertype, const Packet& network) {
    const Packet marker = ip4({.source = "198.51.100.99"}, tcp({.target = 9}));
    send(mac_, ethertype, network);
    send(mac_, 0x0800, marker);
    Packet got;
    for (int packets = 0; packets < 100; ++packets) {
      Packet one = filled(2000);
      const ssize_t size = recv(socket_.get(), one.data(), one.size(), 0);
      if (size < 0) {
        ADD_FAILURE() << "the marker did not arrive";
        break;
      }
      one.resize(static_cast<std::size_t>(size));
      if (one == first(marker, 34)) break;
      got = one;
    }
    return got;
  }

  std::optional<NetworkNamespace> space_;
  UniqueFd tap_;
  UniqueFd socket_;
  Packet mac_;
};

TEST_F(CaptureFilterInTheKernel, HandsUpExactlyTheHeadersAndNoPayload) {
  const Packet payload = filled(300);
  struct Case {
    std::size_t ethertype;
    Packet packet;
    std::size_t expected;
  };
  const std::vector<Case> cases{
      {0x0800, ip4({}, tcp() + payload), 34},
      {0x0800, ip4({.words = 15}, tcp() + payload), 74},
      {0x0800, ip4({}, tcp({.flags = TcpFlags::ack}) + payload), 0},
      {0x0800, ip4({.protocol = 17}, udp({.payload = 300})), 28},
      {0x0800, ip4({.protocol = 1}, payload), 0},
      {0x0800, ip4({.more = true}, first(tcp(), 8)), 28},
      {0x0800, ip4({.offset = 1}, from(tcp(), 8) + payload), 26},
      {0x0800, ip4({.offset = 2}, payload), 0},
      {0x86dd, ip6({}, tcp() + payload), 54},
      {0x86dd, ip6({}, tcp({.flags = TcpFlags::rst})), 0},
      {0x86dd, ip6({.next = 17}, udp({.payload = 300})), 48},
      {0x86dd, ip6({.next = 60}, extension(6, 2) + tcp() + payload), 70},
      {0x86dd, ip6({.next = 51}, authentication(6) + tcp() + payload), 78},
      {0x86dd, ip6({.next = 44}, fragment6(6, 1, false) + from(tcp(), 8) + payload), 54},
      {0x86dd, ip6({.next = 58}, payload), 0},
      // Linux takes one tag away itself.
      {0x8100, be16(5) + be16(0x0800) + ip4({}, tcp() + payload), 34},
      {0x88a8, be16(5) + be16(0x8100) + be16(6) + be16(0x0800) + ip4({}, tcp() + payload), 0},
      {0x8100, be16(0) + be16(0x8100) + be16(0) + be16(0x0800) + ip4({}, tcp()), 4 + 40},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    const Packet got = received(c.ethertype, c.packet);
    ASSERT_EQ(got.size(), c.expected) << "case " << i;
    const std::size_t tag_taken = c.ethertype == 0x8100 || c.ethertype == 0x88a8 ? 4 : 0;
    EXPECT_EQ(got, first(from(c.packet, tag_taken), c.expected)) << "case " << i;
  }
}

TEST_F(CaptureFilterInTheKernel, SeesNothingThatIsNotForThisHost) {
  for (const Packet& to : {raw({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), raw({1, 0, 0x5e, 0, 0, 1}),
                           raw({2, 0, 0, 0, 0, 7})}) {
    send(to, 0x0800, ip4({}, tcp({.target = 77})));
  }
  EXPECT_EQ(received(0x0800, ip4({}, tcp({.flags = TcpFlags::ack}))).size(), 0U);
}

}  // namespace
}  // namespace portsentry::sensor
