#include "scout/key_values.h"

#include <gtest/gtest.h>

#include <vector>

namespace portsentry::scout {
namespace {

TEST(KeyValues, LinesOfAllKindsAreTakenApart) {
  const auto values = key_values("# a word\nA=1\n\n B = x\nC=\"two words\"\nD=a=b\nnothing\nE=");
  ASSERT_TRUE(values);
  EXPECT_EQ(values->at("A"), "1");
  EXPECT_EQ(values->at("C"), "two words");
  EXPECT_EQ(values->at("D"), "a=b");
  EXPECT_EQ(values->at("E"), "");
  EXPECT_EQ(values->size(), 5U);
}

TEST(KeyValues, AKeyThatComesTwiceMakesTheWholeWorthless) {
  EXPECT_FALSE(key_values("A=1\nB=2\nA=3\n"));
}

TEST(KeyValues, ALineWithoutItsEndIsALine) {
  std::vector<std::string_view> lines;
  each_line("a\n\nb", [&](std::string_view line) { lines.push_back(line); });
  EXPECT_EQ(lines, (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(trimmed(" \t x y\r"), "x y");
  EXPECT_EQ(trimmed("  "), "");
}

}  // namespace
}  // namespace portsentry::scout
