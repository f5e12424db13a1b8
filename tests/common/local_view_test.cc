#include "common/local_view.h"

#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "tests/common/netlink_builder.h"

namespace portsentry {
namespace {

Address addr(std::string_view text) {
  const auto a = Address::parse(text);
  EXPECT_TRUE(a) << text;
  return a.value_or(Address::v4(0, 0, 0, 0));
}

Prefix net(std::string_view text) {
  const auto p = Prefix::parse(text);
  EXPECT_TRUE(p) << text;
  return p.value_or(Prefix::host(addr("0.0.0.0")));
}

std::uint8_t family_of(const Address& a) {
  return a.is_v4() ? AF_INET : AF_INET6;
}

std::vector<std::byte> link(int type, int index, const char* name, unsigned flags = IFF_UP,
                            unsigned char family = AF_UNSPEC) {
  ifinfomsg header{};
  header.ifi_family = family;
  header.ifi_index = index;
  header.ifi_flags = flags;
  return NetlinkBuilder().message(type).fixed(header).attribute(IFLA_IFNAME, name).build();
}

// An address without a far end, as plain IPv4 (both attributes) or plain IPv6 (IFA_ADDRESS only).
std::vector<std::byte> address(int type, unsigned index, std::string_view text, unsigned length,
                               unsigned char flags = 0) {
  const Address a = addr(text);
  ifaddrmsg header{};
  header.ifa_family = family_of(a);
  header.ifa_prefixlen = static_cast<unsigned char>(length);
  header.ifa_flags = flags;
  header.ifa_index = index;
  NetlinkBuilder builder;
  builder.message(type).fixed(header).attribute(IFA_ADDRESS, a.bytes());
  if (a.is_v4()) builder.attribute(IFA_LOCAL, a.bytes());
  return builder.build();
}

struct Route {
  std::string_view destination = "";  // "": the default route
  unsigned length = 0;
  std::string_view gateway = "";
  std::string_view via = "";
  std::vector<std::string_view> multipath{};
  unsigned char family = AF_INET;
  unsigned char kind = RTN_UNICAST;
  std::uint32_t table = RT_TABLE_MAIN;
  std::uint32_t metric = 0;
  unsigned flags = 0;
};

std::vector<std::byte> via_bytes(const Address& a) {
  const __kernel_sa_family_t family = family_of(a);
  std::vector<std::byte> bytes(sizeof family);
  std::memcpy(bytes.data(), &family, sizeof family);
  bytes.insert(bytes.end(), a.bytes().begin(), a.bytes().end());
  return bytes;
}

std::vector<std::byte> route(int type, const Route& r, int message_flags = 0) {
  rtmsg header{};
  header.rtm_family = r.family;
  header.rtm_dst_len = static_cast<unsigned char>(r.length);
  header.rtm_type = r.kind;
  header.rtm_flags = r.flags;
  header.rtm_table = static_cast<unsigned char>(r.table > 255 ? RT_TABLE_COMPAT : r.table);
  NetlinkBuilder builder;
  builder.message(type, message_flags).fixed(header).attribute(RTA_TABLE, r.table);
  if (!r.destination.empty()) builder.attribute(RTA_DST, addr(r.destination).bytes());
  if (r.metric != 0) builder.attribute(RTA_PRIORITY, r.metric);
  if (!r.gateway.empty()) builder.attribute(RTA_GATEWAY, addr(r.gateway).bytes());
  if (!r.via.empty()) builder.attribute(RTA_VIA, via_bytes(addr(r.via)));
  if (!r.multipath.empty()) {
    std::vector<std::byte> hops;
    for (const std::string_view gateway : r.multipath) {
      const Address address = addr(gateway);
      const Bytes bytes = address.bytes();
      rtnexthop hop{};
      hop.rtnh_len = static_cast<unsigned short>(sizeof hop + sizeof(rtattr) + bytes.size());
      const rtattr attribute{static_cast<unsigned short>(sizeof(rtattr) + bytes.size()),
                             RTA_GATEWAY};
      for (const Bytes part :
           {std::as_bytes(std::span(&hop, 1)), std::as_bytes(std::span(&attribute, 1)), bytes}) {
        hops.insert(hops.end(), part.begin(), part.end());
      }
    }
    builder.attribute(RTA_MULTIPATH, hops);
  }
  return builder.build();
}

std::vector<std::byte> nexthop(int type, std::uint32_t id, std::string_view gateway,
                               int flags = 0) {
  nhmsg header{};
  header.nh_family = family_of(addr(gateway));
  return NetlinkBuilder()
      .message(type, flags)
      .fixed(header)
      .attribute(NHA_ID, id)
      .attribute(NHA_GATEWAY, addr(gateway).bytes())
      .build();
}

bool is_hop(const LocalView& view, std::string_view text) {
  return view.next_hop_inside(Prefix::host(addr(text))) == addr(text);
}

// ---- Addresses ----------------------------------------------------------------------------------

TEST(LocalView, AnEmptyViewKnowsNothing) {
  const LocalView view;
  EXPECT_FALSE(view.is_own(addr("127.0.0.1")));
  EXPECT_FALSE(view.is_on_link(addr("192.0.2.1")));
  EXPECT_FALSE(view.own_inside(net("0.0.0.0/0")));
  EXPECT_FALSE(view.next_hop_inside(net("::/0")));
  EXPECT_FALSE(view.interface_name(1));
}

TEST(LocalView, AnAddressIsOwnAndItsNetworkOnLink) {
  LocalView view;
  view.apply(address(RTM_NEWADDR, 2, "192.0.2.10", 24));
  EXPECT_TRUE(view.is_own(addr("192.0.2.10")));
  EXPECT_FALSE(view.is_own(addr("192.0.2.11")));
  EXPECT_TRUE(view.is_on_link(addr("192.0.2.11")));
  EXPECT_FALSE(view.is_on_link(addr("192.0.3.1")));
  EXPECT_EQ(view.malformed(), 0U);
}

TEST(LocalView, PlainIPv6HasItsAddressInTheOtherAttribute) {
  LocalView view;
  view.apply(address(RTM_NEWADDR, 2, "2001:db8::10", 64));
  EXPECT_TRUE(view.is_own(addr("2001:db8::10")));
  EXPECT_TRUE(view.is_on_link(addr("2001:db8::ffff")));
  EXPECT_FALSE(view.is_on_link(addr("2001:db8:0:1::1")));
}

TEST(LocalView, TheFarEndOfAPointToPointLinkIsOnLinkAndNotOwn) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 32;
  header.ifa_index = 5;
  LocalView view;
  view.apply(NetlinkBuilder()
                 .message(RTM_NEWADDR)
                 .fixed(header)
                 .attribute(IFA_ADDRESS, addr("198.51.100.1").bytes())
                 .attribute(IFA_LOCAL, addr("192.0.2.1").bytes())
                 .build());
  EXPECT_TRUE(view.is_own(addr("192.0.2.1")));
  EXPECT_FALSE(view.is_own(addr("198.51.100.1")));
  EXPECT_TRUE(view.is_on_link(addr("198.51.100.1")));
}

TEST(LocalView, TentativeAndDeprecatedAddressesAreOurs) {
  LocalView view;
  view.apply(address(RTM_NEWADDR, 2, "2001:db8::1", 64, IFA_F_TENTATIVE));
  view.apply(address(RTM_NEWADDR, 2, "2001:db8::2", 64, IFA_F_DEPRECATED));
  EXPECT_TRUE(view.is_own(addr("2001:db8::1")));
  EXPECT_TRUE(view.is_own(addr("2001:db8::2")));
}

TEST(LocalView, AnAddressToldTwiceGoesWithOneDeletion) {
  LocalView view;
  for (int i = 0; i < 3; ++i)
    view.apply(address(RTM_NEWADDR, 2, "192.0.2.10", 24));
  view.apply(address(RTM_DELADDR, 2, "192.0.2.10", 24));
  EXPECT_FALSE(view.is_own(addr("192.0.2.10")));
  EXPECT_FALSE(view.is_on_link(addr("192.0.2.11")));
}

TEST(LocalView, AnAddressOnTwoInterfacesStaysUntilBothLoseIt) {
  LocalView view;
  view.apply(address(RTM_NEWADDR, 2, "192.0.2.10", 24));
  view.apply(address(RTM_NEWADDR, 3, "192.0.2.10", 24));
  view.apply(address(RTM_DELADDR, 2, "192.0.2.10", 24));
  EXPECT_TRUE(view.is_own(addr("192.0.2.10")));
  EXPECT_TRUE(view.is_on_link(addr("192.0.2.11")));
  view.apply(address(RTM_DELADDR, 3, "192.0.2.10", 24));
  EXPECT_FALSE(view.is_own(addr("192.0.2.10")));
}

TEST(LocalView, ADeletionOfWhatIsNotThereIsNoHarm) {
  LocalView view;
  view.apply(address(RTM_DELADDR, 2, "192.0.2.10", 24));
  view.apply(route(RTM_DELROUTE, {.gateway = "192.0.2.1"}));
  view.apply(link(RTM_DELLINK, 2, "eth0"));
  view.apply(nexthop(RTM_DELNEXTHOP, 1, "192.0.2.1"));
  EXPECT_EQ(view.malformed(), 0U);
}

TEST(LocalView, ThePrefixOfABanMeetsTheFirstOwnAddressInside) {
  LocalView view;
  view.apply(address(RTM_NEWADDR, 2, "2001:db8::20", 64));
  view.apply(address(RTM_NEWADDR, 9, "2001:db8::10", 64));
  EXPECT_EQ(view.own_inside(net("2001:db8::/64")), addr("2001:db8::10"));
  EXPECT_EQ(view.own_inside(net("2001:db8::20")), addr("2001:db8::20"));
  EXPECT_FALSE(view.own_inside(net("2001:db8::30")));
  EXPECT_FALSE(view.own_inside(net("2001:db8:0:1::/64")));
}

TEST(LocalView, AddressesGivenByTheLocalTableAreOwn) {
  LocalView view;
  const Route any_ip{.destination = "198.51.100.0", .length = 24, .kind = RTN_LOCAL, .table = 255};
  view.apply(route(RTM_NEWROUTE, any_ip));
  EXPECT_TRUE(view.is_own(addr("198.51.100.77")));
  EXPECT_FALSE(view.is_own(addr("198.51.101.1")));
  EXPECT_EQ(view.own_inside(net("198.51.100.77")), addr("198.51.100.77"));
  EXPECT_EQ(view.own_inside(net("198.51.0.0/16")), addr("198.51.100.0"));
  view.apply(route(RTM_DELROUTE, any_ip));
  EXPECT_FALSE(view.is_own(addr("198.51.100.77")));
}

TEST(LocalView, ARoutersAnycastAddressesAreOwn) {
  LocalView view;
  view.apply(route(RTM_NEWROUTE, {.destination = "2001:db8::",
                                  .length = 128,
                                  .family = AF_INET6,
                                  .kind = RTN_ANYCAST,
                                  .table = 255}));
  EXPECT_TRUE(view.is_own(addr("2001:db8::")));
  EXPECT_FALSE(view.is_own(addr("2001:db8::1")));
}

TEST(LocalView, ATransparentProxysRouteDoesNotMakeTheWorldOurs) {
  LocalView view;
  view.apply(route(RTM_NEWROUTE, {.kind = RTN_LOCAL, .table = 100}));
  view.apply(route(RTM_NEWROUTE,
                   {.destination = "203.0.113.0", .length = 24, .kind = RTN_LOCAL, .table = 100}));
  view.apply(route(RTM_NEWROUTE, {.kind = RTN_LOCAL, .table = 255}));
  EXPECT_FALSE(view.is_own(addr("203.0.113.5")));
  EXPECT_FALSE(view.own_inside(net("203.0.113.5")));
}

// ---- Next hops ----------------------------------------------------------------------------------

TEST(LocalView, GatewaysOfEveryTableAreNextHops) {
  LocalView view;
  view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.1"}));
  view.apply(
      route(RTM_NEWROUTE,
            {.destination = "10.0.0.0", .length = 8, .gateway = "192.0.2.2", .table = 5000}));
  view.apply(route(RTM_NEWROUTE, {.gateway = "2001:db8::1", .family = AF_INET6}));
  EXPECT_TRUE(is_hop(view, "192.0.2.1"));
  EXPECT_TRUE(is_hop(view, "192.0.2.2"));
  EXPECT_TRUE(is_hop(view, "2001:db8::1"));
  EXPECT_EQ(view.next_hop_inside(net("192.0.2.0/24")), addr("192.0.2.1"));
  EXPECT_EQ(view.next_hop_inside(net("2001:db8::/64")), addr("2001:db8::1"));
  EXPECT_FALSE(view.next_hop_inside(net("192.0.2.3")));
}

TEST(LocalView, DeletingOneOfTwoRoutesKeepsTheirGateway) {
  LocalView view;
  view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.1"}));
  view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.1", .metric = 100}));
  view.apply(route(RTM_DELROUTE, {.gateway = "192.0.2.1"}));
  EXPECT_TRUE(is_hop(view, "192.0.2.1"));
  view.apply(route(RTM_DELROUTE, {.gateway = "192.0.2.1", .metric = 100}));
  EXPECT_FALSE(is_hop(view, "192.0.2.1"));
}

TEST(LocalView, AReplacedRouteLosesItsOldGateway) {
  LocalView view;
  view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.1"}));
  view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.2"}, NLM_F_REPLACE));
  EXPECT_FALSE(is_hop(view, "192.0.2.1"));
  EXPECT_TRUE(is_hop(view, "192.0.2.2"));
}

TEST(LocalView, EveryPathOfAMultipathRouteIsANextHop) {
  LocalView view;
  const Route paths{.multipath = {"192.0.2.1", "192.0.2.9"}};
  view.apply(route(RTM_NEWROUTE, paths));
  EXPECT_TRUE(is_hop(view, "192.0.2.1"));
  EXPECT_TRUE(is_hop(view, "192.0.2.9"));
  view.apply(route(RTM_DELROUTE, paths));
  EXPECT_FALSE(is_hop(view, "192.0.2.1"));
  EXPECT_FALSE(is_hop(view, "192.0.2.9"));
}

TEST(LocalView, AGatewayOfTheOtherFamilyIsANextHop) {
  LocalView view;
  view.apply(route(RTM_NEWROUTE, {.via = "2001:db8::1"}));
  EXPECT_TRUE(is_hop(view, "2001:db8::1"));
}

TEST(LocalView, ANexthopObjectIsANextHopUntilItIsReplacedOrDeleted) {
  LocalView view;
  view.apply(nexthop(RTM_NEWNEXTHOP, 7, "192.0.2.1"));
  EXPECT_TRUE(is_hop(view, "192.0.2.1"));
  view.apply(nexthop(RTM_NEWNEXTHOP, 7, "192.0.2.2", NLM_F_REPLACE));
  EXPECT_FALSE(is_hop(view, "192.0.2.1"));
  EXPECT_TRUE(is_hop(view, "192.0.2.2"));
  view.apply(nexthop(RTM_DELNEXTHOP, 7, "192.0.2.2"));
  EXPECT_FALSE(is_hop(view, "192.0.2.2"));
}

TEST(LocalView, CacheEntriesAndBlackholesNameNoNextHop) {
  LocalView view;
  view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.1", .flags = RTM_F_CLONED}));
  view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.2", .kind = RTN_BLACKHOLE}));
  view.apply(route(RTM_NEWROUTE, {.gateway = "0.0.0.0"}));
  EXPECT_FALSE(view.next_hop_inside(net("0.0.0.0/0")));
}

TEST(LocalView, AGatewayOfCountlessRoutesStaysProtectedInBoundedMemory) {
  LocalView view;
  for (std::uint32_t metric = 1; metric <= 100'000; ++metric) {
    view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.1", .metric = metric}));
  }
  for (std::uint32_t metric = 1; metric <= 1000; ++metric) {
    view.apply(route(RTM_DELROUTE, {.gateway = "192.0.2.1", .metric = metric}));
  }
  EXPECT_TRUE(is_hop(view, "192.0.2.1"));
  view.clear();
  EXPECT_FALSE(is_hop(view, "192.0.2.1"));
}

TEST(LocalView, SaysWhenTheKernelMayHaveRemovedRoutesSilently) {
  LocalView view;
  view.apply(link(RTM_NEWLINK, 2, "eth0", IFF_UP));
  view.apply(address(RTM_NEWADDR, 2, "192.0.2.10", 24));
  EXPECT_FALSE(view.routes_may_be_gone());
  const std::vector<std::vector<std::byte>> doubtful{
      link(RTM_NEWLINK, 2, "eth0", 0), link(RTM_DELLINK, 2, "eth0"),
      address(RTM_DELADDR, 2, "192.0.2.10", 24), nexthop(RTM_DELNEXTHOP, 7, "192.0.2.2"),
      nexthop(RTM_NEWNEXTHOP, 7, "192.0.2.2", NLM_F_REPLACE)};
  for (const auto& event : doubtful) {
    view.expect_all_routes();
    EXPECT_FALSE(view.routes_may_be_gone());
    view.apply(event);
    EXPECT_TRUE(view.routes_may_be_gone());
  }
}

// ---- Interfaces ---------------------------------------------------------------------------------

TEST(LocalView, InterfacesHaveNamesWhileTheyExist) {
  LocalView view;
  view.apply(link(RTM_NEWLINK, 2, "eth0"));
  EXPECT_EQ(view.interface_name(2), "eth0");
  view.apply(link(RTM_NEWLINK, 2, "wan"));
  EXPECT_EQ(view.interface_name(2), "wan");
  view.apply(link(RTM_DELLINK, 2, "wan"));
  EXPECT_FALSE(view.interface_name(2));
}

TEST(LocalView, APortThatLeavesItsBridgeStillExists) {
  LocalView view;
  view.apply(link(RTM_NEWLINK, 2, "eth0"));
  view.apply(link(RTM_DELLINK, 2, "eth0", IFF_UP, AF_BRIDGE));
  EXPECT_EQ(view.interface_name(2), "eth0");
}

// ---- Villains -----------------------------------------------------------------------------------

TEST(LocalView, EveryTruncationIsCountedAndTakesNothingAway) {
  const std::vector<std::vector<std::byte>> whole{
      link(RTM_DELLINK, 2, "eth0"), address(RTM_DELADDR, 2, "192.0.2.10", 24),
      route(RTM_DELROUTE, {.gateway = "192.0.2.1"}),
      route(RTM_DELROUTE, {.multipath = {"192.0.2.1", "192.0.2.9"}})};
  for (const auto& datagram : whole) {
    for (std::size_t size = 1; size < datagram.size(); ++size) {
      LocalView view;
      view.apply(link(RTM_NEWLINK, 2, "eth0"));
      view.apply(address(RTM_NEWADDR, 2, "192.0.2.10", 24));
      view.apply(route(RTM_NEWROUTE, {.gateway = "192.0.2.1"}));
      view.apply(std::vector<std::byte>(datagram.begin(),
                                        datagram.begin() + static_cast<std::ptrdiff_t>(size)));
      EXPECT_EQ(view.malformed(), 1U) << size;
      EXPECT_TRUE(view.is_own(addr("192.0.2.10"))) << size;
      EXPECT_TRUE(is_hop(view, "192.0.2.1")) << size;
      EXPECT_EQ(view.interface_name(2), "eth0") << size;
    }
  }
}

TEST(LocalView, MessagesThatLieInsideAreCountedAndSkipped) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 24;
  header.ifa_index = 2;
  ifaddrmsg too_long = header;
  too_long.ifa_prefixlen = 33;
  ifaddrmsg nowhere = header;
  nowhere.ifa_index = 0;
  const Address v4 = addr("192.0.2.1");
  const Address v6 = addr("2001:db8::1");
  LocalView view;
  std::size_t expected = 0;
  const auto refuse = [&](const std::vector<std::byte>& datagram) {
    view.apply(datagram);
    EXPECT_EQ(view.malformed(), ++expected);
  };
  refuse(NetlinkBuilder().message(RTM_NEWADDR).fixed(header).build());  // no address at all
  refuse(
      NetlinkBuilder().message(RTM_NEWADDR).fixed(header).attribute(IFA_LOCAL, v6.bytes()).build());
  refuse(NetlinkBuilder()
             .message(RTM_NEWADDR)
             .fixed(too_long)
             .attribute(IFA_LOCAL, v4.bytes())
             .build());
  refuse(NetlinkBuilder()
             .message(RTM_NEWADDR)
             .fixed(nowhere)
             .attribute(IFA_LOCAL, v4.bytes())
             .build());
  refuse(link(RTM_NEWLINK, 0, "eth0"));
  refuse(link(RTM_NEWLINK, 4, ""));
  refuse(link(RTM_NEWLINK, 4, "sixteen-letters!"));
  refuse(route(RTM_NEWROUTE, {.gateway = "2001:db8::1"}));  // IPv6 gateway in an IPv4 route
  EXPECT_FALSE(view.own_inside(net("0.0.0.0/0")));
  EXPECT_FALSE(view.own_inside(net("::/0")));
  EXPECT_FALSE(view.interface_name(4));
}

