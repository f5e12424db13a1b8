#include "common/config_values.h"

#include <gtest/gtest.h>

#include "common/messages.h"

namespace portsentry {
namespace {

using std::chrono::seconds;

struct Case {
  std::string_view value;
  std::string_view error;
};

PortSet ports(std::string_view value) {
  const auto list = parse_port_list(value);
  EXPECT_TRUE(list) << value;
  return list ? list->ports : PortSet{};
}

bool has(const PortSet& set, std::uint32_t number) {
  return set.contains(*Port::make(number));
}

TEST(PortList, TakesPortsAndRangesWithBothEnds) {
  const PortSet set = ports("1, 11 ,6000-6002,65535");
  EXPECT_EQ(set.size(), 6U);
  for (const std::uint32_t port : {1U, 11U, 6000U, 6001U, 6002U, 65535U}) {
    EXPECT_TRUE(has(set, port)) << port;
  }
  EXPECT_EQ(ports("7-7").size(), 1U);
  EXPECT_EQ(ports("1-65535").size(), 65535U);
  EXPECT_EQ(ports("5,5,4-6").size(), 3U);
  EXPECT_EQ(ports("0080").size(), 1U);
}

TEST(PortList, IsEmptyWhereThereIsNothing) {
  for (const char* value : {"", " ", " \t "}) {
    const auto list = parse_port_list(value);
    ASSERT_TRUE(list) << value;
    EXPECT_TRUE(list->ports.empty());
    EXPECT_FALSE(list->has_empty_items);
  }
}

TEST(PortList, ReadsOverEmptyItemsAndSaysSo) {
  for (const char* value : {"1,,2", ",1,2", "1,2,", "1, ,2", "1,2, "}) {
    const auto list = parse_port_list(value);
    ASSERT_TRUE(list) << value;
    EXPECT_EQ(list->ports.size(), 2U) << value;
    EXPECT_TRUE(list->has_empty_items) << value;
  }
  EXPECT_FALSE(parse_port_list("1,2")->has_empty_items);
}

TEST(PortList, CountsItsItemsAndNotesRanges) {
  EXPECT_EQ(parse_port_list("1, 2,,3")->items, 3U);
  EXPECT_EQ(parse_port_list("1-1000")->items, 1U);
  EXPECT_FALSE(parse_port_list("1,2,3")->has_ranges);
  EXPECT_TRUE(parse_port_list("1,5-5")->has_ranges);
}

TEST(PortList, RefusesWhatIsNoPort) {
  constexpr std::string_view kExpected =
      " is not a port: expected numbers from 1 to 65535 and ranges such as 6000-6063, separated by "
      "commas";
  for (const std::string value :
       {"http", "1 2", "0x16", "+5", "-5", "5-", "1-2-3", "1 - 2", "1.5", "-", "1-x", "22/tcp"}) {
    const auto list = parse_port_list("1," + value);
    ASSERT_FALSE(list) << value;
    EXPECT_EQ(list.error().what, "'" + value + "'" + std::string(kExpected));
  }
}

TEST(PortList, RefusesNumbersOutOfRangeAndRangesThatRunBackwards) {
  constexpr Case kCases[]{
      {"0", "port '0' is out of range: expected 1 to 65535"},
      {"65536", "port '65536' is out of range: expected 1 to 65535"},
      {"65537", "port '65537' is out of range: expected 1 to 65535"},
      {"4294967297", "port '4294967297' is out of range: expected 1 to 65535"},
      {"99999999999999999999999",
       "port '99999999999999999999999' is out of range: expected 1 to 65535"},
      {"0-10", "port '0' is out of range: expected 1 to 65535"},
      {"1-70000", "port '70000' is out of range: expected 1 to 65535"},
      {"10-1", "the range '10-1' runs backwards: write 1-10"},
  };
  for (const Case& c : kCases) {
    const auto list = parse_port_list(c.value);
    ASSERT_FALSE(list) << c.value;
    EXPECT_EQ(list.error().what, c.error);
  }
}

TEST(Number, TakesDigitsInRange) {
  EXPECT_EQ(*parse_number("0", 0, 10), 0U);
  EXPECT_EQ(*parse_number(" 10 ", 0, 10), 10U);
  for (const char* value : {"", " ", "11", "-1", "+1", "1x", "0x1", "1.0", "4294967296", "1 0"}) {
    EXPECT_FALSE(parse_number(value, 0, 10)) << value;
  }
  EXPECT_EQ(parse_number("65536", 1, 50).error().what,
            "found '65536', expected a number from 1 to 50");
}

TEST(Duration, TakesEveryUnit) {
  EXPECT_EQ(*parse_duration("90"), seconds(90));
  EXPECT_EQ(*parse_duration("90s"), seconds(90));
  EXPECT_EQ(*parse_duration("30m"), seconds(1800));
  EXPECT_EQ(*parse_duration("12h"), seconds(43200));
  EXPECT_EQ(*parse_duration("1d"), seconds(86400));
  EXPECT_EQ(*parse_duration(" 2w "), seconds(1209600));
}

TEST(Duration, EndsAtAYearInEveryUnit) {
  EXPECT_EQ(*parse_duration("1"), seconds(1));
  for (const char* value : {"31536000", "31536000s", "525600m", "8760h", "365d"}) {
    ASSERT_TRUE(parse_duration(value)) << value;
    EXPECT_EQ(*parse_duration(value), kMaxBan) << value;
  }
  EXPECT_EQ(*parse_duration("52w"), seconds(31449600));
  for (const char* value : {"0", "0s", "0w", "31536001", "525601m", "8761h", "366d", "53w"}) {
    EXPECT_FALSE(parse_duration(value)) << value;
  }
}

TEST(Duration, CannotBeMadeToOverflow) {
  for (const char* value : {"9223372036854775807w", "9223372036854775807", "18446744073709551617s",
                            "15250284452472w", "99999999999999999999999999d"}) {
    EXPECT_FALSE(parse_duration(value)) << value;
  }
}

TEST(Duration, SaysWhatWasExpectedAndGuesses) {
  const std::string expected =
      ", expected 1s to 365d: a whole number of seconds, or one with s, m, h, d or w";
  for (const std::string value : {"", "m", "1y", "-1", "1.5h", "1h30m", "30min", "forever", "++"}) {
    ASSERT_FALSE(parse_duration(value)) << value;
    EXPECT_EQ(parse_duration(value).error().what, "found '" + value + "'" + expected);
  }
  EXPECT_EQ(parse_duration("30M").error().what, "found '30M'" + expected + "; did you mean '30m'?");
  EXPECT_EQ(parse_duration("1 D").error().what, "found '1 D'" + expected + "; did you mean '1d'?");
}

TEST(Path, IsFullOrEmpty) {
  EXPECT_EQ(*parse_path(""), "");
  EXPECT_EQ(*parse_path("/var/lib/portsentry/x"), "/var/lib/portsentry/x");
  constexpr Case kCases[]{
      {"x.ignore",
       "found 'x.ignore', expected a full path that begins with '/', or \"\" for no such file"},
      {"~/x", "found '~/x', expected a full path that begins with '/', or \"\" for no such file"},
      {"/etc/portsentry/", "'/etc/portsentry/' is a directory: expected a file"},
      {"/", "'/' is a directory: expected a file"},
      {" /x", "the path ' /x' begins or ends with a blank"},
      {"/x ", "the path '/x ' begins or ends with a blank"},
      {" ", "the path ' ' begins or ends with a blank"},
  };
  for (const Case& c : kCases) {
    ASSERT_FALSE(parse_path(c.value)) << c.value;
    EXPECT_EQ(parse_path(c.value).error().what, c.error);
  }
}

TEST(Word, IsSpeltExactly) {
  EXPECT_EQ(*parse_word("none", {"auto", "nftables", "none"}), 2U);
  EXPECT_EQ(*parse_word(" auto ", {"auto", "nftables", "none"}), 0U);
  EXPECT_EQ(parse_word("Auto", {"auto", "nftables", "none"}).error().what,
            "found 'Auto', expected auto, nftables or none; did you mean 'auto'?");
  EXPECT_EQ(parse_word("nftable", {"auto", "nftables", "none"}).error().what,
            "found 'nftable', expected auto, nftables or none; did you mean 'nftables'?");
  EXPECT_EQ(parse_word("", {"auto", "none"}).error().what, "found '', expected auto or none");
  EXPECT_EQ(parse_word("firewalld", {"auto", "none"}).error().what,
            "found 'firewalld', expected auto or none");
}

// Which of two words a value names. In words: g++ 12 at -O1 takes gtest's printing of a vector<bool>
// for a use of something uninitialized.
std::string named(std::string_view value) {
  const auto found = parse_words(value, {"stdout", "syslog"});
  if (!found || found->size() != 2) return "refused";
  if ((*found)[0]) return (*found)[1] ? "both" : "first";
  return (*found)[1] ? "second" : "neither";
}

TEST(Words, StandInAnyOrderAndNumber) {
  EXPECT_EQ(named(""), "neither");
  EXPECT_EQ(named(" syslog\t"), "second");
  EXPECT_EQ(named("syslog, stdout syslog"), "both");
  EXPECT_EQ(parse_words("stdout sylog", {"stdout", "syslog"}).error().what,
            "found 'sylog', expected stdout or syslog; did you mean 'syslog'?");
}

TEST(Switch, IsZeroOrOne) {
  EXPECT_FALSE(*parse_switch(" 0"));
  EXPECT_TRUE(*parse_switch("1 "));
  for (const char* value : {"", "2", "-1", "01", "yes", "on"}) {
    ASSERT_FALSE(parse_switch(value)) << value;
    EXPECT_EQ(parse_switch(value).error().what,
              "found '" + std::string(value) + "', expected 0 (off) or 1 (on)");
  }
}

TEST(OldSwitch, IsOnForEveryNumberButZero) {
  struct Want {
    std::string_view value;
    bool on, unusual;
  };
  constexpr Want kWants[]{{"0", false, false}, {"1", true, false},        {" 1 ", true, false},
                          {"2", true, true},   {"-1", true, true},        {"00", false, true},
                          {"-0", false, true}, {"", false, true},         {" ", false, true},
                          {"+5", true, true},  {"4294967296", true, true}};
  for (const Want& want : kWants) {
    const auto found = parse_old_switch(want.value);
    ASSERT_TRUE(found) << want.value;
    EXPECT_EQ(found->on, want.on) << want.value;
    EXPECT_EQ(found->unusual, want.unusual) << want.value;
  }
  for (const char* value : {"yes", "1x", "-", "+", "0x1", "1.0", "--1"})
    EXPECT_FALSE(parse_old_switch(value)) << value;
}

TEST(Tag, IsOneShortWord) {
  EXPECT_EQ(*parse_tag(" portsentry "), "portsentry");
  EXPECT_EQ(*parse_tag("ps_2.x-A"), "ps_2.x-A");
  EXPECT_EQ(parse_tag(std::string(32, 't'))->size(), 32U);
  for (const std::string& value :
       {std::string(), std::string(" "), std::string("a b"), std::string("a[1]"), std::string("a:"),
        std::string("gr\xc3\xbc\xc3\x9f"), std::string(33, 't')}) {
    ASSERT_FALSE(parse_tag(value)) << value;
    EXPECT_NE(
        parse_tag(value).error().what.find("expected 1 to 32 letters, digits, '.', '_' or '-'"),
        std::string::npos);
  }
}

TEST(Interfaces, AreSeparatedByBlanksOrCommas) {
  const std::vector<std::string> expected{"eth0", "wlan0", "br-1.5@x"};
  EXPECT_EQ(*parse_interfaces("eth0 wlan0 br-1.5@x"), expected);
  EXPECT_EQ(*parse_interfaces(" eth0,wlan0,\tbr-1.5@x, "), expected);
  EXPECT_EQ(*parse_interfaces("eth0,eth0 wlan0,br-1.5@x,eth0"), expected);
  EXPECT_TRUE(parse_interfaces("")->empty());
  EXPECT_TRUE(parse_interfaces(" , ")->empty());
  EXPECT_EQ(parse_interfaces("fifteen-letters")->front().size(), kInterfaceNameSize);
}

TEST(Interfaces, RefusesWhatTheKernelWouldNotName) {
  constexpr Case kCases[]{
      {"eth0 lo", "'lo' is refused: traffic on loopback is this host talking to itself"},
      {"any", "'any' is no interface: to watch all of them write \"\""},
      {"ALL_NLO", "'ALL_NLO' is no interface: to watch all of them write \"\""},
      {"all", "'all' is no interface: to watch all of them write \"\""},
      {"sixteen-letters-",
       "'sixteen-letters-' is too long for an interface: expected at most 15 characters"},
      {"eth0:1", "'eth0:1' is an alias: write the interface, 'eth0'"},
      {"../x", "'../x' is no interface name: expected names such as eth0"},
      {"..", "'..' is no interface name: expected names such as eth0"},
      {".", "'.' is no interface name: expected names such as eth0"},
      {":", "':' is no interface name: expected names such as eth0"},
  };
  for (const Case& c : kCases) {
    ASSERT_FALSE(parse_interfaces(c.value)) << c.value;
    EXPECT_EQ(parse_interfaces(c.value).error().what, c.error);
  }
}

TEST(Interfaces, AreAtMost32) {
  std::string value;
  for (std::size_t i = 0; i < kMaxInterfaces; ++i)
    value += "eth" + std::to_string(i) + " ";
  EXPECT_EQ(parse_interfaces(value)->size(), kMaxInterfaces);
  EXPECT_TRUE(parse_interfaces(value + "eth0")) << "a repetition is not one more";
  EXPECT_EQ(parse_interfaces(value + "one-more").error().what,
            "more than 32 interfaces: write \"\" to watch all of them");
}

}  // namespace
}  // namespace portsentry
