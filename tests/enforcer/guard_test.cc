#include "enforcer/guard.h"

#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

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
  return judge(source(text), duration, &view);
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
  EXPECT_EQ(judge(source("127.0.0.1"), kHalfHour, nullptr), Verdict::not_unicast);
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
  EXPECT_EQ(judge(source("203.0.113.9"), kHalfHour, nullptr), Verdict::view_unknown);
}

}  // namespace
}  // namespace portsentry::enforcer
