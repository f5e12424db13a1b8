#include "monitor/decide.h"

#include <gtest/gtest.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

constexpr Now kNow{Clock::time_point(std::chrono::hours(1)), 1'000'000};
constexpr std::chrono::seconds kTime{1800};

IgnoreList ignoring(std::string_view text) {
  return *read_ignore_list(text, "ignore").list;
}

class Decide : public ::testing::Test {
 protected:
  Decide() {
    config_.block_tcp = config_.block_udp = BlockMode::ban;
    scout({});
  }
  void scout(const std::vector<Found>& found) {
    scouted_.hear(SnapshotBegin{}, kNow);
    for (const Found& one : found)
      scouted_.hear(one, kNow);
    scouted_.hear(SnapshotEnd{1}, kNow);
  }
  Decision on(const Detection& detection) {
    return decide(detection, {.config = config_,
                              .ignored = ignored_,
                              .local = known_.view(),
                              .scouted = scouted_,
                              .bans = bans_,
                              .wall = kNow.wall,
                              .interface = interface_,
                              .budget = budget_,
                              .offences = offences_,
                              .steady = kNow.steady,
                              .allowed = allowed_});
  }
  Reason reason(const Detection& detection) { return on(detection).reason; }
  void ask(const Source& source) {
    bans_.ask(source,
              {.address = source.prefix().address(),
               .cause = {Protocol::tcp, *Port::make(23)},
               .duration = kTime},
              kNow);
  }

  Config config_;
  IgnoreList ignored_;
  KnownView known_;
  Scouted scouted_;
  Bans bans_;
  std::string_view interface_;
  BanBudget budget_;
  OffenceBook offences_;
  std::function<bool(const Prefix&)> allowed_;
};

TEST_F(Decide, AnArmedProtocolBansAStranger) {
  const Decision decision = on(probe("198.51.100.7"));
  EXPECT_EQ(decision.reason, Reason::ban);
  EXPECT_EQ(decision.target, host("198.51.100.7"));
  EXPECT_EQ(decision.narrowed, Narrowed::no);
}

TEST_F(Decide, AnIgnoredSourceIsIgnoredBeforeAnythingElseIsAsked) {
  ignored_ = ignoring("198.51.100.0/24\n");
  ask(host("198.51.100.7"));
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::ignored);
  EXPECT_EQ(reason(probe("198.51.101.7")), Reason::ban);
}

TEST_F(Decide, AConditionalLineIgnoresTheProbeAndNotTheSource) {
  ignored_ = ignoring("198.51.100.7 proto udp port 161 iface lan0\n");
  interface_ = "lan0";
  EXPECT_EQ(reason(probe("198.51.100.7", Protocol::udp, 161)), Reason::ignored);
  EXPECT_EQ(reason(probe("198.51.100.7", Protocol::udp, 162)), Reason::ban);
  EXPECT_EQ(reason(probe("198.51.100.7", Protocol::tcp, 161)), Reason::ban);
  interface_ = "wan0";
  EXPECT_EQ(reason(probe("198.51.100.7", Protocol::udp, 161)), Reason::ban);
}

TEST_F(Decide, IgnoredProbesDoNotBringASourceToTheTrigger) {
  ignored_ = ignoring("198.51.100.7 proto tcp port 80-81\n");
  config_.scan_trigger = 2;
  const auto touched = [](std::uint32_t port) {
    return Touch{.protocol = Protocol::tcp, .port = *Port::make(port), .age = kTime};
  };
  Detection detection = probe("198.51.100.7");
  detection.distinct_ports = 3;
  detection.touches = {touched(80), touched(81)};
  EXPECT_EQ(reason(detection), Reason::ignored);
  detection.touches = {touched(80), touched(82)};
  EXPECT_EQ(reason(detection), Reason::ban);
  detection.distinct_ports = 6;
  detection.touches = {touched(80), touched(81), touched(1), touched(2), touched(3)};
  EXPECT_EQ(on(detection).how, BanClass::single) << "four ports are not five";
  detection.distinct_ports = 1;  // a sensor that contradicts itself
  EXPECT_EQ(reason(detection), Reason::ignored);
}

TEST_F(Decide, ALineThatIsOverIgnoresNobody) {
  // kNow is 1970-01-12T13:46:40Z.
  ignored_ = ignoring("198.51.100.7 until 1970-01-12T13:46:41\n");
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::ignored);
  ignored_ = ignoring("198.51.100.7 until 1970-01-12T13:46:40\n");
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::ban);
}

