// nft.cc against the live kernel.
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>

#include "enforcer/nft.h"
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
    const auto banned = nft_->ban(source(text), kHour);
    return banned ? 0 : banned.error().code;
  }

  std::optional<NetworkNamespace> here_;
  std::optional<NetworkNamespace::Visit> visit_;
  std::optional<Nft> nft_;
};

TEST_F(NftLive, BansOfEachKindAreInTheSetsThatTheRulesAsk) {
  for (const char* text : {"192.0.2.1", "2001:db8::1", "2001:db8:9::/64"}) {
    ASSERT_TRUE(nft_->ban(source(text), kHour)) << text;
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
    ASSERT_TRUE(nft_->ban(source("192.0.2.1"), duration));
    EXPECT_LE(remaining("192.0.2.1"), duration);
    EXPECT_GT(remaining("192.0.2.1"), duration - seconds(30));
  }
  EXPECT_EQ(nft_->list()->size(), 1U);
}

TEST_F(NftLive, ABanWithoutExpiryByHandIsRenewedWithOne) {
  ASSERT_TRUE(run("nft add element inet portsentry ban4 '{ 192.0.2.1 }'"));
  EXPECT_EQ(remaining("192.0.2.1"), seconds(0));
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour));
  EXPECT_GT(remaining("192.0.2.1"), seconds(0));
}

TEST_F(NftLive, TheShortestAndTheLongestBanAreWhatTheySay) {
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), seconds(1)));
  EXPECT_LE(remaining("192.0.2.1"), seconds(1));  // and never 0, which would mean for ever
  EXPECT_NE(remaining("192.0.2.1"), seconds(0));
  const seconds year = std::chrono::hours(24 * 365);
  ASSERT_TRUE(nft_->ban(source("192.0.2.2"), year));
  EXPECT_GT(remaining("192.0.2.2"), year - seconds(30));
}

TEST_F(NftLive, ADurationThatTheKernelWouldTakeForEverIsRefused) {
  for (const seconds bad : {seconds(0), seconds(-5), seconds::min(), seconds::max()}) {
    const auto banned = nft_->ban(source("192.0.2.1"), bad);
    ASSERT_FALSE(banned);
    EXPECT_EQ(banned.error().code, EINVAL);
  }
  EXPECT_TRUE(nft_->list()->empty());
}

TEST_F(NftLive, UnbanEndsOneBanAndIsContentWithNone) {
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour));
  ASSERT_TRUE(nft_->ban(source("192.0.2.2"), kHour));
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
  ASSERT_TRUE(
      load("add table inet portsentry\n"
           "add set inet portsentry ban4 { type ipv4_addr; flags timeout; size 2; }\n"
           "add set inet portsentry ban6 { type ipv6_addr; flags timeout; size 2; }\n"
           "add set inet portsentry ban6net { type ipv6_addr; flags timeout; size 2; }\n"));
  EXPECT_EQ(ban_error("192.0.2.1"), 0);
  EXPECT_EQ(ban_error("192.0.2.2"), 0);
  EXPECT_EQ(ban_error("192.0.2.3"), ENFILE);
  EXPECT_EQ(remaining("192.0.2.3"), seconds(-1));
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), seconds(5000)));
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
    ASSERT_TRUE(nft_->ban(Source::of(a, false), kHour));
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
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour));
  ASSERT_TRUE(
      run("nft add table inet other && nft add chain inet other c && nft delete table inet other"));
  ASSERT_TRUE(run("nft delete element inet portsentry ban4 '{ 192.0.2.1 }'"));
  EXPECT_FALSE(touched());
}

TEST_F(NftEventsLive, OurOwnBansDoNotEvenWakeUs) {
  for (unsigned i = 0; i < 5000; ++i) {
    const auto a =
        Address::v4(10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
    ASSERT_TRUE(nft_->ban(Source::of(a, false), kHour));
  }
  pollfd waiting{events_->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&waiting, 1, 0), 0);
  ASSERT_TRUE(run("nft flush ruleset"));
  EXPECT_EQ(::poll(&waiting, 1, 1000), 1);
  EXPECT_TRUE(touched());
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
