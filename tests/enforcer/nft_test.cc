// The pure parts of nft.cc; what needs a kernel is in nft_root_test.cc.
#include "enforcer/nft_events.h"

#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "enforcer/nft_elements.h"
#include "enforcer/ruleset.h"
#include "tests/common/netlink_builder.h"

namespace portsentry::enforcer {
namespace {

constexpr std::uint32_t kOwnPort = 4242;
constexpr std::uint32_t kSomebody = 4711;

int event(nf_tables_msg_types type) {
  return (NFNL_SUBSYS_NFTABLES << 8) | type;
}

NetlinkBuilder& add(NetlinkBuilder& builder, nf_tables_msg_types type, const char* table,
                    std::uint32_t port = kSomebody, std::uint8_t family = NFPROTO_INET) {
  nfgenmsg general{};
  general.nfgen_family = family;
  return builder.message(event(type), 0, port).fixed(general).attribute(NFTA_TABLE_NAME, table);
}

NetlinkBuilder& end_transaction(NetlinkBuilder& builder, std::uint32_t port = kSomebody) {
  return builder.message(event(NFT_MSG_NEWGEN), 0, port)
      .fixed(nfgenmsg{})
      .attribute(NFTA_GEN_ID, 1U);
}

unsigned touched(NetlinkBuilder& builder) {
  NftTransactions seen;
  seen.read(builder.build(), kOwnPort);
  return seen.ours_touched;
}

TEST(NftTransactions, AnyChangeOfOurTableCounts) {
  for (const auto type :
       {NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE,
        NFT_MSG_DELRULE, NFT_MSG_NEWSET, NFT_MSG_DELSET, NFT_MSG_DELOBJ}) {
    NetlinkBuilder builder;
    EXPECT_EQ(touched(end_transaction(add(builder, type, "portsentry"))), 1U) << type;
  }
}

TEST(NftTransactions, OneTransactionOfManyChangesCountsOnce) {
  NetlinkBuilder builder;
  for (int i = 0; i < 5; ++i)
    add(builder, NFT_MSG_DELRULE, "portsentry");
  EXPECT_EQ(touched(end_transaction(builder)), 1U);
}

TEST(NftTransactions, TwoTransactionsCountTwice) {
  NetlinkBuilder builder;
  end_transaction(add(builder, NFT_MSG_DELTABLE, "portsentry"));
  end_transaction(add(builder, NFT_MSG_NEWTABLE, "portsentry"));
  EXPECT_EQ(touched(builder), 2U);
}

TEST(NftTransactions, OtherTablesAreNotOurs) {
  for (const char* name : {"filter", "portsentr", "portsentryd", "Portsentry", ""}) {
    NetlinkBuilder builder;
    EXPECT_EQ(touched(end_transaction(add(builder, NFT_MSG_DELTABLE, name))), 0U) << name;
  }
  NetlinkBuilder other_family;
  EXPECT_EQ(touched(end_transaction(
                add(other_family, NFT_MSG_DELTABLE, "portsentry", kSomebody, NFPROTO_IPV4))),
            0U);
}

TEST(NftTransactions, OurOwnChangesAndAnybodysElementsDoNotCount) {
  NetlinkBuilder ours;
  EXPECT_EQ(touched(end_transaction(add(ours, NFT_MSG_NEWRULE, "portsentry", kOwnPort), kOwnPort)),
            0U);
  NetlinkBuilder elements;
  add(elements, NFT_MSG_NEWSETELEM, "portsentry");
  EXPECT_EQ(touched(end_transaction(add(elements, NFT_MSG_DELSETELEM, "portsentry"))), 0U);
}

TEST(NftTransactions, ATransactionMayBeSpreadOverDatagrams) {
  NftTransactions seen;
  NetlinkBuilder first;
  seen.read(add(first, NFT_MSG_DELRULE, "portsentry").build(), kOwnPort);
  EXPECT_EQ(seen.ours_touched, 0U);
  EXPECT_TRUE(seen.open);
  NetlinkBuilder second;
  seen.read(end_transaction(second).build(), kOwnPort);
  EXPECT_EQ(seen.ours_touched, 1U);
  EXPECT_FALSE(seen.open);
}

TEST(NftTransactions, OtherSubsystemsAreNotFirewallEvents) {
  NetlinkBuilder builder;
  builder.message((NFNL_SUBSYS_CTNETLINK << 8) | NFT_MSG_DELTABLE, 0, kSomebody)
      .fixed(nfgenmsg{NFPROTO_INET, 0, 0})
      .attribute(NFTA_TABLE_NAME, "portsentry");
  EXPECT_EQ(touched(end_transaction(builder)), 0U);
}

TEST(NftTransactions, ATruncatedDatagramCountsNothing) {
  NetlinkBuilder builder;
  const auto whole = add(builder, NFT_MSG_DELTABLE, "portsentry").build();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    NftTransactions seen;
    seen.read(Bytes(whole).first(size), kOwnPort);
    EXPECT_FALSE(seen.open) << size;
    EXPECT_EQ(seen.ours_touched, 0U) << size;
  }
}

TEST(Nft, EverySourceHasItsSet) {
  EXPECT_EQ(set_of(Source::of(*Address::parse("192.0.2.1"), false)), "ban4");
  EXPECT_EQ(set_of(Source::of(*Address::parse("2001:db8::1"), true)), "ban6");
  EXPECT_EQ(set_of(Source::of(*Address::parse("2001:db8::1"), false)), "ban6net");
  EXPECT_EQ(set_of(Source::of(*Address::parse("192.0.2.1"), false), true), "perm4");
  EXPECT_EQ(set_of(Source::of(*Address::parse("2001:db8::1"), true), true), "perm6");
  EXPECT_EQ(set_of(Source::of(*Address::parse("2001:db8::1"), false), true), "perm6net");
}

TEST(Nft, ASessionsKeyIsItsFourPartsEachOnWholeRegisters) {
  const Session session{*Address::parse("192.0.2.1"), *Port::make(0x1234),
                        *Address::parse("198.51.100.7"), *Port::make(22)};
  const std::array<unsigned, 16> expected{192, 0,  2,   1, 0x12, 0x34, 0, 0,
                                          198, 51, 100, 7, 0,    22,   0, 0};
  const ElementKey key(session);
  ASSERT_EQ(key.bytes().size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(std::to_integer<unsigned>(key.bytes()[i]), expected[i]) << i;
}

TEST(Nft, ARequestThatDoesNotFitSaysSo) {
  NftRequest request;
  const std::vector<Element> many(
      400, Element{"ban6", ElementKey(*Address::parse("2001:db8::1")), std::chrono::seconds(1)});
  EXPECT_FALSE(request.elements(NFT_MSG_NEWSETELEM, 0, 1, many));
  EXPECT_FALSE(request.elements(NFT_MSG_NEWSETELEM, 0, 1, {}));
  EXPECT_TRUE(request.bytes().empty());
}

TEST(Ruleset, IsCompiledInAndNamesWhatTheCodeNames) {
  EXPECT_NE(kRuleset.find("add table inet " + std::string(kTable) + "\n"), std::string_view::npos);
  std::vector<std::string> sets(kBanSets.begin(), kBanSets.end());
  sets.insert(sets.end(), {"session4", "session6", "selftest"});
  for (const std::string& set : sets) {
    EXPECT_NE(kRuleset.find("add set inet " + std::string(kTable) + ' ' + set + " {"),
              std::string_view::npos);
  }
}

TEST(Ruleset, TouchesNoOtherTable) {
  for (const std::string_view rules : {kRuleset, kRulesetAll}) {
    for (std::size_t at = rules.find("\nadd "); at != std::string_view::npos;
         at = rules.find("\nadd ", at + 1)) {
      const std::string_view line = rules.substr(at + 1, rules.find('\n', at + 1) - at - 1);
      EXPECT_NE(line.find(" inet portsentry"), std::string_view::npos) << line;
    }
    EXPECT_EQ(rules.find("flush ruleset"), std::string_view::npos);
  }
}

}  // namespace
}  // namespace portsentry::enforcer
