// nft_audit.cc against the live kernel.
#include "enforcer/nft_audit.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <set>

#include "common/ban_digest.h"
#include "tests/enforcer/firewall_lab.h"

namespace portsentry::enforcer {
namespace {

constexpr std::chrono::seconds kHour{3600};
constexpr unsigned kMany = 5000;

class NftAuditLive : public testing::Test {
 protected:
  void SetUp() override {
    PORTSENTRY_NEEDS_ROOT();
    here_ = NetworkNamespace::make();
    ASSERT_TRUE(here_);
    visit_.emplace(*here_);
    auto nft = Nft::open();
    auto audit = NftAudit::open();
    ASSERT_TRUE(nft && audit);
    nft_.emplace(std::move(nft).value());
    audit_.emplace(std::move(audit).value());
    ASSERT_TRUE(load(kRuleset));
  }

  static Source nth(unsigned i) {
    return Source::of(
        Address::v4(10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)), false);
  }

  // To the end of a count; `between` runs after each datagram.
  Holding finish(
      const std::function<void(const Held&)>& each = [](const Held&) {},
      const std::function<void()>& between = [] {}) {
    for (turns_ = 0; turns_ < 10'000; ++turns_) {
      pollfd waiting{audit_->fd(), POLLIN, 0};
      EXPECT_EQ(::poll(&waiting, 1, 1000), 1);
      const auto read = audit_->read(each);
      EXPECT_TRUE(read);
      if (!read) return {};
      if (*read) return **read;
      between();
    }
    ADD_FAILURE() << "it never ends";
    return {};
  }

  std::optional<NetworkNamespace> here_;
  std::optional<NetworkNamespace::Visit> visit_;
  std::optional<Nft> nft_;
  std::optional<NftAudit> audit_;
  int turns_ = 0;
};

TEST_F(NftAuditLive, CountsAndDigestsBansOfEveryKindAndNothingElse) {
  std::uint64_t digest = 0;
  for (const char* text : {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:9::/64"}) {
    ASSERT_TRUE(nft_->ban(source(text), kHour, {}));
    digest += digest_of(source(text));
  }
  for (const char* text : {"198.51.100.1", "2001:db8::2", "2001:db8:a::/64"}) {
    ASSERT_TRUE(nft_->ban(source(text), std::chrono::seconds(0), {}));
    digest += digest_of(source(text));
  }
  ASSERT_TRUE(run("nft add element inet portsentry selftest '{ 192.0.2.9 }'"));
  for (int again = 0; again < 2; ++again) {
    EXPECT_FALSE(audit_->reading());
    ASSERT_TRUE(audit_->begin());
    EXPECT_TRUE(audit_->reading());
    const Holding holding = finish();
    EXPECT_EQ(holding.elements, 7U);
    EXPECT_EQ(holding.digest, digest);
  }
}

TEST_F(NftAuditLive, NamesEachWithWhatIsLeftOfIt) {
  ASSERT_TRUE(nft_->ban(source("192.0.2.1"), kHour, {}));
  ASSERT_TRUE(nft_->ban(source("2001:db8:a::/64"), std::chrono::seconds(0), {}));
  std::vector<Held> held;
  ASSERT_TRUE(audit_->begin());
  finish([&](const Held& ban) { held.push_back(ban); });
  ASSERT_EQ(held.size(), 2U);
  EXPECT_EQ(held[0].source, source("192.0.2.1"));
  EXPECT_GT(held[0].remaining, kHour - std::chrono::seconds(30));
  EXPECT_EQ(held[1], (Held{source("2001:db8:a::/64"), std::chrono::seconds(0)}));
}

TEST_F(NftAuditLive, ATableThatIsGoneHoldsNothing) {
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  ASSERT_TRUE(audit_->begin());
  EXPECT_EQ(finish().elements, 0U);
}

TEST_F(NftAuditLive, BansAreMadeInTheMiddleOfALongCount) {
  for (unsigned i = 0; i < kMany; ++i)
    ASSERT_TRUE(nft_->ban(nth(i), kHour, {}));
  ASSERT_TRUE(audit_->begin());
  unsigned made = 0;
  std::set<Source> seen;
  finish([&](const Held& ban) { seen.insert(ban.source); },
         [&] {
           if (made < 8) {
             ASSERT_TRUE(nft_->ban(nth(kMany + made++), kHour, {}));
           }
         });
  EXPECT_GT(turns_, 10) << "in small pieces";
  EXPECT_GE(seen.size(), kMany - 2 * made) << "what holds all the time is mostly there";
  ASSERT_TRUE(audit_->begin());
  EXPECT_EQ(finish().elements, kMany + made) << "and all of it, once it is quiet";
}

}  // namespace
}  // namespace portsentry::enforcer
