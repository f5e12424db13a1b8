// What a ban's life asks of the enforcer half: kinds and times, sessions, scope, arming, counting.
// Villains: a monitor that floods it with each of these.
#include <array>

#include "tests/enforcer/enforcer_lab.h"

namespace portsentry::enforcer {
namespace {

class EnforcerBansTest : public EnforcerTest {
 protected:
  void scope(BanScope scope, std::uint32_t first = 22, std::uint32_t last = 22) {
    const auto which = static_cast<std::uint32_t>(scope);
    launched({.kind = LauncherEventKind::scope, .which = which, .id = which});
    launched({.kind = LauncherEventKind::login_ports, .which = first | last << 16});
  }
  void start_observing(Backend configured) {
    start(configured);
    say(Accept{.armed = false});
    EXPECT_EQ(heard<TableCreated>()->backend, Backend::none);
    EXPECT_TRUE(heard<AdoptedDone>());
    say(RestoreDone{});
    drain();
  }
  void ruleset_loaded(std::int32_t code = 0) {
    launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = code});
  }
  Verdict banned(std::string_view text, bool keep_sessions) {
    say(Ban{1, src(text), seconds(60), kCause, keep_sessions});
    return heard<Outcome>()->verdict;
  }

  const Session session_{*Address::parse("192.0.2.9"), *Port::make(40000),
                         *Address::parse("198.51.100.7"), *Port::make(22)};
};

// ---- what is banned, and how ---------------------------------------------------------------------

TEST_F(EnforcerBansTest, ABanWithoutExpiryIsOneAndRestoredAsOne) {
  start();
  say(Accept{});
  ruleset_loaded();
  drain();
  say(Restore{1, src("192.0.2.8"), seconds(0)});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(firewall_.restores, 1);
  say(RestoreDone{});
  say(Ban{2, src("192.0.2.9"), seconds(0), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(firewall_.restores, 1);
  EXPECT_EQ(firewall_.held.at(src("192.0.2.8")), seconds(0));
  EXPECT_EQ(firewall_.held.at(src("192.0.2.9")), seconds(0));
}

TEST_F(EnforcerBansTest, WhatTheKernelShowsOtherwiseIsNoBan) {
  start_serving();
  firewall_.refuse = kNotReadBack;
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  const auto outcome = heard<Outcome>();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict, Verdict::not_read_back);
  EXPECT_EQ(outcome->error, 0);
}

// ---- sessions ------------------------------------------------------------------------------------

TEST_F(EnforcerBansTest, SessionsAreKeptOnlyWhereTheMonitorSaysAndOfTheLoginPorts) {
  start_serving();
  scope(BanScope::inbound, 22, 23);
  sessions_ = {session_};
  EXPECT_EQ(banned("192.0.2.9", true), Verdict::ok);
  EXPECT_EQ(firewall_.kept, std::vector{session_});
  ASSERT_EQ(asked_sessions_of_, std::vector{src("192.0.2.9")});
  EXPECT_EQ(asked_ports_.size(), 2U);
  EXPECT_EQ(banned("192.0.2.9", false), Verdict::ok);
  EXPECT_TRUE(firewall_.kept.empty());
  EXPECT_EQ(asked_sessions_of_.size(), 1U);
}

TEST_F(EnforcerBansTest, SessionsAreRestoredToo) {
  start();
  say(Accept{});
  ruleset_loaded();
  drain();
  scope(BanScope::inbound);
  sessions_ = {session_};
  say(Restore{1, src("192.0.2.9"), seconds(60), true});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(firewall_.kept, std::vector{session_});
}

TEST_F(EnforcerBansTest, ScopeAllKeepsNoSession) {
  start_serving();
  scope(BanScope::all);
  sessions_ = {session_};
  EXPECT_EQ(banned("192.0.2.9", true), Verdict::ok);
  EXPECT_TRUE(firewall_.kept.empty());
  EXPECT_TRUE(asked_sessions_of_.empty());
}

TEST_F(EnforcerBansTest, WhoseSessionsCannotBeToldIsNotBanned) {
  start_serving();
  sessions_error_ = ETIMEDOUT;
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause, true});
  const auto outcome = heard<Outcome>();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict, Verdict::kernel_refused);
  EXPECT_EQ(outcome->error, ETIMEDOUT);
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerBansTest, TheSessionsOfWhoMayNotBeBannedAreNotEvenLookedAt) {
  start_serving();
  EXPECT_EQ(banned("127.0.0.1", true), Verdict::not_unicast);
  EXPECT_TRUE(asked_sessions_of_.empty());
}

// ---- scope and reloads ---------------------------------------------------------------------------

