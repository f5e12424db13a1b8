// The enforcer half driven through its real channels, with a firewall made of a map. Villains: a
// monitor that speaks out of turn, raw bytes, a launcher that lies.
#include "tests/enforcer/enforcer_lab.h"

namespace portsentry::enforcer {
namespace {

TEST_F(EnforcerTest, StartsInOrderTableThenRestoreThenSensor) {
  firewall_.held[src("192.0.2.9")] = seconds(77);
  start();
  say(Accept{});
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  EXPECT_EQ(monitor_->receive().got, Channel::Got::nothing)
      << "nothing is said before the kernel has the table";
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::nftables);
  EXPECT_FALSE(created->again);
  const auto adopted = heard<Adopted>();
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->source, src("192.0.2.9"));
  EXPECT_EQ(adopted->remaining, seconds(77));
  EXPECT_TRUE(heard<AdoptedDone>());
  EXPECT_EQ(asked(), std::nullopt) << "no sensor before the bans are back";
  say(RestoreDone{});
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
}

TEST_F(EnforcerTest, WithoutAFirewallItSaysSoAndRefusesEveryBan) {
  start(Backend::none);
  say(Accept{});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::none);
  EXPECT_TRUE(heard<AdoptedDone>());
  say(RestoreDone{});
  say(Ban{5, src("192.0.2.9"), seconds(60), kCause});
  const auto outcome = heard<Outcome>();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->id, 5U);
  EXPECT_EQ(outcome->verdict, Verdict::no_firewall);
}

TEST_F(EnforcerTest, ABanIsOkOnlyWhenTheFirewallTookIt) {
  start_serving();
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(firewall_.held.at(src("192.0.2.9")), seconds(60));
  firewall_.refuse = ENFILE;
  say(Ban{2, src("192.0.2.10"), seconds(60), kCause});
  const auto outcome = heard<Outcome>();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict, Verdict::kernel_refused);
  EXPECT_EQ(outcome->error, ENFILE);
}

TEST_F(EnforcerTest, TheGuardJudgesBansAndRestoresAlike) {
  start();
  say(Accept{});
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  drain();
  say(Restore{1, src("127.0.0.1"), seconds(60)});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::not_unicast);
  say(RestoreDone{});
  say(Ban{2, src("224.0.0.1"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::not_unicast);
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerTest, WithoutAViewOfItselfItBansNobody) {
  start_serving();
  view_ = nullptr;
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::view_unknown);
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerTest, AFloodOfBansEndsAtTheBudget) {
  start_serving();
  unsigned ok = 0;
  unsigned refused = 0;
  for (std::uint64_t id = 1; id <= 2 * kBanBurst; ++id) {
    const auto low = static_cast<std::uint8_t>(id);
    const auto high = static_cast<std::uint8_t>(id >> 8);
    say(Ban{id, Source::of(Address::v4(198, 51, high, low), false), seconds(60), kCause});
    const auto outcome = heard<Outcome>();
    ASSERT_TRUE(outcome);
    (outcome->verdict == Verdict::ok ? ok : refused) += 1;
  }
  EXPECT_GE(ok, kBanBurst);
  EXPECT_GT(refused, 0U);
  EXPECT_EQ(firewall_.held.size(), ok);
}

TEST_F(EnforcerTest, UnbanRemovesAndIsOkTwice) {
  start_serving();
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  drain();
  for (const std::uint64_t id : {2U, 3U}) {
    say(Unban{id, src("192.0.2.9")});
    EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  }
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerTest, TheSensorsChannelReachesTheMonitorWithItsDescriptor) {
  start_serving();
  const UniqueFd channel(eventfd(0, EFD_CLOEXEC));
  launched({.kind = LauncherEventKind::sensor_started, .by_signal = 0, .code = 0}, channel.get());
  const auto received = monitor_->receive();
  EXPECT_TRUE(received.fd);
  const auto message = decode_enforcer_to_monitor(received.bytes, 1);
  ASSERT_TRUE(message);
  EXPECT_TRUE(std::holds_alternative<SensorChannel>(*message));
}

