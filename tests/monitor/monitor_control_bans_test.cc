#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "control_story.h"

namespace portsentry::monitor {
namespace {

Prefix net(std::string_view text) {
  return *Prefix::parse(text);
}

class BansAsked : public ControlStory {
 protected:
  // The kernel says yes to everything that was asked of it since `from`.
  void agree() {
    for (; agreed_ < effects_.sent.size(); ++agreed_) {
      const MonitorToEnforcer message = effects_.sent.at(agreed_);
      if (const auto* ban = std::get_if<Ban>(&message)) {
        ASSERT_TRUE(hear(Outcome{ban->id, Verdict::ok, 0}));
      }
      if (const auto* unban = std::get_if<Unban>(&message)) {
        ASSERT_TRUE(hear(Outcome{unban->id, Verdict::ok, 0}));
      }
    }
  }
  // Somebody who scanned is banned, and the kernel has said so.
  void held(std::string_view source) {
    ban(source);
    agreed_ = effects_.sent.size();
  }
  std::vector<std::string> listed(ListFilter filter = ListFilter::all) {
    std::vector<std::string> sources;
    std::optional<Source> after;
    for (bool more = true; more;) {
      const auto page = as<BanPage>(ask(ListAsk{filter, after}));
      for (const BanShown& ban : page.bans)
        sources.push_back(ban.source.text());
      more = page.more;
      if (!page.bans.empty()) after = page.bans.back().source;
    }
    return sources;
  }
  std::size_t agreed_ = 0;
};

TEST_F(BansAsked, ABanIsAnsweredWhenKernelAndDiskHaveItAndNotBefore) {
  serve();
  disk_ = false;
  EXPECT_FALSE(ask(BanAsk{net("198.51.100.7"), 60s}));
  agree();
  EXPECT_FALSE(answered(0)) << "the disk has not";
  disk_ = true;
  commit();
  const auto done = as<BanDone>(answered(0));
  EXPECT_EQ(done.source.text(), "198.51.100.7");
  EXPECT_FALSE(done.changed);
  ASSERT_TRUE(done.until);
  EXPECT_EQ(*done.until, now().wall + 60);
  const auto page = as<BanPage>(ask(ListAsk{}));
  ASSERT_EQ(page.bans.size(), 1U);
  EXPECT_EQ(page.bans[0].origin, OriginShown::hand);
  EXPECT_EQ(page.bans[0].state, BanStateShown::enforced);
  EXPECT_TRUE(page.bans[0].recorded);
  EXPECT_FALSE(page.bans[0].proof);
}

TEST_F(BansAsked, APermanentBanHasNoEndAndIsListedApart) {
  serve();
  ask(BanAsk{.prefix = net("198.51.100.7"), .permanent = true});
  ask(BanAsk{.prefix = net("198.51.100.8")});
  agree();
  EXPECT_FALSE(as<BanDone>(answered(0)).until);
  EXPECT_EQ(as<BanDone>(answered(1)).until, now().wall + config_.block_time.count());
  EXPECT_EQ(listed(ListFilter::permanent), std::vector<std::string>{"198.51.100.7"});
  EXPECT_EQ(listed(ListFilter::timed), std::vector<std::string>{"198.51.100.8"});
  EXPECT_EQ(listed().size(), 2U);
  EXPECT_TRUE(listed(ListFilter::not_enforced).empty());
  EXPECT_EQ(monitor_->status(now()).permanent, 1U);
}

TEST_F(BansAsked, WhatMustNotBeIsRefusedWithItsReason) {
  serve();
  EXPECT_EQ(code(ask(BanAsk{net("192.0.2.0/24")})), RefusedCode::policy) << "no host";
  EXPECT_EQ(code(ask(BanAsk{net("127.0.0.1")})), RefusedCode::policy);
  ask(AllowAddAsk{net("198.51.100.0/24")});
  const auto refused = as<Refused>(ask(BanAsk{net("198.51.100.7")}));
  EXPECT_EQ(refused.code, RefusedCode::policy);
  EXPECT_NE(refused.text.find("198.51.100.0/24"), std::string::npos);
  EXPECT_TRUE(sent<Ban>().empty());
}

TEST_F(BansAsked, AnUnbanIsAnsweredWhenNothingHoldsAnyMore) {
  serve();
  held("198.51.100.7");
  held("203.0.113.9");
  EXPECT_EQ(code(ask(UnbanAsk{.prefix = net("192.0.2.1")})), RefusedCode::no_match);
  EXPECT_FALSE(ask(UnbanAsk{.prefix = net("198.51.0.0/16")}));
  agree();
  const auto done = as<UnbanDone>(answered(1));
  EXPECT_EQ(done.ended, 1U);
  EXPECT_FALSE(done.allowed);
  EXPECT_EQ(listed(), std::vector<std::string>{"203.0.113.9"});
}

TEST_F(BansAsked, WhoIsAllowedByAnUnbanThatFoundNothingIsSoOnceTheDiskHasIt) {
  serve();
  disk_ = false;
  EXPECT_FALSE(ask(UnbanAsk{net("198.51.100.7"), 60s, false}));
  disk_ = true;
  commit();
  EXPECT_TRUE(as<UnbanDone>(answered(0)).allowed);
}

TEST_F(BansAsked, WhoIsUnbannedAndAllowedIsNotBannedAgainBeforeThatIsOver) {
  serve();
  held("198.51.100.7");
  ask(UnbanAsk{net("198.51.100.7"), 60s, false});
  agree();
  EXPECT_TRUE(as<UnbanDone>(answered(0)).allowed);
  const std::size_t bans = sent<Ban>().size();
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), bans);
  EXPECT_EQ(counter("decision_allowed"), 1U);
  wait(61s);
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), bans + 1);
}

