#include "common/templates.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <string>

#include "template_lab.h"

namespace portsentry {
namespace {

using Words = std::vector<std::string>;

TEST(Template, APlainTextIsAnArgumentVector) {
  const auto made = plain("/sbin/iptables -I INPUT -s $TARGET$ -j DROP");
  EXPECT_EQ(made.argv(probe("192.0.2.1")),
            (Words{"/sbin/iptables", "-I", "INPUT", "-s", "192.0.2.1", "-j", "DROP"}));
}

TEST(Template, SingleQuotesKeepBlanksAndShellCharactersTogether) {
  const auto made = plain("  /bin/say 'a  b; $HOME' c'd e'f '' $MODE$/$PORT$\t");
  EXPECT_EQ(made.argv(probe("192.0.2.1")),
            (Words{"/bin/say", "a  b; $HOME", "cd ef", "", "stcp/23"}));
}

TEST(Template, TheMailLineOfTheGuideIsForTheShell) {
  const auto made =
      Template::parse("/usr/bin/mail -s 'PortSentry Alert' root@localhost < /dev/null");
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->needs_shell());
  EXPECT_EQ(made->shell_reason(), "'<'");
  EXPECT_EQ(made->program(), "/usr/bin/mail");
  EXPECT_EQ(
      made->argv(probe("192.0.2.1")),
      (Words{"/bin/sh", "-c", "/usr/bin/mail -s 'PortSentry Alert' root@localhost < /dev/null"}));
}

TEST(Template, WhateverShWouldActOnIsForTheShell) {
  for (const char* text :
       {"a | b",   "a & b",  "a;b",     "a <b",     "a >b",      "(a)",        "a $HOME", "a `b`",
        "a \"b\"", "a \\b",  "a *",     "a ?",      "a [b]",     "a #b",       "a ~/b",   "X=1 a",
        "! a",     "{ a; }", "a {b,c}", "a {1..3}", "cd /",      "exec a",     ". /a",    "a x=~/b",
        "while a", "a && b", "a 2>&1",  "a $PORT",  "a $TARGET", "a $$TARGET$"}) {
    const auto made = Template::parse(text);
    ASSERT_TRUE(made) << text;
    EXPECT_TRUE(made->needs_shell()) << text;
    EXPECT_FALSE(made->shell_reason().empty()) << text;
  }
}

TEST(Template, WhatShWouldPassOnIsNot) {
  for (const char* text : {"a b#c", "a b=c", "a --x=$TARGET$", "a b~", "a !", "a { b }", "a {b}",
                           "a %1", "a b:c,d", "a ]", "'cd' /", "a 'x;y'", "a '{1,2}'", "1X=2 b"})
    EXPECT_FALSE(Template::parse(text)->needs_shell()) << text;
}

// The two readings are one: sh itself, given the text of a plain template, makes the same words.
TEST(Template, ShWouldMakeTheSameArgumentsOfAPlainTemplate) {
  for (const char* text :
       {"printf <%s> a b#c d=e", "printf '<%s>' 'a  b' c'd e'f ''", "printf '<%s>' a~ ! { } %1 ]",
        "printf '<%s>' --x=$TARGET$ $PORT$ '$MODE$' a$TARGET$b", "printf '<%s>' '{1,2}' {b} a:b"}) {
    const auto made = Template::parse(text);
    ASSERT_TRUE(made);
    if (made->needs_shell()) continue;  // the first, which shows that the list is not all plain
    const auto values = probe("192.0.2.1");
    EXPECT_EQ(output_of(*made->argv(values)), output_of({"/bin/sh", "-c", made->shown(values)}))
        << text;
  }
}

TEST(Template, EveryOccurrenceOfATokenIsReplacedAndValuesAreNotReadAgain) {
  EXPECT_EQ(
      substitute("$TARGET$ $PORT$ $MODE$ $TARGET$$TARGET$ $TARGET", "$PORT$", probe("192.0.2.1")),
      "$PORT$ 23 stcp $PORT$$PORT$ $TARGET");
}

TEST(Template, NoValueHoldsAByteThatShellOrArgumentsCouldMisread) {
  constexpr std::string_view kSafe = "0123456789abcdefghijklmnopqrstuvwxyz.:/";
  std::vector<std::string> texts;
  for (const char* address : {"255.255.255.255", "192.0.2.1", "2001:db8::1", "fe80::1",
                              "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "64:ff9b::192.0.2.1"})
    texts.push_back(source(address).text());
  texts.push_back(network("2001:db8:1:2::").text());
  for (const auto protocol : {Protocol::tcp, Protocol::udp})
    for (const auto mode : {WatchMode::bind, WatchMode::stealth, WatchMode::advanced})
      texts.emplace_back(ModeWord{protocol, mode}.text());
  texts.push_back(std::to_string(Port::make(65535)->number()));
  for (const std::string& text : texts) {
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text.find_first_not_of(kSafe), std::string::npos) << text;
  }
}

TEST(Template, WithoutAProbeATemplateThatNamesOneDoesNotRun) {
  const CommandValues values{.source = source("192.0.2.1"), .port = {}, .mode = {}};
  EXPECT_TRUE(plain("/bin/a $TARGET$").argv(values));
  EXPECT_FALSE(plain("/bin/a $TARGET$ $PORT$").argv(values));
  EXPECT_FALSE(plain("/bin/a $TARGET$ $MODE$").argv(values));
  EXPECT_EQ(plain("/bin/a $PORT$").shown(values), "/bin/a -");
}

TEST(Template, RefusesWhatNobodyCouldRun) {
  for (const char* text : {"", "  \t", "a 'b", "a > 'b", "'' a", "/bin/$MODE$ x", "a\nb", "a\x7f"})
    EXPECT_FALSE(Template::parse(text)) << text;
  EXPECT_FALSE(Template::parse(std::string(kMaxTemplate + 1, 'x')));
  EXPECT_TRUE(Template::parse("echo \"it's\" > /x"));
}

TEST(Template, NamesTheProgramOfAShellTextWhereItCanBeTold) {
  EXPECT_EQ(Template::parse("/bin/a; /bin/b")->program(), "/bin/a");
  EXPECT_EQ(Template::parse("logger x | cat")->program(), "logger");
  for (const char* text : {"(a)", "cd / && a", "X=1 a", "$A b", "\"a b\" c", "if a; then b; fi"})
    EXPECT_EQ(Template::parse(text)->program(), "") << text;
}

}  // namespace
}  // namespace portsentry
