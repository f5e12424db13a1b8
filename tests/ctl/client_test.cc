#include "ctl/client.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/log.h"
#include "samples.h"
#include "scripted_daemon.h"

namespace portsentry::ctl {
namespace {

template <class Reply>
Failure failed(std::variant<Reply, Failure> answer) {
  auto* failure = std::get_if<Failure>(&answer);
  EXPECT_NE(failure, nullptr);
  return failure == nullptr ? Failure{} : *failure;
}

TEST(Client, TheAnswerIsWhatWasAskedFor) {
  ScriptedDaemon daemon;
  daemon.will_say(ReloadDone{.generation = 7});
  Client client = daemon.client();
  const auto answer = client.ask<ReloadDone>(ReloadAsk{});
  ASSERT_TRUE(std::holds_alternative<ReloadDone>(answer));
  EXPECT_EQ(std::get<ReloadDone>(answer).generation, 7U);
  EXPECT_TRUE(std::holds_alternative<ReloadAsk>(*daemon.asked()));
}

TEST(Client, WorkIsWaitedFor) {
  ScriptedDaemon daemon;
  daemon.will_say(Working{.done = 1, .total = 2});
  daemon.will_say(Working{});
  daemon.will_say(UnbanDone{.ended = 2});
  const auto answer = daemon.client().ask<UnbanDone>(UnbanAsk{});
  ASSERT_TRUE(std::holds_alternative<UnbanDone>(answer));
}

TEST(Client, EveryRefusalHasItsExitStatus) {
  const std::vector<std::pair<RefusedCode, int>> kExits{{RefusedCode::not_supported, 1},
                                                        {RefusedCode::no_match, 1},
                                                        {RefusedCode::busy, 1},
                                                        {RefusedCode::failed, 1},
                                                        {RefusedCode::policy, 3},
                                                        {RefusedCode::not_permitted, 3},
                                                        {RefusedCode::invalid, kExitUsage}};
  for (const auto& [code, exit] : kExits) {
    ScriptedDaemon daemon;
    daemon.will_say(Refused{.code = code, .text = "because"});
    const Failure failure = failed(daemon.client().ask<Done>(ReloadAsk{}));
    EXPECT_EQ(failure.exit, exit) << failure.code;
    EXPECT_EQ(failure.text, "because");
  }
}

TEST(Client, ADaemonThatHangsUpAtOnceDoesNotServeThisUser) {
  ScriptedDaemon daemon;
  daemon.will_hang_up();
  const Failure failure = failed(daemon.client().ask<StatusReply>(StatusRequest{}));
  EXPECT_EQ(failure.exit, kExitRefused);
  EXPECT_NE(failure.text.find("portsentry-view"), std::string::npos);
}

TEST(Client, ADaemonThatHangsUpLaterHasEnded) {
  ScriptedDaemon daemon;
  daemon.will_say(Working{});
  daemon.will_hang_up();
  EXPECT_EQ(failed(daemon.client().ask<StatusReply>(StatusRequest{})).exit, kExitUnreachable);
}

TEST(Client, SilenceIsNotWaitedForForEver) {
  ScriptedDaemon daemon;
  Client client = daemon.client(std::chrono::milliseconds(20));
  const Failure failure = failed(client.ask<StatusReply>(StatusRequest{}));
  EXPECT_EQ(failure.exit, kExitUnreachable);
  EXPECT_EQ(failure.text, "the daemon does not answer");
}

TEST(Client, AnotherAnswerThanTheOneAskedForIsNotUnderstood) {
  ScriptedDaemon daemon;
  daemon.will_say(Watching{});
  EXPECT_EQ(failed(daemon.client().ask<StatusReply>(StatusRequest{})).exit, kExitUnreachable);
}

TEST(Client, GarbageIsNotUnderstood) {
  ScriptedDaemon daemon;
  daemon.send(std::vector<std::byte>(9, std::byte{0xff}));
  EXPECT_EQ(failed(daemon.client().ask<StatusReply>(StatusRequest{})).exit, kExitUnreachable);
}

TEST(Client, WhatHappensComesOneByOne) {
  ScriptedDaemon daemon;
  daemon.will_say(Watched{.event = event(1, "banned", "x")});
  daemon.will_say(Missed{.count = 4});
  daemon.will_hang_up();
  Client client = daemon.client();
  Client::Answer first = client.next();
  EXPECT_TRUE(std::holds_alternative<Watched>(std::get<ControlReply>(first)));
  Client::Answer second = client.next();
  EXPECT_TRUE(std::holds_alternative<Missed>(std::get<ControlReply>(second)));
  EXPECT_EQ(failed(client.next()).exit, kExitUnreachable);
}

TEST(ConnectTo, WhereNobodyListensTheKernelIsNamedInstead) {
  const auto channel = connect_to("/nonexistent/control.sock");
  ASSERT_TRUE(std::holds_alternative<Failure>(channel));
  EXPECT_EQ(std::get<Failure>(channel).exit, kExitUnreachable);
  EXPECT_NE(std::get<Failure>(channel).text.find("nft list table inet portsentry"),
            std::string::npos);
}

TEST(ConnectTo, APathThatNoSocketCanHaveIsRefused) {
  const std::string path(200, 'x');
  EXPECT_TRUE(std::holds_alternative<Failure>(connect_to(path.c_str())));
}

}  // namespace
}  // namespace portsentry::ctl
