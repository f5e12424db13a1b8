// The owner's commands and hosts.deny, as the monitor tells their story.
#include <gtest/gtest.h>

#include <cerrno>

#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

using Lines = std::vector<std::string>;

class CommandStory : public Story {
 protected:
  void serve_with_command() {
    config_.kill_route = "/sbin/iptables -I INPUT -s $TARGET$ -j DROP";
    config_.firewall = Firewall::automatic;
    start();
    ASSERT_TRUE(hear(TableCreated{.backend = Backend::command, .again = false}));
    ASSERT_TRUE(hear(AdoptedDone{}));
    ASSERT_TRUE(hear(SensorChannel{.successor = false}));
    ASSERT_TRUE(sense(SensorReady{}));
    effects_.lines.clear();
    effects_.sent.clear();
  }
  std::vector<RunCommand> runs(Command command) const {
    std::vector<RunCommand> found;
    for (const RunCommand& run : sent<RunCommand>())
      if (run.command == command) found.push_back(run);
    return found;
  }
  void finish(const RunCommand& run, Verdict verdict = Verdict::ok, std::int32_t error = 0) {
    ASSERT_TRUE(hear(Outcome{run.id, verdict, error}));
  }
};

// ---- KILL_ROUTE ---------------------------------------------------------------------------------

TEST_F(CommandStory, ABanByACommandGetsTheTimeOfAProvenOneAndKeepsItAcrossARestart) {
  config_.block_time_forgeable = 10min;
  serve_with_command();
  ban("198.51.100.7");
  Detection proven = probe("198.51.100.7");
  proven.proof = Proof::established;
  detect(proven);
  EXPECT_EQ(sent<Ban>().size(), 1U) << "its rule stands; only we know its time";
  EXPECT_EQ(count("the ban of 198.51.100.7 holds for 30m from now on"), 1U);
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).until, now().wall + 30 * 60);
  EXPECT_EQ(noted<PutOffence>().size(), 1U);
  EXPECT_EQ(events(EventKind::changed).size(), 1U);
}

