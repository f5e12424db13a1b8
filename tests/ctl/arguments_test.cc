#include "ctl/arguments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace portsentry::ctl {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::time_t kNow = 1'795'000'000;

Result<Command> parse(std::vector<std::string_view> words) {
  return parse_arguments(words, kNow);
}

Command good(std::vector<std::string_view> words) {
  const auto command = parse(std::move(words));
  EXPECT_TRUE(command) << (command ? "" : command.error().what);
  return command ? *command : Command{};
}

std::string bad(std::vector<std::string_view> words) {
  const auto command = parse(std::move(words));
  EXPECT_FALSE(command);
  return command ? "" : command.error().what;
}

TEST(Arguments, EveryVerbOfTheTableIsUnderstood) {
  for (const VerbRow& row : verbs()) {
    std::vector<std::string_view> words{row.name};
    switch (row.operand) {
      case Operand::none:
      case Operand::maybe_host:
      case Operand::allow:
        break;
      case Operand::host:
      case Operand::prefix:
      case Operand::prefix_or_all:
        words.emplace_back("192.0.2.7");
        break;
    }
    EXPECT_EQ(good(words).verb, row.verb) << row.name;
  }
}

TEST(Arguments, EveryFlagOfEveryVerbIsUnderstoodInBothSpellings) {
  for (const VerbRow& row : verbs()) {
    for (const Flag flag : row.flags) {
      const FlagRow& spelt = row_of(flag);
      std::string_view value;
      switch (flag) {
        case Flag::time:
        case Flag::allow_for:
        case Flag::confirm_within:
          value = "90s";
          break;
        case Flag::since:
          value = "1d";
          break;
        case Flag::note:
          value = "why";
          break;
        case Flag::by:
          value = "port";
          break;
        case Flag::only:
          value = "hand";
          break;
        case Flag::limit:
          value = "7";
          break;
        case Flag::file:
          value = "/tmp/x";
          break;
        case Flag::json:
        case Flag::plain:
        case Flag::permanent:
        case Flag::confirm:
          break;
      }
      std::vector<std::string_view> words{row.name};
      if (row.operand == Operand::allow) words.emplace_back("add");
      if (row.operand != Operand::none) words.emplace_back("2001:db8::7");
      words.push_back(spelt.name);
      if (!spelt.value.empty()) words.push_back(value);
      EXPECT_TRUE(parse(words)) << row.name << " " << spelt.name;
      if (spelt.value.empty() || !spelt.name.starts_with("--")) continue;
      const std::string joined = std::string(spelt.name) + "=" + std::string(value);
      words.resize(words.size() - 2);
      words.push_back(joined);
      EXPECT_TRUE(parse(words)) << row.name << " " << joined;
    }
  }
}

TEST(Arguments, JsonGoesWithEveryVerb) {
  for (const VerbRow& row : verbs()) {
    EXPECT_NE(std::ranges::find(row.flags, Flag::json), row.flags.end()) << row.name;
  }
}

TEST(Arguments, ABanHasAnAddressATimeAndANote) {
  const Command ban = good({"ban", "192.0.2.7", "--for", "12h", "--note=ticket 4711", "--json"});
  EXPECT_EQ(ban.verb, Verb::ban);
  EXPECT_EQ(ban.prefix->text(), "192.0.2.7");
  EXPECT_EQ(ban.time, hours(12));
  EXPECT_EQ(ban.note, "ticket 4711");
  EXPECT_TRUE(ban.json);
  EXPECT_FALSE(ban.permanent);
}

TEST(Arguments, FlagsMayComeBeforeTheAddress) {
  const Command unban = good({"unban", "--allow-for", "1h", "198.51.100.0/24"});
  EXPECT_EQ(unban.prefix->text(), "198.51.100.0/24");
  EXPECT_EQ(unban.time, hours(1));
}

TEST(Arguments, AMappedAddressIsItsIpv4Address) {
  EXPECT_EQ(good({"why", "::ffff:192.0.2.7"}).prefix->text(), "192.0.2.7");
}

TEST(Arguments, UnbanAllIsAWordAndNoAddress) {
  const Command all = good({"unban", "all", "--permanent"});
  EXPECT_TRUE(all.all);
  EXPECT_TRUE(all.permanent);
  EXPECT_FALSE(all.prefix);
}

TEST(Arguments, AllowListsUnlessItIsToldToAddOrRemove) {
  EXPECT_EQ(good({"allow"}).verb, Verb::allow_list);
  EXPECT_EQ(good({"allow", "list", "--json"}).verb, Verb::allow_list);
  EXPECT_EQ(good({"allow", "add", "192.0.2.0/24", "--for", "1d"}).verb, Verb::allow_add);
  EXPECT_EQ(good({"allow", "remove", "192.0.2.0/24"}).verb, Verb::allow_remove);
}

TEST(Arguments, AllowWithAnAddressAloneIsAskedWhatItMeans) {
  EXPECT_EQ(bad({"allow", "192.0.2.7"}),
            "allow: write \"allow add 192.0.2.7\" or \"allow remove 192.0.2.7\"");
}

TEST(Arguments, ArmWithConfirmIsConfirm) {
  EXPECT_EQ(good({"arm", "--confirm"}).verb, Verb::confirm);
  EXPECT_EQ(good({"arm", "--confirm-within", "5m"}).time, minutes(5));
  EXPECT_EQ(bad({"arm", "--confirm", "--confirm-within", "5m"}),
            "--confirm and --confirm-within exclude each other");
}