TEST_F(Decide, ANetworkIsNotNarrowedForTheSakeOfAConditionalLine) {
  ignored_ = ignoring("2001:db8:9::1 port 161\n");
  const Decision decision = on(probe(site("2001:db8:9::2"), "2001:db8:9::2"));
  EXPECT_EQ(decision.target.text(), "2001:db8:9::/64");
  ignored_ = ignoring("2001:db8:9::1 until 2999-01-01\n");
  EXPECT_EQ(on(probe(site("2001:db8:9::2"), "2001:db8:9::2")).narrowed, Narrowed::ignored);
}

TEST_F(Decide, EachProtocolHasItsOwnMode) {
  config_.block_udp = BlockMode::observe;
  EXPECT_EQ(reason(probe("198.51.100.7", Protocol::tcp)), Reason::ban);
  EXPECT_EQ(reason(probe("198.51.100.7", Protocol::udp)), Reason::observe);
  config_.block_udp = BlockMode::command_only;
  EXPECT_EQ(reason(probe("198.51.100.7", Protocol::udp)), Reason::command_only);
}

TEST_F(Decide, OwnAddressesAndGatewaysAreNeverBannedNotEvenWouldBanned) {
  known_.own("192.0.2.1").next_hop("192.0.2.254");
  EXPECT_EQ(reason(probe("192.0.2.1")), Reason::own_address);
  EXPECT_EQ(reason(probe("192.0.2.254")), Reason::next_hop);
  EXPECT_EQ(reason(probe("127.0.0.1")), Reason::not_unicast);
  config_.block_tcp = BlockMode::observe;
  EXPECT_EQ(reason(probe("192.0.2.254")), Reason::next_hop);
}

TEST_F(Decide, ABanThatIsAskedForIsNotAskedForTwice) {
  ask(host("198.51.100.7"));
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::already_asked);
}

TEST_F(Decide, ABanThatHoldsIsNotAskedForAgain) {
  bans_.adopt(host("198.51.100.7"), kTime, kTime, kNow);
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::already_banned);
}

TEST_F(Decide, ABanOfTheNetworkCoversEachOfItsHosts) {
  bans_.adopt(site("2001:db8:7::1"), kTime, kTime, kNow);
  EXPECT_EQ(reason(probe(site("2001:db8:7::2"), "2001:db8:7::2")), Reason::already_banned);
  EXPECT_EQ(reason(probe(site("2001:db8:8::2"), "2001:db8:8::2")), Reason::ban);
}

TEST_F(Decide, ANetworkIsBannedWholeWhenNobodyInItIsProtected) {
  const Decision decision = on(probe(site("2001:db8:7::2"), "2001:db8:7::2"));
  EXPECT_EQ(decision.reason, Reason::ban);
  EXPECT_EQ(decision.target.text(), "2001:db8:7::/64");
}

TEST_F(Decide, ANetworkThatHoldsAProtectedAddressIsNarrowedToTheHost) {
  known_.own("2001:db8:7::1").next_hop("2001:db8:8::1");
  ignored_ = ignoring("2001:db8:9::1\n");
  const struct {
    const char* from;
    Narrowed why;
  } kCases[] = {{"2001:db8:7::2", Narrowed::own_address},
                {"2001:db8:8::2", Narrowed::next_hop},
                {"2001:db8:9::2", Narrowed::ignored}};
  for (const auto& c : kCases) {
    const Decision decision = on(probe(site(c.from), c.from));
    EXPECT_EQ(decision.reason, Reason::ban) << c.from;
    EXPECT_EQ(decision.target, host(c.from)) << c.from;
    EXPECT_EQ(decision.narrowed, c.why) << c.from;
  }
}

TEST_F(Decide, AProtectedHostIsNotBannedByWayOfItsNetwork) {
  known_.own("2001:db8:7::1");
  EXPECT_EQ(reason(probe(site("2001:db8:7::1"), "2001:db8:7::1")), Reason::own_address);
}

TEST_F(Decide, WhatTheGuardJustRefusedIsNotAskedForAtOnce) {
  ask(host("198.51.100.7"));
  bans_.table_created(Backend::nftables, false, kNow);
  bans_.pump(kNow, [](const MonitorToEnforcer&) { return true; });
  bans_.answer({1, Verdict::own_address, 0}, kNow);
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::refused_before);
}

