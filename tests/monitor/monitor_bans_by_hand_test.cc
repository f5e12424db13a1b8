// What an administrator asks for, and when it is answered.
#include <gtest/gtest.h>

#include "story.h"

namespace portsentry::monitor {
namespace {

using Code = Monitor::ByHand::Code;

class ByHandStory : public Story {
 protected:
  static Prefix prefix(std::string_view text) { return *Prefix::parse(text); }
  Monitor::Answered listen() {
    return [this](const Monitor::ByHand& answer) { answers_.push_back(answer); };
  }
  void ask(std::string_view whom, std::optional<std::chrono::seconds> duration = 1h) {
    monitor_->ban_by_hand(prefix(whom), duration, "because", listen(), now());
    commit();
  }
  void unban(std::optional<std::string_view> whom, bool permanent_too = false) {
    monitor_->unban(whom ? std::optional(prefix(*whom)) : std::nullopt, permanent_too, listen(),
                    now());
    commit();
  }
  void answer_unbans(Verdict verdict = Verdict::ok) {
    const auto unbans = sent<Unban>();
    effects_.sent.clear();
    for (const Unban& unban : unbans)
      ASSERT_TRUE(hear(Outcome{unban.id, verdict, 0}));
  }
  std::optional<Code> code() const {
    return answers_.empty() ? std::nullopt : std::optional(answers_.back().code);
  }
  std::vector<Monitor::ByHand> answers_;
};

TEST_F(ByHandStory, ABanIsAnsweredWhenTheKernelAndTheDiskHaveIt) {
  serve();
  disk_ = false;
  ask("198.51.100.7");
  EXPECT_FALSE(code());
  answer(Verdict::ok);
  EXPECT_FALSE(code());
  disk_ = true;
  commit();
  EXPECT_EQ(code(), Code::done);
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).origin, Origin::hand);
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).note, "because");
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).until, now().wall + 3600);
  EXPECT_EQ(answers_.size(), 1U);
}

TEST_F(ByHandStory, APermanentBanHasNoEndAnywhere) {
  serve();
  ask("198.51.100.7", std::nullopt);
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(sent<Ban>()[0].duration, 0s);
  answer(Verdict::ok);
  EXPECT_EQ(code(), Code::done);
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).until, std::nullopt);
  EXPECT_EQ(monitor_->status().permanent, 1U);
  EXPECT_EQ(count("perm4"), 1U);
}

TEST_F(ByHandStory, ANetworkThatHoldsSomebodyProtectedIsRefusedInWordsThatSayWhomAndWhatToDo) {
  known_.own("2001:db8:7::1");
  serve();
  ask("2001:db8:7::/64");
  EXPECT_EQ(code(), Code::policy);
  EXPECT_EQ(answers_.back().text,
            "2001:db8:7::/64 is not banned: it holds 2001:db8:7::1 (an address of this host); its "
            "other hosts can be banned one by one, by their addresses");
  ask("2001:db8:7::1");
  EXPECT_EQ(answers_.back().text, "2001:db8:7::1 is not banned: an address of this host");
  EXPECT_TRUE(sent<Ban>().empty());
}

TEST_F(ByHandStory, WhoIsNeverBannedIsNotBannedByHandEither) {
  ignored_ = *read_ignore_list("198.51.100.7\n", "x").list;
  known_.next_hop("198.51.100.1");
  serve();
  for (const std::string_view whom : {"198.51.100.7", "198.51.100.1", "127.0.0.1"}) {
    ask(whom);
    EXPECT_EQ(code(), Code::policy) << whom;
    EXPECT_NE(answers_.back().text.find(whom), std::string::npos);
  }
  ask("198.51.100.0/24");
  EXPECT_EQ(code(), Code::policy);
  ask("203.0.113.1", kMaxBan + 1s);
  EXPECT_EQ(code(), Code::policy);
  EXPECT_TRUE(sent<Ban>().empty());
}

TEST_F(ByHandStory, ABanThatTheGuardOrTheKernelRefusesIsNoBanAndSaysSo) {
  serve();
  ask("198.51.100.7");
  answer(Verdict::protected_network);
  EXPECT_EQ(code(), Code::policy);
  ask("198.51.100.8");
  answer(Verdict::kernel_refused, 12);
  EXPECT_EQ(code(), Code::failed);
  wait(2min);
  EXPECT_EQ(sent<Ban>().size(), 2U) << "nobody was promised that one";
  EXPECT_EQ(answers_.size(), 2U);
}

