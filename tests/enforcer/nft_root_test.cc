// nft.cc against the live kernel.
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "enforcer/nft.h"
#include "enforcer/nft_events.h"
#include "tests/common/netlink_builder.h"
#include "tests/enforcer/firewall_lab.h"

namespace portsentry::enforcer {
namespace {

using std::chrono::seconds;

constexpr seconds kHour{3600};

class NftLive : public testing::Test {
 protected:
  void SetUp() override {
    PORTSENTRY_NEEDS_ROOT();
    here_ = NetworkNamespace::make();
    ASSERT_TRUE(here_);
    visit_.emplace(*here_);
    auto opened = Nft::open();
    ASSERT_TRUE(opened) << opened.error().what;
    nft_.emplace(std::move(opened).value());
    ASSERT_TRUE(load(kRuleset));
  }

  // What is left of the ban of `text`, as the kernel lists it; -1 when there is none.
  seconds remaining(std::string_view text) {
    const auto held = nft_->list();
    EXPECT_TRUE(held) << held.error().what;
    const auto found = std::find_if(held->begin(), held->end(),
                                    [&](const Held& h) { return h.source == source(text); });
    return found == held->end() ? seconds(-1) : found->remaining;
  }

  int ban_error(std::string_view text) {
    const auto banned = nft_->ban(source(text), kHour, {});
    return banned ? 0 : banned.error().code;
  }

  static std::string rules_with_sets_of(unsigned elements) {
    std::string rules(kRuleset);
    const std::string_view size = "size 1048576";
    for (std::size_t at = rules.find(size); at != std::string::npos; at = rules.find(size, at + 1))
      rules.replace(at, size.size(), "size " + std::to_string(elements));
    return rules;
  }

  static bool set_holds(const std::string& set, std::string_view text) {
    return output_of("nft list set inet portsentry " + set).find(text) != std::string::npos;
  }

  std::optional<NetworkNamespace> here_;
  std::optional<NetworkNamespace::Visit> visit_;
  std::optional<Nft> nft_;
};

Session session(std::string_view theirs, std::uint16_t their_port, std::string_view ours,
                std::uint16_t our_port) {
  return {*Address::parse(theirs), *Port::make(their_port), *Address::parse(ours),
          *Port::make(our_port)};
}

TEST_F(NftLive, BansOfEachKindAreInTheSetsThatTheRulesAsk) {
  for (const char* text : {"192.0.2.1", "2001:db8::1", "2001:db8:9::/64"}) {
    ASSERT_TRUE(nft_->ban(source(text), kHour, {})) << text;
    EXPECT_GT(remaining(text), kHour - seconds(30)) << text;
    EXPECT_LE(remaining(text), kHour) << text;
  }
  EXPECT_NE(output_of("nft list set inet portsentry ban4").find("192.0.2.1 timeout 1h"),
            std::string::npos);
  EXPECT_NE(output_of("nft list set inet portsentry ban6").find("2001:db8::1 timeout 1h"),
            std::string::npos);
  EXPECT_NE(output_of("nft list set inet portsentry ban6net").find("2001:db8:9:: timeout 1h"),
            std::string::npos);
  EXPECT_EQ(nft_->list()->size(), 3U);
}

TEST_F(NftLive, BanningAgainSetsTheNewDurationLongerOrShorter) {
  for (const seconds duration : {seconds(100), seconds(5000), seconds(50)}) {
    ASSERT_TRUE(nft_->ban(source("192.0.2.1"), duration, {}));
    EXPECT_LE(remaining("192.0.2.1"), duration);
    EXPECT_GT(remaining("192.0.2.1"), duration - seconds(30));
  }
  EXPECT_EQ(nft_->list()->size(), 1U);
}

TEST_F(NftLive, ABanWithoutExpiryByHandIsRenewedWithOne) {
  ASSERT_TRUE(run("nft add element inet portsentry ban4 '{ 192.0.2.1 }'"));
  EXPECT_EQ(remaining("192.0.2.1"), seconds(0));
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour, {}));
  EXPECT_GT(remaining("192.0.2.1"), seconds(0));
}

