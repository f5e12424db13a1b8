// Against the live kernel, in a throw-away network namespace.
#include "common/rtnetlink.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>

#include "tests/common/network_namespace.h"

namespace portsentry {
namespace {

using std::chrono::steady_clock;

Address addr(std::string_view text) {
  const auto a = Address::parse(text);
  EXPECT_TRUE(a) << text;
  return a.value_or(Address::v4(0, 0, 0, 0));
}

bool is_hop(const LocalView& view, std::string_view text) {
  return view.next_hop_inside(Prefix::host(addr(text))).has_value();
}

// Lets events in until `condition` holds; false when it does not within five seconds.
bool await(Rtnetlink& rtnetlink, const std::function<bool(const LocalView&)>& condition) {
  const auto deadline = steady_clock::now() + std::chrono::seconds(5);
  while (!condition(rtnetlink.view())) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
    pollfd waiting{rtnetlink.fd(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return false;
    if (!rtnetlink.refresh()) return false;
  }
  return true;
}

class RtnetlinkLive : public testing::Test {
 protected:
  void SetUp() override {
    PORTSENTRY_NEEDS_ROOT();
    here_ = NetworkNamespace::make();
    ASSERT_TRUE(here_);
    visit_.emplace(*here_);
    ASSERT_TRUE(
        run("ip link add e0 type veth peer name e1 && ip link set e0 up && ip link set e1 up"));
  }
  std::optional<NetworkNamespace> here_;
  std::optional<NetworkNamespace::Visit> visit_;
};

TEST_F(RtnetlinkLive, OpeningReadsWhatIsThere) {
  ASSERT_TRUE(
      run("ip addr add 192.0.2.10/24 dev e0 && ip -6 addr add 2001:db8::10/64 dev e0 nodad && "
          "ip addr add 10.1.1.1 peer 10.1.1.2 dev e1 && "
          "ip route add default via 192.0.2.1 && "
          "ip route add 10.9.0.0/16 table 77 nexthop via 192.0.2.2 nexthop via 192.0.2.3 && "
          "ip -6 route add default via 2001:db8::1 && "
          "ip route add 10.8.0.0/16 via inet6 2001:db8::99 && "
          "ip nexthop add id 5 via 192.0.2.5 dev e0 && "
          "ip route add local 198.51.100.0/24 dev lo"));
  auto opened = Rtnetlink::open();
  ASSERT_TRUE(opened) << opened.error().what;
  const LocalView& view = opened->view();
  EXPECT_TRUE(view.is_own(addr("127.0.0.1")));
  EXPECT_TRUE(view.is_own(addr("::1")));
  EXPECT_TRUE(view.is_own(addr("192.0.2.10")));
  EXPECT_TRUE(view.is_own(addr("2001:db8::10")));
  EXPECT_TRUE(view.is_own(addr("10.1.1.1")));
  EXPECT_FALSE(view.is_own(addr("10.1.1.2")));
  EXPECT_TRUE(view.is_own(addr("198.51.100.200")));
  EXPECT_FALSE(view.is_own(addr("192.0.2.255")));
  EXPECT_TRUE(view.is_on_link(addr("10.1.1.2")));
  EXPECT_TRUE(view.is_on_link(addr("2001:db8::7")));
  EXPECT_FALSE(view.is_on_link(addr("203.0.113.1")));
  for (const char* hop :
       {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.5", "2001:db8::1", "2001:db8::99"}) {
    EXPECT_TRUE(is_hop(view, hop)) << hop;
  }
  EXPECT_EQ(view.interface_name(1), "lo");
  EXPECT_EQ(view.malformed(), 0U);
}

TEST_F(RtnetlinkLive, ChangesArriveByThemselves) {
  auto opened = Rtnetlink::open();
  ASSERT_TRUE(opened) << opened.error().what;
  ASSERT_TRUE(opened->move_to(77));
  EXPECT_EQ(opened->fd(), 77);
  EXPECT_FALSE(opened->view().is_own(addr("192.0.2.10")));

  ASSERT_TRUE(run("ip addr add 192.0.2.10/24 dev e0 && ip route add default via 192.0.2.1"));
  EXPECT_TRUE(await(*opened, [](const LocalView& v) {
    return v.is_own(addr("192.0.2.10")) && is_hop(v, "192.0.2.1");
  }));
  ASSERT_TRUE(run("ip route replace default via 192.0.2.2"));
  EXPECT_TRUE(await(*opened, [](const LocalView& v) {
    return !is_hop(v, "192.0.2.1") && is_hop(v, "192.0.2.2");
  }));
  ASSERT_TRUE(run("ip link add later type veth peer name e3"));
  EXPECT_TRUE(await(*opened, [](const LocalView& v) {
    for (std::uint32_t i = 1; i < 20; ++i) {
      if (v.interface_name(i) == "later") return true;
    }
    return false;
  }));
  ASSERT_TRUE(run("ip addr del 192.0.2.10/24 dev e0"));
  EXPECT_TRUE(await(*opened, [](const LocalView& v) { return !v.is_own(addr("192.0.2.10")); }));
}

TEST_F(RtnetlinkLive, AGatewayThatWentWithItsLinkIsForgotten) {
  // The kernel removes these routes without a message of their own.
  ASSERT_TRUE(run("ip addr add 192.0.2.10/24 dev e0 && ip route add default via 192.0.2.1"));
  auto opened = Rtnetlink::open();
  ASSERT_TRUE(opened);
  ASSERT_TRUE(is_hop(opened->view(), "192.0.2.1"));
  ASSERT_TRUE(run("ip link set e0 down"));
  EXPECT_TRUE(await(*opened, [](const LocalView& v) { return !is_hop(v, "192.0.2.1"); }));
  EXPECT_TRUE(opened->view().is_own(addr("192.0.2.10")));
}

TEST_F(RtnetlinkLive, AfterAnOverrunTheViewIsReadAnew) {
  auto opened = Rtnetlink::open();
  ASSERT_TRUE(opened);
  const int tiny = 1;  // the kernel rounds up to its minimum, a few messages
  ASSERT_EQ(::setsockopt(opened->fd(), SOL_SOCKET, SO_RCVBUF, &tiny, sizeof tiny), 0);
  ASSERT_TRUE(
      run("for i in $(seq 1 200); do echo addr add 10.3.0.$i/32 dev e0; done | ip -batch -"));
  ASSERT_TRUE(opened->refresh());
  for (int i = 1; i <= 200; ++i) {
    EXPECT_TRUE(opened->view().is_own(Address::v4(10, 3, 0, static_cast<std::uint8_t>(i)))) << i;
  }
}

TEST_F(RtnetlinkLive, RoutesThatNeverStopChangingAreNotTheEndOfIt) {
  ASSERT_TRUE(
      run("ip addr add 192.0.2.10/24 dev e0 && "
          "for i in $(seq 0 9); do for j in $(seq 0 249); do "
          "echo route add 10.$i.$j.0/24 via 192.0.2.1; done; done | ip -batch -"));
  auto opened = Rtnetlink::open();
  ASSERT_TRUE(opened);
  const int tiny = 1;  // every burst overruns, so every look has to dump
  ASSERT_EQ(::setsockopt(opened->fd(), SOL_SOCKET, SO_RCVBUF, &tiny, sizeof tiny), 0);
  ASSERT_TRUE(
      run("(for n in $(seq 1 60); do "
          "for j in $(seq 0 49); do echo route replace 10.3.$j.0/24 via 192.0.2.$((n + 1)); done | "
          "ip -batch -; done; ip addr add 10.99.0.1/32 dev e0) >/dev/null 2>&1 &"));
  const auto at_the_end = addr("10.99.0.1");
  const auto deadline = steady_clock::now() + std::chrono::seconds(10);
  while (!opened->view().is_own(at_the_end) || !opened->current()) {
    ASSERT_LT(steady_clock::now(), deadline);
    pollfd waiting{opened->fd(), POLLIN, 0};
    ::poll(&waiting, 1, 100);
    const auto refreshed = opened->refresh();
    ASSERT_TRUE(refreshed) << refreshed.error().what;
  }
  EXPECT_TRUE(is_hop(opened->view(), "192.0.2.61"));
  EXPECT_FALSE(is_hop(opened->view(), "192.0.2.2"));
}

}  // namespace
}  // namespace portsentry
