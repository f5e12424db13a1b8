// What the traps' sets hold after our transactions, as nft shows them.
#include "tests/enforcer/firewall_lab.h"

#include "enforcer/trap_rules.h"

namespace portsentry::enforcer {
namespace {

using std::chrono::seconds;

class NftTraps : public testing::Test {
 protected:
  void SetUp() override {
    here_ = NetworkNamespace::make();
    ASSERT_TRUE(here_);
    visit_.emplace(*here_);
    Config config;
    config.hold = Hold::automatic;
    config.block_tcp = config.block_udp = BlockMode::ban;
    config.ports.tcp.add_range(*Port::make(1), *Port::make(100));
    config.ports.udp.add(*Port::make(69));
    rules_ = firewall_rules(config, 7100, {});
    ASSERT_TRUE(load(rules_));
    auto nft = Nft::open();
    ASSERT_TRUE(nft);
    nft_.emplace(std::move(*nft));
  }
  static std::string set(const std::string& name) {
    return output_of("nft list set inet portsentry " + name);
  }
  static bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  std::optional<NetworkNamespace> here_;
  std::optional<NetworkNamespace::Visit> visit_;
  std::string rules_;
  std::optional<Nft> nft_;
};

TEST_F(NftTraps, TheRulesCanBeLoadedAgainAndTakenAwayAgain) {
  EXPECT_TRUE(load(rules_));
  EXPECT_TRUE(load(firewall_rules(Config(), std::nullopt, {})));
  EXPECT_FALSE(has(output_of("nft list table inet portsentry"), "hook input"));
  EXPECT_TRUE(load(rules_));
}

TEST_F(NftTraps, AListReplacesTheOneBefore) {
  const std::vector<Prefix> first{*Prefix::parse("192.0.2.0/24"), *Prefix::parse("240.0.0.0/4"),
                                  *Prefix::parse("2001:db8::7")};
  const std::vector<Prefix> link{*Prefix::parse("fd77::/64"), *Prefix::parse("10.0.0.0/8")};
  ASSERT_TRUE(nft_->exempt(first, link));
  EXPECT_TRUE(has(set("exempt4"), "192.0.2.0/24"));
  EXPECT_TRUE(has(set("exempt4"), "240.0.0.0/4"));
  EXPECT_TRUE(has(set("exempt6"), "2001:db8::7"));
  EXPECT_TRUE(has(set("exempt6net"), "2001:db8::/64")) << "its whole site";
  EXPECT_TRUE(has(set("onlink6"), "fd77::/64"));
  EXPECT_TRUE(has(set("onlink4"), "10.0.0.0/8"));
  ASSERT_TRUE(nft_->exempt(std::vector{*Prefix::parse("0.0.0.0/0")}, {}));
  EXPECT_TRUE(has(set("exempt4"), "0.0.0.0/0"));
  EXPECT_FALSE(has(set("exempt6"), "2001:db8"));
  EXPECT_FALSE(has(set("onlink6"), "fd77"));
}

TEST_F(NftTraps, TheLongestListIsOneTransaction) {
  std::vector<Prefix> most;
  for (unsigned n = 0; n < kMaxExemptWritten; ++n) {
    most.push_back(Prefix::host(Address::v4(10, static_cast<std::uint8_t>(n >> 7U),
                                            static_cast<std::uint8_t>(n << 1U), 1)));
  }
  ASSERT_TRUE(nft_->exempt(most, {}));
  EXPECT_TRUE(has(set("exempt4"), "10.0.0.1"));
  EXPECT_TRUE(has(set("exempt4"), "10.31.254.1"));
  most.push_back(*Prefix::parse("192.0.2.1"));
  EXPECT_FALSE(nft_->exempt(most, {}));
}

TEST_F(NftTraps, TheyLiveForATimeAndNobodyIsHeldAfterTheirEnd) {
  ASSERT_TRUE(nft_->keep_traps(seconds(180), true));
  ASSERT_TRUE(nft_->keep_traps(seconds(180), true)) << "again";
  EXPECT_TRUE(has(set("alive"), "ipv4 timeout 3m"));
  EXPECT_TRUE(has(set("alive"), "ipv6 timeout 3m"));
  ASSERT_TRUE(
      load("add element inet portsentry held4 { 192.0.2.9 timeout 10s }\n"
           "add element inet portsentry held6net { 2001:db8:: timeout 10s }\n"));
  ASSERT_TRUE(nft_->stop_holds());
  EXPECT_FALSE(has(set("judged"), "elements"));
  EXPECT_FALSE(has(set("held4"), "elements"));
  EXPECT_TRUE(has(set("alive"), "ipv4 timeout 3m")) << "they tell on";
  ASSERT_TRUE(nft_->keep_traps(seconds(180), true));
  ASSERT_TRUE(load("add element inet portsentry held4 { 192.0.2.9 timeout 10s }\n"));
  ASSERT_TRUE(nft_->stop_traps());
  EXPECT_FALSE(has(set("alive"), "elements"));
  EXPECT_FALSE(has(set("judged"), "elements"));
  EXPECT_FALSE(has(set("held4"), "elements"));
  EXPECT_FALSE(has(set("held6net"), "elements"));
}

TEST_F(NftTraps, TheyTellBeforeTheyMayHold) {
  ASSERT_TRUE(nft_->keep_traps(seconds(180), false));
  EXPECT_TRUE(has(set("alive"), "ipv6 timeout 3m"));
  EXPECT_FALSE(has(set("judged"), "elements"));
}

TEST_F(NftTraps, AHoldByHandLastsAsLongAsItIsTold) {
  ASSERT_TRUE(nft_->hold(source("192.0.2.9"), seconds(15)));
  ASSERT_TRUE(nft_->hold(source("2001:db8::/64"), seconds(15)));
  EXPECT_TRUE(has(set("held4"), "192.0.2.9 timeout 15s"));
  EXPECT_TRUE(has(set("held6net"), "2001:db8:: timeout 15s"));
}

TEST_F(NftTraps, AReleaseIsOfOneSourceAndOfNobodyIsOneToo) {
  ASSERT_TRUE(
      load("add element inet portsentry held4 { 192.0.2.9 timeout 10s, 192.0.2.10 timeout 10s }\n"
           "add element inet portsentry held6net { 2001:db8:: timeout 10s }\n"
           "add element inet portsentry held6 { 2001:db8:: timeout 10s }\n"));
  ASSERT_TRUE(nft_->release(source("192.0.2.9")));
  ASSERT_TRUE(nft_->release(source("192.0.2.9"))) << "nobody";
  EXPECT_FALSE(has(set("held4"), "192.0.2.9 "));
  EXPECT_TRUE(has(set("held4"), "192.0.2.10"));
  ASSERT_TRUE(nft_->release(source("2001:db8::/64")));
  EXPECT_FALSE(has(set("held6net"), "2001:db8::"));
  EXPECT_TRUE(has(set("held6"), "2001:db8::"));
}

TEST_F(NftTraps, WithoutATableEachSaysSo) {
  ASSERT_TRUE(load("delete table inet portsentry"));
  EXPECT_FALSE(nft_->exempt({}, {}));
  EXPECT_FALSE(nft_->keep_traps(seconds(180), true));
  EXPECT_FALSE(nft_->stop_traps());
}

}  // namespace
}  // namespace portsentry::enforcer