TEST_F(NftLive, TheShortestAndTheLongestBanAreWhatTheySay) {
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), seconds(1), {}));
  EXPECT_LE(remaining("192.0.2.1"), seconds(1));  // and never 0, which would mean for ever
  EXPECT_NE(remaining("192.0.2.1"), seconds(0));
  const seconds year = std::chrono::hours(24 * 365);
  ASSERT_TRUE(nft_->ban(source("192.0.2.2"), year, {}));
  EXPECT_GT(remaining("192.0.2.2"), year - seconds(30));
}

TEST_F(NftLive, ADurationThatTheKernelWouldTakeForEverIsRefused) {
  for (const seconds bad : {seconds(-1), seconds(-5), seconds::min(), seconds::max()}) {
    const auto banned = nft_->ban(source("192.0.2.1"), bad, {});
    ASSERT_FALSE(banned);
    EXPECT_EQ(banned.error().code, EINVAL);
  }
  EXPECT_TRUE(nft_->list()->empty());
}

TEST_F(NftLive, ABanWithoutExpiryHasASetOfItsOwnAndNoTime) {
  for (const char* text : {"192.0.2.1", "2001:db8::1", "2001:db8:9::/64"}) {
    ASSERT_TRUE(nft_->ban(source(text), seconds(0), {})) << text;
    EXPECT_EQ(remaining(text), seconds(0)) << text;
  }
  EXPECT_TRUE(set_holds("perm4", "192.0.2.1"));
  EXPECT_TRUE(set_holds("perm6", "2001:db8::1"));
  EXPECT_TRUE(set_holds("perm6net", "2001:db8:9::"));
  for (const char* set : {"perm4", "perm6", "perm6net", "ban4", "ban6", "ban6net"})
    EXPECT_FALSE(set_holds(set, "expires")) << set;
  ASSERT_TRUE(nft_->unban(source("192.0.2.1")));
  EXPECT_EQ(remaining("192.0.2.1"), seconds(-1));
}

TEST_F(NftLive, ABanThatGetsOrLosesItsExpiryIsInOneSetOnly) {
  for (const seconds duration : {kHour, seconds(0), kHour, seconds(0)}) {
    ASSERT_TRUE(nft_->ban(source("192.0.2.1"), duration, {}));
    const bool permanent = duration.count() == 0;
    EXPECT_EQ(set_holds("perm4", "192.0.2.1"), permanent);
    EXPECT_EQ(set_holds("ban4", "192.0.2.1"), !permanent);
  }
}

TEST_F(NftLive, RestoringWhatHoldsAsItShouldChangesNothing) {
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour, {}));
  ASSERT_TRUE(nft_->restore(source("192.0.2.1"), kHour - seconds(2), {}));
  EXPECT_TRUE(set_holds("ban4", "timeout 1h expires"));
  ASSERT_TRUE(nft_->restore(source("192.0.2.1"), seconds(600), {}));
  EXPECT_TRUE(set_holds("ban4", "timeout 10m expires"));
  ASSERT_TRUE(nft_->restore(source("192.0.2.1"), kHour, {}));
  EXPECT_TRUE(set_holds("ban4", "timeout 1h expires"));
  ASSERT_TRUE(nft_->restore(source("192.0.2.1"), seconds(0), {}));
  ASSERT_TRUE(nft_->restore(source("192.0.2.1"), seconds(0), {}));
  EXPECT_EQ(remaining("192.0.2.1"), seconds(0));
  EXPECT_FALSE(set_holds("ban4", "192.0.2.1"));
  ASSERT_TRUE(nft_->restore(source("192.0.2.2"), kHour, {}));
  EXPECT_GT(remaining("192.0.2.2"), kHour - seconds(30));
}

TEST_F(NftLive, SessionsComeWithTheirBanAndWithItsTime) {
  const std::array<Session, 2> keep{session("192.0.2.1", 40000, "198.51.100.7", 22),
                                    session("192.0.2.1", 40001, "198.51.100.7", 2222)};
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour, keep));
  EXPECT_TRUE(set_holds("session4", "192.0.2.1 . 40000 . 198.51.100.7 . 22 timeout 1h"));
  EXPECT_TRUE(set_holds("session4", "192.0.2.1 . 40001 . 198.51.100.7 . 2222 timeout 1h"));
  // Again, for longer: also theirs.
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), seconds(7200), keep));
  EXPECT_TRUE(set_holds("session4", "192.0.2.1 . 40000 . 198.51.100.7 . 22 timeout 2h"));
  EXPECT_GT(remaining("192.0.2.1"), kHour);
  const std::array<Session, 1> six{session("2001:db8::5", 40000, "2001:db8:1::1", 22)};
  ASSERT_TRUE(nft_->ban(source("2001:db8::/64"), seconds(0), six));
  EXPECT_TRUE(set_holds("session6", "2001:db8::5 . 40000 . 2001:db8:1::1 . 22"));
  EXPECT_FALSE(set_holds("session6", "expires")) << "as long as the ban";
}