TEST(LocalView, AMultipathListThatLiesStillEnds) {
  for (const unsigned length : {0U, 1U, 7U, 9U, 500U, 65535U}) {
    rtnexthop hop{};
    hop.rtnh_len = static_cast<unsigned short>(length);
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_type = RTN_UNICAST;
    LocalView view;
    view.apply(NetlinkBuilder()
                   .message(RTM_NEWROUTE)
                   .fixed(header)
                   .attribute(RTA_MULTIPATH, std::as_bytes(std::span(&hop, 1)))
                   .build());
    EXPECT_EQ(view.malformed(), 1U) << length;
  }
}

TEST(LocalView, WhatFollowsASkippedMessageIsRead) {
  auto datagram = NetlinkBuilder().message(RTM_NEWRULE).fixed(std::uint64_t{0}).build();
  const auto next = address(RTM_NEWADDR, 2, "192.0.2.10", 24);
  datagram.insert(datagram.end(), next.begin(), next.end());
  LocalView view;
  view.apply(datagram);
  EXPECT_TRUE(view.is_own(addr("192.0.2.10")));
  EXPECT_EQ(view.malformed(), 0U);
}

// An interface of a kind ("": hardware), and whose member it is.
std::vector<std::byte> device(unsigned index, const char* name, const char* kind,
                              std::uint32_t master = 0) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index);
  header.ifi_flags = IFF_UP;
  NetlinkBuilder builder;
  builder.message(RTM_NEWLINK).fixed(header).attribute(IFLA_IFNAME, name);
  if (master != 0) builder.attribute(IFLA_MASTER, master);
  if (*kind != '\0') {
    const auto info = NetlinkBuilder().attribute(IFLA_INFO_KIND, kind).build();
    // build() writes a message's length over the first four bytes; here they are an attribute.
    std::vector<std::byte> nested = info;
    const nlattr inner{static_cast<std::uint16_t>(sizeof(nlattr) + std::strlen(kind) + 1),
                       IFLA_INFO_KIND};
    std::memcpy(nested.data(), &inner, sizeof inner);
    builder.attribute(IFLA_LINKINFO, nested);
  }
  return builder.build();
}

