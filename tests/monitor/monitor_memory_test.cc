// What outlives the process: bans by a command, and lines in hosts.deny.
#include <gtest/gtest.h>

#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

class MemoryStory : public Story {
 protected:
  void begin(Backend backend) {
    if (backend == Backend::command) config_.kill_route = "/sbin/drop $TARGET$";
    start();
    ASSERT_TRUE(hear(TableCreated{.backend = backend, .again = false}));
  }
  void adopt(std::string_view who) { ASSERT_TRUE(hear(Adopted{host(who), 600s})); }
  void serve_as(Backend backend) {
    begin(backend);
    ASSERT_TRUE(hear(AdoptedDone{}));
    ASSERT_TRUE(hear(SensorChannel{.successor = false}));
    ASSERT_TRUE(sense(SensorReady{}));
  }
  StoredBan stored(std::string_view who, std::time_t left,
                   BanBackend backend = BanBackend::command) const {
    return {.source = host(who),
            .address = address(who),
            .cause = {Protocol::udp, *Port::make(161)},
            .backend = backend,
            .since = now().wall - 100,
            .until = now().wall + left,
            .offences = 1};
  }
};

TEST_F(MemoryStory, ABanByACommandIsRememberedUntilItIsUndone) {
  serve_as(Backend::command);
  ban("198.51.100.7");
  ASSERT_EQ(effects_.memory.size(), 1U);
  const StoredBan& kept = effects_.memory.begin()->second;
  EXPECT_EQ(kept.backend, BanBackend::command);
  EXPECT_EQ(kept.until, now().wall + 1800);
  EXPECT_EQ(kept.cause.port.number(), 23);
  wait(30min);
  EXPECT_EQ(effects_.memory.size(), 1U) << "its undo has not been answered";
  ASSERT_TRUE(hear(Outcome{sent<Unban>().at(0).id, Verdict::ok, 0}));
  EXPECT_TRUE(effects_.memory.empty());
}

TEST_F(MemoryStory, ABanByTheKernelIsRememberedUntilItIsOver) {
  serve_as(Backend::nftables);
  ban("198.51.100.7");
  ASSERT_EQ(effects_.memory.size(), 1U);
  EXPECT_EQ(effects_.memory.begin()->second.backend, BanBackend::nftables);
  EXPECT_EQ(effects_.memory.begin()->second.until, now().wall + 1800);
  wait(30min);
  EXPECT_TRUE(effects_.memory.empty());
}

TEST_F(MemoryStory, AfterARestartItHoldsWithoutRunningTheCommandAgainAndIsUndoneAtItsEnd) {
  remembered_.bans = {stored("198.51.100.7", 60)};
  serve_as(Backend::command);
  EXPECT_EQ(count("1 ban of an earlier run still in force"), 1U);
  EXPECT_TRUE(sent<Restore>().empty());
  EXPECT_TRUE(sent<Ban>().empty());
  EXPECT_EQ(effects_.restored, 1);
  EXPECT_EQ(monitor_->status().enforced, 1U);
  EXPECT_NE(effects_.blocked_text.find("198.51.100.7 - Blocked"), std::string::npos);
  wait(61s);
  EXPECT_EQ(sent<Unban>().size(), 1U);
}

TEST_F(MemoryStory, WhatEndedWhileNobodyWasThereIsUndoneAtOnce) {
  remembered_.bans = {stored("198.51.100.7", -60)};
  serve_as(Backend::command);
  wait(1ms);
  EXPECT_EQ(sent<Unban>().size(), 1U);
}

