#include "ctl/print.h"

#include <gtest/gtest.h>

namespace portsentry::ctl {
namespace {

StatusReply status() {
  return {.active = true,
          .armed = true,
          .backend = Backend::nftables,
          .enforced = 2,
          .pending = 1,
          .failed = 0,
          .sensor_restarts = 3};
}
const std::vector<NamedCount> kCounters{{"decision_ban", 2}, {"decision_ignored", 0}};

TEST(Print, TheTableIsAlignedAndLeavesOutCountersThatAreZero) {
  EXPECT_EQ(table(status(), kCounters),
            "detection        active\n"
            "mode             armed\n"
            "firewall         nftables\n"
            "bans in force    2\n"
            "bans pending     1\n"
            "bans failed      0\n"
            "sensor restarts  3\n"
            "decision_ban     2\n");
}

TEST(Print, ObserveModeSaysThatNothingIsBlocked) {
  StatusReply observing = status();
  observing.armed = false;
  EXPECT_NE(table(observing, {}).find("observe (nothing is blocked)"), std::string::npos);
}

TEST(Print, JsonHasEveryCounterOnOneLine) {
  EXPECT_EQ(json(status(), kCounters),
            "{\"active\":true,\"observing\":false,\"firewall\":\"nftables\",\"enforced\":2,"
            "\"pending\":1,\"failed\":0,\"sensor_restarts\":3,"
            "\"counters\":{\"decision_ban\":2,\"decision_ignored\":0}}\n");
}

}  // namespace
}  // namespace portsentry::ctl
