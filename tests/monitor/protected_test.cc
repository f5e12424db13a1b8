#include "monitor/protected.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

Prefix prefix(std::string_view text) {
  return *Prefix::parse(text);
}

Protection protection(const Prefix& of, const LocalView& view) {
  const Scouted scouted;
  return monitor::protection(of,
                             {.local = view, .scouted = scouted, .networks = {}, .sessions = true});
}

TEST(Protected, AStrangerIsNotProtected) {
  EXPECT_EQ(protection(prefix("198.51.100.7"), LocalView()), Protection::none);
}

TEST(Protected, AnAddressOfThisHostIsProtected) {
  const KnownView known = KnownView().own("192.0.2.1");
  EXPECT_EQ(protection(prefix("192.0.2.1"), known.view()), Protection::own_address);
  EXPECT_EQ(protection(prefix("192.0.2.2"), known.view()), Protection::none);
}

TEST(Protected, ANetworkThatContainsThisHostIsProtected) {
  const KnownView known = KnownView().own("2001:db8:1::1");
  EXPECT_EQ(protection(prefix("2001:db8:1::/64"), known.view()), Protection::own_address);
}

TEST(Protected, AGatewayIsProtectedAndSoIsTheNetworkThatContainsIt) {
  const KnownView known = KnownView().next_hop("192.0.2.254").next_hop("2001:db8:1::fe");
  EXPECT_EQ(protection(prefix("192.0.2.254"), known.view()), Protection::next_hop);
  EXPECT_EQ(protection(prefix("2001:db8:1::/64"), known.view()), Protection::next_hop);
}

TEST(Protected, WhatCannotCrossANetworkIsProtectedWhateverTheViewKnows) {
  for (const char* text : {"127.0.0.1", "0.0.0.0", "224.0.0.1", "169.254.3.4", "255.255.255.255",
                           "::1", "::", "ff02::1", "fe80::1", "fe80::/64"}) {
    EXPECT_EQ(protection(prefix(text), LocalView()), Protection::not_unicast) << text;
  }
}

class Shielded : public ::testing::Test {
 protected:
  Shielded() {
    tell({{address("198.51.100.53"), FoundIn::resolv_conf},
          {address("198.51.100.1"), FoundIn::dhclient_lease},
          {address("2001:db8:5::7"), FoundIn::logind, 1'756'178'000}});
  }
  void tell(const std::vector<Found>& found) {
    scouted_.hear(SnapshotBegin{}, kNow);
    for (const Found& one : found)
      scouted_.hear(one, kNow);
    scouted_.hear(SnapshotEnd{1}, kNow);
  }
  [[nodiscard]] Shield shield(bool sessions = true) const {
    return {
        .local = known_.view(), .scouted = scouted_, .networks = networks_, .sessions = sessions};
  }
  Protection why(std::string_view text, bool sessions = true) const {
    return monitor::protection(prefix(text), shield(sessions));
  }
  static constexpr Now kNow{Clock::time_point(std::chrono::hours(1)), 1'756'178'490};
  KnownView known_;
  Scouted scouted_;
  std::vector<Prefix> networks_{prefix("203.0.113.0/24"), prefix("2001:db8:9::7")};
};

TEST_F(Shielded, EachHasItsReason) {
  EXPECT_EQ(why("198.51.100.53"), Protection::resolver);
  EXPECT_EQ(why("198.51.100.1"), Protection::dhcp_server);
  EXPECT_EQ(why("2001:db8:5::7"), Protection::login_session);
  EXPECT_EQ(why("203.0.113.200"), Protection::protected_network);
  EXPECT_EQ(why("198.51.100.54"), Protection::none);
}

TEST_F(Shielded, ANetworkThatHoldsOneOfThemIsProtected) {
  EXPECT_EQ(why("2001:db8:5::/64"), Protection::login_session);
  EXPECT_EQ(why("2001:db8:9::/64"), Protection::protected_network);
  EXPECT_EQ(why("2001:db8:6::/64"), Protection::none);
}

TEST_F(Shielded, SessionsProtectOnlyWhereTheyAreToDoSo) {
  EXPECT_EQ(why("2001:db8:5::7", false), Protection::none);
}

TEST_F(Shielded, TheReasonNamesWhomItIsFor) {
  const auto entry = protection_inside(prefix("2001:db8:5::/64"), shield(), kNow);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->prefix, prefix("2001:db8:5::7"));
  EXPECT_TRUE(entry->reason.starts_with("login session of a user since ")) << entry->reason;
  EXPECT_EQ(protection_inside(prefix("198.51.100.53"), shield(), kNow)->reason,
            "resolver, /etc/resolv.conf");
  EXPECT_EQ(protection_inside(prefix("203.0.113.7"), shield(), kNow)->prefix,
            prefix("203.0.113.0/24"));
  EXPECT_FALSE(protection_inside(prefix("198.51.100.54"), shield(), kNow));
}

TEST_F(Shielded, TheListAgreesWithTheJudgement) {
  known_.own("192.0.2.1").own("127.0.0.1").next_hop("192.0.2.254");
  const auto all = protected_entries(shield(), kNow);
  for (const ProtectedEntry& entry : all) {
    EXPECT_EQ(monitor::protection(entry.prefix, shield()), entry.why) << entry.prefix.text();
    EXPECT_LE(entry.reason.size(), 100U);
    EXPECT_FALSE(entry.reason.empty());
  }
  EXPECT_TRUE(std::any_of(all.begin(), all.end(),
                          [](auto& e) { return e.prefix == prefix("169.254.0.0/16"); }));
  EXPECT_EQ(std::count_if(all.begin(), all.end(),
                          [](auto& e) { return e.prefix == prefix("192.0.2.1"); }),
            1);
}

TEST_F(Shielded, ASessionThatHasEndedSaysSo) {
  tell({});
  EXPECT_EQ(protection_inside(prefix("2001:db8:5::7"), shield(), kNow)->reason,
            "login session of a user, ended within the last hour");
}

}  // namespace
}  // namespace portsentry::monitor
