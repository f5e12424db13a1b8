#include "enforcer/trap_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "enforcer/ruleset.h"

namespace portsentry::enforcer {
namespace {

Config armed() {
  Config config;
  config.hold = Hold::automatic;
  config.block_tcp = config.block_udp = BlockMode::ban;
  config.scan_trigger = 2;
  config.ports.tcp.add(*Port::make(23));
  config.ports.tcp.add_range(*Port::make(100), *Port::make(200));
  config.ports.udp.add(*Port::make(69));
  return config;
}

std::string rules(const Config& config) {
  return firewall_rules(config, 7100, {});
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(TrapRules, PortsAreRangesAndNoPlaceholderIsLeft) {
  const std::string text = rules(armed());
  EXPECT_TRUE(has(text, "trap tcp dport { 23, 100-200 } goto tcp_probe\n"));
  EXPECT_TRUE(has(text, "trap udp dport { 69 } goto udp_probe\n"));
  EXPECT_FALSE(has(text, "${"));
  EXPECT_TRUE(text.starts_with(kRuleset));
}

TEST(TrapRules, AProtocolWithoutPortsHasNoRule) {
  Config config = armed();
  config.udp_mode = WatchMode::none;
  EXPECT_FALSE(has(rules(config), "trap udp dport"));
  EXPECT_TRUE(has(rules(config), "trap tcp dport"));
}

TEST(TrapRules, TheTriggerCountsEarlierPortsAndTriggerOneHoldsAtOnce) {
  Config config = armed();
  config.scan_trigger = 7;
  EXPECT_TRUE(has(rules(config),
                  "count4 { ip saddr timeout 86400s limit rate over 1/week burst 6 packets }"));
  EXPECT_FALSE(has(rules(config), "touch4 goto hold4"));
  config.scan_trigger = 1;
  EXPECT_FALSE(has(rules(config),
                   "count4 {"
                   " ip saddr timeout"));
  EXPECT_TRUE(has(rules(config), "touch4 goto hold4"));
}

TEST(TrapRules, AnAckMayBeLateWhereOurOwnConnectionsBeginAndFromTheUsualPortOn) {
  const auto accepts = [](std::uint16_t first) {
    return firewall_rules(armed(), 7100, {.first = first, .last = 65535});
  };
  EXPECT_TRUE(has(accepts(2000), "tcp flags & ack == ack tcp dport >= 2000 accept\n"));
  EXPECT_TRUE(has(accepts(50000), "tcp flags & ack == ack tcp dport >= 32768 accept\n"));
}

TEST(TrapRules, AProtocolThatBansNobodyHoldsNobody) {
  Config config = armed();
  EXPECT_FALSE(has(rules(config), "touch meta l4proto udp goto told"));
  config.block_udp = BlockMode::observe;
  EXPECT_TRUE(has(rules(config), "touch meta l4proto udp goto told"));
  EXPECT_FALSE(has(rules(config), "touch meta l4proto tcp goto told"));
  config.block_udp = BlockMode::command_only;
  EXPECT_TRUE(has(rules(config), "touch meta l4proto udp goto told"));
  config.block_tcp = config.block_udp = BlockMode::observe;
  EXPECT_FALSE(has(rules(config), "goto told ${")) << "armed by hand, both ban";
  EXPECT_FALSE(has(rules(config), "touch meta l4proto udp goto told"));
}

TEST(TrapRules, ScopeAllLetsNothingOfAHeldSourceThrough) {
  Config config = armed();
  EXPECT_TRUE(has(rules(config), "held ct direction reply accept"));
  config.ban_scope = BanScope::all;
  EXPECT_FALSE(has(rules(config), "held ct direction reply accept"));
  EXPECT_TRUE(has(rules(config), "held counter name \"held\" drop"));
}

TEST(TrapRules, InterfacesAreNamesAndNothingElse) {
  Config config = armed();
  config.interfaces = {"eth0", "wg-home", "vlan.7@x:1"};
  for (const char* const chain : {"tcp_probe", "udp_probe"}) {
    EXPECT_TRUE(has(rules(config), std::string(chain) +
                                       R"( iifname != { "eth0", "wg-home", "vlan.7@x:1" } accept)"))
        << chain;
  }
  for (const char* const name :
       {"eth0\" } accept; flush ruleset; #", "a b", "a\"", "a*", "a;", "a\\"}) {
    config.interfaces = {name};
    EXPECT_EQ(why_no_traps(config), NoTraps::interface_names) << name;
    EXPECT_FALSE(has(rules(config), "iifname")) << name;
  }
}

TEST(TrapRules, WhereTheKernelWouldLookAwayThereAreNone) {
  EXPECT_EQ(why_no_traps(armed()), NoTraps::none);
  Config config = armed();
  config.hold = Hold::none;
  EXPECT_EQ(why_no_traps(config), NoTraps::not_wanted);
  config = armed();
  config.service_check = false;
  EXPECT_EQ(why_no_traps(config), NoTraps::every_packet);
  config = armed();
  config.local_check = false;
  EXPECT_EQ(why_no_traps(config), NoTraps::every_packet);
  config = armed();
  config.tcp_mode = config.udp_mode = WatchMode::bind;
  EXPECT_EQ(why_no_traps(config), NoTraps::nothing_watched);
}

TEST(TrapRules, WithoutAGroupThoseOfAnEarlierConfigurationEnd) {
  const std::string text = firewall_rules(armed(), std::nullopt, {});
  EXPECT_TRUE(text.ends_with(kRulesetNoTraps));
  EXPECT_FALSE(has(text, "log prefix"));
}

}  // namespace
}  // namespace portsentry::enforcer
