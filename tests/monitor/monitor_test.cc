#include "monitor/monitor.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "story.h"

namespace portsentry::monitor {
namespace {

using Lines = std::vector<std::string>;

// ---- beginning and end --------------------------------------------------------------------------

TEST_F(Story, TheStartIsToldAndTheConfigurationAccepted) {
  start();
  EXPECT_EQ(lines(), Lines{"adminalert: PortSentry 9.9 is starting."});
  EXPECT_EQ(sent<Accept>().size(), 1U);
}

TEST_F(Story, AcceptIsSentAgainWhenTheChannelWasFull) {
  effects_.full = true;
  start();
  EXPECT_TRUE(effects_.sent.empty());
  effects_.full = false;
  wait(1s);
  EXPECT_EQ(sent<Accept>().size(), 1U);
}

TEST_F(Story, ReadyIsSaidOnceTableAndSensorBothStandAndNotBefore) {
  start();
  effects_.lines.clear();
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  ASSERT_TRUE(sense(SensorReady{}));
  EXPECT_TRUE(lines().empty()) << "no table yet";
  make_table();
  EXPECT_EQ(lines(), (Lines{"adminalert: Going into stealth listen mode on TCP port: 23",
                            "adminalert: Going into stealth listen mode on UDP port: 161",
                            "adminalert: PortSentry is now active and listening."}));
  EXPECT_TRUE(monitor_->status().active);
  EXPECT_EQ(sent<Ready>().size(), 1U);
}

TEST_F(Story, ManyPortsAreOneLine) {
  config_.ports.tcp.add_range(*Port::make(1), *Port::make(1000));
  start();
  make_table();
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  ASSERT_TRUE(sense(SensorReady{}));
  EXPECT_EQ(count("Going into stealth listen mode on 1000 TCP ports"), 1U);
  EXPECT_EQ(count("on TCP port: "), 0U);
}

TEST_F(Story, ObserveModeIsSaidAtTheStart) {
  config_.block_tcp = config_.block_udp = BlockMode::observe;
  start();
  EXPECT_EQ(count("observe mode"), 1U);
}

TEST_F(Story, TheEndIsTold) {
  serve();
  monitor_->shut_down();
  EXPECT_EQ(lines(), Lines{"adminalert: PortSentry is shutting down"});
}

// ---- a ban --------------------------------------------------------------------------------------

TEST_F(Story, AScanBecomesABanAndBlockedIsSaidOnlyAfterTheKernelSaidYes) {
  serve();
  detect(probe("198.51.100.7"));
  EXPECT_EQ(lines(),
            Lines{"attackalert: TCP SYN/Normal scan from host: 198.51.100.7/198.51.100.7 to "
                  "TCP port: 23"});
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(sent<Ban>()[0].duration, 30min);
  EXPECT_EQ(monitor_->status().pending, 1U);
  EXPECT_EQ(monitor_->status().enforced, 0U);
  EXPECT_EQ(effects_.history_text, "");

  effects_.lines.clear();
  answer(Verdict::ok);
  EXPECT_EQ(lines(),
            (Lines{"attackalert: Host 198.51.100.7 has been blocked via nftables set \"inet "
                   "portsentry ban4\" for 30m",
                   "attackalert: Host: 198.51.100.7/198.51.100.7 Port: 23 TCP Blocked"}));
  EXPECT_EQ(
      effects_.history_text,
      "1756178490 - 08/26/2025 03:21:30 Host: 198.51.100.7/198.51.100.7 Port: 23 TCP Blocked\n");
  EXPECT_EQ(effects_.blocked_text, "198.51.100.7 - Blocked: Aug 26 03:21:30 2025\n");
  EXPECT_EQ(monitor_->status().enforced, 1U);
  EXPECT_EQ(monitor_->status().pending, 0U);
}

TEST_F(Story, TheBanIsOnItsWayBeforeAnythingIsWritten) {
  serve();
  const std::size_t written_before = lines().size();
  detect(probe("198.51.100.7"));
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(effects_.lines_when_sent, written_before);
  EXPECT_GT(lines().size(), written_before);
}

TEST_F(Story, IpOptionsAreToldAfterTheScan) {
  serve();
  Detection detection = probe("198.51.100.7");
  detection.ip_options = true;
  detect(detection);
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_NE(lines()[1].find("has IP options set"), std::string::npos);
}

TEST_F(Story, ABanThatIsOverIsToldForgottenAndTakenFromTheBlockedFile) {
  serve();
  ban("198.51.100.7");
  effects_.lines.clear();
  wait(30min - 1ms);
  EXPECT_TRUE(lines().empty());
  wait(2s);
  EXPECT_EQ(lines(), Lines{"adminalert: ban of 198.51.100.7 has expired"});
  EXPECT_EQ(effects_.blocked_text, "");
  EXPECT_EQ(monitor_->status().enforced, 0U);
  ASSERT_TRUE(monitor_->wake_at());
  EXPECT_GE(*monitor_->wake_at(), now().steady + 1s) << "nothing but the next look at the kernel";
}

TEST_F(Story, ASourceThatComesBackAfterItsBanIsBannedAgain) {
  serve();
  ban("198.51.100.7");
  wait(31min);
  ban("198.51.100.7");
  EXPECT_EQ(sent<Ban>().size(), 2U);
  EXPECT_EQ(count("has been blocked"), 2U);
}

TEST_F(Story, ABannedSourceIsAlreadyBlockedAtMostOnceAMinute) {
  serve();
  ban("198.51.100.7");
  effects_.lines.clear();
  for (int i = 0; i < 60; ++i) {
    detect(probe("198.51.100.7"));
    wait(1s);
  }
  EXPECT_EQ(count("is already blocked Ignoring"), 1U);
  EXPECT_EQ(counter("decision_already_banned"), 60U);
  EXPECT_EQ(sent<Ban>().size(), 1U);
  detect(probe("198.51.100.7"));
  EXPECT_EQ(count("is already blocked Ignoring"), 2U);
}

TEST_F(Story, ABannedSourceThatTriesAnotherKindOfScanIsNews) {
  serve();
  ban("198.51.100.7");
  effects_.lines.clear();
  Detection fin = probe("198.51.100.7");
  fin.kind = ScanKind::fin;
  detect(fin);
  detect(fin);
  EXPECT_EQ(count("TCP FIN scan"), 1U);
}

TEST_F(Story, WhatIsOnlyAskedForIsNotCalledBlocked) {
  serve();
  detect(probe("198.51.100.7"));
  detect(probe("198.51.100.7"));
  EXPECT_EQ(count("locked"), 0U);
  EXPECT_EQ(counter("decision_already_asked"), 1U);
  EXPECT_EQ(sent<Ban>().size(), 1U);
}

// ---- the table ----------------------------------------------------------------------------------

TEST_F(Story, BansThatNoRecordTellsOfAreRecoveredAndRecordedAndNotAskedForAgain) {
  start();
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = false}));
  ASSERT_TRUE(hear(Adopted{host("198.51.100.7"), 600s}));
  ASSERT_TRUE(hear(AdoptedDone{}));
  EXPECT_EQ(count("recovered 1 ban that the kernel holds"), 1U);
  ASSERT_EQ(effects_.memory.size(), 1U);
  EXPECT_EQ(effects_.memory.begin()->second.origin, Origin::recovered);
  EXPECT_EQ(effects_.memory.begin()->second.until, now().wall + 600);
  EXPECT_EQ(sent<RestoreDone>().size(), 1U);
  EXPECT_TRUE(sent<Restore>().empty());
  EXPECT_EQ(effects_.blocked_text, "198.51.100.7 - Blocked: Aug 26 03:01:30 2025\n");
  EXPECT_EQ(monitor_->status().enforced, 1U);
  wait(600s);
  EXPECT_EQ(count("ban of 198.51.100.7 has expired"), 1U);
}

