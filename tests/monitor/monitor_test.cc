#include "monitor/monitor.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

class FakeEffects final : public Effects {
 public:
  bool to_enforcer(const MonitorToEnforcer& message) override {
    if (full) return false;
    sent.push_back(message);
    lines_when_sent = lines.size();
    return true;
  }
  void log(std::string_view line) override { lines.emplace_back(line); }
  void history(std::string_view line) override { history_text += line; }
  void blocked_append(std::string_view line) override { blocked_text += line; }
  void blocked_rewrite(std::string_view whole) override { blocked_text = whole; }
  [[nodiscard]] Losses losses() const override { return {.log_lines = 3}; }

  bool full = false;
  std::size_t lines_when_sent = 0;  // how many lines were written before the last request
  std::vector<MonitorToEnforcer> sent;
  std::vector<std::string> lines;
  std::string history_text;
  std::string blocked_text;
};

// One story: a monitor, a clock that the test turns, and what came out.
class Story : public ::testing::Test {
 protected:
  Story() {
    setenv("TZ", "UTC", 1);
    tzset();
    config_.block_tcp = config_.block_udp = BlockMode::ban;
    config_.ports.tcp.add(*Port::make(23));
    config_.ports.udp.add(*Port::make(161));
  }
  Now now() const {
    return {Clock::time_point(10h) + passed_,
            1756178490 + std::chrono::duration_cast<std::chrono::seconds>(passed_).count()};
  }
  // Time passes: the monitor is woken as the loop would wake it, at the moments that it asked for.
  void wait(Clock::duration time) {
    const Clock::duration until = passed_ + time;
    for (int i = 0; i < 10000; ++i) {
      const auto wake = monitor_->wake_at();
      if (!wake || *wake > Clock::time_point(10h) + until) break;
      passed_ = std::max(passed_, *wake - Clock::time_point(10h));
      monitor_->tick(now());
    }
    passed_ = until;
  }

