#include "ctl/table.h"

#include <gtest/gtest.h>

namespace portsentry::ctl {
namespace {

constexpr Layout kPipe{};

Layout wide(std::size_t columns) {
  return {.width = columns, .colour = false, .ascii = false};
}

Table bans() {
  Table table({{"SOURCE"}, {"LEFT", true}, {"WHY"}});
  table.add({{"192.0.2.7"}, {"9m"}, {"a scan of many ports that nobody should touch"}});
  table.add({{"2001:db8::/64"}, {"6d 23h"}, {"by hand"}});
  return table;
}

TEST(Table, ColumnsAreAlignedAndLinesEndWithoutBlanks) {
  EXPECT_EQ(bans().text(kPipe),
            "SOURCE           LEFT  WHY\n"
            "192.0.2.7          9m  a scan of many ports that nobody should touch\n"
            "2001:db8::/64  6d 23h  by hand\n");
}

TEST(Table, WhereItDoesNotFitTheLastColumnIsWrapped) {
  EXPECT_EQ(bans().text(wide(46)),
            "SOURCE           LEFT  WHY\n"
            "192.0.2.7          9m  a scan of many ports\n"
            "                       that nobody should\n"
            "                       touch\n"
            "2001:db8::/64  6d 23h  by hand\n");
}

TEST(Table, OnANarrowTerminalEachRowIsAParagraph) {
  EXPECT_EQ(bans().text(wide(36)),
            "SOURCE  192.0.2.7\n"
            "LEFT    9m\n"
            "WHY     a scan of many ports that\n"
            "        nobody should touch\n"
            "\n"
            "SOURCE  2001:db8::/64\n"
            "LEFT    6d 23h\n"
            "WHY     by hand\n");
}

TEST(Table, NoLineIsEverWiderThanTheTerminal) {
  for (std::size_t columns = 24; columns < 100; ++columns) {
    const std::string text = bans().text(wide(columns));
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      EXPECT_LE(end - begin, columns) << text;
    }
  }
}

TEST(Table, WithoutARowThereIsNotEvenATitle) {
  EXPECT_EQ(Table({{"A"}, {"B"}}).text(kPipe), "");
}

TEST(Table, ColourIsThereOnlyWhereTheLayoutSaysSo) {
  Table table({{"STATE"}});
  table.add({{"enforced", Tone::good}});
  EXPECT_EQ(table.text({.width = 80, .colour = true, .ascii = false}),
            "\x1b[1mSTATE\x1b[0m\n\x1b[32menforced\x1b[0m\n");
  EXPECT_EQ(table.text(wide(80)).find('\x1b'), std::string::npos);
}

TEST(Table, ColourDoesNotMoveColumns) {
  Table table({{"A"}, {"B"}});
  table.add({{"x", Tone::bad}, {"y"}});
  table.add({{"long"}, {"z"}});
  std::string text = table.text({.width = 80, .colour = true, .ascii = false});
  for (const std::string_view sequence : {"\x1b[1m", "\x1b[31m", "\x1b[0m"}) {
    for (std::size_t at = 0; (at = text.find(sequence)) != std::string::npos;)
      text.erase(at, sequence.size());
  }
  EXPECT_EQ(text, "A     B\nx     y\nlong  z\n");
}

TEST(Table, ACellCanNeitherEndItsLineNorMoveTheCursor) {
  Table table({{"NAME"}, {"TEXT"}});
  table.add({{"a\x1b[2Jb"}, {"x\ny\t\x9b\x7f\r\u202e"}});
  const std::string text = table.text(kPipe);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  for (const std::string_view evil : {"\x1b", "\t", "\x9b", "\x7f", "\r", "\u202e"}) {
    EXPECT_EQ(text.find(evil), std::string::npos);
  }
}

TEST(Table, CharactersAreCountedAndNotBytes) {
  Table table({{"NOTE"}, {"B"}});
  table.add({{"für Büro"}, {"1"}});
  table.add({{"abcdefgh"}, {"2"}});
  EXPECT_EQ(table.text(kPipe), "NOTE      B\nfür Büro  1\nabcdefgh  2\n");
}

TEST(Table, ATerminalThatMayNotKnowUtf8GetsAscii) {
  EXPECT_EQ(shown("für", {.width = 80, .colour = false, .ascii = true}), "f\\xc3\\xbcr");
  EXPECT_EQ(shown("für", kPipe), "für");
}

TEST(Table, AWordWithoutABlankIsCutWhereTheLineEnds) {
  EXPECT_EQ(paragraph({"abcdefghij klm"}, wide(4)), "abcd\nefgh\nij\nklm\n");
  EXPECT_EQ(paragraph({"üüüüü"}, wide(2)), "üü\nüü\nü\n") << "and never inside a character";
}

TEST(Sheet, ValuesStandBelowEachOtherAndAreWrapped) {
  Sheet sheet;
  sheet.add("mode", {"armed"});
  sheet.add("firewall", {"nftables, replies to our own connections pass"});
  EXPECT_EQ(sheet.text(kPipe),
            "mode      armed\n"
            "firewall  nftables, replies to our own connections pass\n");
  EXPECT_EQ(sheet.text(wide(32)),
            "mode      armed\n"
            "firewall  nftables, replies to\n"
            "          our own connections\n"
            "          pass\n");
}

TEST(Sheet, ATerminalTooNarrowForTwoColumnsIsNotWaitedForForEver) {
  Sheet sheet;
  sheet.add("a rather long name", {"some value"});
  EXPECT_EQ(sheet.text(wide(20)), "a rather long name  some value\n");
}

TEST(LayoutFor, APipeHasNeitherWidthNorColour) {
  const Layout layout = layout_for(false, 120, "xterm", "C", false);
  EXPECT_EQ(layout.width, 0U);
  EXPECT_FALSE(layout.colour);
  EXPECT_FALSE(layout.ascii);
}

TEST(LayoutFor, ATerminalHasColourUnlessSomebodyDoesNotWantIt) {
  EXPECT_TRUE(layout_for(true, 80, "xterm", "en_US.UTF-8", false).colour);
  EXPECT_FALSE(layout_for(true, 80, "xterm", "en_US.UTF-8", true).colour);
  EXPECT_FALSE(layout_for(true, 80, "dumb", "en_US.UTF-8", false).colour);
  EXPECT_FALSE(layout_for(true, 80, "", "en_US.UTF-8", false).colour);
}

TEST(LayoutFor, AWidthThatNobodyKnowsIsEighty) {
  EXPECT_EQ(layout_for(true, 0, "xterm", "C", false).width, 80U);
  EXPECT_EQ(layout_for(true, 3, "xterm", "C", false).width, 20U);
}

TEST(LayoutFor, OnlyALocaleThatSaysUtf8GetsUtf8) {
  EXPECT_FALSE(layout_for(true, 80, "xterm", "de_DE.UTF-8", false).ascii);
  EXPECT_FALSE(layout_for(true, 80, "xterm", "C.utf8", false).ascii);
  EXPECT_TRUE(layout_for(true, 80, "xterm", "de_DE.ISO-8859-1", false).ascii);
  EXPECT_TRUE(layout_for(true, 80, "xterm", "", false).ascii);
}

}  // namespace
}  // namespace portsentry::ctl
