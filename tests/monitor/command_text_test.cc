#include "monitor/command_text.h"

#include <gtest/gtest.h>

namespace portsentry::monitor {
namespace {

using Lines = std::vector<std::string>;

TEST(CommandText, LinesComeOutWholeHoweverTheyArrive) {
  CommandText text;
  EXPECT_EQ(text.add("one\ntw"), Lines{"one"});
  EXPECT_EQ(text.add("o\r\n\nthree"), Lines{"two"});
  EXPECT_EQ(text.end(), Lines{"three"});
  EXPECT_TRUE(text.end().empty());
}

TEST(CommandText, ControlBytesNeverReachTheLog) {
  CommandText text;
  EXPECT_EQ(text.add(std::string_view("\x1b[2J\0x\n", 7)), Lines{"\\x1b[2J\\x00x"});
}

TEST(CommandText, OneKibibyteIsShownAndTheRestCounted) {
  CommandText text;
  EXPECT_TRUE(text.add(std::string(1000, 'a')).empty());
  EXPECT_EQ(text.add(std::string(24, 'b') + "\nnot shown\n").size(), 0U);
  text.add(std::string(100000, 'c'));
  const Lines rest = text.end();
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].size(), CommandText::kShown);
  EXPECT_EQ(rest[1], "and 100011 bytes more");
}

}  // namespace
}  // namespace portsentry::monitor
