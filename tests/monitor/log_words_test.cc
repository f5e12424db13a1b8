#include "monitor/log_words.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

constexpr Verdict kNos[] = {
    Verdict::kernel_refused, Verdict::no_firewall,       Verdict::command_failed,
    Verdict::command_killed, Verdict::command_timed_out, Verdict::command_not_run,
    Verdict::no_command,     Verdict::not_unicast,       Verdict::own_address,
    Verdict::next_hop,       Verdict::shared_prefix,     Verdict::bad_duration,
    Verdict::over_budget,    Verdict::view_unknown,
};

TEST(LogWords, DurationsAreWholeUnitsFromTheLargestDown) {
  EXPECT_EQ(words::duration(30min), "30m");
  EXPECT_EQ(words::duration(45s), "45s");
  EXPECT_EQ(words::duration(36h), "1d12h");
  EXPECT_EQ(words::duration(3661s), "1h1m1s");
  EXPECT_EQ(words::duration(365 * 24h), "365d");
  EXPECT_EQ(words::duration(0s), "0s");
}

TEST(LogWords, EveryRefusalHasWordsAndOnlyABanIsTriedAgain) {
  for (const Verdict verdict : kNos) {
    EXPECT_FALSE(words::refusal(verdict, 0).empty()) << static_cast<int>(verdict);
    EXPECT_EQ(words::command_refusal(verdict, 3).find("trying again"), std::string::npos);
  }
  EXPECT_EQ(words::refusal(Verdict::ok, 0), "");
  EXPECT_EQ(words::refusal(Verdict::kernel_refused, ENOENT),
            "kernel: No such file or directory; trying again");
  EXPECT_EQ(words::refusal(Verdict::kernel_refused, 0), "kernel: no answer; trying again");
  EXPECT_EQ(words::refusal(Verdict::own_address, 0), "an address of this host");
}

TEST(LogWords, ACommandIsToldByHowItEnded) {
  EXPECT_EQ(words::refusal(Verdict::command_failed, 3),
            "command ended with status 3; trying again");
  EXPECT_EQ(words::command_refusal(Verdict::command_killed, 11), "command was killed by signal 11");
  EXPECT_EQ(words::command_refusal(Verdict::command_not_run, ENOENT),
            "command could not be run: No such file or directory");
  EXPECT_EQ(words::command_refusal(Verdict::command_not_run, 0), "command could not be run");
}

TEST(LogWords, EveryProblemOfAReloadHasWords) {
  for (const ReloadProblem problem :
       {ReloadProblem::config_file, ReloadProblem::ignore_file, ReloadProblem::history_file,
        ReloadProblem::blocked_file, ReloadProblem::log_file, ReloadProblem::account,
        ReloadProblem::descriptors, ReloadProblem::firewall, ReloadProblem::other}) {
    EXPECT_FALSE(words::problem({.problem = problem, .error = 0}).empty());
  }
  EXPECT_EQ(words::problem({.problem = ReloadProblem::history_file, .error = EACCES}),
            "HISTORY_FILE cannot be opened: Permission denied");
}

TEST(LogWords, ABanIsFoundInTheSetOfItsKind) {
  EXPECT_EQ(words::set_name(host("198.51.100.7"), false), "ban4");
  EXPECT_EQ(words::set_name(host("2001:db8::7"), false), "ban6");
  EXPECT_EQ(words::set_name(site("2001:db8::7"), false), "ban6net");
  EXPECT_EQ(words::set_name(host("198.51.100.7"), true), "perm4");
}

TEST(LogWords, EveryScanHasAName) {
  for (const ScanKind kind : {ScanKind::syn, ScanKind::fin, ScanKind::null, ScanKind::xmas,
                              ScanKind::odd_flags, ScanKind::udp, ScanKind::connect}) {
    EXPECT_FALSE(words::kind(kind, TcpFlags{}).empty());
  }
}

TEST(LogWords, TheOthersOfANetworkAreNamed) {
  for (const Narrowed why :
       {Narrowed::ignored, Narrowed::own_address, Narrowed::next_hop, Narrowed::shared_prefix}) {
    EXPECT_FALSE(words::others(why).empty());
  }
}

TEST(LogWords, ACommandIsCalledByItsKey) {
  EXPECT_EQ(words::key(Command::external), "EXTERNAL_COMMAND");
  EXPECT_EQ(words::key(Command::hosts_deny_remove), "KILL_HOSTS_DENY");
}

TEST(LogWords, TheMonitorsOwnReasonsHaveTheGuardsWords) {
  EXPECT_EQ(words::refusal(Reason::next_hop), words::refusal(Verdict::next_hop, 0));
  EXPECT_EQ(words::refusal(Reason::not_unicast), words::refusal(Verdict::not_unicast, 0));
  EXPECT_EQ(words::refusal(Reason::own_address), words::refusal(Verdict::own_address, 0));
}

}  // namespace
}  // namespace portsentry::monitor