TEST_F(EnforcerTest, ADeadSensorIsReportedAndStartedAgainLater) {
  start_serving();
  launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGSYS});
  const auto lost = heard<SensorLost>();
  ASSERT_TRUE(lost);
  EXPECT_TRUE(lost->by_signal);
  EXPECT_EQ(lost->code, SIGSYS);
  EXPECT_EQ(lost->retry_in, milliseconds(100));
  EXPECT_EQ(asked(), std::nullopt);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
}

TEST_F(EnforcerTest, DropSensorKillsItThroughTheLauncherOncePerSensor) {
  start_serving();
  const UniqueFd channel(eventfd(0, EFD_CLOEXEC));
  say(DropSensor{});
  EXPECT_EQ(asked(), std::nullopt) << "there is none yet";
  for (int sensor = 0; sensor < 2; ++sensor) {
    launched({.kind = LauncherEventKind::sensor_started, .by_signal = 0, .code = 0}, channel.get());
    for (int i = 0; i < 10; ++i)
      say(DropSensor{});
    EXPECT_EQ(asked(), LauncherOp::kill_sensor);
    EXPECT_EQ(asked(), std::nullopt);
    launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGKILL});
    say(DropSensor{});
    EXPECT_EQ(asked(), std::nullopt);
  }
}

TEST_F(EnforcerTest, AMonitorThatNeverPausesDoesNotKeepItFromTheOthers) {
  start_serving();
  constexpr std::uint64_t kQueued = 100;
  for (std::uint64_t id = 1; id <= kQueued; ++id)
    ASSERT_EQ(monitor_->send(encode(Unban{id, src("192.0.2.9/32")})), Channel::Sent::ok);
  std::uint64_t handled = 0;
  for (std::uint64_t turn = 0; turn < kQueued && handled < kQueued; ++turn) {
    const std::uint64_t before = handled;
    enforcer_->on_monitor();
    while (heard<Outcome>())
      ++handled;
    EXPECT_LE(handled - before, 10U);
  }
  EXPECT_EQ(handled, kQueued);
}

TEST_F(EnforcerTest, ATableThatSomebodyRemovedIsMadeAgainAndAnnouncedAsSuch) {
  start_serving();
  touched_ = 1;
  const std::uint64_t one = 1;
  ASSERT_EQ(write(events_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  EXPECT_EQ(asked(), std::nullopt) << "one load, however often the kernel tells";
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_TRUE(created->again);
  EXPECT_TRUE(heard<AdoptedDone>());
  say(Restore{9, src("192.0.2.9"), seconds(5)});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
}

TEST_F(EnforcerTest, RestoresThatComeTogetherAreOneTransactionAndJudgedOneByOne) {
  start();
  say(Accept{});
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  drain();
  for (std::uint64_t id = 1; id <= 20; ++id) {
    const std::string address = id == 7 ? "127.0.0.1" : "192.0.2." + std::to_string(id);
    ASSERT_EQ(monitor_->send(encode(MonitorToEnforcer(Restore{id, src(address), seconds(60)}))),
              Channel::Sent::ok);
  }
  say(RestoreDone{});
  for (std::uint64_t id = 1; id <= 20; ++id) {
    const auto outcome = heard<Outcome>();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->id, id);
    EXPECT_EQ(outcome->verdict, id == 7 ? Verdict::not_unicast : Verdict::ok);
  }
  EXPECT_EQ(firewall_.together, (std::vector<std::size_t>{19}));
  EXPECT_EQ(firewall_.held.size(), 19U);
}

TEST_F(EnforcerTest, WhereSomeHoldAlreadyTheyAreRestoredOneByOneUntilTheNextTable) {
  start();
  say(Accept{});
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  drain();
  firewall_.refuse_together = true;
  for (std::uint64_t id = 1; id <= 3; ++id) {
    say(Restore{id, src("192.0.2." + std::to_string(id)), seconds(60)});
    EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  }
  EXPECT_EQ(firewall_.together.size(), 1U) << "a transaction that fails is slow";
  EXPECT_EQ(firewall_.held.size(), 3U);
}

TEST_F(EnforcerTest, ABanThatSomebodyEndedByHandIsReportedAndTheTableLeftAlone) {
  start_serving();
  lifted_ = {src("192.0.2.9")};
  const std::uint64_t one = 1;
  ASSERT_EQ(write(events_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  let_pass(milliseconds(1));
  const auto lifted = heard<Lifted>();
  ASSERT_TRUE(lifted);
  EXPECT_EQ(lifted->source, src("192.0.2.9"));
  EXPECT_EQ(asked(), std::nullopt);
}

TEST_F(EnforcerTest, ATableThatCannotBeMadeAgainIsReportedAndTriedAgain) {
  start_serving();
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 3});
  const auto lost = heard<TableLost>();
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->error, 3);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
}