class Bridge : public ::testing::Test {
 protected:
  Bridge() {
    view.apply(device(7, "docker0", "bridge"));
    view.apply(address(RTM_NEWADDR, 7, "172.17.0.1", 16));
    view.apply(device(2, "eth0", ""));
    view.apply(address(RTM_NEWADDR, 2, "192.0.2.1", 24));
  }
  bool container(std::string_view prefix) const {
    return view.container_inside(net(prefix)).has_value();
  }
  LocalView view;
};

TEST_F(Bridge, WhatIsBehindABridgeOfVethsIsAContainer) {
  view.apply(device(8, "veth1", "veth", 7));
  EXPECT_TRUE(container("172.17.0.9"));
  EXPECT_TRUE(container("172.17.0.0/24"));
  EXPECT_TRUE(container("172.0.0.0/8"));
  EXPECT_FALSE(container("172.18.0.9"));
  EXPECT_FALSE(container("192.0.2.9"));
  std::vector<std::string> told;
  view.each_container_network([&](const Prefix& network, std::uint32_t by) {
    told.push_back(network.text() + ' ' + std::to_string(by));
  });
  EXPECT_EQ(told, std::vector<std::string>{"172.17.0.0/16 7"});
}

TEST_F(Bridge, ABridgeWithHardwareInItIsASwitchToStrangers) {
  view.apply(device(2, "eth0", "", 7));
  EXPECT_FALSE(container("172.17.0.9"));
  view.apply(device(2, "eth0", ""));  // and out again
  EXPECT_TRUE(container("172.17.0.9"));
}

