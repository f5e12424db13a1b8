// Holds, as the enforcer half sees them: whom the traps spare, how long they live, whose hold ends.
// Villains: a monitor that sends lists without an end, and one that never sends any.
#include "tests/enforcer/enforcer_lab.h"

namespace portsentry::enforcer {
namespace {

const std::vector<Prefix> kFriends{*Prefix::parse("203.0.113.0/24")};

class EnforcerHoldsTest : public EnforcerTest {
 protected:
  void rules(std::uint64_t hash, bool traps) {
    launched({.kind = LauncherEventKind::scope,
              .code = traps ? 1 : 0,
              .which = static_cast<std::uint32_t>(BanScope::inbound),
              .id = hash});
  }
  void loaded() {
    launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  }
  std::optional<TableCreated> start_with_traps(bool traps = true) {
    start(Backend::nftables);
    rules(1, traps);
    say(Accept{.armed = true});
    loaded();
    const auto created = heard<TableCreated>();
    say(RestoreDone{});
    drain();
    return created;
  }
  bool exempts(std::string_view text) const {
    return firewall_.exempted && std::ranges::find(*firewall_.exempted, *Prefix::parse(text)) !=
                                     firewall_.exempted->end();
  }
};

TEST_F(EnforcerHoldsTest, TheTableSaysWhetherItHasTraps) {
  EXPECT_TRUE(start_with_traps()->traps);
}

TEST_F(EnforcerHoldsTest, WithoutTrapsNothingIsWritten) {
  EXPECT_FALSE(start_with_traps(false)->traps);
  say(Exempt{kFriends, false});
  EXPECT_EQ(firewall_.exempts, 0);
  EXPECT_EQ(firewall_.traps_last.count(), 0);
  say(Release{7, src("192.0.2.9")});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::no_firewall);
}

TEST_F(EnforcerHoldsTest, WhoWasHeldBeforeTheStartIsFree) {
  start_with_traps();
  EXPECT_EQ(firewall_.stops, 1);
}

TEST_F(EnforcerHoldsTest, NobodyIsHeldBeforeTheMonitorHasSaidWhomToSpare) {
  start_with_traps();
  EXPECT_EQ(firewall_.traps_last.count(), 0);
  say(Exempt{kFriends, false});
  EXPECT_EQ(firewall_.traps_last, std::chrono::minutes(3));
  EXPECT_TRUE(exempts("203.0.113.0/24"));
  EXPECT_TRUE(exempts("fe80::/10")) << "root's own";
}

TEST_F(EnforcerHoldsTest, AListInPartsCountsWhenItIsWhole) {
  start_with_traps();
  say(Exempt{kFriends, true});
  EXPECT_EQ(firewall_.exempts, 0);
  say(Exempt{{*Prefix::parse("192.0.2.1")}, false});
  EXPECT_TRUE(exempts("203.0.113.0/24"));
  EXPECT_TRUE(exempts("192.0.2.1"));
}

TEST_F(EnforcerHoldsTest, TheSameListAgainIsNotWritten) {
  start_with_traps();
  say(Exempt{kFriends, false});
  say(Exempt{kFriends, false});
  let_pass(milliseconds(1100));
  EXPECT_EQ(firewall_.exempts, 1);
}

TEST_F(EnforcerHoldsTest, WithoutAViewOfThisHostNobodyIsHeld) {
  view_ = nullptr;
  start_with_traps();
  say(Exempt{kFriends, false});
  EXPECT_EQ(firewall_.exempts, 0);
  EXPECT_EQ(firewall_.traps_last.count(), 0);
}

TEST_F(EnforcerHoldsTest, AListThatTheKernelRefusesHoldsNobody) {
  start_with_traps();
  firewall_.refuse = ENOMEM;
  say(Exempt{kFriends, false});
  EXPECT_EQ(firewall_.traps_last.count(), 0);
}

TEST_F(EnforcerHoldsTest, AReleaseAndAnUnbanEndTheHold) {
  start_with_traps();
  say(Release{7, src("192.0.2.9")});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  say(Unban{8, src("192.0.2.10")});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(firewall_.released, (std::vector{src("192.0.2.9"), src("192.0.2.10")}));
  firewall_.refuse = EPERM;
  say(Release{9, src("192.0.2.9")});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::kernel_refused);
}

TEST_F(EnforcerHoldsTest, ABanTakesThePlaceOfTheHold) {
  start_with_traps();
  say(Ban{7, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(firewall_.released, std::vector{src("192.0.2.9")});
}

TEST_F(EnforcerHoldsTest, ObservingAndTheEndFreeEverybody) {
  start_with_traps();
  say(Exempt{kFriends, false});
  say(Arm{false});
  EXPECT_EQ(firewall_.stops, 2);
  EXPECT_EQ(firewall_.traps_last.count(), 0);
  enforcer_->farewell();
  EXPECT_EQ(firewall_.stops, 2) << "there are none any more";
}

TEST_F(EnforcerHoldsTest, ATableThatIsMadeAnewIsToldAgain) {
  start_with_traps();
  say(Exempt{kFriends, false});
  firewall_.exempted.reset();
  firewall_.traps_last = seconds(0);
  touched_ = 1;
  const std::uint64_t one = 1;
  ASSERT_EQ(write(events_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  loop_.after(milliseconds(150), [this] { loaded(); });
  let_pass(milliseconds(300));
  EXPECT_TRUE(exempts("203.0.113.0/24"));
  EXPECT_EQ(firewall_.traps_last, std::chrono::minutes(3));
}

using EnforcerHoldsDeathTest = EnforcerHoldsTest;

TEST_F(EnforcerHoldsDeathTest, AListWithoutEndEndsTheDaemon) {
  start_with_traps();
  const std::vector<Prefix> some(kMaxExempt, *Prefix::parse("192.0.2.1"));
  EXPECT_EXIT(
      {
        for (unsigned i = 0; i <= kMaxExemptAll / kMaxExempt; ++i)
          say(Exempt{some, true});
      },
      testing::ExitedWithCode(1), "Exempt");
}

}  // namespace
}  // namespace portsentry::enforcer
