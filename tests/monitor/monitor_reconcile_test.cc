// The kernel against what should hold, and the disk before anybody is told.
#include <gtest/gtest.h>

#include "common/ban_digest.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

class ReconcileStory : public Story {
 protected:
  Audit next_audit() {
    effects_.sent.clear();
    wait(61s);
    EXPECT_FALSE(sent<Audit>().empty());
    return sent<Audit>().empty() ? Audit{0} : sent<Audit>().front();
  }
  bool tell(std::uint64_t elements, std::uint64_t digest) {
    return hear(Audited{.id = next_audit().id, .elements = elements, .digest = digest});
  }
};

TEST_F(ReconcileStory, AKernelThatAgreesIsAskedNoFurther) {
  serve();
  ban("198.51.100.7");
  ASSERT_TRUE(tell(1, digest_of(host("198.51.100.7"))));
  EXPECT_TRUE(sent<ListHeld>().empty());
  EXPECT_EQ(monitor_->status().drift, Drift::none);
}

TEST_F(ReconcileStory, WhatIsMissingIsMadeAgainAndStrangersAreRecoveredAndOneLineSaysSo) {
  serve();
  ban("198.51.100.7");
  ban("198.51.100.8");
  effects_.lines.clear();
  ASSERT_TRUE(tell(1, 5));
  EXPECT_TRUE(sent<ListHeld>().empty()) << "once is not twice";
  ASSERT_TRUE(tell(1, 5));
  ASSERT_EQ(sent<ListHeld>().size(), 1U);
  EXPECT_EQ(monitor_->status().drift, Drift::drifting);
  const auto left = monitor_->status();
  ASSERT_TRUE(hear(Adopted{host("203.0.113.9"), 600s}));
  effects_.sent.clear();
  ASSERT_TRUE(hear(AdoptedDone{}));
  ASSERT_EQ(sent<Ban>().size(), 2U);
  for (const Ban& again : sent<Ban>())
    ASSERT_TRUE(hear(Outcome{again.id, Verdict::ok, 0}));
  EXPECT_EQ(lines(),
            std::vector<std::string>{
                "adminalert: ERROR: the kernel's sets had drifted from what should hold: 2 "
                "bans were missing and are made again, 1 ban recovered"});
  EXPECT_EQ(monitor_->status().enforced, 3U);
  EXPECT_EQ(effects_.memory.at(host("203.0.113.9")).origin, Origin::recovered);
}

TEST_F(ReconcileStory, FourFifthsOfAKernelSetAreToldOnceAndAgainOnlyAfterItHadEmptied) {
  set_size_ = 10;
  serve();
  const auto fill = [this](unsigned from, unsigned to) {
    for (unsigned i = from; i <= to; ++i)
      ban("198.51.100." + std::to_string(i));
  };
  const auto empty = [this](unsigned from, unsigned to) {
    for (unsigned i = from; i <= to; ++i)
      ASSERT_TRUE(hear(Lifted{host("198.51.100." + std::to_string(i))}));
  };
  const auto alarms = [this] {
    const auto told = monitor_->status(now()).alarms;
    return std::count(told.begin(), told.end(), "a set of the kernel is 80 % full");
  };
  constexpr std::string_view kLine = "one of the kernel's sets holds 8 bans, four fifths";
  fill(1, 7);
  EXPECT_EQ(count(kLine), 0U);
  EXPECT_EQ(alarms(), 0);
  fill(8, 10);
  EXPECT_EQ(count(kLine), 1U);
  EXPECT_EQ(count("four fifths"), 1U) << "not again for each further one";
  EXPECT_EQ(alarms(), 1);
  EXPECT_EQ(monitor_->status(now()).capacity_percent, 100U);
  empty(8, 10);
  EXPECT_EQ(alarms(), 0);
  fill(8, 8);
  EXPECT_EQ(count("four fifths"), 1U) << "it wavers about the mark";
  empty(7, 8);
  fill(7, 8);
  EXPECT_EQ(count(kLine), 2U);
}

TEST_F(ReconcileStory, AnAuditThatNobodyAskedForIsNotListenedTo) {
  serve();
  EXPECT_FALSE(hear(Audited{.id = 99, .elements = 0, .digest = 0}));
}