TEST_F(Story, AnAdoptedBanThatIsIgnoredNowOrHoldsAGatewayIsLifted) {
  ignored_ = *read_ignore_list("198.51.100.7\n", "x").list;
  known_.next_hop("2001:db8:7::1");
  start();
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = false}));
  ASSERT_TRUE(hear(Adopted{host("198.51.100.7"), 600s}));
  ASSERT_TRUE(hear(Adopted{site("2001:db8:7::9"), 600s}));
  ASSERT_TRUE(hear(Adopted{host("198.51.100.8"), 600s}));
  ASSERT_TRUE(hear(AdoptedDone{}));
  ASSERT_EQ(sent<Unban>().size(), 2U);
  EXPECT_EQ(sent<Unban>()[0].source, site("2001:db8:7::9"));
  EXPECT_EQ(sent<Unban>()[1].source, host("198.51.100.7"));
  EXPECT_EQ(count("lifted"), 0U) << "nothing has said so yet";
  for (const Unban& unban : sent<Unban>())
    ASSERT_TRUE(hear(Outcome{unban.id, Verdict::ok, 0}));
  EXPECT_EQ(monitor_->status().enforced, 1U);
  EXPECT_EQ(count("lifted: IGNORE_FILE names it now"), 1U);
  EXPECT_EQ(count("lifted: it is protected now, or holds somebody who is"), 1U);
}

