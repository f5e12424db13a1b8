#include "enforcer/guard.h"

#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "tests/common/netlink_builder.h"

namespace portsentry::enforcer {
namespace {

using std::chrono::seconds;

constexpr seconds kHalfHour{1800};

Source source(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  EXPECT_TRUE(prefix) << text;
  const auto made = Source::from_prefix(prefix->address(), prefix->length());
  EXPECT_TRUE(made) << text;
  return *made;
}

// This host: 192.0.2.10/24 and 2001:db8:1::10/64, gateways 192.0.2.1 and 2001:db8:2::1.
LocalView host() {
  NetlinkBuilder builder;
  for (const char* text : {"192.0.2.10", "2001:db8:1::10"}) {
    const Address address = *Address::parse(text);
    ifaddrmsg header{};
    header.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
    header.ifa_prefixlen = address.is_v4() ? 24 : 64;
    header.ifa_index = 2;
    builder.message(RTM_NEWADDR).fixed(header).attribute(IFA_ADDRESS, address.bytes());
  }
  for (const char* text : {"192.0.2.1", "2001:db8:2::1"}) {
    const Address address = *Address::parse(text);
    rtmsg header{};
    header.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
    header.rtm_type = RTN_UNICAST;
    header.rtm_table = RT_TABLE_MAIN;
    builder.message(RTM_NEWROUTE).fixed(header).attribute(RTA_GATEWAY, address.bytes());
  }
  LocalView view;
  view.apply(builder.build());
  EXPECT_EQ(view.malformed(), 0U);
  return view;
}

Verdict judge_here(std::string_view text, seconds duration = kHalfHour) {
  const LocalView view = host();
  return judge(source(text), duration, &view, {});
}

TEST(Guard, AStrangerMayBeBanned) {
  for (const char* text : {"203.0.113.9", "192.0.2.11", "192.0.2.255", "10.0.0.1",
                           "2001:db8:9::/64", "2001:db8:1::11"}) {
    EXPECT_EQ(judge_here(text), Verdict::ok) << text;
  }
}

TEST(Guard, WhatNeverCrossesANetworkIsNeverBanned) {
  for (const char* text :
       {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::/64", "fe80::1", "fe80::/64", "ff02::1", "ff02::/64"}) {
    EXPECT_EQ(judge_here(text), Verdict::not_unicast) << text;
  }
}

TEST(Guard, WhatNeverCrossesANetworkIsRefusedEvenWithoutAView) {
  EXPECT_EQ(judge(source("127.0.0.1"), kHalfHour, nullptr, {}), Verdict::not_unicast);
}

TEST(Guard, OwnAddressesAndPrefixesAroundThemAreRefused) {
  for (const char* text : {"192.0.2.10", "2001:db8:1::10", "2001:db8:1::/64"}) {
    EXPECT_EQ(judge_here(text), Verdict::own_address) << text;
  }
}

TEST(Guard, NextHopsAndPrefixesAroundThemAreRefused) {
  for (const char* text : {"192.0.2.1", "2001:db8:2::1", "2001:db8:2::/64"}) {
    EXPECT_EQ(judge_here(text), Verdict::next_hop) << text;
  }
}

TEST(Guard, APrefixThatStandsForManyHostsIsRefused) {
  for (const char* text : {"64:ff9b::/64", "64:ff9b:1::/64", "64:ff9b:1:ffff::/64",
                           "2002:c000:201::/64", "2001:0:1234:5678::/64"}) {
    EXPECT_EQ(judge_here(text), Verdict::shared_prefix) << text;
  }
}

TEST(Guard, OneHostOfASharedPrefixAndTheNeighboursOfThatPrefixMayBeBanned) {
  for (const char* text : {"64:ff9b::cb00:7109", "2002:c000:201::1", "64:ff9b:0:1::/64",
                           "64:ff9b:2::/64", "2003::/64", "2001:1::/64"}) {
    EXPECT_EQ(judge_here(text), Verdict::ok) << text;
  }
}

TEST(Guard, DurationsOutsideTheBoundsAreRefused) {
  for (const seconds bad : {seconds(-1), seconds::min(), kMaxBan + seconds(1), seconds::max()}) {
    EXPECT_EQ(judge_here("203.0.113.9", bad), Verdict::bad_duration) << bad.count();
  }
  for (const seconds good : {seconds(0), seconds(1), kMaxBan}) {
    EXPECT_EQ(judge_here("203.0.113.9", good), Verdict::ok) << good.count();
  }
}

TEST(Guard, WithoutAViewNobodyIsBanned) {
  EXPECT_EQ(judge(source("203.0.113.9"), kHalfHour, nullptr, {}), Verdict::view_unknown);
}

TEST(Guard, WhatTheOwnerProtectsIsRefusedAndSoIsWhatHoldsAPartOfIt) {
  const LocalView view = host();
  const std::vector<Prefix> networks{*Prefix::parse("203.0.113.0/24"),
                                     *Prefix::parse("2001:db8:9::7/128")};
  const auto judged = [&](std::string_view text) {
    return judge(source(text), kHalfHour, &view, networks);
  };
  EXPECT_EQ(judged("203.0.113.9"), Verdict::protected_network);
  EXPECT_EQ(judged("2001:db8:9::/64"), Verdict::protected_network);
  EXPECT_EQ(judged("2001:db8:9::7"), Verdict::protected_network);
  EXPECT_EQ(judged("2001:db8:9::8"), Verdict::ok);
  EXPECT_EQ(judged("203.0.114.9"), Verdict::ok);
}

TEST(Guard, AContainerOfThisHostIsRefused) {
  LocalView view = host();
  ifinfomsg link{};
  link.ifi_index = 7;
  link.ifi_flags = 1;  // up
  const char kind[] = "bridge";
  const nlattr inner{sizeof(nlattr) + sizeof kind, IFLA_INFO_KIND};
  std::vector<std::byte> info(sizeof inner + sizeof kind);
  std::memcpy(info.data(), &inner, sizeof inner);
  std::memcpy(info.data() + sizeof inner, kind, sizeof kind);
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 16;
  header.ifa_index = 7;
  const Address own = *Address::parse("172.17.0.1");
  view.apply(NetlinkBuilder()
                 .message(RTM_NEWLINK)
                 .fixed(link)
                 .attribute(IFLA_IFNAME, "docker0")
                 .attribute(IFLA_LINKINFO, info)
                 .message(RTM_NEWADDR)
                 .fixed(header)
                 .attribute(IFA_ADDRESS, own.bytes())
                 .build());
  EXPECT_EQ(judge(source("172.17.3.4"), kHalfHour, &view, {}), Verdict::container_network);
  EXPECT_EQ(judge(source("172.18.3.4"), kHalfHour, &view, {}), Verdict::ok);
}

}  // namespace
}  // namespace portsentry::enforcer