TEST_F(NftLive, ABanWithTheMostSessionsFitsIntoOneTransaction) {
  std::vector<Session> keep;
  for (std::uint16_t i = 0; i < 2 * kMaxSessions; ++i)
    keep.push_back(
        session("2001:db8::1", static_cast<std::uint16_t>(1000 + i), "2001:db8:1::1", 22));
  for (int again = 0; again < 2; ++again) {
    const auto banned = nft_->ban(source("2001:db8::1"), kHour, keep);
    ASSERT_TRUE(banned) << banned.error().what;
  }
  const std::string listed = output_of("nft list set inet portsentry session6");
  std::size_t count = 0;
  for (std::size_t at = listed.find("2001:db8::1 ."); at != std::string::npos;
       at = listed.find("2001:db8::1 .", at + 1))
    ++count;
  EXPECT_EQ(count, kMaxSessions);
}

TEST_F(NftLive, WithoutRoomForItsSessionsThereIsNoBan) {
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  std::string rules(kRuleset);
  for (const std::string_view size : {"size 65536", "size 65536"})
    rules.replace(rules.find(size), size.size(), "size 1");
  ASSERT_TRUE(load(rules));
  const std::array<Session, 2> keep{session("192.0.2.1", 40000, "198.51.100.7", 22),
                                    session("192.0.2.1", 40001, "198.51.100.7", 22)};
  const auto banned = nft_->ban(source("192.0.2.1"), kHour, keep);
  ASSERT_FALSE(banned);
  EXPECT_EQ(banned.error().code, ENFILE);
  EXPECT_EQ(remaining("192.0.2.1"), seconds(-1));
  EXPECT_FALSE(set_holds("session4", "192.0.2.1"));
}

TEST_F(NftLive, TheSelftestLeavesNothingBehindAndNeedsTheTable) {
  for (int i = 0; i < 3; ++i) {
    const auto tested = nft_->selftest();
    ASSERT_TRUE(tested) << tested.error().what;
    EXPECT_FALSE(set_holds("selftest", "192.0.2.1"));
  }
  EXPECT_TRUE(nft_->list()->empty());
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  EXPECT_FALSE(nft_->selftest());
}

TEST_F(NftLive, UnbanEndsOneBanAndIsContentWithNone) {
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour, {}));
  ASSERT_TRUE(nft_->ban(source("192.0.2.2"), kHour, {}));
  ASSERT_TRUE(nft_->unban(source("192.0.2.1")));
  EXPECT_EQ(remaining("192.0.2.1"), seconds(-1));
  EXPECT_TRUE(nft_->unban(source("192.0.2.1")));
  EXPECT_GT(remaining("192.0.2.2"), seconds(0));
}

TEST_F(NftLive, WithoutTheTableEverythingSaysSo) {
  EXPECT_TRUE(nft_->table_exists());
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  EXPECT_FALSE(nft_->table_exists());
  EXPECT_EQ(ban_error("192.0.2.1"), ENOENT);
  const auto unbanned = nft_->unban(source("192.0.2.1"));
  ASSERT_FALSE(unbanned);
  EXPECT_EQ(unbanned.error().code, ENOENT);
  const auto listed = nft_->list();
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, ENOENT);
  // And it works again as soon as the table is back.
  ASSERT_TRUE(load(kRuleset));
  EXPECT_EQ(ban_error("192.0.2.1"), 0);
}

