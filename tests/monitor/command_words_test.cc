#include "monitor/command_words.h"

#include <gtest/gtest.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

class CommandWords : public ::testing::Test {
 protected:
  Config config_;
  BanCause cause_{Protocol::udp, *Port::make(161)};
};

TEST_F(CommandWords, EveryTokenIsReplacedWhereverItStands) {
  config_.kill_route = "a $TARGET$ $PORT$$PORT$ $MODE$ $TARGET$$ $";
  config_.udp_mode = WatchMode::advanced;
  EXPECT_EQ(words::kill_route(config_, host("198.51.100.7"), cause_),
            "a 198.51.100.7 161161 audp 198.51.100.7$ $");
}

TEST_F(CommandWords, EachKeyHasItsOwnText) {
  config_.kill_run_cmd = "run $TARGET$";
  config_.external_command = "tell $PORT$";
  EXPECT_EQ(words::kill_run_cmd(config_, host("198.51.100.7"), cause_), "run 198.51.100.7");
  EXPECT_EQ(words::external_command(config_, host("198.51.100.7"), cause_), "tell 161");
}

TEST_F(CommandWords, AnIpv6SourceMeetsTheTwinOfKillRoute) {
  config_.kill_route = "/sbin/iptables -I INPUT -s $TARGET$ -j DROP";
  EXPECT_EQ(words::kill_route(config_, host("2001:db8::7"), cause_),
            "/sbin/ip6tables -I INPUT -s 2001:db8::7 -j DROP");
}

TEST_F(CommandWords, HostsDenyHasIpv6InBracketsAndCommandsDoNot) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  config_.kill_run_cmd = "run $TARGET$";
  EXPECT_EQ(words::hosts_deny(config_, host("2001:db8::7")), "ALL: [2001:db8::7]");
  EXPECT_EQ(words::hosts_deny(config_, site("2001:db8::7")), "ALL: [2001:db8::]/64");
  EXPECT_EQ(words::hosts_deny(config_, host("198.51.100.7")), "ALL: 198.51.100.7");
  EXPECT_EQ(words::kill_run_cmd(config_, site("2001:db8::7"), cause_), "run 2001:db8::/64");
}

}  // namespace
}  // namespace portsentry::monitor
