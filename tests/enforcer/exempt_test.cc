#include "enforcer/exempt.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "enforcer/firewall.h"

namespace portsentry::enforcer {
namespace {

TEST(Exempt, RootsOwnComeFirstAndTheMonitorsAreCutBeforeTheyAreTooMany) {
  const LocalView view;
  const std::vector<Prefix> protect{*Prefix::parse("198.51.100.0/24")};
  std::vector<Prefix> told;
  for (unsigned n = 0; n < kMaxExemptWritten; ++n)
    told.push_back(Prefix::host(
        Address::v4(10, 0, static_cast<std::uint8_t>(n >> 8U), static_cast<std::uint8_t>(n))));
  const ExemptLists lists = exempt_lists(view, protect, told);
  EXPECT_TRUE(lists.cut);
  EXPECT_EQ(lists.networks.size() + lists.on_link.size(), kMaxExemptWritten);
  for (const char* const own : {"fe80::/10", "169.254.0.0/16", "2002::/16", "198.51.100.0/24"})
    EXPECT_NE(std::ranges::find(lists.networks, *Prefix::parse(own)), lists.networks.end()) << own;
  EXPECT_FALSE(exempt_lists(view, protect, std::span(told).first(10)).cut);
}

}  // namespace
}  // namespace portsentry::enforcer
