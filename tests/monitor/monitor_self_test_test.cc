#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "common/wire.h"
#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

class SelfTestStory : public Story {
 protected:
  void ask() {
    monitor_->on_control(
        SelfTestAsk{}, 0, [this](ControlReply reply) { answer_ = std::move(reply); }, now());
  }
  std::uint64_t nonce() const {
    const auto* test = std::get_if<TestSensor>(&effects_.to_sensors.back().second);
    return test == nullptr ? 0 : test->nonce;
  }
  // nothing: there is no such hop.
  std::optional<bool> passed(std::string_view name) const {
    EXPECT_TRUE(answer_ && decode_control_reply(encode(*answer_), 0));
    if (!answer_) return std::nullopt;
    for (const HopShown& hop : std::get<SelfTestReply>(*answer_).hops) {
      if (hop.name == name) return hop.passed;
    }
    return std::nullopt;
  }
  std::optional<ControlReply> answer_;
};

TEST_F(SelfTestStory, EveryHopIsReportedWithItsTime) {
  serve();
  ask();
  ASSERT_EQ(sent<TestFirewall>().size(), 1U);
  EXPECT_FALSE(answer_);
  passed_ += 2ms;
  ASSERT_TRUE(sense(SensorTested{nonce(), TestHop::tracked}));
  EXPECT_FALSE(answer_) << "the firewall has not answered";
  passed_ += 3ms;
  ASSERT_TRUE(hear(Outcome{sent<TestFirewall>()[0].id, Verdict::ok, 0}));
  ASSERT_TRUE(answer_);
  for (const char* hop :
       {"monitor", "sensor", "parse", "classify", "track", "enforcer", "kernel-set"})
    EXPECT_EQ(passed(hop), true) << hop;
  const auto& hops = std::get<SelfTestReply>(*answer_).hops;
  EXPECT_EQ(hops.at(1).microseconds, 2000U);
  EXPECT_EQ(hops.back().microseconds, 5000U);
}

TEST_F(SelfTestStory, AFrameThatGetsLostOnTheWayIsToldWhereItWas) {
  serve();
  ask();
  ASSERT_TRUE(sense(SensorTested{nonce(), TestHop::parsed}));
  ASSERT_TRUE(hear(Outcome{sent<TestFirewall>()[0].id, Verdict::kernel_refused, ENOSPC}));
  EXPECT_EQ(passed("parse"), true);
  EXPECT_EQ(passed("classify"), false);
  EXPECT_EQ(passed("track"), false);
  EXPECT_EQ(passed("enforcer"), true);
  EXPECT_EQ(passed("kernel-set"), false);
}

TEST_F(SelfTestStory, SilenceIsAFailureAndALateAnswerHarmsNobody) {
  serve();
  ask();
  wait(6s);
  ASSERT_TRUE(answer_);
  EXPECT_EQ(passed("sensor"), false);
  EXPECT_EQ(passed("enforcer"), false);
  EXPECT_TRUE(sense(SensorTested{nonce(), TestHop::tracked})) << "late, but what was asked for";
  EXPECT_TRUE(hear(Outcome{sent<TestFirewall>()[0].id, Verdict::ok, 0}));
  EXPECT_FALSE(sense(SensorTested{nonce(), TestHop::tracked})) << "twice";
}

TEST_F(SelfTestStory, AnAnswerThatNobodyAskedForIsBroken) {
  serve();
  EXPECT_FALSE(sense(SensorTested{1, TestHop::tracked}));
  EXPECT_FALSE(sense(SensorTested{0, TestHop::tracked}));
  ask();
  EXPECT_FALSE(sense(SensorTested{nonce() + 1, TestHop::tracked}));
  EXPECT_FALSE(hear(Outcome{sent<TestFirewall>()[0].id + 1, Verdict::ok, 0}));
}

TEST_F(SelfTestStory, ASensorThatEndsMeanwhileIsTold) {
  serve();
  ask();
  ASSERT_TRUE(hear(SensorLost{true, 9, 100ms, false}));
  ASSERT_TRUE(hear(Outcome{sent<TestFirewall>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(passed("sensor"), false);
  EXPECT_EQ(passed("kernel-set"), true);
}

TEST_F(SelfTestStory, OneAtATime) {
  serve();
  ask();
  std::optional<ControlReply> second;
  monitor_->on_control(
      SelfTestAsk{}, 0, [&](ControlReply reply) { second = std::move(reply); }, now());
  ASSERT_TRUE(second);
  EXPECT_EQ(std::get<Refused>(*second).code, RefusedCode::busy);
}

TEST_F(SelfTestStory, WhereNothingMakesBansTheFirewallIsNotTried) {
  serve(false);
  ask();
  EXPECT_TRUE(sent<TestFirewall>().empty());
  ASSERT_TRUE(sense(SensorTested{nonce(), TestHop::tracked}));
  EXPECT_EQ(passed("kernel-set"), true);
  EXPECT_EQ(passed("enforcer"), std::nullopt);
}

TEST_F(SelfTestStory, WithoutASensorItSaysSoAtOnceForThatHop) {
  start();
  make_table(false);
  ask();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(passed("sensor"), false);
}

}  // namespace
}  // namespace portsentry::monitor
