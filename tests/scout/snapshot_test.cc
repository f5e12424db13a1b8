#include "scout/snapshot.h"

#include <gtest/gtest.h>

#include "texts.h"

namespace portsentry::scout {
namespace {

std::string logind(std::string_view from, std::string_view since = "1795000000000000") {
  return "STATE=active\nREMOTE=1\nCLASS=user\nREMOTE_HOST=" + std::string(from) +
         "\nREALTIME=" + std::string(since) + "\n";
}

TEST(Snapshot, FindsStandInTheOrderOfAddressesEachOnceForEachPlace) {
  Snapshot snapshot;
  snapshot.add(FoundIn::logind, logind("198.51.100.7", "1795000005000000"), 0);
  snapshot.add(FoundIn::logind, logind("198.51.100.7"), 0);
  snapshot.add(FoundIn::resolv_conf, "nameserver 192.0.2.53\nnameserver 198.51.100.7\n", 0);
  snapshot.add(FoundIn::systemd_resolved, "nameserver 192.0.2.53\n", 0);
  snapshot.add(FoundIn::networkd_lease, "SERVER_ADDRESS=192.0.2.1\n", 0);
  const auto found = snapshot.found();
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found[0].address, address("192.0.2.1"));
  EXPECT_EQ(found[1].where, FoundIn::resolv_conf);
  EXPECT_EQ(found[2].where, FoundIn::systemd_resolved);
  EXPECT_EQ(found[3].where, FoundIn::resolv_conf);
  EXPECT_EQ(found[4].where, FoundIn::logind);
  EXPECT_EQ(found[4].since, 1'795'000'000) << "the longest of both";
  EXPECT_EQ(snapshot.files(), 5U);
}

TEST(Snapshot, IsTheSameWhenNothingHasChanged) {
  Snapshot a;
  Snapshot b;
  for (Snapshot* one : {&a, &b})
    one->add(FoundIn::resolv_conf, "nameserver 192.0.2.53\n", 0);
  EXPECT_EQ(a, b);
  b.add(FoundIn::utmp, "", 0);
  EXPECT_NE(a, b) << "a file more is worth a word";
}

TEST(Snapshot, ManySessionsTakeNoRoomFromResolvers) {
  Snapshot snapshot;
  for (int i = 0; i < 10000; ++i)
    snapshot.add(FoundIn::logind,
                 logind("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)), 0);
  snapshot.add(FoundIn::resolv_conf, "nameserver 192.0.2.53\n", 0);
  const auto found = snapshot.found();
  EXPECT_LE(found.size(), kMaxFound);
  EXPECT_EQ(found.back().address, address("192.0.2.53"));
}

}  // namespace
}  // namespace portsentry::scout