TEST_F(NftLive, AFullSetRefusesNewBansAndStillRenewsOldOnes) {
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  ASSERT_TRUE(load(rules_with_sets_of(2)));
  EXPECT_EQ(ban_error("192.0.2.1"), 0);
  EXPECT_EQ(ban_error("192.0.2.2"), 0);
  EXPECT_EQ(ban_error("192.0.2.3"), ENFILE);
  EXPECT_EQ(remaining("192.0.2.3"), seconds(-1));
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), seconds(5000), {}));
  EXPECT_GT(remaining("192.0.2.1"), kHour);
  EXPECT_EQ(nft_->list()->size(), 2U);
}

TEST_F(NftLive, WithoutTheCapabilityTheKernelSaysNo) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setresuid(65534, 65534, 65534) != 0) ::_exit(100);
    ::_exit(ban_error("192.0.2.1"));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), EPERM);
  EXPECT_TRUE(nft_->list()->empty());
}

TEST_F(NftLive, WhatCannotBeOursIsNotListed) {
  ASSERT_TRUE(run("nft add element inet portsentry ban6net '{ 2001:db8::1 }'"));  // host bits
  ASSERT_TRUE(
      run("nft add element inet portsentry ban6 '{ ::ffff:192.0.2.1 }'"));  // IPv4 in disguise
  EXPECT_TRUE(nft_->list()->empty());
}

TEST_F(NftLive, ManyBansAreListedOnceEach) {
  constexpr unsigned kMany = 20'000;
  for (unsigned i = 0; i < kMany; ++i) {
    const auto a =
        Address::v4(10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
    ASSERT_TRUE(nft_->ban(Source::of(a, false), kHour, {}));
  }
  EXPECT_EQ(nft_->list()->size(), kMany);
}

TEST_F(NftLive, AnswersLeftOverFromEarlierAreNotTakenForTheAnswer) {
  // Successes and failures that nobody read, under numbers long past and far ahead.
  for (const std::uint32_t number : {0U, 0x7fffffffU, 0xffffffffU}) {
    auto stale =
        NetlinkBuilder()
            .message((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, NLM_F_REQUEST | NLM_F_ACK)
            .fixed(nfgenmsg{NFPROTO_INET, 0, 0})
            .attribute(NFTA_TABLE_NAME, number == 0 ? "portsentry" : "absent")
            .build();
    std::memcpy(stale.data() + offsetof(nlmsghdr, nlmsg_seq), &number, sizeof number);
    ASSERT_GT(::send(nft_->fd(), stale.data(), stale.size(), 0), 0);
  }
  EXPECT_EQ(ban_error("192.0.2.1"), 0);
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  EXPECT_EQ(ban_error("192.0.2.2"), ENOENT);
}

TEST_F(NftLive, WorksFromTheNumberThatThePolicyNames) {
  ASSERT_TRUE(nft_->move_to(55));
  EXPECT_EQ(nft_->fd(), 55);
  EXPECT_EQ(ban_error("192.0.2.1"), 0);
}

// ---- Events --------------------------------------------------------------------------------

class NftEventsLive : public NftLive {
 protected:
  void SetUp() override {
    NftLive::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto opened = NftEvents::open(nft_->port_id());
    ASSERT_TRUE(opened) << opened.error().what;
    events_.emplace(std::move(opened).value());
  }

  bool touched(unsigned expected = 0) {
    const auto answer = events_->our_table_touched(expected);
    EXPECT_TRUE(answer) << answer.error().what;
    return answer && *answer;
  }

  std::optional<NftEvents> events_;
};

TEST_F(NftEventsLive, NothingHappenedAtFirst) {
  EXPECT_FALSE(touched());
}

TEST_F(NftEventsLive, AnybodysChangeOfOurTableIsNoticedOnce) {
  for (const char* change :
       {"nft add rule inet portsentry banned accept", "nft flush chain inet portsentry banned",
        "nft add chain inet portsentry extra", "nft delete chain inet portsentry extra",
        "nft add table inet portsentry '{ flags dormant; }'", "nft delete table inet portsentry"}) {
    ASSERT_TRUE(run(change)) << change;
    EXPECT_TRUE(touched()) << change;
    EXPECT_FALSE(touched()) << change;
  }
}

TEST_F(NftEventsLive, FlushingTheWholeRulesetIsNoticed) {
  ASSERT_TRUE(run("nft flush ruleset"));
  EXPECT_TRUE(touched());
}

TEST_F(NftEventsLive, OtherTablesAndElementsRemovedByHandAreNotOurBusiness) {
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour, {}));
  ASSERT_TRUE(
      run("nft add table inet other && nft add chain inet other c && nft delete table inet other"));
  ASSERT_TRUE(run("nft delete element inet portsentry ban4 '{ 192.0.2.1 }'"));
  EXPECT_FALSE(touched());
}

