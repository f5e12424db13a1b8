#include "common/text.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace portsentry {
namespace {

TEST(Text, WordsOfAnyLanguagePass) {
  for (const std::string_view text :
       {"", "office printer, until Monday", "Bürodrucker", "打印机", "принтер", "🖨 3rd floor"}) {
    EXPECT_TRUE(is_plain_text(text, 128)) << text;
    EXPECT_EQ(plain_text(text, 128), text);
  }
}

TEST(Text, NothingThatMovesACursorOrEndsALinePasses) {
  for (const std::string_view evil : std::initializer_list<std::string_view>{
           "a\nb", "a\rb", "\x1b[2J", "tab\there", "\x7f", std::string_view("\0", 1),
           "\xc2\x9b"
           "2J",
           "\xe2\x80\xa8", "\xe2\x80\xa9",
           "\xe2\x80\xae"
           "evil",
           "\xe2\x81\xa6", "\xe2\x80\x8f", "\xef\xbb\xbf"}) {
    EXPECT_FALSE(is_plain_text(evil, 128));
    const std::string shown = plain_text(evil, 128);
    EXPECT_TRUE(is_plain_text(shown, 128)) << shown;
    EXPECT_NE(shown, evil);
  }
}

TEST(Text, WhatIsNoUtf8IsRefused) {
  for (const std::string_view broken :
       {"\x80", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x96", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf",
        "\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80", "a\xc3(", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(is_plain_text(broken, 128));
    EXPECT_TRUE(is_plain_text(plain_text(broken, 128), 128));
  }
}

TEST(Text, TheCapCountsBytesAndCutsNoCharacterInTwo) {
  EXPECT_TRUE(is_plain_text("abcd", 4));
  EXPECT_FALSE(is_plain_text("abcde", 4));
  EXPECT_EQ(plain_text("abcde", 4), "abcd");
  EXPECT_EQ(plain_text("abcü", 4), "abc");
  EXPECT_EQ(plain_text("abü", 4), "abü");
}

}  // namespace
}  // namespace portsentry