TEST_F(ReconcileStory, ABanIsToldOnceItIsOnTheDiskAndNotBefore) {
  serve();
  disk_ = false;
  detect(probe("198.51.100.7"));
  answer(Verdict::ok);
  EXPECT_EQ(count("blocked"), 0U);
  EXPECT_EQ(effects_.history_text, "");
  EXPECT_EQ(effects_.blocked_text, "");
  EXPECT_EQ(monitor_->status().enforced, 1U) << "it holds all the same";
  EXPECT_EQ(monitor_->status().unrecorded, 1U);
  disk_ = true;
  commit();
  EXPECT_EQ(count("has been blocked"), 1U);
  EXPECT_NE(effects_.history_text, "");
  EXPECT_NE(effects_.blocked_text, "");
  EXPECT_EQ(monitor_->status().unrecorded, 0U);
}

TEST_F(ReconcileStory, AProbeBetweenKernelAndDiskIsNotCalledBlockedAlready) {
  serve();
  disk_ = false;
  detect(probe("198.51.100.7"));
  answer(Verdict::ok);
  Detection other = probe("198.51.100.7");
  other.kind = ScanKind::fin;
  detect(other);
  EXPECT_EQ(count("blocked"), 0U);
  disk_ = true;
  commit();
  EXPECT_EQ(count("has been blocked"), 1U);
  detect(probe("198.51.100.7"));
  EXPECT_EQ(count("already blocked"), 1U);
}

TEST_F(ReconcileStory, BlockedFileDoesNotNameWhatTheDiskDoesNotHave) {
  serve();
  ban("198.51.100.7");
  wait(29min);
  disk_ = false;
  detect(probe("198.51.100.8"));
  answer(Verdict::ok);
  wait(2min);  // the first one's end has the file written anew
  EXPECT_EQ(effects_.blocked_text, "");
}

TEST_F(ReconcileStory, ABanThatEndsBeforeItIsOnTheDiskIsNeverTold) {
  serve();
  disk_ = false;
  detect(probe("198.51.100.7"));
  answer(Verdict::ok);
  wait(31min);
  disk_ = true;
  commit();
  EXPECT_EQ(count("blocked"), 0U);
  EXPECT_EQ(count("expired"), 0U);
  EXPECT_TRUE(effects_.memory.empty());
}

TEST_F(ReconcileStory, ManyBansOnADiskThatRefusesAreBoundedAndCounted) {
  config_.block_time_forgeable = std::chrono::hours(1);
  serve();
  disk_ = false;
  for (unsigned i = 0; i < 20'000; ++i) {
    wait(std::chrono::milliseconds(40));  // within the budget of single packets
    detect(probe("20." + std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                 std::to_string(i % 256)));
    answer(Verdict::ok);
    effects_.sent.clear();
  }
  EXPECT_EQ(monitor_->status().unrecorded, 20'000U);
  disk_ = true;
  commit();
  EXPECT_EQ(monitor_->status().unrecorded, 0U);
  EXPECT_EQ(count("more were recorded late"), 1U);
}

TEST_F(ReconcileStory, ARowAndItsElementAreJoinedAndARowWithoutOneIsRestored) {
  const auto stored = [&](std::string_view who) {
    return StoredBan{.source = host(who),
                     .address = address(who),
                     .cause = {Protocol::udp, *Port::make(161)},
                     .since = now().wall - 100,
                     .until = now().wall + 600};
  };
  remembered_.bans = {stored("198.51.100.7"), stored("198.51.100.8")};
  start();
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = false}));
  ASSERT_TRUE(hear(Adopted{host("198.51.100.7"), 600s}));
  ASSERT_TRUE(hear(AdoptedDone{}));
  ASSERT_EQ(sent<Restore>().size(), 1U);
  EXPECT_EQ(sent<Restore>()[0].source, host("198.51.100.8"));
  ASSERT_TRUE(hear(Outcome{sent<Restore>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(count("1 ban of an earlier run still in force"), 1U);
  EXPECT_EQ(count("1 ban of an earlier run made again"), 1U);
  EXPECT_EQ(count("recovered"), 0U);
  EXPECT_EQ(count("blocked"), 0U) << "no news";
  EXPECT_EQ(effects_.history_text, "");
  for (const auto& note : effects_.notes)
    EXPECT_FALSE(std::holds_alternative<PutBan>(note)) << "the rows say that already";
}

}  // namespace
}  // namespace portsentry::monitor