TEST_F(EnforcerBansTest, AReloadThatChangesTheScopeLoadsTheRulesAndNobodyNeedRestore) {
  start_serving();
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  drain();
  scope(BanScope::all);
  committed(2, Backend::nftables);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  EXPECT_FALSE(next_message()) << "the kernel has the rules of before";
  ruleset_loaded();
  const auto followed = heard<ReloadFollowed>();
  ASSERT_TRUE(followed);
  EXPECT_EQ(followed->generation, 2U);
  EXPECT_TRUE(silent()) << "all bans hold as they did";
  EXPECT_EQ(banned("192.0.2.9", false), Verdict::ok);
}

TEST_F(EnforcerBansTest, AReloadWithTheSameScopeLoadsNothing) {
  start_serving();
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  drain();
  scope(BanScope::inbound, 2222, 2222);
  committed(2, Backend::nftables);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), std::nullopt);
  EXPECT_EQ(banned("192.0.2.9", true), Verdict::ok);
  EXPECT_TRUE(asked_ports_.contains(*Port::make(2222)));
  EXPECT_FALSE(asked_ports_.contains(*Port::make(22)));
}

TEST_F(EnforcerBansTest, ATableThatWasTouchedWhileTheScopeChangedIsAnnounced) {
  start_serving();
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  drain();
  scope(BanScope::all);
  committed(2, Backend::nftables);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  touched_ = 2;
  ruleset_loaded();
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_TRUE(created->again);
}

TEST_F(EnforcerBansTest, AScopeThatCannotBeLoadedIsReported) {
  start_serving();
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  drain();
  scope(BanScope::all);
  committed(2, Backend::nftables);
  let_pass(milliseconds(150));
  ruleset_loaded(1);
  EXPECT_TRUE(heard<TableLost>());
}

TEST_F(EnforcerBansTest, AReloadIsAskedForAtMostOnceASecond) {
  start_serving();
  for (int i = 0; i < 100; ++i)
    say(RequestReload{});
  EXPECT_EQ(asked(), LauncherOp::request_reload);
  EXPECT_EQ(asked(), std::nullopt);
  EXPECT_TRUE(silent());
}

// ---- arming --------------------------------------------------------------------------------------

TEST_F(EnforcerBansTest, ObservingTouchesNoFirewallUntilItIsArmed) {
  start_observing(Backend::nftables);
  EXPECT_EQ(banned("192.0.2.9", false), Verdict::no_firewall);
  EXPECT_EQ(asked(), std::nullopt);
  say(Arm{true});
  let_pass(milliseconds(1));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  EXPECT_TRUE(silent()) << "not before the table is there";
  ruleset_loaded();
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::nftables);
  drain();
  EXPECT_EQ(banned("192.0.2.9", false), Verdict::ok);
}

TEST_F(EnforcerBansTest, ArmedWithoutNftItSaysSoAndTriesAgainAndLives) {
  start_observing(Backend::nftables);
  say(Arm{true});
  loop_.after(milliseconds(10), [this] {
    EXPECT_EQ(asked(), LauncherOp::load_ruleset);
    ruleset_loaded(1);
    EXPECT_TRUE(heard<TableLost>());
  });
  let_pass(milliseconds(250));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
}

TEST_F(EnforcerBansTest, ArmedOnAKernelWithoutNfTablesItSaysSo) {
  has_nf_tables_ = false;
  start_observing(Backend::nftables);
  say(Arm{true});
  EXPECT_TRUE(heard<TableLost>());
  EXPECT_EQ(banned("192.0.2.9", false), Verdict::no_firewall);
}

TEST_F(EnforcerBansTest, DisarmedItBansNobodyAndStillLetsGo) {
  start_serving();
  ASSERT_EQ(banned("192.0.2.9", false), Verdict::ok);
  say(Arm{false});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::none);
  drain();
  EXPECT_TRUE(firewall_.held.contains(src("192.0.2.9"))) << "until its time is over";
  EXPECT_EQ(banned("192.0.2.10", false), Verdict::no_firewall);
  say(Unban{2, src("192.0.2.9")});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerBansTest, ACommandsBanIsUndoneWhileDisarmedAlsoAfterARestart) {
  start_observing(Backend::command);
  say(Unban{1, src("192.0.2.9")});
  const auto undo = requested();
  ASSERT_TRUE(undo);
  EXPECT_EQ(undo->command, LauncherCommand::kill_route_remove);
}

TEST_F(EnforcerBansTest, ArmingTwiceIsOnce) {
  start_serving();
  say(Arm{true});
  EXPECT_TRUE(silent());
  EXPECT_EQ(asked(), std::nullopt);
}

TEST_F(EnforcerBansTest, AMonitorThatArmsAndDisarmsInALoopRunsNftNoFaster) {
  start_serving();
  for (int i = 0; i < 50; ++i) {
    say(Arm{false});
    say(Arm{true});
    drain();
  }
  say(RestoreDone{});  // of the window that disarming opened
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  EXPECT_EQ(asked(), std::nullopt);
}