TEST_F(Story, ALostTableIsToldOnceAndGetsItsBansBack) {
  serve();
  ban("198.51.100.7");
  ban("198.51.100.8");
  effects_.lines.clear();
  const std::string history = effects_.history_text;
  ASSERT_TRUE(hear(TableLost{1}));
  ASSERT_TRUE(hear(TableLost{1}));
  EXPECT_EQ(lines().size(), 1U);
  EXPECT_EQ(monitor_->status().enforced, 0U) << "nothing is in force now";
  EXPECT_EQ(monitor_->status().pending, 2U);
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = true}));
  ASSERT_TRUE(hear(AdoptedDone{}));
  ASSERT_EQ(sent<Restore>().size(), 2U);
  EXPECT_EQ(sent<RestoreDone>().size(), 1U);
  ASSERT_TRUE(hear(Outcome{sent<Restore>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(count("put back"), 1U) << "only the line of TableLost";
  ASSERT_TRUE(hear(Outcome{sent<Restore>()[1].id, Verdict::ok, 0}));
  EXPECT_EQ(lines().back(), "adminalert: firewall state was lost; 2 bans put back");
  EXPECT_EQ(count("has been blocked"), 0U);
  EXPECT_EQ(effects_.history_text, history);
  EXPECT_EQ(monitor_->status().enforced, 2U);
}

TEST_F(Story, ALostTableWithoutBansIsToldToo) {
  serve();
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = true}));
  EXPECT_EQ(lines(), Lines{"adminalert: firewall state was lost; 0 bans put back"});
}

TEST_F(Story, ABanThatCouldNotBePutBackIsToldAndTriedAgainAndRecordedOnce) {
  serve();
  ban("198.51.100.7");
  effects_.lines.clear();
  const std::string history = effects_.history_text;
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = true}));
  ASSERT_TRUE(hear(Outcome{sent<Restore>().back().id, Verdict::kernel_refused, ENOENT}));
  EXPECT_EQ(lines().back(), "adminalert: firewall state was lost; 0 bans put back, 1 not yet");
  wait(1s);
  answer(Verdict::ok);
  EXPECT_EQ(count("has been blocked"), 1U);
  EXPECT_EQ(effects_.history_text, history);
}

TEST_F(Story, ABanThatSomebodyEndedByHandStaysEndedAndTheNextProbeBansAnew) {
  serve();
  ban("198.51.100.7");
  effects_.lines.clear();
  ASSERT_TRUE(hear(Lifted{host("198.51.100.7")}));
  ASSERT_TRUE(hear(Lifted{host("198.51.100.7")})) << "twice is harmless";
  EXPECT_EQ(lines(), Lines{"adminalert: ban of 198.51.100.7 was lifted by hand"});
  EXPECT_EQ(monitor_->status().enforced, 0U);
  wait(2s);
  EXPECT_EQ(effects_.blocked_text, "");
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 2U);
}

TEST_F(Story, WhatSomebodyEndsByHandWhileItIsBeingPutBackIsDecidedByTheAnswer) {
  serve();
  ban("198.51.100.7");
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = true}));
  ASSERT_TRUE(hear(Lifted{host("198.51.100.7")}));
  ASSERT_TRUE(hear(Outcome{sent<Restore>().back().id, Verdict::ok, 0}));
  EXPECT_EQ(monitor_->status().enforced, 1U);
}

// ---- peers out of turn --------------------------------------------------------------------------

TEST_F(Story, TheEnforcerOutOfTurnIsNotListenedTo) {
  start();
  EXPECT_FALSE(hear(Outcome{1, Verdict::ok, 0})) << "nothing was asked";
  EXPECT_FALSE(hear(Adopted{host("198.51.100.7"), 60s})) << "no table";
  EXPECT_FALSE(hear(AdoptedDone{}));
  EXPECT_FALSE(hear(TableCreated{.backend = Backend::nftables, .again = true}))
      << "again, before the first";
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = false}));
  EXPECT_FALSE(hear(TableCreated{.backend = Backend::nftables, .again = false})) << "twice";
  ASSERT_TRUE(hear(AdoptedDone{}));
  EXPECT_FALSE(hear(TableCreated{.backend = Backend::nftables, .again = false})) << "late";
  EXPECT_FALSE(hear(Outcome{99, Verdict::ok, 0})) << "an id that was never given";
}

// ---- floods -------------------------------------------------------------------------------------

TEST_F(Story, AFullChannelOnlyDelaysABan) {
  serve();
  effects_.full = true;
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(effects_.sent.empty());
  ASSERT_TRUE(monitor_->wake_at());
  EXPECT_LE(*monitor_->wake_at(), now().steady + 100ms);
  effects_.full = false;
  wait(100ms);
  EXPECT_EQ(sent<Ban>().size(), 1U);
}

}  // namespace
}  // namespace portsentry::monitor
