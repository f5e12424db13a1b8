#include "ctl/perform.h"

#include <gtest/gtest.h>

#include "common/log.h"
#include "samples.h"
#include "scripted_daemon.h"

namespace portsentry::ctl {
namespace {

class Perform : public ::testing::Test {
 protected:
  // The exit status; what was printed is in out_.
  int run(std::vector<std::string_view> words) {
    const auto command = parse_arguments(words, kNow);
    EXPECT_TRUE(command);
    if (!command) return -1;
    Client client = daemon_.client(std::chrono::seconds(5));
    const auto ended = perform(*command, client, around());
    if (const auto* failure = std::get_if<Failure>(&ended)) {
      failure_ = *failure;
      return failure->exit;
    }
    return std::get<int>(ended);
  }

  Surroundings around() {
    return {.now = kNow,
            .layout = kPipe,
            .print =
                [this](std::string_view text) {
                  out_ += text;
                  return ++prints_ < patience_;
                },
            .session = [this] { return session_; }};
  }

  // The next request; another one than Ask is nothing, and the test that looks into it ends.
  template <class Ask>
  Ask asked() {
    const auto request = daemon_.asked();
    return std::get<Ask>(request.value());
  }

  ScriptedDaemon daemon_;
  std::string out_;
  std::optional<Failure> failure_;
  std::optional<std::time_t> session_;
  int prints_ = 0;
  int patience_ = 1000;
};

TEST_F(Perform, StatusFetchesEveryPageOfCounters) {
  daemon_.will_say(busy_status());
  daemon_.will_say(CounterPage{.counters = {{"detections", 7}}, .more = true});
  daemon_.will_say(CounterPage{.counters = {{"decision_ban", 2}}});
  EXPECT_EQ(run({"status", "--json"}), kExitOk);
  EXPECT_NE(out_.find(R"("counters":{"detections":7,"decision_ban":2})"), std::string::npos);
  asked<StatusRequest>();
  EXPECT_EQ(asked<CountersAsk>().skip, 0U);
  EXPECT_EQ(asked<CountersAsk>().skip, 1U);
}

TEST_F(Perform, ListAsksAgainAfterTheLastOneThatCame) {
  daemon_.will_say(BanPage{.bans = {timed_ban()}, .more = true});
  daemon_.will_say(BanPage{.bans = {permanent_ban()}});
  EXPECT_EQ(run({"list", "--plain", "--only", "hand"}), kExitOk);
  EXPECT_EQ(out_, "192.0.2.7\n2001:db8:7::/64\n");
  EXPECT_EQ(asked<ListAsk>().filter, ListFilter::by_hand);
  EXPECT_EQ(asked<ListAsk>().after, timed_ban().source);
}

TEST_F(Perform, AnAnswerThatNeverComesToAnEndIsLeft) {
  daemon_.will_say(BanPage{.bans = {}, .more = true});
  EXPECT_EQ(run({"list"}), kExitUnreachable);
  EXPECT_EQ(out_, "");
}

TEST_F(Perform, NothingToListIsNoFailure) {
  daemon_.will_say(BanPage{});
  EXPECT_EQ(run({"list"}), kExitOk);
  EXPECT_EQ(out_, "nothing is banned\n");
}

TEST_F(Perform, WhySaysThatThereIsNoMatch) {
  daemon_.will_say(Refused{.code = RefusedCode::no_match, .text = "never seen"});
  EXPECT_EQ(run({"why", "192.0.2.7"}), kExitNoMatch);
  EXPECT_EQ(asked<WhyAsk>().address.text(), "192.0.2.7");
  EXPECT_EQ(failure_json(Verb::why, *failure_),
            R"({"version":1,"verb":"why","error":{"code":"no_match","text":"never seen","exit":1}})"
            "\n");
}

TEST_F(Perform, BanSendsWhatWasTyped) {
  daemon_.will_say(BanDone{.source = source("192.0.2.7"), .until = kNow + 3600});
  EXPECT_EQ(run({"ban", "192.0.2.7", "--for", "1h", "--note", "why not"}), kExitOk);
  EXPECT_EQ(out_, "192.0.2.7 is banned for 1h, until 2026-11-18 12:06:40\n");
  const auto ask = daemon_.asked();
  const auto& ban = std::get<BanAsk>(*ask);
  EXPECT_EQ(ban.prefix.text(), "192.0.2.7");
  EXPECT_EQ(ban.duration, std::chrono::hours(1));
  EXPECT_EQ(ban.note, "why not");
  EXPECT_FALSE(ban.permanent);
}

TEST_F(Perform, WhatPolicyRefusesIsThree) {
  daemon_.will_say(Refused{.code = RefusedCode::policy, .text = "192.0.2.1 is a next hop"});
  EXPECT_EQ(run({"ban", "192.0.2.1"}), kExitRefused);
}

TEST_F(Perform, UnbanAllAsksWithoutAPrefix) {
  daemon_.will_say(UnbanDone{.ended = 3, .permanent_left = 2});
  EXPECT_EQ(run({"unban", "all"}), kExitOk);
  EXPECT_EQ(out_, "3 bans ended; 2 permanent bans stay (--permanent ends those too)\n");
  const UnbanAsk ask = asked<UnbanAsk>();
  EXPECT_FALSE(ask.prefix);
  EXPECT_FALSE(ask.permanent_too);
}

TEST_F(Perform, ABanThatCouldNotBeUndoneIsAFailure) {
  daemon_.will_say(UnbanDone{.ended = 1, .failed = 1});
  EXPECT_EQ(run({"unban", "192.0.2.0/24", "--allow-for", "1h"}), kExitNoMatch);
  const UnbanAsk ask = asked<UnbanAsk>();
  EXPECT_EQ(ask.prefix->text(), "192.0.2.0/24");
  EXPECT_EQ(ask.allow_for, std::chrono::hours(1));
}

TEST_F(Perform, FlushingWhereNothingIsBannedIsNoFailure) {
  daemon_.will_say(UnbanDone{});
  EXPECT_EQ(run({"flush", "--permanent"}), kExitOk);
  EXPECT_TRUE(asked<FlushAsk>().permanent_too);
}

TEST_F(Perform, AllowAddsListsAndRemoves) {
  daemon_.will_say(AllowDone{.entry = {.prefix = prefix("192.0.2.0/24"), .since = kNow}});
  EXPECT_EQ(run({"allow", "add", "192.0.2.0/24"}), kExitOk);
  EXPECT_EQ(out_, "192.0.2.0/24 is allowed for good\n");
}

TEST_F(Perform, AllowListAsksAfterTheLastEntry) {
  daemon_.will_say(AllowedPage{.entries = {{.prefix = prefix("192.0.2.0/24")}}, .more = true});
  daemon_.will_say(AllowedPage{.entries = {{.prefix = prefix("192.0.3.0/24")}}});
  EXPECT_EQ(run({"allow"}), kExitOk);
  EXPECT_FALSE(asked<AllowListAsk>().after);
  EXPECT_EQ(asked<AllowListAsk>().after, prefix("192.0.2.0/24"));
}

TEST_F(Perform, AllowRemoveNamesWhatIsGone) {
  daemon_.will_say(Done{});
  EXPECT_EQ(run({"allow", "remove", "192.0.2.0/24"}), kExitOk);
  EXPECT_EQ(out_, "192.0.2.0/24 is not on the allow list any more\n");
}

TEST_F(Perform, ProtectedSkipsWhatCame) {
  daemon_.will_say(ProtectedPage{.entries = {{prefix("192.0.2.1"), "next hop"}}, .more = true});
  daemon_.will_say(ProtectedPage{.entries = {{prefix("192.0.2.2"), "resolver"}}});
  EXPECT_EQ(run({"protected"}), kExitOk);
  EXPECT_EQ(asked<ProtectedAsk>().skip, 0U);
  EXPECT_EQ(asked<ProtectedAsk>().skip, 1U);
}

TEST_F(Perform, TopIsOfTheLastDay) {
  daemon_.will_say(TopReply{});
  EXPECT_EQ(run({"top", "--by", "kind", "--limit", "5"}), kExitOk);
  const TopAsk ask = asked<TopAsk>();
  EXPECT_EQ(ask.by, TopBy::kind);
  EXPECT_EQ(ask.limit, 5U);
  EXPECT_EQ(ask.since, kNow - 86'400);
}

TEST_F(Perform, HistoryOfAnAddressThatDidNothingIsNoMatch) {
  daemon_.will_say(HistoryPage{});
  EXPECT_EQ(run({"history", "192.0.2.7", "--since", "1h"}), kExitNoMatch);
  const HistoryAsk ask = asked<HistoryAsk>();
  EXPECT_EQ(ask.inside, prefix("192.0.2.7"));
  EXPECT_EQ(ask.since, kNow - 3600);
}

TEST_F(Perform, HistoryGoesBackFromTheNewest) {
  daemon_.will_say(HistoryPage{.events = {event(9, "banned", "b")}, .more = true});
  daemon_.will_say(HistoryPage{.events = {event(4, "detected", "a")}});
  EXPECT_EQ(run({"history"}), kExitOk);
  EXPECT_LT(out_.find("detected"), out_.find("banned"));
  EXPECT_EQ(asked<HistoryAsk>().before, 0U);
  EXPECT_EQ(asked<HistoryAsk>().before, 9U);
}

TEST_F(Perform, ReportIsOfTheLastWeek) {
  daemon_.will_say(
      ReportPage{.rows = {{.source = source("192.0.2.7"), .outcome = "would_ban"}}, .more = true});
  daemon_.will_say(ReportPage{});
  EXPECT_EQ(run({"report"}), kExitOk);
  EXPECT_EQ(asked<ReportAsk>().since, kNow - 604'800);
  EXPECT_EQ(asked<ReportAsk>().after, source("192.0.2.7"));
}

TEST_F(Perform, WatchPrintsEachEventAndEndsWithTheDaemon) {
  daemon_.will_say(Watching{});
  daemon_.will_say(Watched{.event = event(1, "banned", "x")});
  daemon_.will_say(Missed{.count = 2});
  daemon_.will_say(Watched{.event = event(2, "expired", "y")});
  Client client = daemon_.client();
  daemon_.will_hang_up();
  const auto ended = perform({.verb = Verb::watch}, client, around());
  EXPECT_EQ(std::get<Failure>(ended).exit, kExitUnreachable);
  EXPECT_EQ(prints_, 3);
  EXPECT_NE(out_.find("2 events came too fast"), std::string::npos);
}

TEST_F(Perform, WatchEndsWhereNobodyReadsIt) {
  patience_ = 2;
  daemon_.will_say(Watching{});
  for (std::uint64_t i = 1; i < 5; ++i)
    daemon_.will_say(Watched{.event = event(i, "banned", "x")});
  EXPECT_EQ(run({"watch", "--json"}), kExitOk);
  EXPECT_EQ(prints_, 2);
}

TEST_F(Perform, ArmSaysHowToConfirm) {
  daemon_.will_say(ModeDone{
      .armed = true,
      .override_mode = OverrideShown{.armed = true, .since = kNow, .confirm_by = kNow + 300}});
  EXPECT_EQ(run({"arm", "--confirm-within", "5m"}), kExitOk);
  EXPECT_NE(out_.find("portsentryctl confirm"), std::string::npos);
  EXPECT_EQ(asked<ArmAsk>().confirm_within, std::chrono::minutes(5));
}

TEST_F(Perform, ConfirmTellsWhenTheSessionBegan) {
  session_ = kNow - 30;
  daemon_.will_say(ModeDone{.armed = true});
  EXPECT_EQ(run({"confirm"}), kExitOk);
  EXPECT_EQ(asked<ConfirmAsk>().session_began, kNow - 30);
}

TEST_F(Perform, ConfirmWithoutASessionAsksNobody) {
  EXPECT_EQ(run({"arm", "--confirm"}), kExitRefused);
  EXPECT_EQ(failure_->code, "no_session");
  EXPECT_NE(failure_->text.find("log in anew"), std::string::npos);
  EXPECT_FALSE(daemon_.asked());
}

TEST_F(Perform, ObserveAndFollowAreAsked) {
  daemon_.will_say(ModeDone{});
  EXPECT_EQ(run({"observe"}), kExitOk);
  asked<ObserveAsk>();
}

TEST_F(Perform, FollowGoesBackToTheFile) {
  daemon_.will_say(ModeDone{});
  EXPECT_EQ(run({"follow", "--json"}), kExitOk);
  EXPECT_EQ(out_, "{\"version\":1,\"verb\":\"follow\",\"armed\":false,\"override\":null}\n");
  asked<FollowFileAsk>();
}

TEST_F(Perform, AHopThatFailedIsAFailure) {
  daemon_.will_say(SelfTestReply{.hops = {{.name = "sensor", .passed = false}}});
  EXPECT_EQ(run({"selftest"}), kExitNoMatch);
}

TEST_F(Perform, ReloadTellsItsGeneration) {
  daemon_.will_say(Working{});
  daemon_.will_say(ReloadDone{.generation = 2});
  EXPECT_EQ(run({"reload"}), kExitOk);
  EXPECT_EQ(out_, "reloaded: this is configuration 2\n");
}

TEST(NameOf, EveryVerbHasTheNameThatIsTyped) {
  for (const VerbRow& row : verbs()) {
    EXPECT_EQ(name_of(row.verb).substr(0, row.name.size()), row.name);
  }
  EXPECT_EQ(name_of(Verb::allow_remove), "allow remove");
}

}  // namespace
}  // namespace portsentry::ctl
