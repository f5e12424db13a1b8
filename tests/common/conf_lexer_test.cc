#include "common/conf_lexer.h"

#include <gtest/gtest.h>

#include <string>

namespace portsentry {
namespace {

// "KEY=VALUE@LINE" per entry, then one printed finding per line.
std::string lexed(std::string_view text) {
  std::string out;
  const ConfLexing lexing = lex_conf(text, "f");
  for (const ConfEntry& e : lexing.entries) {
    out += std::string(e.key) + "=" + std::string(e.value) + "@" + std::to_string(e.line) + "\n";
  }
  for (const Finding& finding : lexing.findings)
    out += finding.print() + "\n";
  return out;
}

struct Case {
  std::string_view text;
  std::string_view expected;
};

TEST(ConfLexer, ReadsEverySpellingOfBothGenerations) {
  constexpr Case kCases[]{
      {"", ""},
      {"\n", ""},
      {"K=\"v\"\n", "K=v@1\n"},
      {"K=\"v\"", "K=v@1\n"},
      {"K=\"\"\n", "K=@1\n"},
      {"K = \"v\"\n", "K=v@1\n"},
      {"K\t=\t\"v\"\t\n", "K=v@1\n"},
      {"  \tK=\"v\"\n", "K=v@1\n"},
      {"K=\"v\"\r\n\r\nL=\"w\"\r\n", "K=v@1\nL=w@3\n"},
      {"K=\"v\"\r", "K=v@1\n"},
      {"   \n\t\n \t \nK=\"v\"\n", "K=v@4\n"},
      {"# K=\"v\"\n  # L=\"w\"\n#\n", ""},
      {"K=\"v\" # why\n", "K=v@1\n"},
      {"K=\"v\"# why\n", "K=v@1\n"},
      {"K=\"a # b\"\n", "K=a # b@1\n"},
      {"K=\" a=b 'c' < $TARGET$ \"\n", "K= a=b 'c' < $TARGET$ @1\n"},
      {"K=\"gr\xc3\xbc\xc3\x9f\"\n", "K=gr\xc3\xbc\xc3\x9f@1\n"},
      {"\xef\xbb\xbfK=\"v\"\n", "K=v@1\n"},
      {"K_2=\"v\"\nk=\"w\"\n", "K_2=v@1\nk=w@2\n"},
  };
  for (const Case& c : kCases)
    EXPECT_EQ(lexed(c.text), c.expected) << c.text;
}

TEST(ConfLexer, NamesTheRightSpellingOfAWrongLine) {
  constexpr Case kCases[]{
      {"K=1,2\n", "f:1: error: K: the value needs double quotes: write K=\"1,2\"\n"},
      {"K='1,2'\n", "f:1: error: K: the value needs double quotes: write K=\"1,2\"\n"},
      {"K=1,2 # ports\n", "f:1: error: K: the value needs double quotes: write K=\"1,2\"\n"},
      {"K=1\"\n", "f:1: error: K: the value needs double quotes: write K=\"1\"\n"},
      {"K=\xe2\x80\x9c"
       "1\xe2\x80\x9d\n",
       "f:1: error: K: the value needs double quotes: write K=\"1\"\n"},
      {"K=\n", "f:1: error: K: the value needs double quotes: write K=\"\"\n"},
      {"K=# none\n", "f:1: error: K: the value needs double quotes: write K=\"# none\"\n"},
      {"K=\"1,2\n", "f:1: error: K: the closing double quote is missing: write K=\"1,2\"\n"},
      {"K=\"1 # x\n", "f:1: error: K: the closing double quote is missing: write K=\"1\"\n"},
      {"K=\"", "f:1: error: K: the closing double quote is missing: write K=\"\"\n"},
      {"K\"1\"\n", "f:1: error: K: no '=' between key and value: write K=\"1\"\n"},
      {"K\n", "f:1: error: expected KEY=\"value\" or a # comment, found 'K'\n"},
      {"=\"1\"\n", "f:1: error: expected KEY=\"value\" or a # comment, found '=\"1\"'\n"},
      {"K-L=\"1\"\n", "f:1: error: expected KEY=\"value\" or a # comment, found 'K-L=\"1\"'\n"},
      {"some words\n", "f:1: error: expected KEY=\"value\" or a # comment, found 'some words'\n"},
      {"\x7f"
       "ELF\n",
       "f:1: error: expected KEY=\"value\" or a # comment, found '\\x7fELF'\n"},
  };
  for (const Case& c : kCases)
    EXPECT_EQ(lexed(c.text), c.expected) << c.text;
}

TEST(ConfLexer, AWrongLineDoesNotHideTheOthers) {
  EXPECT_EQ(lexed("A=\"1\"\nB=2\nC=\"3\"\n"),
            "A=1@1\nC=3@3\nf:2: error: B: the value needs double quotes: write B=\"2\"\n");
}

TEST(ConfLexer, WarnsAboutTextAfterTheValue) {
  EXPECT_EQ(lexed("K=\"1\" 2 \n"),
            "K=1@1\nf:1: warning: K: what follows the value is ignored: '2' (a comment begins with "
            "#)\n");
  EXPECT_EQ(
      lexed("K=\"say \"hello\" now\"\n"),
      "K=say @1\nf:1: warning: K: what follows the value is ignored: 'hello\" now\"' (a value "
      "cannot hold a double quote)\n");
}

TEST(ConfLexer, ABlankMayStandForTheEqualsSignAsIn1Point2) {
  EXPECT_EQ(
      lexed("K \"1\" # why\n"),
      "K=1@1\nf:1: warning: K: no '=' between key and value: read as if there were one, as in "
      "1.2 (2.x refused the file)\n");
}

TEST(ConfLexer, NotesWhatOlderReadersWouldHaveMissed) {
  const auto quirks = [](const std::string& text) {
    const ConfLexing lexing = lex_conf(text, "f");
    if (lexing.entries.size() != 1 || !lexing.findings.empty()) return std::string("not one entry");
    const ConfQuirks& q = lexing.entries[0].quirks;
    return std::string(q.indented ? "indented " : "") + (q.long_line ? "long " : "") +
           (q.cut_value ? "cut" : "");
  };
  EXPECT_EQ(quirks("K = \"v\" \t# gr\xc3\xbc\xc3\x9f\n"), "");
  EXPECT_EQ(quirks(" K=\"v\"\n"), "indented ");
  EXPECT_EQ(quirks("\tK=\"v\"\n"), "indented ");
  EXPECT_EQ(quirks("K=\"a\tb\"\n"), "cut");
  EXPECT_EQ(quirks("K=\"gr\xc3\xbc\xc3\x9f\"\n"), "cut");
  EXPECT_EQ(quirks("K=\"" + std::string(kMaxOldConfLine - 4, 'v') + "\"\r\n"), "");
  EXPECT_EQ(quirks("K=\"" + std::string(kMaxOldConfLine - 3, 'v') + "\"\n"), "long ");
}

TEST(ConfLexer, RefusesControlBytesInAValueAndShowsThemSafely) {
  using namespace std::string_view_literals;
  EXPECT_EQ(lexed("K=\"a\0b\"\n"sv), "f:1: error: K: the value holds a control byte: 'a\\x00b'\n");
  EXPECT_EQ(lexed("K=\"a\x1b[2J\"\n"),
            "f:1: error: K: the value holds a control byte: 'a\\x1b[2J'\n");
  EXPECT_EQ(lexed("K=\"a\x7f\"\n"), "f:1: error: K: the value holds a control byte: 'a\\x7f'\n");
  EXPECT_EQ(lexed("K=\"a\rb\"\n"), "f:1: error: K: the value holds a control byte: 'a\\x0db'\n");
  EXPECT_EQ(lexed("K=\"1,\t2\"\n"), "K=1,\t2@1\n") << "a tab is a blank";
}

TEST(ConfLexer, TheLastOfTwoCountsAndBothAreNamed) {
  EXPECT_EQ(lexed("K=\"1\"\nL=\"x\"\nK=\"2\"\n"),
            "K=2@3\nL=x@2\nf:3: warning: K: stands on line 1 and again on line 3: the last one "
            "counts, as in PortSentry 2 (1.2 took the first)\n");
}

TEST(ConfLexer, OfThreeTheLastCountsAndEachRepetitionIsNamed) {
  const ConfLexing lexing = lex_conf("K=\"1\"\nK=\"2\"\nK=\"3\"\n", "f");
  ASSERT_EQ(lexing.entries.size(), 1U);
  EXPECT_EQ(lexing.entries[0].value, "3");
  EXPECT_EQ(lexing.entries[0].line, 3U);
  ASSERT_EQ(lexing.findings.size(), 2U);
  EXPECT_NE(lexing.findings[1].text.find("line 2 and again on line 3"), std::string::npos);
}

TEST(ConfLexer, KeysAreToldApartByCaseAndToTheirEnd) {
  EXPECT_EQ(lexed("K=\"1\"\nk=\"2\"\nKK=\"3\"\n"), "K=1@1\nk=2@2\nKK=3@3\n");
}

TEST(ConfLexer, ALineMayBe4096BytesLongAndNotOneMore) {
  const std::string fits = "K=\"" + std::string(kMaxConfLine - 4, 'v') + "\"";
  ASSERT_EQ(fits.size(), kMaxConfLine);
  EXPECT_EQ(lex_conf(fits + "\r\n", "f").entries.size(), 1U);
  EXPECT_EQ(lexed("K=\"" + std::string(kMaxConfLine - 3, 'v') + "\"\nL=\"w\"\n"),
            "L=w@2\nf:1: error: the line is longer than 4096 bytes\n");
}

TEST(ConfLexer, AFileMayBe256KibibytesLongAndNotOneMore) {
  std::string text = "K=\"v\"\n";
  while (text.size() < kMaxConfFile)
    text += '\n';
  EXPECT_EQ(lexed(text), "K=v@1\n");
  text += '\n';
  EXPECT_EQ(lexed(text), "f: error: the file has 262145 bytes, expected at most 262144\n");
}

TEST(ConfLexer, GivesUpOnAFileOfAnotherKind) {
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += "prose\n";
  const ConfLexing lexing = lex_conf(text, "f");
  ASSERT_EQ(lexing.findings.size(), kMaxFindings + 1);
  EXPECT_EQ(lexing.findings.back().print(),
            "f:101: error: too many findings: the rest of the file was not read");
}

TEST(ConfLexer, ShowsOnlyTheBeginningOfALongWrongLine) {
  const ConfLexing lexing = lex_conf("K=" + std::string(4000, 'v'), "f");
  ASSERT_EQ(lexing.findings.size(), 1U);
  EXPECT_LT(lexing.findings[0].print().size(), 250U);
}

}  // namespace
}  // namespace portsentry