TEST_F(CommandStory, ABanByACommandIsToldAsRunAndUndoneAtItsEnd) {
  serve_with_command();
  EXPECT_EQ(monitor_->status().backend, Backend::command);
  detect(probe("198.51.100.7"));
  EXPECT_EQ(count("blocked"), 0U);
  answer(Verdict::ok);
  EXPECT_EQ(
      count("attackalert: Host 198.51.100.7 has been blocked via dropped route using command: "
            "\"/sbin/iptables -I INPUT -s 198.51.100.7 -j DROP\""),
      1U);
  EXPECT_EQ(count("attackalert: Host: 198.51.100.7/198.51.100.7 Port: 23 TCP Blocked"), 1U);
  wait(30min);
  ASSERT_EQ(sent<Unban>().size(), 1U);
  EXPECT_EQ(count("has expired"), 0U) << "it holds until it is undone";
  EXPECT_EQ(monitor_->status().enforced, 1U);
  ASSERT_TRUE(hear(Outcome{sent<Unban>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(count("ban of 198.51.100.7 has expired"), 1U);
  EXPECT_EQ(monitor_->status().enforced, 0U);
  wait(2s);
  EXPECT_EQ(effects_.blocked_text, "");
}

TEST_F(CommandStory, AFailingCommandIsNeverABlockAndIsTriedAgain) {
  serve_with_command();
  detect(probe("198.51.100.7"));
  answer(Verdict::command_failed, 3);
  EXPECT_EQ(count("Could not block host 198.51.100.7/198.51.100.7 !! (command ended with status 3"),
            1U);
  EXPECT_EQ(count("has been blocked"), 0U);
  EXPECT_EQ(count("Blocked"), 0U);
  EXPECT_EQ(effects_.history_text, "");
  EXPECT_EQ(effects_.blocked_text, "");
  wait(1s);
  EXPECT_EQ(sent<Ban>().size(), 2U);
}

TEST_F(CommandStory, AnUndoThatIsNotKnownIsToldAndTheBanShownAsHolding) {
  serve_with_command();
  ban("198.51.100.7");
  wait(30min);
  ASSERT_TRUE(hear(Outcome{sent<Unban>().at(0).id, Verdict::no_command, 0}));
  EXPECT_EQ(count("no command is known that undoes it: set KILL_ROUTE_REMOVE"), 1U);
  EXPECT_EQ(counter("bans_without_undo"), 1U);
  EXPECT_EQ(monitor_->status().enforced, 1U);
  wait(24h);
  EXPECT_EQ(sent<Unban>().size(), 1U);
  EXPECT_EQ(count("has expired"), 0U);
  EXPECT_NE(effects_.blocked_text, "");
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U) << "it is blocked";
}

TEST_F(CommandStory, AnIpv6SourceThatTheCommandIsNotForIsRefusedByName) {
  serve_with_command();
  detect(probe("2001:db8::7"));
  answer(Verdict::no_command);
  EXPECT_EQ(count("KILL_ROUTE is for IPv4 only, and nothing is known that does the same for IPv6"),
            1U);
  EXPECT_EQ(count("blocked"), 0U);
}

// ---- EXTERNAL_COMMAND, KILL_RUN_CMD -------------------------------------------------------------

TEST_F(CommandStory, TheExternalCommandRunsOnDetectionAfterTheBanWasAskedForAndOncePerScan) {
  config_.external_command = "/usr/bin/tell $TARGET$ $PORT$ $MODE$";
  serve();
  detect(probe("198.51.100.7"));
  ASSERT_EQ(effects_.sent.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<Ban>(effects_.sent[0]));
  const RunCommand run = runs(Command::external).at(0);
  EXPECT_EQ(run.source, host("198.51.100.7"));
  EXPECT_EQ(run.cause.port.number(), 23);
  finish(run);
  EXPECT_EQ(count("attackalert: External command run for host: 198.51.100.7 using command: "
                  "\"/usr/bin/tell 198.51.100.7 23 stcp\""),
            1U);
  answer(Verdict::ok);
  for (int i = 0; i < 20; ++i) {
    wait(5min);
    detect(probe("198.51.100.7"));
  }
  EXPECT_EQ(runs(Command::external).size(), 2U)
      << "the scan goes on all the while, and was banned a second time";
  EXPECT_EQ(counter("commands_run"), 1U);
}

TEST_F(CommandStory, InObserveModeOnlyTheExternalCommandRuns) {
  config_.block_tcp = BlockMode::observe;
  config_.external_command = "/usr/bin/tell";
  config_.kill_run_cmd = "/usr/bin/act";
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve();
  detect(probe("198.51.100.7"));
  detect(probe("198.51.100.7"));
  ASSERT_EQ(effects_.sent.size(), 1U);
  EXPECT_EQ(runs(Command::external).size(), 1U);
  EXPECT_EQ(counter("commands_same_scan"), 1U);
}

TEST_F(CommandStory, BlockTwoRunsKillRunCmdAndRecordsNoBan) {
  config_.block_tcp = BlockMode::command_only;
  config_.kill_run_cmd = "/usr/bin/act $TARGET$";
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve();
  detect(probe("198.51.100.7"));
  detect(probe("198.51.100.7"));
  ASSERT_EQ(effects_.sent.size(), 1U);
  finish(runs(Command::run_cmd).at(0));
  EXPECT_EQ(count("External command run for host: 198.51.100.7"), 1U);
  EXPECT_EQ(count("locked"), 0U);
  EXPECT_EQ(effects_.history_text, "");
  EXPECT_EQ(effects_.blocked_text, "");
  wait(11min);
  detect(probe("198.51.100.7"));
  EXPECT_EQ(runs(Command::run_cmd).size(), 2U) << "a new scan";
}

TEST_F(CommandStory, KillRunCmdRunsWhenTheFirewallHasAnswered) {
  config_.kill_run_cmd = "/usr/bin/act $TARGET$";
  serve();
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
  EXPECT_TRUE(runs(Command::run_cmd).empty());
  answer(Verdict::ok);
  EXPECT_EQ(runs(Command::run_cmd).size(), 1U);
}

TEST_F(CommandStory, KillRunCmdFirstHasEndedBeforeTheFirewallIsAsked) {
  for (const Verdict verdict : {Verdict::ok, Verdict::command_failed, Verdict::over_budget}) {
    effects_.sent.clear();
    config_.kill_run_cmd = "/usr/bin/act $TARGET$";
    config_.kill_run_cmd_first = true;
    serve();
    detect(probe("198.51.100.7"));
    detect(probe("198.51.100.7"));
    wait(5s);
    EXPECT_TRUE(sent<Ban>().empty());
    finish(runs(Command::run_cmd).at(0), verdict, 0);
    ASSERT_EQ(sent<Ban>().size(), 1U);
    EXPECT_EQ(sent<Ban>().at(0).duration, config_.block_time);
    answer(Verdict::ok);
    EXPECT_EQ(runs(Command::run_cmd).size(), 1U);
  }
}

TEST_F(CommandStory, ABanDoesNotWaitLongForKillRunCmdFirstNorWhereItDoesNotRun) {
  config_.kill_run_cmd = "/usr/bin/act $TARGET$";
  config_.kill_run_cmd_first = true;
  config_.block_time = 2s;
  serve();
  detect(probe("198.51.100.7"));
  wait(15s);
  EXPECT_EQ(sent<Ban>().size(), 1U);
  for (unsigned i = 0; i < 20; ++i)
    detect(probe("203.0.113." + std::to_string(i)));
  EXPECT_EQ(runs(Command::run_cmd).size(), 10U);
  EXPECT_EQ(sent<Ban>().size(), 12U) << "the ten over the budget, at least";
}

TEST_F(CommandStory, ASourceThatTheGuardRefusesGetsNoCommandAndNoLine) {
  config_.kill_run_cmd = "/usr/bin/act $TARGET$";
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve();
  detect(probe("198.51.100.7"));
  answer(Verdict::own_address);
  EXPECT_TRUE(sent<RunCommand>().empty());
}

TEST_F(CommandStory, AFailingCommandIsToldAsItsOwnAndDoesNotTouchTheBan) {
  config_.external_command = "/usr/bin/tell";
  serve();
  ban("198.51.100.7");
  finish(runs(Command::external).at(0), Verdict::command_not_run, ENOENT);
  EXPECT_EQ(count("EXTERNAL_COMMAND: command could not be run: No such file or directory"), 1U);
  EXPECT_EQ(counter("commands_failed"), 1U);
  EXPECT_EQ(monitor_->status().enforced, 1U);
}

TEST_F(CommandStory, AFloodRunsTenCommandsAMinuteAndCountsTheRest) {
  config_.external_command = "/usr/bin/tell";
  serve();
  for (unsigned i = 0; i < 500; ++i)
    detect(probe("203.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)));
  EXPECT_EQ(runs(Command::external).size(), 10U);
  EXPECT_EQ(counter("commands_over_budget"), 490U);
  wait(61s);
  EXPECT_EQ(count("suppressed 490 commands (more than ten a minute)"), 1U);
}

TEST_F(CommandStory, WithoutAKeyNothingIsAskedFor) {
  serve();
  ban("198.51.100.7");
  EXPECT_TRUE(sent<RunCommand>().empty());
}

TEST_F(CommandStory, AnOutcomeIsBelievedOnceAndOnlyForWhatWasAsked) {
  config_.external_command = "/usr/bin/tell";
  serve();
  detect(probe("198.51.100.7"));
  const RunCommand run = runs(Command::external).at(0);
  EXPECT_FALSE(hear(Outcome{run.id + 1, Verdict::ok, 0}));
  finish(run);
  EXPECT_FALSE(hear(Outcome{run.id, Verdict::ok, 0}));
  EXPECT_FALSE(hear(Outcome{Wrappers::kIds, Verdict::ok, 0}));
}

TEST_F(CommandStory, WhatACommandPrintsIsToldForItsSourceAndNothingElseIsTaken) {
  config_.external_command = "/usr/bin/tell";
  serve();
  detect(probe("198.51.100.7"));
  const RunCommand run = runs(Command::external).at(0);
  ASSERT_TRUE(hear(CommandOutput{run.id}));
  EXPECT_EQ(monitor_->output_of(), host("198.51.100.7"));
  ASSERT_TRUE(hear(CommandOutput{sent<Ban>().at(0).id})) << "KILL_ROUTE prints too";
  EXPECT_FALSE(hear(CommandOutput{run.id + 7}));
  for (int i = 0; i < 100; ++i)
    monitor_->command_said(host("198.51.100.7"), "hello", now());
  EXPECT_GE(count("said: hello"), 1U);
  EXPECT_LE(lines().size(), LogBudget::kPerSource);
}

// ---- KILL_HOSTS_DENY ----------------------------------------------------------------------------

TEST_F(CommandStory, HostsDenyIsAnAdditionToABanInEveryModeAndGoesWithIt) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve();
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(sent<RunCommand>().empty()) << "the firewall first";
  answer(Verdict::ok);
  finish(runs(Command::hosts_deny_add).at(0));
  EXPECT_EQ(
      count("attackalert: Host 198.51.100.7 has been blocked via wrappers with string: \"ALL: "
            "198.51.100.7\""),
      1U);
  wait(30min);
  ASSERT_EQ(runs(Command::hosts_deny_remove).size(), 1U);
  finish(runs(Command::hosts_deny_remove)[0]);
  EXPECT_EQ(counter("hosts_deny_added"), 1U);
  EXPECT_EQ(counter("hosts_deny_removed"), 1U);
}

TEST_F(CommandStory, HostsDenyAloneIsNoBan) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve_with_command();
  detect(probe("198.51.100.7"));
  answer(Verdict::command_failed, 1);
  finish(runs(Command::hosts_deny_add).at(0));
  EXPECT_EQ(monitor_->status().enforced, 0U);
  EXPECT_EQ(effects_.history_text, "");
  EXPECT_EQ(count("Port: 23 TCP Blocked"), 0U);
  for (std::size_t tries = 1; tries < sent<Ban>().size() || passed_ < 31min;
       tries = sent<Ban>().size()) {
    wait(1min);
    if (sent<Ban>().size() > tries) answer(Verdict::command_failed, 1);
  }
  EXPECT_EQ(runs(Command::hosts_deny_remove).size(), 1U) << "it goes with the last try";
}

TEST_F(CommandStory, AnIpv6LineIsInBrackets) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve();
  detect(probe("2001:db8::7"));
  answer(Verdict::ok);
  finish(runs(Command::hosts_deny_add).at(0));
  EXPECT_EQ(count("via wrappers with string: \"ALL: [2001:db8::7]\""), 1U);
}

TEST_F(CommandStory, ABanLiftedByHandTakesItsLineAlong) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve();
  ban("198.51.100.7");
  ASSERT_TRUE(hear(Lifted{host("198.51.100.7")}));
  finish(runs(Command::hosts_deny_add).at(0));
  EXPECT_EQ(runs(Command::hosts_deny_remove).size(), 1U);
}

}  // namespace
}  // namespace portsentry::monitor
