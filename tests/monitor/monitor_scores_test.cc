#include "story.h"

namespace portsentry::monitor {
namespace {

class ScoresTest : public Story {
 protected:
  static Evidence evidence() {
    return {.source = Source::of(Address::v4(203, 0, 113, 5), false),
            .touches = {{.protocol = Protocol::tcp, .port = *Port::make(23), .age = 5s}},
            .reported = false};
  }
  void stop() { monitor_->stop(now()); }
  // What was noted; nothing: nothing was.
  [[nodiscard]] std::optional<std::vector<Score>> put() const {
    std::optional<std::vector<Score>> last;
    for (const StateChange& change : effects_.notes)
      if (const auto* scores = std::get_if<PutScores>(&change)) last = scores->scores;
    return last;
  }
  [[nodiscard]] std::size_t told(auto want) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        effects_.to_sensors, [&](const auto& sent) { return want(sent.second); }));
  }
  static bool is_evidence(const MonitorToSensor& message) {
    return std::holds_alternative<Evidence>(message);
  }
  static bool is_hand_over(const MonitorToSensor& message) {
    return std::holds_alternative<HandOver>(message);
  }
};

TEST_F(ScoresTest, AnOrderlyStopAsksTheSensorAndNotesWhatItKnows) {
  serve();
  stop();
  EXPECT_EQ(told(is_hand_over), 1U);
  EXPECT_FALSE(monitor_->stopped());
  EXPECT_TRUE(sense(evidence()));
  EXPECT_TRUE(sense(HandedOver{}));
  EXPECT_TRUE(monitor_->stopped());
  ASSERT_TRUE(put());
  ASSERT_EQ(put()->size(), 1U);
  EXPECT_EQ(put()->at(0).source, evidence().source);
  EXPECT_EQ(put()->at(0).touches[0].at, now().wall - 5);
}

TEST_F(ScoresTest, ASensorThatSaysNothingIsNotWaitedForForLong) {
  serve();
  stop();
  EXPECT_TRUE(sense(evidence()));
  wait(200ms);
  EXPECT_FALSE(monitor_->stopped());
  wait(100ms);
  EXPECT_TRUE(monitor_->stopped());
  ASSERT_TRUE(put()) << "what was heard until then";
  EXPECT_EQ(put()->size(), 1U);
}

TEST_F(ScoresTest, ASensorThatDiesMeanwhileEndsTheWait) {
  serve();
  stop();
  EXPECT_TRUE(sense(evidence()));
  monitor_->sensor_hung_up(now());
  EXPECT_TRUE(monitor_->stopped());
  ASSERT_TRUE(put());
}

TEST_F(ScoresTest, WithoutASensorThereIsNothingToWaitFor) {
  start();
  stop();
  EXPECT_TRUE(monitor_->stopped());
  EXPECT_FALSE(put()) << "what the file has is better than nothing";
}

TEST_F(ScoresTest, AFullChannelDoesNotHoldTheStop) {
  serve();
  effects_.sensor_full = true;
  stop();
  EXPECT_TRUE(monitor_->stopped());
}

TEST_F(ScoresTest, ASecondStopIsNoOtherStop) {
  serve();
  stop();
  stop();
  EXPECT_EQ(told(is_hand_over), 1U);
}

TEST_F(ScoresTest, AProbeThatWasToldMeanwhileIsJudged) {
  serve();
  stop();
  EXPECT_TRUE(sense(HandedOver{}));
  EXPECT_FALSE(sense(evidence())) << "nothing comes after that";
}

TEST_F(ScoresTest, TheFirstSensorOfTheNextRunIsToldAndNoLaterOne) {
  remembered_.scores = {
      {.source = evidence().source,
       .touches = {{.protocol = Protocol::tcp, .port = *Port::make(23), .at = now().wall - 60}},
       .reported = true}};
  serve();
  ASSERT_EQ(told(is_evidence), 1U);
  const auto& evidence = std::get<Evidence>(effects_.to_sensors.back().second);
  EXPECT_EQ(evidence.touches[0].age, 60s);
  EXPECT_TRUE(evidence.reported);
  ASSERT_TRUE(
      hear(SensorLost{.by_signal = true, .code = 9, .retry_in = 100ms, .successor = false}));
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  ASSERT_TRUE(sense(SensorReady{}));
  EXPECT_EQ(told(is_evidence), 1U);
}

TEST_F(ScoresTest, WhatFindsNoRoomIsToldALittleLaterAndNothingIsLost) {
  for (std::uint8_t host = 1; host <= 200; ++host) {
    remembered_.scores.push_back(
        {.source = Source::of(Address::v4(203, 0, 113, host), false),
         .touches = {{.protocol = Protocol::tcp, .port = *Port::make(23), .at = now().wall}}});
  }
  effects_.sensor_full = true;
  serve();
  EXPECT_EQ(told(is_evidence), 0U);
  effects_.sensor_full = false;
  wait(100ms);
  EXPECT_EQ(told(is_evidence), 200U);
  wait(10s);
  EXPECT_EQ(told(is_evidence), 200U);
}

TEST_F(ScoresTest, WhatWasNotToldYetIsNotedAgainAtAStop) {
  remembered_.scores = {
      {.source = evidence().source,
       .touches = {{.protocol = Protocol::tcp, .port = *Port::make(23), .at = now().wall}}}};
  effects_.sensor_full = true;
  serve();
  effects_.sensor_full = false;
  stop();
  EXPECT_TRUE(sense(HandedOver{}));
  ASSERT_TRUE(put());
  EXPECT_EQ(put()->size(), 1U);
}

}  // namespace
}  // namespace portsentry::monitor
