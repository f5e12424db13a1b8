#include "sensor/keyed_hash.h"

#include <gtest/gtest.h>

#include <set>

namespace portsentry::sensor {
namespace {

// The vectors of the SipHash paper's reference: key 00 01 .. 0f, message 00 01 .. (length - 1).
constexpr HashKey kPaperKey{.low = 0x0706050403020100, .high = 0x0f0e0d0c0b0a0908};

TEST(KeyedHash, IsSipHash24OfWholeWords) {
  EXPECT_EQ(keyed_hash(kPaperKey, {}), 0x726fdb47dd0e0e31U);
  EXPECT_EQ(keyed_hash(kPaperKey, {0x0706050403020100}), 0x93f5f5799a932462U);
  EXPECT_EQ(keyed_hash(kPaperKey, {0x0706050403020100, 0x0f0e0d0c0b0a0908}), 0x3f2acc7f57c29bdbU);
}

TEST(KeyedHash, AnotherKeyScattersTheSameWordsElsewhere) {
  EXPECT_NE(keyed_hash({1, 2}, {7}), keyed_hash({1, 3}, {7}));
  EXPECT_NE(keyed_hash({1, 2}, {7}), keyed_hash({2, 2}, {7}));
}

TEST(KeyedHash, TheOrderAndTheNumberOfWordsMatter) {
  EXPECT_NE(keyed_hash({}, {1, 2}), keyed_hash({}, {2, 1}));
  EXPECT_NE(keyed_hash({}, {0}), keyed_hash({}, {0, 0}));
}

TEST(KeyedHash, EveryAddressHasItsOwnWords) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  for (const char* text : {"0.0.0.0", "1.2.3.4", "4.3.2.1", "::", "::1.2.3.4", "102:304::", "::1",
                           "::ffff:0:102:304", "2001:db8::1", "2001:db8:0:1::"}) {
    const auto address = Address::parse(text);
    ASSERT_TRUE(address) << text;
    const AddressWords words = words_of(*address);
    EXPECT_TRUE(seen.emplace(words.high, words.low).second) << text;
  }
}

}  // namespace
}  // namespace portsentry::sensor