// ---- the owner's commands -----------------------------------------------------------------------

TEST_F(EnforcerTest, ABanByCommandIsOkOnlyWhenTheCommandSucceeded) {
  start_serving(Backend::command);
  say(Ban{7, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_TRUE(silent()) << "nothing is claimed before the command ended";
  const auto run = requested();
  ASSERT_TRUE(run);
  EXPECT_EQ(run->op, LauncherOp::run);
  EXPECT_EQ(run->command, LauncherCommand::kill_route);
  EXPECT_EQ(run->port, 23);
  EXPECT_EQ(run->length, 32);
  command_ends(run->id, Verdict::command_failed, 4);
  const auto outcome = heard<Outcome>();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->id, 7U);
  EXPECT_EQ(outcome->verdict, Verdict::command_failed);
  EXPECT_EQ(outcome->error, 4);
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerTest, RestoringAndEndingABanByCommandRunTheirOwnTemplates) {
  start(Backend::command);
  say(Accept{});
  EXPECT_EQ(heard<TableCreated>()->backend, Backend::command);
  EXPECT_TRUE(heard<AdoptedDone>());
  EXPECT_EQ(asked(), std::nullopt) << "no nft for a ban that needs none";
  say(Restore{1, src("192.0.2.9"), seconds(60)});
  EXPECT_EQ(requested()->command, LauncherCommand::restore_route);
  say(Unban{2, src("192.0.2.9")});
  const auto undo = requested();
  EXPECT_EQ(undo->command, LauncherCommand::kill_route_remove);
  EXPECT_EQ(undo->port, 0) << "no probe is at hand";
}

TEST_F(EnforcerTest, AnIdThatIsUsedTwiceGetsTwoAnswersOfItsOwn) {
  start_serving(Backend::command);
  say(Ban{7, src("192.0.2.9"), seconds(60), kCause});
  say(Ban{7, src("192.0.2.10"), seconds(60), kCause});
  const auto first = requested();
  const auto second = requested();
  EXPECT_NE(first->id, second->id);
  command_ends(second->id, Verdict::command_killed, 9);
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::command_killed);
  command_ends(first->id, Verdict::ok);
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
}

TEST_F(EnforcerTest, WhatACommandPrintsGoesToTheMonitorUnread) {
  start_serving(Backend::nftables);
  say(RunCommand{5, Command::external, src("127.0.0.1"), kCause});
  const auto run = requested();
  EXPECT_EQ(run->command, LauncherCommand::external) << "telling somebody cuts nobody off";
  const UniqueFd pipe(eventfd(0, EFD_CLOEXEC));
  launched({.kind = LauncherEventKind::command_output, .id = run->id}, pipe.get());
  const auto received = monitor_->receive();
  EXPECT_TRUE(received.fd);
  const auto output = decode_enforcer_to_monitor(received.bytes, 1);
  ASSERT_TRUE(output);
  EXPECT_EQ(std::get<portsentry::CommandOutput>(*output).id, 5U);
}

