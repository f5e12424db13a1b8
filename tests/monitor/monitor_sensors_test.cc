// Channel B: the sensor out of turn, lost and found; what could not be listened on.
#include <gtest/gtest.h>

#include <cerrno>

#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

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

class BindStory : public Story {
 protected:
  BindStory() {
    config_.tcp_mode = WatchMode::bind;
    config_.udp_mode = WatchMode::none;
    config_.ports.tcp.add(*Port::make(25));
  }
  void connect() {
    start();
    make_table();
    ASSERT_TRUE(hear(SensorChannel{.successor = false}));
    effects_.lines.clear();
  }
  bool fail(std::uint32_t port) {
    return sense(BindFailed{Protocol::tcp, *Port::make(port), EADDRINUSE});
  }
};

TEST_F(BindStory, APortThatIsTakenIsToldAndDoesNotShiftTheOthers) {
  connect();
  EXPECT_TRUE(fail(23));
  EXPECT_FALSE(fail(23)) << "twice";
  EXPECT_TRUE(sense(SensorReady{}));
  EXPECT_EQ(count("could not bind TCP socket: 23. Attempting to continue (Address already in use)"),
            1U);
  EXPECT_EQ(count("Going into listen mode on TCP port: 25"), 1U);
  EXPECT_EQ(count("TCP port: 23"), 0U);
  EXPECT_FALSE(effects_.ended);
  EXPECT_FALSE(fail(25)) << "late";
}

TEST_F(BindStory, ManyThatAreTakenAreTwentyLinesAndACount) {
  config_.ports.tcp.add_range(*Port::make(1000), *Port::make(2000));
  connect();
  for (std::uint32_t port = 1000; port < 1100; ++port)
    EXPECT_TRUE(fail(port));
  EXPECT_TRUE(sense(SensorReady{}));
  EXPECT_EQ(count("could not bind TCP socket: "), 20U);
  EXPECT_EQ(count("could not bind 80 further TCP sockets"), 1U);
  EXPECT_EQ(counter("ports_not_bound"), 100U);
}

TEST_F(BindStory, WhereNothingIsLeftToWatchTheDaemonEndsAndSaysSo) {
  connect();
  fail(23);
  fail(25);
  EXPECT_TRUE(sense(SensorReady{}));
  EXPECT_EQ(count("could not bind ANY TCP sockets"), 1U);
  EXPECT_EQ(count("active and listening"), 0U);
  EXPECT_TRUE(sent<Ready>().empty());
  EXPECT_EQ(effects_.ended, 1);
}

TEST_F(BindStory, WhatTheOtherProtocolCapturesIsEnoughToGoOn) {
  config_.udp_mode = WatchMode::stealth;
  connect();
  fail(23);
  fail(25);
  EXPECT_TRUE(sense(SensorReady{}));
  EXPECT_FALSE(effects_.ended);
  EXPECT_EQ(count("active and listening"), 1U);
}

TEST_F(BindStory, ASensorThatIsStartedAgainHasNoNewsAboutTheSamePorts) {
  connect();
  fail(23);
  EXPECT_TRUE(sense(SensorReady{}));
  ASSERT_TRUE(
      hear(SensorLost{.by_signal = true, .code = 9, .retry_in = 100ms, .successor = false}));
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  fail(23);
  EXPECT_TRUE(sense(SensorReady{}));
  EXPECT_EQ(count("could not bind TCP socket"), 1U);
}

TEST_F(BindStory, AConnectIsToldAsOneAndTheBindModesHaveTheirFullStop) {
  connect();
  EXPECT_TRUE(sense(SensorReady{}));
  Detection connect = probe("198.51.100.7");
  connect.kind = ScanKind::connect;
  connect.flags = {};
  detect(connect);
  EXPECT_EQ(count("attackalert: Connect from host: 198.51.100.7/198.51.100.7 to TCP port: 23"), 1U);
  answer(Verdict::ok);
  detect(connect);
  EXPECT_EQ(count("attackalert: Host: 198.51.100.7 is already blocked. Ignoring"), 1U);
}

}  // namespace
}  // namespace portsentry::monitor
