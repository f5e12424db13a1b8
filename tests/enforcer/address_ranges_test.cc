#include "enforcer/address_ranges.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace portsentry::enforcer {
namespace {

std::vector<Prefix> networks(std::initializer_list<std::string_view> texts) {
  std::vector<Prefix> found;
  for (const std::string_view text : texts)
    found.push_back(*Prefix::parse(text));
  return found;
}

// "first-behind", blanks between; "first-" for one that ends with the last address.
std::string text(const std::vector<AddressRange>& ranges) {
  std::string all;
  for (const AddressRange& range : ranges) {
    if (!all.empty()) all += ' ';
    all += range.first.text() + "-" + (range.behind ? range.behind->text() : "");
  }
  return all;
}

TEST(AddressRanges, ANetworkEndsBeforeTheNextOneBegins) {
  EXPECT_EQ(text(address_ranges(networks({"192.0.2.0/24"}), true)), "192.0.2.0-192.0.3.0");
  EXPECT_EQ(text(address_ranges(networks({"192.0.2.255"}), true)), "192.0.2.255-192.0.3.0");
  EXPECT_EQ(text(address_ranges(networks({"2001:db8::/33"}), false)), "2001:db8::-2001:db8:8000::");
}

TEST(AddressRanges, WhatEndsWithTheLastAddressHasNoEnd) {
  EXPECT_EQ(text(address_ranges(networks({"240.0.0.0/4"}), true)), "240.0.0.0-");
  EXPECT_EQ(text(address_ranges(networks({"0.0.0.0/0", "10.0.0.0/8"}), true)), "0.0.0.0-");
  EXPECT_EQ(text(address_ranges(networks({"ff00::/8", "ffff::1"}), false)), "ff00::-");
}

TEST(AddressRanges, ThoseThatOverlapOrTouchAreOne) {
  EXPECT_EQ(text(address_ranges(networks({"10.0.1.0/24", "10.0.0.0/24", "10.0.0.7", "10.0.3.0/24"}),
                                true)),
            "10.0.0.0-10.0.2.0 10.0.3.0-10.0.4.0");
  EXPECT_EQ(text(address_ranges(networks({"10.0.0.0/8", "10.0.0.0/24", "10.9.0.0/16"}), true)),
            "10.0.0.0-11.0.0.0")
      << "a small one inside does not cut a large one off";
}

TEST(AddressRanges, EachFamilyForItself) {
  const auto both = networks({"10.0.0.0/8", "2001:db8::/32"});
  EXPECT_EQ(text(address_ranges(both, true)), "10.0.0.0-11.0.0.0");
  EXPECT_EQ(text(address_ranges(both, false)), "2001:db8::-2001:db9::");
  EXPECT_TRUE(address_ranges({}, true).empty());
}

}  // namespace
}  // namespace portsentry::enforcer