TEST_F(EnforcerTest, TheGuardJudgesTheCommandsThatActOnASource) {
  start_serving(Backend::none);
  for (const Command command : {Command::run_cmd, Command::hosts_deny_add}) {
    say(RunCommand{1, command, src("127.0.0.1"), kCause});
    EXPECT_EQ(heard<Outcome>()->verdict, Verdict::not_unicast);
  }
  view_ = nullptr;
  say(RunCommand{2, Command::run_cmd, src("192.0.2.9"), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::view_unknown);
  EXPECT_EQ(asked(), std::nullopt);
  say(RunCommand{3, Command::hosts_deny_remove, src("127.0.0.1"), kCause});
  EXPECT_EQ(requested()->command, LauncherCommand::hosts_deny_remove) << "giving back is harmless";
}

TEST_F(EnforcerTest, AFloodOfCommandsNeverFillsTheLaunchersLink) {
  start_serving(Backend::command);
  unsigned refused = 0;
  std::vector<std::uint64_t> running;
  for (std::uint64_t id = 1; id <= 500; ++id) {
    say(RunCommand{id, Command::hosts_deny_remove, src("192.0.2.9"), kCause});
    if (const auto outcome = heard<Outcome>()) {
      EXPECT_EQ(outcome->verdict, Verdict::over_budget);
      refused += 1;
    }
  }
  while (const auto request = requested())
    running.push_back(request->id);
  EXPECT_EQ(running.size() + refused, 500U);
  EXPECT_LE(running.size(), 100U);
  for (const std::uint64_t id : running)
    command_ends(id, Verdict::ok);
  drain();
  say(RunCommand{501, Command::hosts_deny_remove, src("192.0.2.9"), kCause});
  EXPECT_EQ(asked(), LauncherOp::run);
}

TEST_F(EnforcerTest, NoBanWaitsForAFloodOfAdditions) {
  start_serving(Backend::command);
  for (std::uint64_t id = 1; id <= 1500; ++id) {
    say(RunCommand{id, Command::hosts_deny_add, src("192.0.2.9"), kCause});
    if (const auto request = requested()) command_ends(request->id, Verdict::ok);
    drain();
  }
  say(Ban{2000, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_EQ(asked(), LauncherOp::run);
}

TEST_F(EnforcerTest, ReadyIsPassedOnOnce) {
  start_serving();
  say(Ready{});
  EXPECT_EQ(asked(), LauncherOp::ready);
}

// ---- reload -------------------------------------------------------------------------------------

TEST_F(EnforcerTest, AnOfferReachesTheMonitorWithItsFiles) {
  start_serving();
  const UniqueFd file(eventfd(0, EFD_CLOEXEC));
  launched({.kind = LauncherEventKind::reload_file, .which = 3, .generation = 2}, file.get());
  const auto received = monitor_->receive();
  ASSERT_TRUE(received.fd);
  const auto message = decode_enforcer_to_monitor(received.bytes, 1);
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<ReloadFile>(*message).which, ReloadedFile::history);
  launched({.kind = LauncherEventKind::reload_offer, .code = 1, .generation = 2});
  const auto offer = heard<ReloadOffer>();
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->generation, 2U);
  EXPECT_TRUE(offer->new_watch);
  say(ReloadRefuse{2});
  const auto request = requested();
  EXPECT_EQ(request->op, LauncherOp::reload_abandon);
  EXPECT_EQ(request->generation, 2U);
}

TEST_F(EnforcerTest, AProblemOfRootReachesTheMonitorAsACode) {
  start_serving();
  launched({.kind = LauncherEventKind::reload_failed, .code = ENOENT, .which = 1});
  const auto failed = heard<ReloadFailed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->problem, ReloadProblem::config_file);
  EXPECT_EQ(failed->error, ENOENT);
}

