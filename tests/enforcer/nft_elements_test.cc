// How our elements look to nf_tables.
#include "enforcer/nft_elements.h"

#include <gtest/gtest.h>

namespace portsentry::enforcer {
namespace {

TEST(NftElements, EverySourceHasItsSet) {
  EXPECT_EQ(set_of(Source::of(*Address::parse("192.0.2.1"), false)), "ban4");
  EXPECT_EQ(set_of(Source::of(*Address::parse("2001:db8::1"), true)), "ban6");
  EXPECT_EQ(set_of(Source::of(*Address::parse("2001:db8::1"), false)), "ban6net");
  EXPECT_EQ(set_of(Source::of(*Address::parse("192.0.2.1"), false), true), "perm4");
  EXPECT_EQ(set_of(Source::of(*Address::parse("2001:db8::1"), true), true), "perm6");
  EXPECT_EQ(set_of(Source::of(*Address::parse("2001:db8::1"), false), true), "perm6net");
}

TEST(NftElements, ASessionsKeyIsItsFourPartsEachOnWholeRegisters) {
  const Session session{*Address::parse("192.0.2.1"), *Port::make(0x1234),
                        *Address::parse("198.51.100.7"), *Port::make(22)};
  const std::array<unsigned, 16> expected{192, 0,  2,   1, 0x12, 0x34, 0, 0,
                                          198, 51, 100, 7, 0,    22,   0, 0};
  const ElementKey key(session);
  ASSERT_EQ(key.bytes().size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(std::to_integer<unsigned>(key.bytes()[i]), expected[i]) << i;
}

TEST(NftElements, ARequestThatDoesNotFitSaysSo) {
  NftRequest request;
  const std::vector<Element> many(
      400, Element{"ban6", ElementKey(*Address::parse("2001:db8::1")), std::chrono::seconds(1)});
  EXPECT_FALSE(request.elements(NFT_MSG_NEWSETELEM, 0, 1, many));
  EXPECT_FALSE(request.elements(NFT_MSG_NEWSETELEM, 0, 1, {}));
  EXPECT_TRUE(request.bytes().empty());
}

}  // namespace
}  // namespace portsentry::enforcer