// Else the RestoreDone of the first window would end the second, and its own be out of turn.
TEST_F(EnforcerBansTest, DisarmedAndArmedWhileNftRunsItOpensOneWindowAtATime) {
  start_serving();
  say(Arm{false});
  say(RestoreDone{});
  say(Arm{true});
  let_pass(milliseconds(150));
  drain();  // nft runs
  say(Arm{false});
  ASSERT_TRUE(heard<TableCreated>());
  ASSERT_TRUE(heard<AdoptedDone>());
  say(Arm{true});
  launched({.kind = LauncherEventKind::ruleset_loaded});
  EXPECT_TRUE(silent()) << "the window that disarming opened is still open";
  say(RestoreDone{});
  EXPECT_TRUE(silent());
}

TEST_F(EnforcerBansTest, ArmedWhileTheLauncherSwitchesItFollowsTheNewGeneration) {
  start_observing(Backend::nftables);
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  say(Arm{true});
  drain();
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), std::nullopt) << "which one is not known yet";
  committed(2, Backend::command);
  EXPECT_EQ(heard<TableCreated>()->backend, Backend::command);
}

TEST_F(EnforcerBansTest, ASwitchThatFailsLeavesItArmedWithTheOldGeneration) {
  start_observing(Backend::nftables);
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  say(Arm{true});
  drain();
  launched({.kind = LauncherEventKind::reload_failed,
            .which = static_cast<std::uint32_t>(ReloadProblem::other),
            .generation = 2});
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
}

// ---- counting and testing ------------------------------------------------------------------------

TEST_F(EnforcerBansTest, WithoutNfTablesNothingIsHeld) {
  start_serving(Backend::command);
  say(Audit{7});
  const auto audited = heard<Audited>();
  ASSERT_TRUE(audited);
  EXPECT_EQ(audited->id, 7U);
  EXPECT_EQ(audited->elements, 0U);
  say(ListHeld{});
  EXPECT_TRUE(heard<AdoptedDone>());
}

TEST_F(EnforcerBansTest, AFirewallIsTestedUpToABudget) {
  start_serving();
  unsigned ok = 0;
  for (std::uint64_t id = 1; id <= 100; ++id) {
    say(TestFirewall{id});
    const auto outcome = heard<Outcome>();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->id, id);
    EXPECT_TRUE(outcome->verdict == Verdict::ok || outcome->verdict == Verdict::over_budget);
    ok += outcome->verdict == Verdict::ok ? 1 : 0;
  }
  EXPECT_EQ(firewall_.selftests, static_cast<int>(ok));
  EXPECT_GE(ok, 10U);
  EXPECT_LE(ok, 12U);
}

TEST_F(EnforcerBansTest, ATestSaysWhatTheKernelSaid) {
  start_serving();
  firewall_.refuse = EPERM;
  say(TestFirewall{1});
  EXPECT_EQ(heard<Outcome>()->error, EPERM);
  firewall_.refuse = kNotReadBack;
  say(TestFirewall{2});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::not_read_back);
}

TEST_F(EnforcerBansTest, WithoutAFirewallThereIsNothingToTest) {
  start_observing(Backend::nftables);
  say(TestFirewall{1});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::no_firewall);
}

// An audit that never ends: its socket belongs to nobody who would answer.
class EnforcerAuditTest : public EnforcerBansTest {
 protected:
  void SetUp() override {
    auto opened = NftAudit::open();
    if (!opened) GTEST_SKIP() << "no nf_tables here";
    real_.emplace(std::move(opened).value());
    audit_ = &*real_;
  }
  std::optional<NftAudit> real_;
};

TEST_F(EnforcerAuditTest, AFloodOfAuditsStopsIt) {
  start_serving();
  EXPECT_EXIT(for (std::uint64_t id = 1; id <= 100; ++id) say(Audit{id}),
              testing::ExitedWithCode(1), "Audit out of turn");
  EXPECT_EXIT(for (int i = 0; i < 100; ++i) say(ListHeld{}), testing::ExitedWithCode(1),
              "ListHeld out of turn");
}

TEST_F(EnforcerBansTest, ALauncherThatLiesAboutScopeOrPortsStopsIt) {
  start_serving();
  EXPECT_EXIT(launched({.kind = LauncherEventKind::scope, .which = 2}), testing::ExitedWithCode(1),
              "unknown scope");
  for (const std::uint32_t ports : {0U, 22U, 22U << 16, 22U << 16 | 23U})
    EXPECT_EXIT(launched({.kind = LauncherEventKind::login_ports, .which = ports}),
                testing::ExitedWithCode(1), "impossible ports");
}

}  // namespace
}  // namespace portsentry::enforcer