TEST_F(BansAsked, AnUnbanOfANetworkTellsOfThePermanentOnesThatStay) {
  serve();
  held("198.51.100.7");
  ask(BanAsk{.prefix = net("198.51.100.8"), .permanent = true});
  agree();
  ask(UnbanAsk{.prefix = net("198.51.100.0/24")});
  agree();
  const auto done = as<UnbanDone>(answered(1));
  EXPECT_EQ(done.ended, 1U);
  EXPECT_EQ(done.permanent_left, 1U);
  EXPECT_NE(as<Refused>(ask(UnbanAsk{.prefix = net("198.51.100.0/24")})).text.find("--permanent"),
            std::string::npos);
}

TEST_F(BansAsked, WhoIsOnTheAllowListIsRefusedWithACommandThatExists) {
  serve();
  ask(AllowAddAsk{net("198.51.100.0/24")});
  EXPECT_NE(as<Refused>(ask(BanAsk{.prefix = net("198.51.100.8")}))
                .text.find("\"portsentryctl allow remove 198.51.100.0/24\""),
            std::string::npos);
}

TEST_F(BansAsked, TheNoteOfABanIsShownAgain) {
  serve();
  ask(BanAsk{.prefix = net("198.51.100.8"), .note = "ticket 4711"});
  agree();
  EXPECT_EQ(as<WhyReply>(ask(WhyAsk{*Address::parse("198.51.100.8")})).reason,
            "banned by hand: ticket 4711");
  const auto page = as<HistoryPage>(ask(HistoryAsk{}));
  ASSERT_FALSE(page.events.empty());
  EXPECT_EQ(page.events[0].text, "by hand: ticket 4711");
}