TEST(Arguments, SinceIsATimeOrSoLongAgo) {
  EXPECT_EQ(good({"history", "--since", "1h"}).since, kNow - 3600);
  EXPECT_EQ(good({"history", "--since", "2026-11-01 10:00"}).since, 1'793'527'200);
  EXPECT_FALSE(good({"history"}).since);
}

TEST(Arguments, HelpIsAskedForInFourWays) {
  EXPECT_EQ(good({"--help"}).help, nullptr);
  EXPECT_EQ(good({"help"}).verb, Verb::help);
  EXPECT_EQ(good({"help", "ban"}).help, find_verb("ban"));
  EXPECT_EQ(good({"ban", "--help"}).help, find_verb("ban"));
  EXPECT_EQ(good({"-V"}).verb, Verb::version);
}

TEST(Arguments, AMistakeIsToldWithTheNearestSpelling) {
  EXPECT_EQ(bad({"staus"}), "no verb is called 'staus'; did you mean 'status'?");
  EXPECT_EQ(bad({"frobnicate"}), "no verb is called 'frobnicate'");
  EXPECT_EQ(bad({"ban", "192.0.2.7", "--permanet"}),
            "no flag of ban is called '--permanet'; did you mean '--permanent'?");
  EXPECT_EQ(bad({"top", "--by", "ports"}),
            "no order of top is called 'ports'; did you mean 'port'?");
  EXPECT_EQ(bad({"allow", "ad", "192.0.2.7"}), "no action of allow is called 'ad'");
  EXPECT_EQ(bad({"help", "unbann"}), "no verb is called 'unbann'; did you mean 'unban'?");
}

TEST(Arguments, WhatIsMissingIsNamed) {
  EXPECT_NE(bad({}).find("--help"), std::string::npos);
  EXPECT_EQ(bad({"ban"}), "ban needs an address: portsentryctl ban ADDR|CIDR");
  EXPECT_EQ(bad({"unban", "--permanent"}),
            "unban needs an address: portsentryctl unban ADDR|CIDR|all");
  EXPECT_NE(bad({"allow", "add"}).find("needs an address"), std::string::npos);
  EXPECT_NE(bad({"ban", "192.0.2.7", "--for"}).find("--for needs a value"), std::string::npos);
  EXPECT_EQ(bad({"check", "-f", ""}), "-f needs a file");
}

TEST(Arguments, WhatIsTooMuchIsNamed) {
  EXPECT_EQ(bad({"status", "now"}), "status: 'now' is one word too many");
  EXPECT_EQ(bad({"ban", "192.0.2.7", "192.0.2.8"}), "ban: '192.0.2.8' is one word too many");
  EXPECT_EQ(bad({"unban", "all", "192.0.2.8"}), "unban: '192.0.2.8' is one word too many");
  EXPECT_EQ(bad({"allow", "list", "192.0.2.8"}), "allow: '192.0.2.8' is one word too many");
  EXPECT_EQ(bad({"status", "--json", "--json"}), "--json is given twice");
  EXPECT_EQ(bad({"status", "--json=yes"}), "--json takes no value");
  EXPECT_EQ(bad({"-V", "x"}), "'x' is one word too many");
  EXPECT_EQ(bad({"help", "ban", "x"}), "'x' is one word too many");
}

TEST(Arguments, WhatContradictsItselfIsRefused) {
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--for", "1h", "--permanent"}));
  EXPECT_FALSE(parse({"unban", "all", "--allow-for", "1h"}));
  EXPECT_FALSE(parse({"allow", "--for", "1h"}));
  EXPECT_FALSE(parse({"allow", "remove", "192.0.2.7", "--note", "x"}));
  EXPECT_FALSE(parse({"list", "--plain", "--json"}));
}

TEST(Arguments, NamesAndNetworksWhereOneAddressIsWantedAreRefused) {
  EXPECT_NE(bad({"ban", "gateway.example"}).find("names are not looked up"), std::string::npos);
  EXPECT_FALSE(parse({"why", "192.0.2.0/24"}));
  EXPECT_FALSE(parse({"why", "2001:db8::/48"}));
  EXPECT_TRUE(parse({"why", "2001:db8::/64"})) << "a source, as list shows it";
  EXPECT_FALSE(parse({"why", "all"}));
  EXPECT_FALSE(parse({"ban", "all"})) << "only unban knows all";
}

TEST(Arguments, ValuesOutOfBoundsAreRefused) {
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--for", "0"}));
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--for", "366d"}));
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--for", "-5m"}));
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--for=99999999999999999999s"}));
  EXPECT_FALSE(parse({"top", "--limit", "0"}));
  EXPECT_FALSE(parse({"top", "--limit", "65"}));
  EXPECT_FALSE(parse({"history", "--since", "2099-01-01"}));
}

TEST(Arguments, ANoteMayHoldWordsOfAnyLanguageButNothingThatMovesACursor) {
  EXPECT_EQ(good({"ban", "192.0.2.7", "--note", "für Büro"}).note, "für Büro");
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--note", "a\nb"}));
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--note", "\x1b[2J"}));
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--note", "\x9b"}));
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--note", ""}));
  EXPECT_FALSE(parse({"ban", "192.0.2.7", "--note", std::string(kMaxUserText + 1, 'x')}));
}

TEST(Arguments, AnErrorShowsWhatWasTypedWithoutSendingItToTheTerminal) {
  const std::string what = bad({"\x1b]0;title\x07"});
  for (const char c : what) {
    EXPECT_TRUE(c >= ' ' && c <= '~') << what;
  }
}

TEST(Arguments, AfterTwoDashesNothingIsAFlag) {
  EXPECT_EQ(bad({"ban", "--", "--json"}).substr(0, 8), "'--json'");
  EXPECT_TRUE(parse({"ban", "--", "192.0.2.7"}));
}

}  // namespace
}  // namespace portsentry::ctl