TEST_F(EnforcerTest, ASuccessorTakesOverAndItsPredecessorsEndIsNoNews) {
  start_serving();
  sensor_starts();
  drain();
  launched({.kind = LauncherEventKind::reload_offer, .code = 1, .generation = 2});
  say(ReloadAccept{2});
  EXPECT_EQ(asked(), LauncherOp::reload_accept);
  drain();
  const UniqueFd channel(eventfd(0, EFD_CLOEXEC));
  launched({.kind = LauncherEventKind::successor_started}, channel.get());
  const auto received = monitor_->receive();
  ASSERT_TRUE(received.fd);
  const auto message = decode_enforcer_to_monitor(received.bytes, 1);
  ASSERT_TRUE(message);
  EXPECT_TRUE(std::get<SensorChannel>(*message).successor);
  say(ReloadCommit{2});
  EXPECT_EQ(asked(), LauncherOp::reload_commit);
  // It died by itself, just before the launcher read that.
  launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGKILL});
  committed(2, Backend::nftables);
  EXPECT_TRUE(silent());
  launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGSEGV});
  EXPECT_TRUE(heard<SensorLost>());
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
}

TEST_F(EnforcerTest, ALostSuccessorIsToldAndTheReloadIsOver) {
  start_serving();
  sensor_starts();
  start_successor(2);
  launched({.kind = LauncherEventKind::successor_ended, .by_signal = 1, .code = SIGKILL});
  const auto lost = heard<SensorLost>();
  ASSERT_TRUE(lost);
  EXPECT_TRUE(lost->successor);
  // The monitor's own patience may have ended at the same time.
  say(ReloadAbandon{2});
  EXPECT_EQ(asked(), std::nullopt);
}

TEST_F(EnforcerTest, ACommitThatCrossesTheEndOfItsSuccessorIsCarriedOut) {
  start_serving();
  sensor_starts();
  start_successor(2);
  launched({.kind = LauncherEventKind::successor_ended, .by_signal = 1, .code = SIGKILL});
  drain();
  say(ReloadCommit{2});
  EXPECT_EQ(asked(), LauncherOp::reload_commit) << "the monitor has switched already";
  committed(2, Backend::nftables);
  launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGKILL});
  const auto lost = heard<SensorLost>();
  ASSERT_TRUE(lost) << "the old one has handed over, and another follows";
  EXPECT_FALSE(lost->successor);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
}

TEST_F(EnforcerTest, ADeadPredecessorIsNotStartedAgainBesideItsSuccessor) {
  start_serving();
  sensor_starts();
  start_successor(2);
  launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGKILL});
  EXPECT_TRUE(silent()) << "the monitor may have switched, and would take it for the successor's";
  say(ReloadCommit{2});
  EXPECT_EQ(asked(), LauncherOp::reload_commit);
  committed(2, Backend::nftables);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), std::nullopt);
  say(DropSensor{});
  EXPECT_EQ(asked(), LauncherOp::kill_sensor) << "the successor is the sensor now";
}

TEST_F(EnforcerTest, ADeadPredecessorIsToldAndStartedAgainWhenItsSuccessorIsGivenUp) {
  start_serving();
  sensor_starts();
  start_successor(2);
  launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGSEGV});
  say(ReloadAbandon{2});
  EXPECT_EQ(asked(), LauncherOp::reload_abandon);
  const auto lost = heard<SensorLost>();
  ASSERT_TRUE(lost);
  EXPECT_FALSE(lost->successor);
  EXPECT_EQ(lost->code, SIGSEGV);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
}

TEST_F(EnforcerTest, ASourceThatIsAskedForWhileTheLauncherSwitchesIsLetGoByTheOldUndo) {
  start_serving(Backend::command);
  banned_by_command("192.0.2.9");
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  say(ReloadCommit{2});
  drain();
  say(Ban{1, src("192.0.2.9"), seconds(50), kCause});
  const auto undo = requested();
  ASSERT_TRUE(undo);
  EXPECT_EQ(undo->command, LauncherCommand::kill_route_remove);
  EXPECT_EQ(undo->generation, 1U);
}

TEST_F(EnforcerTest, ASilentMonitorKeepsTheOldGenerationAndMayAnswerLate) {
  start_serving();
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  drain();
  testing::internal::CaptureStderr();
  let_pass(milliseconds(5100));
  EXPECT_NE(testing::internal::GetCapturedStderr().find("has not judged generation 2"),
            std::string::npos);
  EXPECT_EQ(asked(), std::nullopt);
  say(ReloadCommit{2});
  EXPECT_EQ(asked(), LauncherOp::reload_commit);
}