TEST_F(MemoryStory, AfterABootItIsMadeAgainAndTold) {
  remembered_.bans = {stored("198.51.100.7", 60), stored("198.51.100.8", -60)};
  new_boot_ = true;
  serve_as(Backend::command);
  ASSERT_EQ(sent<Restore>().size(), 1U);
  EXPECT_EQ(effects_.restored, 0);
  ASSERT_TRUE(hear(Outcome{sent<Restore>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(count("1 ban of an earlier run made again"), 1U);
  EXPECT_EQ(effects_.restored, 1);
  EXPECT_TRUE(effects_.memory.contains(host("198.51.100.7")));
  EXPECT_TRUE(sent<Unban>().empty()) << "nothing is left of the other";
}

TEST_F(MemoryStory, ABanByACommandIsRememberedBeforeTheCommandIsAskedFor) {
  serve_as(Backend::command);
  detect(probe("198.51.100.7"));
  ASSERT_EQ(sent<Ban>().size(), 1U);
  ASSERT_EQ(effects_.memory.size(), 1U);
  EXPECT_EQ(effects_.memory.begin()->second.backend, BanBackend::asked);
  answer(Verdict::command_timed_out);
  EXPECT_EQ(effects_.memory.size(), 1U) << "it may have made its rule";
  wait(2s);
  ASSERT_EQ(sent<Unban>().size(), 1U) << "which is undone before it is made again";
  EXPECT_EQ(sent<Ban>().size(), 1U);
  ASSERT_TRUE(hear(Outcome{sent<Unban>()[0].id, Verdict::command_failed, 2}));
  EXPECT_EQ(sent<Ban>().size(), 2U);
  answer(Verdict::command_failed, 1);
  EXPECT_TRUE(effects_.memory.empty());
}

TEST_F(MemoryStory, WhatWasAskedForAndNotHeardOfIsMadeAgain) {
  remembered_.bans = {stored("198.51.100.7", 60, BanBackend::asked)};
  serve_as(Backend::command);
  ASSERT_EQ(sent<Restore>().size(), 1U);
  ASSERT_TRUE(hear(Outcome{sent<Restore>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(effects_.memory.begin()->second.backend, BanBackend::command);
  wait(61s);
  EXPECT_EQ(sent<Unban>().size(), 1U);
}

TEST_F(MemoryStory, WhatWasAskedForAndIsOverIsUndone) {
  remembered_.bans = {stored("198.51.100.7", -60, BanBackend::asked)};
  serve_as(Backend::command);
  wait(1ms);
  EXPECT_TRUE(sent<Restore>().empty());
  EXPECT_EQ(sent<Unban>().size(), 1U);
}

TEST_F(MemoryStory, AnIgnoredSourceIsLifted) {
  remembered_.bans = {stored("198.51.100.7", 60)};
  ignored_ = *read_ignore_list("198.51.100.7\n", "x").list;
  serve_as(Backend::command);
  EXPECT_EQ(sent<Unban>().size(), 1U);
  EXPECT_EQ(effects_.blocked_text, "") << "nobody wants it";
}

TEST_F(MemoryStory, ALineOfABanThatEndedMeanwhileIsTakenBack) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  remembered_.bans = {stored("198.51.100.7", -60, BanBackend::nftables),
                      stored("198.51.100.8", 600, BanBackend::nftables)};
  begin(Backend::nftables);
  adopt("198.51.100.8");
  ASSERT_TRUE(hear(AdoptedDone{}));
  wait(1ms);
  ASSERT_EQ(sent<RunCommand>().size(), 2U);
  EXPECT_EQ(sent<RunCommand>()[0].command, Command::hosts_deny_add) << "it may have been queued";
  EXPECT_EQ(sent<RunCommand>()[0].source, host("198.51.100.8"));
  ASSERT_TRUE(hear(Outcome{sent<RunCommand>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(count("hosts.deny"), 0U) << "no news";
  EXPECT_EQ(sent<RunCommand>()[1].command, Command::hosts_deny_remove);
  EXPECT_EQ(sent<RunCommand>()[1].source, host("198.51.100.7"));
}

TEST_F(MemoryStory, ALineIsAskedForWhenTheDiskHasTheRowByWhichItIsTakenBack) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  for (const Verdict verdict : {Verdict::ok, Verdict::kernel_refused}) {
    serve_as(Backend::nftables);
    disk_ = false;
    detect(probe("198.51.100.7"));
    answer(verdict);
    EXPECT_TRUE(sent<RunCommand>().empty());
    disk_ = true;
    commit();
    EXPECT_EQ(sent<RunCommand>().size(), 1U);
    effects_.memory.clear();
    effects_.sent.clear();
  }
}

TEST_F(MemoryStory, NoLineIsAskedForOfABanThatEndedBeforeTheDiskHadIt) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve_as(Backend::nftables);
  disk_ = false;
  ban("198.51.100.7");
  ASSERT_TRUE(hear(Lifted{host("198.51.100.7")}));
  disk_ = true;
  commit();
  ASSERT_EQ(sent<RunCommand>().size(), 1U);
  EXPECT_EQ(sent<RunCommand>()[0].command, Command::hosts_deny_remove);
}

TEST_F(MemoryStory, ALineIsRememberedUntilItIsTakenBack) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  serve_as(Backend::command);
  ban("198.51.100.7");
  ASSERT_TRUE(hear(Outcome{sent<RunCommand>().at(0).id, Verdict::ok, 0}));
  wait(30min);
  ASSERT_TRUE(hear(Outcome{sent<Unban>().at(0).id, Verdict::ok, 0}));
  ASSERT_EQ(sent<RunCommand>().size(), 2U);
  ASSERT_EQ(effects_.memory.size(), 1U);
  EXPECT_EQ(effects_.memory.begin()->second.backend, BanBackend::nftables) << "no rule any more";
  ASSERT_TRUE(hear(Outcome{sent<RunCommand>()[1].id, Verdict::ok, 0}));
  EXPECT_TRUE(effects_.memory.empty());
}

TEST_F(MemoryStory, ALineWithoutABanIsRememberedToo) {
  config_.kill_hosts_deny = "ALL: $TARGET$";
  for (const Backend backend : {Backend::command, Backend::nftables}) {
    serve_as(backend);
    detect(probe("198.51.100.7"));
    const bool by_command = backend == Backend::command;
    answer(by_command ? Verdict::command_failed : Verdict::kernel_refused, 1);
    ASSERT_FALSE(sent<RunCommand>().empty());
    ASSERT_EQ(effects_.memory.size(), 1U);
    EXPECT_EQ(effects_.memory.begin()->second.backend, BanBackend::nftables);
    wait(2s);  // another try, and another no
    answer(by_command ? Verdict::command_failed : Verdict::kernel_refused, 1);
    EXPECT_EQ(effects_.memory.size(), 1U);
    effects_.memory.clear();
    effects_.sent.clear();
  }
}

TEST_F(MemoryStory, WhatACommandLeftIsTakenOverByNftablesAndWhatStaysIsTold) {
  remembered_.bans = {stored("198.51.100.7", 60)};
  serve_as(Backend::nftables);
  EXPECT_EQ(sent<Restore>().size(), 1U);
  EXPECT_EQ(count("KILL_ROUTE of an earlier run is in force for 1 source,"), 1U);
}

}  // namespace
}  // namespace portsentry::monitor
