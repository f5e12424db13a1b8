#include <ctime>

#include "story.h"

namespace portsentry::monitor {
namespace {

class ScoutStory : public Story {
 protected:
  static Found login(std::string_view from) { return {address(from), FoundIn::utmp, 1756178000}; }
};

TEST_F(ScoutStory, NobodyIsBannedBeforeTheFirstSnapshotAndThatIsToldAndCounted) {
  scouted_ = false;
  serve();
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(sent<Ban>().empty());
  EXPECT_GE(count("it is not known yet whom not to ban"), 1U);
  EXPECT_EQ(counter("decision_protected_unknown"), 1U);
  scout_tells();
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
}

TEST_F(ScoutStory, ReadinessWaitsForTheFirstSnapshotForFiveSeconds) {
  scouted_ = false;
  start();
  make_table();
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  ASSERT_TRUE(sense(SensorReady{}));
  EXPECT_TRUE(sent<Ready>().empty());
  wait(5s);
  EXPECT_EQ(sent<Ready>().size(), 1U);
  EXPECT_EQ(count("the scout has not told whom not to ban; nobody is banned until it does"), 1U);
  scout_tells();
  EXPECT_EQ(count("the scout has told whom not to ban; bans are made"), 1U);
}

TEST_F(ScoutStory, ReadinessComesWithTheFirstSnapshot) {
  scouted_ = false;
  start();
  make_table();
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  ASSERT_TRUE(sense(SensorReady{}));
  scout_tells();
  EXPECT_EQ(sent<Ready>().size(), 1U);
  wait(1min);
  EXPECT_EQ(count("the scout has not told"), 0U);
}

TEST_F(ScoutStory, WhoOnlyWatchesNeedNotWait) {
  config_.block_tcp = config_.block_udp = BlockMode::observe;
  scouted_ = false;
  serve(false);
  detect(probe("198.51.100.7"));
  EXPECT_EQ(counter("decision_observe"), 1U);
}

TEST_F(ScoutStory, AResolverIsNotBannedAndThatIsTold) {
  serve();
  scout_tells({{address("198.51.100.53"), FoundIn::systemd_resolved}});
  detect(probe("198.51.100.53", Protocol::udp, 161));
  EXPECT_TRUE(sent<Ban>().empty());
  EXPECT_GE(count("a resolver of this host"), 1U);
  EXPECT_EQ(counter("decision_resolver"), 1U);
}

TEST_F(ScoutStory, ALoginLiftsTheBanOfItsSource) {
  serve();
  ban("198.51.100.7");
  scout_tells({login("198.51.100.7")});
  ASSERT_EQ(sent<Unban>().size(), 1U);
  EXPECT_EQ(sent<Unban>()[0].source, host("198.51.100.7"));
}

TEST_F(ScoutStory, WithProtectSessionsOffALoginProtectsNobody) {
  config_.protect_sessions = false;
  serve();
  scout_tells({login("198.51.100.7")});
  detect(probe("198.51.100.7"));
  detect(probe("198.51.100.8"));
  ASSERT_EQ(sent<Ban>().size(), 2U);
  EXPECT_TRUE(sent<Ban>()[0].keep_sessions) << "but the session that it has lives on";
  EXPECT_FALSE(sent<Ban>()[1].keep_sessions);
}

TEST_F(ScoutStory, ANetworkThatHoldsALoginIsNarrowedToTheHost) {
  serve();
  scout_tells({login("2001:db8:5::1")});
  detect(probe(site("2001:db8:5::2"), "2001:db8:5::2"));
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(sent<Ban>()[0].source, host("2001:db8:5::2"));
  EXPECT_GE(count("somebody who is logged in"), 1U);
}

TEST_F(ScoutStory, WhatAScoutToldOutlivesIt) {
  serve();
  scout_tells({login("198.51.100.7")});
  ASSERT_TRUE(hear(ScoutLost{}));
  EXPECT_EQ(count("scout ended; whom it named last is not banned until it is back"), 1U);
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(sent<Ban>().empty());
  ASSERT_TRUE(hear(ScoutChannel{}));
  scout_tells({});
  detect(probe("198.51.100.7"));  // within the hour
  EXPECT_TRUE(sent<Ban>().empty());
  wait(61min);
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
}

TEST_F(ScoutStory, ACapturedScoutCanLiftBansOfWhomItNamesAndNothingElse) {
  serve();
  ban("198.51.100.7");
  EXPECT_FALSE(scout(SnapshotEnd{1}));
  EXPECT_FALSE(scout(login("198.51.100.7")));
  EXPECT_TRUE(sent<Unban>().empty());
  monitor_->scout_broken("message out of turn", now());
  EXPECT_EQ(count("scout sent a message out of turn; it is replaced"), 1U);
  detect(probe("198.51.100.8"));
  EXPECT_EQ(sent<Ban>().size(), 2U);
}

TEST_F(ScoutStory, ACapturedScoutThatChangesItsMindAllTheTimeKeepsNobodyFromWork) {
  for (unsigned i = 0; i < 100'000; ++i) {
    const Address from =
        Address::v4(12, static_cast<std::uint8_t>(i >> 16U), static_cast<std::uint8_t>(i >> 8U),
                    static_cast<std::uint8_t>(i));
    remembered_.bans.push_back({.source = Source::of(from, true),
                                .address = from,
                                .cause = {Protocol::tcp, *Port::make(23)},
                                .backend = BanBackend::command,
                                .since = now().wall,
                                .until = now().wall + 1800,
                                .offences = 1});
  }
  serve();
  const std::clock_t began = std::clock();  // of ours alone, however busy the machine is
  for (int i = 0; i < 100; ++i) {
    scout_tells({login("198.51.100.7")});
    scout_tells({});
  }
  EXPECT_LT(std::clock() - began, 2 * CLOCKS_PER_SEC);
}

TEST_F(ScoutStory, ASuccessorIsStartingUntilItHasSpokenItself) {
  serve();
  const auto state = [this] {
    for (const ProcessShown& process : monitor_->status(now()).processes)
      if (process.name == "scout") return process.state;
    return ProcessState::not_wanted;
  };
  ASSERT_TRUE(hear(ScoutLost{}));
  EXPECT_EQ(state(), ProcessState::down);
  ASSERT_TRUE(hear(ScoutChannel{}));
  EXPECT_EQ(state(), ProcessState::starting) << "what its predecessor told is not its own word";
  scout_tells({});
  EXPECT_EQ(state(), ProcessState::running);
}

TEST_F(ScoutStory, AHostWithoutAnyFileToReadIsToldOnce) {
  scouted_ = false;
  serve();
  scout_tells({}, 0);
  scout_tells({}, 0);
  EXPECT_EQ(count("no file tells of resolvers, leases or logins"), 1U);
}

TEST_F(ScoutStory, TheProtectedAreListedWithTheirReasons) {
  known_.own("192.0.2.1").next_hop("192.0.2.254");
  config_.protect_networks = {*Prefix::parse("203.0.113.0/24")};
  serve();
  scout_tells({login("198.51.100.7"), {address("198.51.100.53"), FoundIn::resolv_conf}});
  std::vector<std::string> told;
  for (const ProtectedEntry& entry : monitor_->protected_entries(now())) {
    if (entry.why != Protection::not_unicast)
      told.push_back(entry.prefix.text() + ": " + entry.reason);
  }
  EXPECT_EQ(told, (std::vector<std::string>{
                      "192.0.2.1: an address of this host",
                      "192.0.2.254: a next hop of this host's routes",
                      "198.51.100.53: resolver, /etc/resolv.conf",
                      "198.51.100.7: login session of a user since 03:13",
                      "203.0.113.0/24: PROTECT_NETWORKS",
                  }));
  EXPECT_EQ(monitor_->protection_of(*Prefix::parse("203.0.113.9"), now())->reason,
            "PROTECT_NETWORKS");
  EXPECT_FALSE(monitor_->protection_of(*Prefix::parse("203.0.114.9"), now()));
}

TEST_F(ScoutStory, AReloadThatProtectsANetworkLiftsItsBans) {
  serve();
  ban("203.0.113.7");
  for (const auto which : {ReloadedFile::config, ReloadedFile::ignore, ReloadedFile::history,
                           ReloadedFile::blocked, ReloadedFile::log_file}) {
    ASSERT_TRUE(hear(ReloadFile{2, which}));
  }
  effects_.files[ReloadedFile::config] =
      "BLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\nTCP_PORTS=\"23\"\nUDP_PORTS=\"161\"\n"
      "PROTECT_NETWORKS=\"203.0.113.0/24\"\n";
  effects_.files[ReloadedFile::ignore] = "";
  ASSERT_TRUE(hear(ReloadOffer{.generation = 2, .new_watch = false}));
  EXPECT_EQ(sent<Unban>().size(), 1U);
}

}  // namespace
}  // namespace portsentry::monitor
