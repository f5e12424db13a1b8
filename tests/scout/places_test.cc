#include "scout/places.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace portsentry::scout {
namespace {

const Place& place(FoundIn where) {
  return *std::find_if(kPlaces.begin(), kPlaces.end(),
                       [&](const Place& p) { return p.where == where; });
}

TEST(Places, EachIsBelowADirectoryThatTheSandboxLeavesReachable) {
  for (const Place& p : kPlaces) {
    EXPECT_TRUE(std::any_of(kReadable.begin(), kReadable.end(), [&](std::string_view directory) {
      return p.directory == directory ||
             (p.directory.starts_with(directory) && p.directory[directory.size()] == '/');
    })) << p.directory;
  }
}

TEST(Places, EveryKindOfFindHasOne) {
  for (int where = 1; where <= static_cast<int>(kLastFoundIn); ++where) {
    EXPECT_TRUE(std::any_of(kPlaces.begin(), kPlaces.end(), [&](const Place& p) {
      return static_cast<int>(p.where) == where;
    })) << where;
  }
}

TEST(Places, NamesAreTakenByTheirBothEnds) {
  const Place& dhclient = place(FoundIn::dhclient_lease);
  EXPECT_TRUE(is_of(dhclient, "dhclient.leases"));
  EXPECT_TRUE(is_of(dhclient, "dhclient.eth0.leases"));
  EXPECT_FALSE(is_of(dhclient, "dhclient.leases.old"));
  EXPECT_FALSE(is_of(dhclient, "dhclient6"));
  const Place& logind = place(FoundIn::logind);
  EXPECT_TRUE(is_of(logind, "c2"));
  EXPECT_FALSE(is_of(logind, "c2.ref"));
  EXPECT_FALSE(is_of(logind, ".#c2abc"));
  EXPECT_FALSE(is_of(logind, "."));
  EXPECT_FALSE(is_of(place(FoundIn::dhcpcd_lease), ".lease"));
  EXPECT_TRUE(is_of(place(FoundIn::utmp), "utmp"));
  EXPECT_FALSE(is_of(place(FoundIn::utmp), "utmp2"));
}

}  // namespace
}  // namespace portsentry::scout