TEST_F(Decide, ForgedSourcesBeyondTheBoundAreTurnedAway) {
  for (std::uint32_t i = 0; i < Bans::kMaxPending[0]; ++i) {
    ask(host("203.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)));
  }
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::over_budget);
  // A flood of single probes does not hide who touches port after port.
  Detection scan = probe("198.51.100.7");
  scan.distinct_ports = kSpreadPorts;
  EXPECT_EQ(reason(scan), Reason::ban);
}

TEST_F(Decide, WhoIsAllowedIsNotBannedNorIsTheNetworkAroundThem) {
  allowed_ = [](const Prefix& prefix) { return prefix.contains(address("2001:db8:9::1")); };
  const Prefix network = site("2001:db8:9::1").prefix();
  EXPECT_TRUE(allowed_(network));
  EXPECT_EQ(reason(probe(site("2001:db8:9::1"), "2001:db8:9::1")), Reason::allowed);
  const Decision other = on(probe(site("2001:db8:9::2"), "2001:db8:9::2"));
  EXPECT_EQ(other.reason, Reason::ban);
  EXPECT_EQ(other.target, host("2001:db8:9::2"));
  EXPECT_EQ(other.narrowed, Narrowed::allowed);
}

TEST_F(Decide, WhoIsAllowedWhileABanHoldsIsNotCalledBanned) {
  bans_.adopt(host("198.51.100.7"), kTime, kTime, kNow);
  allowed_ = [](const Prefix&) { return true; };
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::allowed);
}

TEST_F(Decide, ABanLastsByWhatProvesItAndByWhatWasBefore) {
  Detection detection = probe("198.51.100.7");
  EXPECT_EQ(on(detection).duration, std::chrono::minutes(10));
  detection.distinct_ports = 50;
  EXPECT_EQ(on(detection).how, BanClass::spread);
  EXPECT_EQ(on(detection).duration, std::chrono::minutes(10));
  detection.proof = Proof::established;
  EXPECT_EQ(on(detection).how, BanClass::proven);
  EXPECT_EQ(on(detection).duration, std::chrono::minutes(30));
  offences_.confirmed(detection.source, kNow.wall, kNow.wall, config_.block_time_max);
  EXPECT_EQ(on(detection).duration, std::chrono::hours(2));
  EXPECT_EQ(on(detection).offences, 1U);
  detection.proof = Proof::forgeable;
  EXPECT_EQ(on(detection).duration, std::chrono::minutes(10)) << "a forger lengthens nothing";
}

TEST_F(Decide, EachClassHasABudgetOfItsOwn) {
  for (unsigned i = 0; i < BanBudget::kBurst; ++i)
    budget_.spend(BanClass::single, kNow.steady);
  Detection detection = probe("198.51.100.7");
  EXPECT_EQ(reason(detection), Reason::over_budget_single);
  detection.distinct_ports = kSpreadPorts;
  EXPECT_EQ(reason(detection), Reason::ban);
  for (unsigned i = 0; i < BanBudget::kBurst; ++i)
    budget_.spend(BanClass::spread, kNow.steady);
  EXPECT_EQ(reason(detection), Reason::over_budget_spread);
  detection.proof = Proof::handshake;
  EXPECT_EQ(reason(detection), Reason::ban);
  for (unsigned i = 0; i < BanBudget::kBurst; ++i)
    budget_.spend(BanClass::proven, kNow.steady);
  EXPECT_EQ(reason(detection), Reason::over_budget_proven);
}

TEST_F(Decide, WhoOnlyWatchesHasNoBudget) {
  for (unsigned i = 0; i < BanBudget::kBurst; ++i)
    budget_.spend(BanClass::single, kNow.steady);
  config_.block_tcp = BlockMode::observe;
  EXPECT_EQ(reason(probe("198.51.100.7")), Reason::observe);
}

TEST_F(Decide, AGatewayIsAGatewayHoweverMuchItProves) {
  known_.next_hop("192.0.2.254");
  Detection detection = probe("192.0.2.254");
  detection.proof = Proof::handshake;
  detection.distinct_ports = 100;
  EXPECT_EQ(reason(detection), Reason::next_hop);
}

TEST(Reasons, EachHasANameThatTheWireTakes) {
  for (const std::string_view name : kReasonNames) {
    EXPECT_FALSE(name.empty());
    EXPECT_LE(name.size() + std::string_view("decision_").size(), 40U);
  }
}

}  // namespace
}  // namespace portsentry::monitor