  void start() {
    monitor_.emplace(Monitor::Setup{.config = config_,
                                    .ignored = ignored_,
                                    .local = known_.view(),
                                    .conf_path = "/etc/portsentry/portsentry.conf",
                                    .version = "9.9"},
                     effects_);
    monitor_->start(now());
  }
  bool hear(const EnforcerToMonitor& message) { return monitor_->on_enforcer(message, now()); }
  bool sense(const SensorToMonitor& message) { return monitor_->on_sensor(message, now()); }
  void make_table(bool enforcing = true) {
    ASSERT_TRUE(hear(
        TableCreated{.backend = enforcing ? Backend::nftables : Backend::none, .again = false}));
    ASSERT_TRUE(hear(AdoptedDone{}));
  }
  void serve(bool enforcing = true) {
    start();
    make_table(enforcing);
    ASSERT_TRUE(hear(SensorChannel{.successor = false}));
    ASSERT_TRUE(sense(SensorReady{}));
    effects_.lines.clear();
    effects_.sent.clear();
  }
  void detect(const Detection& detection) { ASSERT_TRUE(sense(detection)); }
  template <class T>
  std::vector<T> sent() const {
    std::vector<T> found;
    for (const auto& message : effects_.sent) {
      if (const auto* m = std::get_if<T>(&message)) found.push_back(*m);
    }
    return found;
  }
  // The enforcer's answer to the last Ban.
  void answer(Verdict verdict, std::int32_t error = 0) {
    ASSERT_FALSE(sent<Ban>().empty());
    ASSERT_TRUE(hear(Outcome{sent<Ban>().back().id, verdict, error}));
  }
  void ban(std::string_view from) {
    detect(probe(from));
    answer(Verdict::ok);
  }
  std::size_t count(std::string_view part) const {
    return static_cast<std::size_t>(std::count_if(
        effects_.lines.begin(), effects_.lines.end(),
        [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }
  std::uint64_t counter(std::string_view name) const {
    const StatusReply status = monitor_->status();
    for (const NamedCount& c : status.counters) {
      if (c.name == name) return c.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
  const std::vector<std::string>& lines() const { return effects_.lines; }

  Config config_;
  IgnoreList ignored_;
  KnownView known_;
  FakeEffects effects_;
  std::optional<Monitor> monitor_;
  Clock::duration passed_{};
};

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
  EXPECT_FALSE(monitor_->wake_at()) << "nothing is left to wake up for";
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

// ---- no ban -------------------------------------------------------------------------------------

TEST_F(Story, AnIgnoredSourceLeavesNothingButACount) {
  ignored_ = *read_ignore_list("198.51.100.7\n", "x").list;
  serve();
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(lines().empty());
  EXPECT_TRUE(effects_.sent.empty());
  EXPECT_EQ(counter("decision_ignored"), 1U);
}

TEST_F(Story, ObserveModeTellsWhatItWouldDoOnceAMinutePerKindOfScan) {
  config_.block_tcp = BlockMode::observe;
  serve();
  for (int i = 0; i < 59; ++i) {
    detect(probe("198.51.100.7"));
    wait(1s);
  }
  EXPECT_EQ(lines(),
            (Lines{"attackalert: TCP SYN/Normal scan from host: 198.51.100.7/198.51.100.7 to "
                   "TCP port: 23",
                   "attackalert: Ignoring TCP response per configuration file setting.",
                   "adminalert: would ban 198.51.100.7 for 30m (observe mode); to arm, set "
                   "BLOCK_TCP=\"1\" in /etc/portsentry/portsentry.conf"}));
  EXPECT_TRUE(effects_.sent.empty());
  EXPECT_EQ(counter("decision_observe"), 59U);
}

TEST_F(Story, AGatewayIsNotBannedAndTheReasonIsTold) {
  known_.next_hop("192.0.2.254");
  serve();
  detect(probe("192.0.2.254"));
  EXPECT_TRUE(effects_.sent.empty());
  EXPECT_EQ(
      count("ERROR: Could not block host 192.0.2.254/192.0.2.254 !! (a next hop of this host's "
            "routes)"),
      1U);
}

TEST_F(Story, ARefusalOfTheGuardIsToldAndNotTriedAgain) {
  serve();
  detect(probe("198.51.100.7"));
  effects_.lines.clear();
  answer(Verdict::own_address);
  EXPECT_EQ(lines(),
            Lines{"attackalert: ERROR: Could not block host 198.51.100.7/198.51.100.7 !! (an "
                  "address of this host)"});
  wait(50s);
  EXPECT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(monitor_->status().failed, 1U);
  EXPECT_EQ(effects_.history_text, "");
}

TEST_F(Story, AFailureOfTheKernelIsToldOnceTriedAgainAndThenTheBlockIsTold) {
  serve();
  detect(probe("198.51.100.7"));
  effects_.lines.clear();
  answer(Verdict::kernel_refused, ENOSPC);
  wait(1s);
  answer(Verdict::kernel_refused, ENOSPC);
  EXPECT_EQ(lines(), Lines{"attackalert: ERROR: Could not block host 198.51.100.7/198.51.100.7 !! "
                           "(kernel: No space left on device; trying again)"});
  EXPECT_EQ(effects_.history_text, "");
  wait(2s);
  answer(Verdict::ok);
  EXPECT_EQ(sent<Ban>().size(), 3U);
  EXPECT_EQ(count("has been blocked"), 1U);
  EXPECT_NE(effects_.history_text, "");
}

TEST_F(Story, ANetworkThatTheGuardRefusesIsNarrowedToTheHost) {
  serve();
  detect(probe(site("2001:db8:7::9"), "2001:db8:7::9"));
  effects_.lines.clear();
  answer(Verdict::own_address);
  EXPECT_EQ(lines(),
            Lines{"adminalert: ban of 2001:db8:7::/64 narrowed to 2001:db8:7::9: the network "
                  "holds an address of this host"});
  ASSERT_EQ(sent<Ban>().size(), 2U);
  EXPECT_EQ(sent<Ban>()[1].source, host("2001:db8:7::9"));
  answer(Verdict::ok);
  EXPECT_EQ(count("Host 2001:db8:7::9 has been blocked via nftables set \"inet portsentry ban6\""),
            1U);
}

TEST_F(Story, AHostThatTheGuardRefusesAfterNarrowingIsRefused) {
  serve();
  detect(probe(site("2001:db8:7::9"), "2001:db8:7::9"));
  answer(Verdict::next_hop);
  answer(Verdict::next_hop);
  EXPECT_EQ(sent<Ban>().size(), 2U);
  EXPECT_EQ(count("Could not block host 2001:db8:7::9/2001:db8:7::9"), 1U);
}

TEST_F(Story, ANetworkWithAnIgnoredHostIsNarrowedBeforeItIsAskedFor) {
  ignored_ = *read_ignore_list("2001:db8:7::1\n", "x").list;
  serve();
  detect(probe(site("2001:db8:7::9"), "2001:db8:7::9"));
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(sent<Ban>()[0].source, host("2001:db8:7::9"));
  EXPECT_EQ(count("the network holds an address of IGNORE_FILE"), 1U);
}

// ---- the table ----------------------------------------------------------------------------------

TEST_F(Story, BansOfAnEarlierRunAreAdoptedAndNotAskedForAgain) {
  start();
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = false}));
  ASSERT_TRUE(hear(Adopted{host("198.51.100.7"), 600s}));
  ASSERT_TRUE(hear(AdoptedDone{}));
  EXPECT_EQ(count("1 ban of an earlier run still in force"), 1U);
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
  EXPECT_EQ(sent<Unban>()[0].source, host("198.51.100.7"));
  EXPECT_EQ(sent<Unban>()[1].source, site("2001:db8:7::9"));
  for (const Unban& unban : sent<Unban>())
    ASSERT_TRUE(hear(Outcome{unban.id, Verdict::ok, 0}));
  EXPECT_EQ(monitor_->status().enforced, 1U);
  EXPECT_EQ(count("lifted: IGNORE_FILE names it now"), 1U);
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

TEST_F(Story, TheSensorOutOfTurnIsNotListenedTo) {
  start();
  make_table();
  EXPECT_FALSE(sense(SensorReady{})) << "no channel";
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  EXPECT_FALSE(sense(probe("198.51.100.7"))) << "not ready";
  EXPECT_FALSE(sense(SensorCounters{std::vector<std::uint64_t>(kSensorCounters)}));
  ASSERT_TRUE(sense(SensorReady{}));
  EXPECT_FALSE(sense(SensorReady{})) << "twice";
  EXPECT_FALSE(sense(SensorCounters{{1, 2, 3}})) << "too few";
  EXPECT_TRUE(sent<Ban>().empty());
}

TEST_F(Story, ABrokenSensorIsToldAndReplaced) {
  serve();
  monitor_->sensor_broken("malformed message", now());
  EXPECT_EQ(count("sensor is broken or captured (malformed message)"), 1U);
  EXPECT_EQ(sent<DropSensor>().size(), 1U);
  EXPECT_FALSE(monitor_->status().active);
  EXPECT_FALSE(sense(probe("198.51.100.7")));
}

TEST_F(Story, ASensorThatHangsUpAndLivesOnIsReplaced) {
  serve();
  monitor_->sensor_hung_up(now());
  EXPECT_FALSE(monitor_->status().active);
  wait(4s);
  EXPECT_TRUE(sent<DropSensor>().empty()) << "it may be ending";
  wait(2s);
  EXPECT_EQ(count("sensor is broken or captured (it closed its channel and did not end)"), 1U);
  EXPECT_EQ(sent<DropSensor>().size(), 1U);
  wait(10min);
  EXPECT_EQ(sent<DropSensor>().size(), 1U);
}

TEST_F(Story, ASensorThatHangsUpAndEndsIsNotCalledBroken) {
  for (const bool told_first : {false, true}) {
    serve();
    if (!told_first) monitor_->sensor_hung_up(now());
    ASSERT_TRUE(
        hear(SensorLost{.by_signal = true, .code = 9, .retry_in = 100ms, .successor = false}));
    if (told_first) monitor_->sensor_hung_up(now());
    wait(10min);
    EXPECT_EQ(count("broken"), 0U);
    EXPECT_TRUE(sent<DropSensor>().empty());
  }
}

TEST_F(Story, ALostSensorIsToldAndItsSuccessorIsNotCalledAFirstStart) {
  serve();
  ASSERT_TRUE(
      hear(SensorLost{.by_signal = true, .code = 9, .retry_in = 100ms, .successor = false}));
  EXPECT_FALSE(monitor_->status().active);
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  ASSERT_TRUE(sense(SensorReady{}));
  EXPECT_TRUE(monitor_->status().active);
  EXPECT_EQ(count("sensor restarted"), 1U);
  EXPECT_EQ(count("now active and listening"), 0U);
  EXPECT_EQ(monitor_->status().sensor_restarts, 1U);
}

TEST_F(Story, CountersOfASensorThatDiedAreKept) {
  serve();
  std::vector<std::uint64_t> values(kSensorCounters);
  values[0] = 5;
  ASSERT_TRUE(sense(SensorCounters{values}));
  ASSERT_TRUE(
      hear(SensorLost{.by_signal = true, .code = 9, .retry_in = 100ms, .successor = false}));
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  ASSERT_TRUE(sense(SensorReady{}));
  values[0] = 2;
  ASSERT_TRUE(sense(SensorCounters{values}));
  EXPECT_EQ(counter("sensor_seen"), 7U);
}

TEST_F(Story, TheSensorIsToldWhatTheConfigurationSays) {
  config_.scan_trigger = 3;
  config_.interfaces = {"eth0"};
  start();
  const SensorConfig told = monitor_->sensor_config();
  EXPECT_EQ(told.scan_trigger, 3U);
  EXPECT_EQ(told.scan_window, config_.scan_window);
  EXPECT_EQ(told.max_sources, config_.max_sources);
  EXPECT_EQ(told.interfaces, std::vector<std::string>{"eth0"});
}

// ---- floods -------------------------------------------------------------------------------------

TEST_F(Story, AFloodOfForgedSourcesIsBoundedInLinesAndRequestsAndEverythingIsCounted) {
  serve();
  for (unsigned i = 0; i < 20000; ++i) {
    detect(probe("203." + std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                 std::to_string(i % 256)));
  }
  EXPECT_LE(lines().size(), LogBudget::kInAll);
  EXPECT_LE(sent<Ban>().size(), Bans::kMaxInFlight);
  EXPECT_EQ(counter("decision_ban"), Bans::kMaxPending);
  EXPECT_EQ(counter("decision_over_budget"), 20000 - Bans::kMaxPending);
  EXPECT_GT(counter("log_lines_suppressed"), 0U);
  wait(61s);
  EXPECT_EQ(count("adminalert: suppressed "), 1U);
  EXPECT_EQ(count("(more than 200 a minute in all)"), 1U);
}

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

TEST_F(Story, TheStatusFitsItsMessage) {
  serve();
  const StatusReply status = monitor_->status();
  EXPECT_LE(status.counters.size(), 64U);
  EXPECT_EQ(status.firewall, "nftables");
  EXPECT_FALSE(status.observing);
  EXPECT_EQ(counter("log_lines_lost"), 3U);
  for (const NamedCount& c : status.counters)
    EXPECT_LE(c.name.size(), 40U) << c.name;
}

}  // namespace
}  // namespace portsentry::monitor
