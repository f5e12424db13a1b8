#include "monitor/protected.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace portsentry::monitor