TEST_F(EnforcerTest, ArmingByReloadMakesTheTableAndAdoptsWhatTheKernelHolds) {
  firewall_.held[src("192.0.2.9")] = seconds(77);
  start_serving(Backend::none);
  reload_to(2, Backend::nftables);
  let_pass(milliseconds(1));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  EXPECT_TRUE(silent());
  launched({.kind = LauncherEventKind::ruleset_loaded});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::nftables);
  EXPECT_TRUE(created->again);
  EXPECT_EQ(heard<Adopted>()->source, src("192.0.2.9"));
  EXPECT_TRUE(heard<AdoptedDone>());
  say(RestoreDone{});
  say(Ban{1, src("192.0.2.10"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
}

TEST_F(EnforcerTest, ArmingWithoutNfTablesIsNoBanAndSaysSo) {
  has_nf_tables_ = false;
  start_serving(Backend::none);
  reload_to(2, Backend::nftables);
  EXPECT_TRUE(heard<TableLost>());
  say(Ban{1, src("192.0.2.10"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::no_firewall);
}

TEST_F(EnforcerTest, ATableThatCannotBeMadeForAReloadIsNotTheEnd) {
  start_serving(Backend::none);
  reload_to(2, Backend::nftables);
  let_pass(milliseconds(1));
  launched({.kind = LauncherEventKind::ruleset_loaded, .code = 1});
  EXPECT_TRUE(heard<TableLost>());
}

TEST_F(EnforcerTest, DisarmingByReloadLeavesWhatTheKernelHolds) {
  start_serving();
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  drain();
  reload_to(2, Backend::none);
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::none);
  EXPECT_TRUE(created->again);
  EXPECT_EQ(firewall_.held.size(), 1U);
  touched_ = 1;
  const std::uint64_t one = 1;
  ASSERT_EQ(write(events_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), std::nullopt) << "nobody puts a table back that nobody wants";
}

TEST_F(EnforcerTest, ABanThatMovesFromNftablesToACommandIsHeldByOneOfThem) {
  start_serving();
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  reload_to(2, Backend::command);
  drain();
  say(Restore{2, src("192.0.2.9"), seconds(50)});
  EXPECT_EQ(firewall_.held.size(), 1U) << "until the command has succeeded";
  command_ends(requested()->id, Verdict::ok);
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerTest, ABanThatMovesFromACommandToNftablesIsUndoneByWhatMadeIt) {
  start_serving(Backend::command);
  banned_by_command("192.0.2.9");
  reload_to(2, Backend::nftables, false, 2);
  let_pass(milliseconds(1));
  launched({.kind = LauncherEventKind::ruleset_loaded});
  drain();
  say(Restore{1, src("192.0.2.9"), seconds(50)});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(firewall_.held.size(), 1U);
  const auto undo = requested();
  ASSERT_TRUE(undo);
  EXPECT_EQ(undo->command, LauncherCommand::kill_route_remove);
  EXPECT_EQ(undo->generation, 1U);
  command_ends(undo->id, Verdict::ok, 0, 2);
  EXPECT_TRUE(silent()) << "the monitor did not ask for that";
  say(Unban{2, src("192.0.2.9")});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(asked(), std::nullopt);
}

TEST_F(EnforcerTest, ABanOfADisarmedCommandIsStillUndone) {
  start_serving(Backend::command);
  banned_by_command("192.0.2.9");
  reload_to(2, Backend::none, false, 2);
  drain();
  say(Unban{1, src("192.0.2.9")});
  const auto undo = requested();
  ASSERT_TRUE(undo);
  EXPECT_EQ(undo->generation, 1U);
  command_ends(undo->id, Verdict::ok, 0, 2);
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
}

TEST_F(EnforcerTest, AnotherKillRouteLeavesTheBansOfTheOldOneToItsUndo) {
  start_serving(Backend::command);
  banned_by_command("192.0.2.9");
  reload_to(2, Backend::command, false, 2);
  EXPECT_TRUE(silent()) << "it is the same backend, and nothing was lost";
  say(Unban{2, src("192.0.2.9")});
  EXPECT_EQ(requested()->generation, 1U);
}

TEST_F(EnforcerTest, AnotherKillRouteTakesASourceOverAfterTheOldOneIsUndone) {
  start_serving(Backend::command);
  banned_by_command("192.0.2.9");
  reload_to(2, Backend::command, false, 2);
  drain();
  say(Ban{1, src("192.0.2.9"), seconds(50), kCause});
  const auto undo = requested();
  ASSERT_TRUE(undo);
  EXPECT_EQ(undo->command, LauncherCommand::kill_route_remove);
  EXPECT_EQ(undo->generation, 1U);
  EXPECT_EQ(asked(), std::nullopt) << "one after the other";
  command_ends(undo->id, Verdict::command_failed, 1, 2);
  EXPECT_TRUE(silent());
  const auto route = requested();
  EXPECT_EQ(route->command, LauncherCommand::kill_route);
  command_ends(route->id, Verdict::ok, 0, 2);
  const auto outcome = heard<Outcome>();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->id, 1U);
  EXPECT_EQ(outcome->verdict, Verdict::ok);
  say(Unban{2, src("192.0.2.9")});
  EXPECT_EQ(requested()->generation, 2U);
}

TEST_F(EnforcerTest, ABackendThatChangesWhileNftRunsIsNotAnnouncedTwice) {
  start_serving(Backend::none);
  reload_to(2, Backend::nftables);
  let_pass(milliseconds(1));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  reload_to(3, Backend::none);
  EXPECT_EQ(heard<TableCreated>()->backend, Backend::none);
  EXPECT_TRUE(heard<AdoptedDone>());
  launched({.kind = LauncherEventKind::ruleset_loaded});
  EXPECT_TRUE(silent());
}

TEST_F(EnforcerTest, AResolverIsStartedWithTheFirstSensorAndAgainWhenItEnds) {
  start(Backend::none, true);
  say(Accept{});
  say(RestoreDone{});
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
  EXPECT_EQ(asked(), LauncherOp::spawn_resolver);
  drain();
  sensor_starts(LauncherEventKind::resolver_started);
  const auto received = monitor_->receive();
  EXPECT_TRUE(received.fd);
  launched({.kind = LauncherEventKind::resolver_ended, .by_signal = 1, .code = SIGKILL});
  EXPECT_TRUE(heard<ResolverLost>());
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::spawn_resolver);
}

TEST_F(EnforcerTest, TheResolverEndsAndBeginsWithAReload) {
  start_serving(Backend::none, true);
  sensor_starts(LauncherEventKind::resolver_started);
  drain();
  reload_to(2, Backend::none, false);
  launched({.kind = LauncherEventKind::resolver_ended, .by_signal = 1, .code = SIGKILL});
  let_pass(milliseconds(300));
  EXPECT_EQ(asked(), std::nullopt);
  reload_to(3, Backend::none, true);
  EXPECT_EQ(asked(), LauncherOp::spawn_resolver);
}

using EnforcerDeathTest = EnforcerTest;

TEST_F(EnforcerDeathTest, AVerbOutOfTurnStopsIt) {
  start();
  const Ban early{1, src("192.0.2.9"), seconds(60), kCause};
  EXPECT_EXIT(say(early), testing::ExitedWithCode(1), "Ban out of turn");
  start_serving();
  const Restore late{1, src("192.0.2.9"), seconds(60)};
  EXPECT_EXIT(say(late), testing::ExitedWithCode(1), "Restore out of turn");
  EXPECT_EXIT(say(Accept{}), testing::ExitedWithCode(1), "Accept out of turn");
}

TEST_F(EnforcerDeathTest, AReloadAnswerThatNobodyAskedForStopsIt) {
  start_serving();
  const auto stops = [this](const MonitorToEnforcer& answer) {
    EXPECT_EXIT(say(answer), testing::ExitedWithCode(1), "out of turn");
  };
  const auto each = [&stops](std::uint32_t generation) {
    stops(ReloadAccept{generation});
    stops(ReloadRefuse{generation});
    stops(ReloadCommit{generation});
    stops(ReloadAbandon{generation});
  };
  each(1);  // nothing was offered
  launched({.kind = LauncherEventKind::reload_offer, .generation = 2});
  each(1);
  each(3);
  stops(ReloadAbandon{2});  // nothing was accepted
  say(ReloadAccept{2});
  stops(ReloadAccept{2});
  stops(ReloadRefuse{2});
  say(ReloadCommit{2});
  each(2);
  committed(2, Backend::nftables);
  each(2);
}

TEST_F(EnforcerDeathTest, ASecondReadyStopsIt) {
  start_serving();
  say(Ready{});
  EXPECT_EXIT(say(Ready{}), testing::ExitedWithCode(1), "Ready out of turn");
}

TEST_F(EnforcerDeathTest, RawBytesFromTheMonitorStopIt) {
  start_serving();
  EXPECT_EXIT(
      {
        send(monitor_->fd(), "garbage", 7, 0);
        enforcer_->on_monitor();
      },
      testing::ExitedWithCode(1), "invalid message");
  EXPECT_EXIT(
      {
        const std::vector<char> long_message(kMaxMessage + 1, 'x');
        send(monitor_->fd(), long_message.data(), long_message.size(), 0);
        enforcer_->on_monitor();
      },
      testing::ExitedWithCode(1), "malformed message");
  EXPECT_EXIT(
      {
        static_cast<void>(monitor_->send(encode(MonitorToEnforcer(RestoreDone{})), 0));
        enforcer_->on_monitor();
      },
      testing::ExitedWithCode(1), "invalid message")
      << "a descriptor with a verb that carries none";
}

TEST_F(EnforcerDeathTest, AFirstTableThatCannotBeMadeStopsIt) {
  start();
  say(Accept{});
  EXPECT_EXIT(launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 1}),
              testing::ExitedWithCode(1), "could not make the table");
}

