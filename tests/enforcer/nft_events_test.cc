// The pure part of nft_events.cc; what needs a kernel is in nft_root_test.cc.
#include "enforcer/nft_events.h"

#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

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

}  // namespace
}  // namespace portsentry::enforcer
