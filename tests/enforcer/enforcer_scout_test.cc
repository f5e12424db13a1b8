#include "enforcer_lab.h"

namespace portsentry::enforcer {
namespace {

class EnforcerScout : public EnforcerTest {
 protected:
  void launched_networks(const std::vector<Prefix>& networks) {
    const LauncherNetworks event = networks_event(networks);
    ASSERT_EQ(launcher_->send(std::as_bytes(std::span(&event, 1))), Channel::Sent::ok);
    enforcer_->on_launcher();
  }
};

TEST_F(EnforcerScout, AScoutIsStartedWithTheFirstSensorAndAgainWhenItEnds) {
  start(Backend::none);
  say(Accept{});
  say(RestoreDone{});
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
  EXPECT_EQ(asked(), std::nullopt);
  EXPECT_EQ(scouts_, 1);
  drain();
  sensor_starts(LauncherEventKind::scout_started);
  const auto received = monitor_->receive();
  EXPECT_TRUE(received.fd);
  EXPECT_TRUE(std::holds_alternative<ScoutChannel>(*decode_enforcer_to_monitor(received.bytes, 1)));
  launched({.kind = LauncherEventKind::scout_ended, .by_signal = 1, .code = SIGKILL});
  EXPECT_TRUE(heard<ScoutLost>());
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), std::nullopt);
  EXPECT_EQ(scouts_, 2);
}

TEST_F(EnforcerScout, NetworksOfRootsOwnConfigurationAreNeverBannedAndFollowIt) {
  start_serving();
  launched_networks({*Prefix::parse("203.0.113.0/24"), *Prefix::parse("2001:db8:9::7/128")});
  say(Ban{7, src("203.0.113.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::protected_network);
  say(Ban{8, src("2001:db8:9::/64"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::protected_network);
  launched_networks({});
  say(Ban{9, src("203.0.113.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
}

// The monitor goes by the new ones from its commit on; a no for good would stand for a minute.
TEST_F(EnforcerScout, WhileTheLauncherSwitchesNetworksAreNoReasonForANoThatStands) {
  start_serving();
  launched_networks({*Prefix::parse("203.0.113.0/24")});
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  drain();
  say(Ban{7, src("203.0.113.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::view_unknown);
  committed(2, Backend::nftables);
  say(Ban{8, src("203.0.113.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::protected_network);
}

}  // namespace
}  // namespace portsentry::enforcer
