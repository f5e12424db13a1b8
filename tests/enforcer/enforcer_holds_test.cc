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
  std::optional<TableCreated> start_with_traps(Backend backend = Backend::nftables,
                                               bool traps = true) {
    start(backend);
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
  EXPECT_FALSE(start_with_traps(Backend::nftables, false)->traps);
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
  EXPECT_EQ(firewall_.traps_last, std::chrono::minutes(3)) << "but they tell";
  EXPECT_EQ(firewall_.holds_last.count(), 0);
  say(Exempt{kFriends, false});
  EXPECT_EQ(firewall_.holds_last, std::chrono::minutes(3));
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
  EXPECT_EQ(firewall_.holds_last.count(), 0);
}

TEST_F(EnforcerHoldsTest, AListThatTheKernelRefusesHoldsNobody) {
  start_with_traps();
  say(Exempt{kFriends, false});
  firewall_.refuse = ENOMEM;
  let_pass(milliseconds(1100));
  say(Exempt{{}, false});
  EXPECT_EQ(firewall_.holds_last.count(), 0);
  EXPECT_EQ(firewall_.traps_last, std::chrono::minutes(3)) << "they tell on";
}

// Whoever is missing in it could be held.
TEST_F(EnforcerHoldsTest, AListThatIsTooLongForTheKernelHoldsNobody) {
  start_with_traps();
  std::vector<Prefix> many;
  for (unsigned i = 0; i < kMaxExempt; ++i)
    many.push_back(Prefix::host(Address::v4(198, 51, 100, static_cast<std::uint8_t>(i))));
  for (unsigned n = 0; n <= kMaxExemptWritten / kMaxExempt; ++n) {
    for (Prefix& network : many)
      network = *Prefix::make(network.address(), 32);
    say(Exempt{many, true});
  }
  say(Exempt{kFriends, false});
  EXPECT_EQ(firewall_.exempts, 0);
  EXPECT_EQ(firewall_.holds_last.count(), 0);
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

TEST_F(EnforcerHoldsTest, ASourceThatACommandIsToBanIsHeldUntilItReturns) {
  start_with_traps(Backend::command);
  say(Ban{7, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_TRUE(firewall_.traps_hold.contains(src("192.0.2.9")));
  EXPECT_TRUE(silent()) << "nobody has banned it yet";
  command_ends(requested()->id, Verdict::ok);
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_FALSE(firewall_.traps_hold.contains(src("192.0.2.9")));
}

TEST_F(EnforcerHoldsTest, WithoutNftACommandBansAllTheSame) {
  start(Backend::command);
  rules(1, true);
  say(Accept{.armed = true});
  launched({.kind = LauncherEventKind::ruleset_loaded, .code = 1});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_FALSE(created->traps);
  say(RestoreDone{});
  drain();
  say(Ban{7, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_TRUE(firewall_.traps_hold.empty());
  command_ends(requested()->id, Verdict::ok);
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
}

TEST_F(EnforcerHoldsTest, AReloadWithoutTrapsEndsThoseBesideACommand) {
  start_with_traps(Backend::command);
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  drain();
  rules(2, false);
  launched({.kind = LauncherEventKind::reload_committed,
            .which = static_cast<std::uint32_t>(Backend::command),
            .id = 2,
            .generation = 2});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_TRUE(created->again);
  EXPECT_FALSE(created->traps);
  EXPECT_EQ(firewall_.traps_last.count(), 0);
}

TEST_F(EnforcerHoldsTest, ObservingFreesEverybodyAndTheTrapsTellOn) {
  start_with_traps();
  say(Exempt{kFriends, false});
  say(Arm{false});
  EXPECT_EQ(firewall_.holds_last.count(), 0);
  EXPECT_EQ(firewall_.traps_last, std::chrono::minutes(3));
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::none);
  EXPECT_TRUE(created->traps) << "and no sensor has to be started anew";
  say(RestoreDone{});
  let_pass(milliseconds(1100));
  say(Exempt{{}, false});
  EXPECT_EQ(firewall_.holds_last.count(), 0) << "whatever the monitor says";
}

TEST_F(EnforcerHoldsTest, TheEndFreesEverybody) {
  start_with_traps();
  say(Exempt{kFriends, false});
  enforcer_->farewell();
  EXPECT_EQ(firewall_.traps_last.count(), 0);
  EXPECT_EQ(firewall_.holds_last.count(), 0);
}

TEST_F(EnforcerHoldsTest, WhoObservesFromTheStartHasNoTableMade) {
  start(Backend::nftables);
  rules(1, true);
  say(Accept{.armed = false});
  EXPECT_EQ(asked(), std::nullopt);
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_FALSE(created->traps);
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