TEST_F(Bridge, SoIsOneWithAVlanABondOrATunnelInIt) {
  for (const char* kind : {"vlan", "bond", "vxlan", "gretap", "anything"}) {
    view.apply(device(9, "x", kind, 7));
    EXPECT_FALSE(container("172.17.0.9")) << kind;
  }
  view.apply(device(9, "x", "tun", 7));
  EXPECT_TRUE(container("172.17.0.9"));
}

TEST_F(Bridge, ABridgeByWhichAGatewayIsReachedIsAnUplink) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_type = RTN_UNICAST;
  const auto gateway = addr("172.17.0.254");
  const auto route = [&](int type) {
    return NetlinkBuilder()
        .message(type)
        .fixed(header)
        .attribute(RTA_GATEWAY, gateway.bytes())
        .attribute(RTA_OIF, std::uint32_t{7})
        .build();
  };
  view.apply(route(RTM_NEWROUTE));
  EXPECT_FALSE(container("172.17.0.9"));
  view.apply(route(RTM_DELROUTE));
  EXPECT_TRUE(container("172.17.0.9"));
}

TEST_F(Bridge, ABridgeThatIsGoneProtectsNobody) {
  view.apply(link(RTM_DELLINK, 7, "docker0"));
  EXPECT_FALSE(container("172.17.0.9"));
}

TEST_F(Bridge, AWordAboutTheAirIsNoWordAboutMembership) {
  view.apply(device(3, "wlan0", "", 7));
  ifinfomsg header{};
  header.ifi_index = 3;
  header.ifi_flags = IFF_UP;
  view.apply(NetlinkBuilder()
                 .message(RTM_NEWLINK)
                 .fixed(header)
                 .attribute(IFLA_IFNAME, "wlan0")
                 .attribute(IFLA_WIRELESS, "event")
                 .build());
  EXPECT_FALSE(container("172.17.0.9"));
}

}  // namespace
}  // namespace portsentry