TEST_F(ByHandStory, ABanThatIsThereGetsTheNewTime) {
  serve();
  ban("198.51.100.7");
  ask("198.51.100.7", 5h);
  answer(Verdict::ok);
  EXPECT_EQ(code(), Code::done);
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).until, now().wall + 5 * 3600);
  EXPECT_EQ(count("the ban of 198.51.100.7 holds for 5h from now on"), 1U);
}

TEST_F(ByHandStory, ANewTimeIsToldWhenTheDiskHasIt) {
  serve();
  ban("198.51.100.7");
  disk_ = false;
  ask("198.51.100.7", 5h);
  answer(Verdict::ok);
  EXPECT_EQ(count("holds for"), 0U);
  disk_ = true;
  commit();
  EXPECT_EQ(count("the ban of 198.51.100.7 holds for 5h from now on"), 1U);
}

TEST_F(ByHandStory, WhoMadeItAndWhyAreStoredAlsoWhereItsTimeIsTheOldOne) {
  start();
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = false}));
  ASSERT_TRUE(hear(Adopted{host("198.51.100.7"), 0s}));
  ASSERT_TRUE(hear(AdoptedDone{}));
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).origin, Origin::recovered);
  ask("198.51.100.7", std::nullopt);
  answer(Verdict::ok);
  EXPECT_EQ(code(), Code::done);
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).origin, Origin::hand);
  EXPECT_EQ(effects_.memory.at(host("198.51.100.7")).note, "because");
}

TEST_F(ByHandStory, AnEndIsAnsweredWhenTheKernelConfirmedItAndTheRowIsGone) {
  serve();
  ban("198.51.100.7");
  disk_ = false;
  unban("198.51.100.7");
  EXPECT_FALSE(code());
  answer_unbans();
  EXPECT_FALSE(code());
  EXPECT_TRUE(effects_.memory.empty());
  disk_ = true;
  commit();
  EXPECT_EQ(code(), Code::done);
  EXPECT_EQ(answers_.back().bans, 1U);
  EXPECT_EQ(count("the ban of 198.51.100.7 was ended by portsentryctl"), 1U);
}

TEST_F(ByHandStory, ANetworkEndsEveryBanInItAndAllEndsAllButThosWithoutExpiry) {
  serve();
  for (const std::string_view who : {"198.51.100.7", "198.51.100.8", "203.0.113.9"})
    ban(who);
  ask("203.0.113.10", std::nullopt);
  answer(Verdict::ok);
  unban("198.51.100.0/24");
  answer_unbans();
  EXPECT_EQ(answers_.back().bans, 2U);
  unban(std::nullopt);
  answer_unbans();
  EXPECT_EQ(answers_.back().bans, 1U);
  unban(std::nullopt);
  EXPECT_EQ(code(), Code::no_match);
  unban(std::nullopt, true);
  answer_unbans();
  EXPECT_EQ(code(), Code::done);
  EXPECT_EQ(monitor_->status().enforced, 0U);
}

TEST_F(ByHandStory, AHostInsideABannedNetworkEndsThatBan) {
  serve();
  detect(probe(site("2001:db8:7::9"), "2001:db8:7::9"));
  answer(Verdict::ok);
  unban("2001:db8:7::1234");
  answer_unbans();
  EXPECT_EQ(code(), Code::done);
}

TEST_F(ByHandStory, ABanThatIsJustAskedForIsEndedOnceItIsThere) {
  serve();
  detect(probe("198.51.100.7"));
  unban("198.51.100.7");
  EXPECT_TRUE(sent<Unban>().empty());
  answer(Verdict::ok);
  answer_unbans();
  EXPECT_EQ(code(), Code::done);
  EXPECT_EQ(count("has been blocked"), 0U);
  EXPECT_TRUE(effects_.memory.empty());
}

TEST_F(ByHandStory, WhatIsNotAnsweredInTimeIsAnsweredAsItIs) {
  serve();
  ask("198.51.100.7");
  wait(21s);
  EXPECT_EQ(code(), Code::failed);
  answer(Verdict::ok);
  EXPECT_EQ(answers_.size(), 1U);
}

TEST_F(ByHandStory, BeforeTheDaemonServesNothingIsPromised) {
  start();
  ask("198.51.100.7");
  EXPECT_EQ(code(), Code::busy);
}

TEST_F(ByHandStory, WithoutAFirewallNothingIsPromised) {
  serve(false);
  ask("198.51.100.7");
  EXPECT_EQ(code(), Code::policy);
}

}  // namespace
}  // namespace portsentry::monitor