TEST_F(BansAsked, AFlushEndsAllAndLeavesThePermanentOnesUnlessTheyAreNamed) {
  serve();
  EXPECT_EQ(as<UnbanDone>(ask(FlushAsk{})).ended, 0U) << "nothing to end is an end as well";
  held("198.51.100.7");
  ask(BanAsk{.prefix = net("198.51.100.8"), .permanent = true});
  agree();
  ask(FlushAsk{});
  agree();
  const auto done = as<UnbanDone>(answered(2));
  EXPECT_EQ(done.ended, 1U);
  EXPECT_EQ(done.permanent_left, 1U);
  ask(FlushAsk{true});
  agree();
  EXPECT_EQ(as<UnbanDone>(answered(3)).permanent_left, 0U);
  EXPECT_TRUE(listed().empty());
}

TEST_F(BansAsked, ALongListIsTurnedOverToItsEnd) {
  serve();
  std::vector<std::string> want;
  for (int i = 0; i < 150; ++i) {
    want.push_back("198.51.100." + std::to_string(i + 1));
    held(want.back());
    wait(1s);
  }
  auto told = listed();
  std::ranges::sort(told);
  std::ranges::sort(want);
  EXPECT_EQ(told, want);
}

// ---- who is allowed -----------------------------------------------------------------------------

TEST_F(BansAsked, AllowingLiftsWhatHoldsAgainstThem) {
  serve();
  held("198.51.100.7");
  held("203.0.113.9");
  EXPECT_FALSE(ask(AllowAddAsk{net("198.51.100.0/24"), 3600s, "the lab"}));
  agree();
  const auto done = as<AllowDone>(answered(0));
  EXPECT_EQ(done.lifted, 1U);
  EXPECT_EQ(done.entry.until, now().wall + 3600);
  EXPECT_EQ(done.entry.note, "the lab");
  EXPECT_EQ(listed(), std::vector<std::string>{"203.0.113.9"});
  const auto page = as<AllowedPage>(ask(AllowListAsk{}));
  ASSERT_EQ(page.entries.size(), 1U);
  EXPECT_EQ(page.entries[0].prefix.text(), "198.51.100.0/24");
}

TEST_F(BansAsked, AnEntryOutlivesARestartAndEndsOnTime) {
  remembered_.allowed = {
      {.prefix = net("198.51.100.7"), .until = now().wall + 60, .since = now().wall},
      {.prefix = net("203.0.113.0/24"), .until = {}, .since = now().wall}};
  serve();
  EXPECT_EQ(as<AllowedPage>(ask(AllowListAsk{})).entries.size(), 2U);
  wait(61s);
  EXPECT_EQ(as<AllowedPage>(ask(AllowListAsk{})).entries.size(), 1U);
  EXPECT_TRUE(std::ranges::any_of(effects_.notes, [](const StateChange& change) {
    return std::holds_alternative<EraseAllowed>(change);
  })) << "the disk forgets it as well";
}

TEST_F(BansAsked, RemovingAnEntryIsExactAndWaitsForTheDisk) {
  serve();
  ask(AllowAddAsk{net("198.51.100.0/24")});
  EXPECT_EQ(code(ask(AllowRemoveAsk{net("198.51.100.7")})), RefusedCode::no_match);
  disk_ = false;
  EXPECT_FALSE(ask(AllowRemoveAsk{net("198.51.100.0/24")}));
  disk_ = true;
  commit();
  as<Done>(answered(2));
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
}

TEST_F(BansAsked, EverybodyCannotBeAllowed) {
  serve();
  EXPECT_EQ(code(ask(AllowAddAsk{net("0.0.0.0/0")})), RefusedCode::policy);
  EXPECT_EQ(code(ask(AllowAddAsk{net("::/0")})), RefusedCode::policy);
}

TEST_F(BansAsked, WhoIsProtectedIsToldWithAReason) {
  serve();
  const auto page = as<ProtectedPage>(ask(ProtectedAsk{}));
  ASSERT_FALSE(page.entries.empty());
  for (const ProtectedShown& entry : page.entries)
    EXPECT_FALSE(entry.reason.empty());
  EXPECT_TRUE(as<ProtectedPage>(ask(ProtectedAsk{10'000})).entries.empty());
}

}  // namespace
}  // namespace portsentry::monitor