TEST_F(EnforcerDeathTest, ALauncherThatTalksNonsenseStopsIt) {
  start_serving();
  EXPECT_EXIT(launched({LauncherEventKind{99}, 0, 0}), testing::ExitedWithCode(1), "unknown event");
  EXPECT_EXIT(committed(2, Backend::none), testing::ExitedWithCode(1), "switched unasked");
  EXPECT_EXIT(command_ends(1, Verdict::ok), testing::ExitedWithCode(1), "what was not run");
  EXPECT_EXIT(launched({.kind = LauncherEventKind::command_output, .id = 1}),
              testing::ExitedWithCode(1), "output of nothing");
  EXPECT_EXIT(launched({.kind = LauncherEventKind::reload_file, .which = 1, .generation = 2}),
              testing::ExitedWithCode(1), "file of no kind");
  EXPECT_EXIT(launched({.kind = LauncherEventKind::sensor_started, .by_signal = 0, .code = 0}),
              testing::ExitedWithCode(1), "without a channel");
  EXPECT_EXIT(
      {
        send(launcher_->fd(), "x", 1, 0);
        enforcer_->on_launcher();
      },
      testing::ExitedWithCode(1), "malformed event");
}

TEST_F(EnforcerTest, TheMonitorsEndEndsIt) {
  start_serving();
  monitor_.reset();
  enforcer_->on_monitor();
  EXPECT_EQ(loop_.run(), 0);
}

TEST(Backoff, DoublesToItsCeilingAndForgetsAfterALongLife) {
  Backoff backoff;
  EXPECT_EQ(backoff.next({}), milliseconds(100));
  EXPECT_EQ(backoff.next({}), milliseconds(200));
  for (int i = 0; i < 20; ++i)
    static_cast<void>(backoff.next(seconds(59)));
  EXPECT_EQ(backoff.next({}), milliseconds(30'000));
  EXPECT_EQ(backoff.next(seconds(60)), milliseconds(100));
}

}  // namespace
}  // namespace portsentry::enforcer