TEST_F(NftEventsLive, OurOwnBansDoNotEvenWakeUs) {
  for (unsigned i = 0; i < 5000; ++i) {
    const auto a =
        Address::v4(10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
    ASSERT_TRUE(nft_->ban(Source::of(a, false), kHour, {}));
  }
  pollfd waiting{events_->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&waiting, 1, 0), 0);
  ASSERT_TRUE(run("nft flush ruleset"));
  EXPECT_EQ(::poll(&waiting, 1, 1000), 1);
  EXPECT_TRUE(touched());
}

TEST_F(NftEventsLive, AFewBansDeletedByHandAreLiftedAndNothingElse) {
  for (const char* text : {"192.0.2.1", "192.0.2.2", "2001:db8:9::/64"})
    ASSERT_TRUE(nft_->ban(source(text), kHour, {}));
  ASSERT_TRUE(nft_->ban(source("192.0.2.3"), seconds(0), {}));
  ASSERT_TRUE(run("nft flush set inet portsentry ban4"));
  ASSERT_TRUE(run("nft flush set inet portsentry perm4"));
  ASSERT_TRUE(run("nft delete element inet portsentry ban6net '{ 2001:db8:9:: }'"));
  EXPECT_FALSE(touched());
  std::vector<Source> lifted = events_->lifted();
  std::sort(lifted.begin(), lifted.end());
  std::vector<Source> expected{source("192.0.2.1"), source("192.0.2.2"), source("192.0.2.3"),
                               source("2001:db8:9::/64")};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(lifted, expected);
  EXPECT_FALSE(touched());
  EXPECT_TRUE(events_->lifted().empty()) << "told once";
}

TEST_F(NftEventsLive, ASetFlushedWithManyBansIsALossAndNobodysDecision) {
  for (unsigned i = 0; i <= kLiftedByHand; ++i)
    ASSERT_TRUE(nft_->ban(Source::of(Address::v4(10, 1, 1, static_cast<std::uint8_t>(i)), false),
                          kHour, {}));
  ASSERT_TRUE(run("nft flush set inet portsentry ban4"));
  EXPECT_TRUE(touched());
  EXPECT_TRUE(events_->lifted().empty());
  EXPECT_FALSE(touched());
}

TEST_F(NftEventsLive, SessionsAndTheSelftestAreNoBans) {
  const std::array<Session, 1> keep{session("192.0.2.1", 40000, "198.51.100.7", 22)};
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour, keep));
  ASSERT_TRUE(run("nft flush set inet portsentry session4"));
  ASSERT_TRUE(run("nft add element inet portsentry selftest '{ 192.0.2.9 }'"));
  ASSERT_TRUE(run("nft flush set inet portsentry selftest"));
  EXPECT_FALSE(touched());
  EXPECT_TRUE(events_->lifted().empty());
}

TEST_F(NftEventsLive, LoadingTheRulesAgainIsExactlyOneTransaction) {
  ASSERT_TRUE(load(kRuleset));
  EXPECT_FALSE(touched(1));
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  ASSERT_TRUE(touched());
  ASSERT_TRUE(load(kRuleset));
  EXPECT_FALSE(touched(1));
}

TEST_F(NftEventsLive, AFlushBesideOurOwnLoadIsNotMissed) {
  ASSERT_TRUE(load(kRuleset));
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  EXPECT_TRUE(touched(1));
}

TEST_F(NftEventsLive, LostEventsMeanLookAgain) {
  const int tiny = 1;  // the kernel rounds up to its minimum, a few messages
  ASSERT_EQ(::setsockopt(events_->fd(), SOL_SOCKET, SO_RCVBUF, &tiny, sizeof tiny), 0);
  for (int i = 0; i < 30; ++i)
    ASSERT_TRUE(run("nft add table inet other && nft delete table inet other"));
  EXPECT_TRUE(touched());
  EXPECT_FALSE(touched());
}

}  // namespace
}  // namespace portsentry::enforcer
