#include "monitor/ignore_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

namespace portsentry::monitor {
namespace {

Address addr(std::string_view text) {
  const auto a = Address::parse(text);
  EXPECT_TRUE(a) << text;
  return a.value_or(Address::v4(0, 0, 0, 0));
}

Prefix net(std::string_view text) {
  const auto p = Prefix::parse(text);
  EXPECT_TRUE(p) << text;
  return p.value_or(Prefix::host(Address::v4(0, 0, 0, 0)));
}

std::string printed(const IgnoreReading& reading) {
  std::string out;
  for (const Finding& finding : reading.findings)
    out += finding.print() + "\n";
  return out;
}

IgnoreList list(std::string_view text) {
  auto reading = read_ignore_list(text, "f");
  EXPECT_EQ(printed(reading), "");
  return reading.list.value_or(IgnoreList());
}

// "PREFIX@LINE " per entry.
std::string entries(const IgnoreList& list) {
  std::string out;
  for (const auto& e : list.entries())
    out += e.prefix.text() + "@" + std::to_string(e.line) + " ";
  return out;
}

constexpr std::time_t kNow = 1'800'000'000;  // 2027-01-15T08:00:00Z

IgnoreQuestion question(std::string_view from, Protocol protocol = Protocol::tcp,
                        std::uint32_t port = 23, std::string_view interface = "eth0") {
  return {.address = addr(from),
          .protocol = protocol,
          .port = *Port::make(port),
          .interface = interface,
          .wall = kNow};
}
const IgnoreList::Entry* find(const IgnoreList& ignored, std::string_view from) {
  return ignored.find(question(from));
}
bool contains(const IgnoreList& ignored, std::string_view from) {
  return find(ignored, from) != nullptr;
}

struct Case {
  std::string_view text;
  std::string_view expected;
};

TEST(IgnoreList, ReadsEverySpellingOfAnEntry) {
  constexpr Case kCases[]{
      {"", ""},
      {"\n\r\n \t \n# only comments\n  # and blanks\n", ""},
      {"10.9.0.2\n", "10.9.0.2@1 "},
      {"10.9.0.2", "10.9.0.2@1 "},
      {"10.9.0.2\r\n10.9.0.3\r\n", "10.9.0.2@1 10.9.0.3@2 "},
      {"  10.9.0.2\t\n", "10.9.0.2@1 "},
      {"10.9.0.2 # the printer\n", "10.9.0.2@1 "},
      {"10.9.0.2\t#printer # twice\n", "10.9.0.2@1 "},
      {"10.9.0.2#printer\n", "10.9.0.2@1 "},
      {"10.9.0.0/24\n", "10.9.0.0/24@1 "},
      {"10.9.0.77/24\n", "10.9.0.0/24@1 "},
      {"10.9.0.77/32\n", "10.9.0.77@1 "},
      {"0.0.0.0\n", "0.0.0.0@1 "},
      {"2001:DB8::ABCD\n", "2001:db8::abcd@1 "},
      {"2001:db8::1/64\n", "2001:db8::/64@1 "},
      {"::ffff:10.9.0.2\n", "10.9.0.2@1 "},
      {"::ffff:10.9.0.2/120\n", "10.9.0.0/24@1 "},
      {"\xef\xbb\xbf"
       "10.9.0.2\n",
       "10.9.0.2@1 "},
      {"10.9.0.2\n10.9.0.2\n10.9.0.2/32\n", "10.9.0.2@1 "},
  };
  for (const Case& c : kCases)
    EXPECT_EQ(entries(list(c.text)), c.expected) << c.text;
}

TEST(IgnoreList, OneWrongLineRefusesTheWholeList) {
  const IgnoreReading reading = read_ignore_list("192.0.2.1\n10.9.0.0/33\n192.0.2.2\n", "f");
  EXPECT_EQ(printed(reading),
            "f:2: error: found '10.9.0.0/33', expected a length from 0 to 32 after the '/'\n");
  EXPECT_FALSE(reading.ok());
}

TEST(IgnoreList, AWarningNamesItsLineAndRefusesNothing) {
  const IgnoreReading reading = read_ignore_list("\n10.9.0.0/255.255.255.0\n", "f");
  EXPECT_EQ(printed(reading),
            "f:2: warning: '10.9.0.0/255.255.255.0' is read as 10.9.0.0/24, which says the same\n");
  ASSERT_TRUE(reading.ok());
  EXPECT_TRUE(contains(*reading.list, "10.9.0.200"));
}

TEST(IgnoreList, ALineThatIsOverIsWarnedOfWhereTheTimeIsKnown) {
  constexpr std::string_view kText = "10.9.0.2 until 2026-12-31\n10.9.0.3 until 2027-12-31\n";
  EXPECT_EQ(printed(read_ignore_list(kText, "f")), "");
  EXPECT_EQ(printed(read_ignore_list(kText, "f", kNow)),
            "f:1: warning: 10.9.0.2 is ignored no longer: its until has passed\n");
}

TEST(IgnoreList, ConditionsNarrowALineToSingleProbes) {
  const IgnoreList ignored = list("10.9.0.2 proto udp port 53,1000-2000 iface lan0\n");
  EXPECT_TRUE(ignored.covers(question("10.9.0.2", Protocol::udp, 53, "lan0")));
  EXPECT_TRUE(ignored.covers(question("10.9.0.2", Protocol::udp, 1000, "lan0")));
  EXPECT_TRUE(ignored.covers(question("10.9.0.2", Protocol::udp, 2000, "lan0")));
  EXPECT_FALSE(ignored.covers(question("10.9.0.2", Protocol::udp, 2001, "lan0")));
  EXPECT_FALSE(ignored.covers(question("10.9.0.2", Protocol::udp, 54, "lan0")));
  EXPECT_FALSE(ignored.covers(question("10.9.0.2", Protocol::tcp, 53, "lan0")));
  EXPECT_FALSE(ignored.covers(question("10.9.0.2", Protocol::udp, 53, "lan1")));
  EXPECT_FALSE(ignored.covers(question("10.9.0.3", Protocol::udp, 53, "lan0")));
}

TEST(IgnoreList, AnInterfaceThatIsNotKnownIsNotHeldAgainstATrustedHost) {
  const IgnoreList ignored = list("10.9.0.2 iface lan0\n");
  EXPECT_TRUE(ignored.covers(question("10.9.0.2", Protocol::tcp, 23, "")));
}

TEST(IgnoreList, ALineHoldsUntilItsTimeAndNotASecondLonger) {
  const IgnoreList ignored = list("10.9.0.0/24 until 2027-01-15T08:00:00\n");
  IgnoreQuestion asked = question("10.9.0.2");
  EXPECT_FALSE(ignored.covers(asked));
  EXPECT_FALSE(ignored.intersects(net("10.9.0.7"), asked.wall));
  asked.wall -= 1;
  EXPECT_TRUE(ignored.covers(asked));
  EXPECT_TRUE(ignored.intersects(net("10.9.0.7"), asked.wall));
  EXPECT_TRUE(ignored.intersects(net("10.0.0.0/8"), asked.wall));
}

TEST(IgnoreList, LinesAboutOneAddressAddUp) {
  const IgnoreList ignored =
      list("10.9.0.2 port 53\n10.9.0.2 port 123\n10.9.0.0/24 proto udp\n10.9.0.2 port 123\n");
  EXPECT_EQ(ignored.find(question("10.9.0.2", Protocol::tcp, 53))->line, 1U);
  EXPECT_EQ(ignored.find(question("10.9.0.2", Protocol::tcp, 123))->line, 2U);
  EXPECT_EQ(ignored.find(question("10.9.0.2", Protocol::udp, 99))->line, 3U);
  EXPECT_EQ(ignored.find(question("10.9.0.2", Protocol::tcp, 99)), nullptr);
}

TEST(IgnoreList, ALineWithoutConditionsIsFoundBesideOnesThatHaveThem) {
  const IgnoreList ignored = list("10.9.0.2 port 53\n10.9.0.2\n10.9.0.2 proto udp\n");
  EXPECT_TRUE(ignored.covers(question("10.9.0.2", Protocol::tcp, 99)));
  EXPECT_TRUE(ignored.intersects(net("10.9.0.2"), kNow));
}

TEST(IgnoreList, ALineAboutProbesNeverShieldsItsHostFromABanOfAnotherProbe) {
  const IgnoreList ignored = list("2001:db8:5::77 port 53\n2001:db8:5::/48 proto udp\n");
  EXPECT_FALSE(ignored.intersects(net("2001:db8:5::/64"), kNow));
  EXPECT_FALSE(ignored.intersects(net("::/0"), kNow));
}

TEST(IgnoreList, EverybodysProbesOfOnePortMayBeIgnoredWithoutAWarning) {
  EXPECT_TRUE(
      list("0.0.0.0/0 proto udp port 5353\n").covers(question("10.9.0.2", Protocol::udp, 5353)));
}

TEST(IgnoreList, EveryWrongLineIsNamed) {
  const IgnoreReading reading = read_ignore_list("a\n10.0.0.1\nb\n", "f");
  ASSERT_EQ(reading.findings.size(), 2U);
  EXPECT_EQ(reading.findings[0].line, 1U);
  EXPECT_EQ(reading.findings[1].line, 3U);
}

TEST(IgnoreList, AFileOfAnotherKindCostsAHundredMessagesAtMost) {
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += "prose\n";
  const IgnoreReading reading = read_ignore_list(text, "f");
  EXPECT_EQ(reading.findings.size(), kMaxFindings + 1);
  EXPECT_FALSE(reading.ok());
}

TEST(IgnoreList, AFileThatIsTooLongIsRefused) {
  const IgnoreReading reading = read_ignore_list(std::string(kMaxIgnoreFile + 1, '\n'), "f");
  EXPECT_EQ(printed(reading), "f: error: the file has 8388609 bytes, expected at most 8388608\n");
  EXPECT_FALSE(reading.ok());
  EXPECT_TRUE(read_ignore_list(std::string(kMaxIgnoreFile, '\n'), "f").ok());
}

TEST(IgnoreList, AnEmptyListIgnoresNobody) {
  const IgnoreList nobody;
  EXPECT_FALSE(contains(nobody, "127.0.0.1"));
  EXPECT_FALSE(nobody.intersects(net("0.0.0.0/0"), kNow));
  EXPECT_FALSE(contains(list(""), "::1"));
}

TEST(IgnoreList, ContainsExactlyWhatItsEntriesCover) {
  const IgnoreList ignored = list("10.9.0.0/24\n192.0.2.7\n2001:db8:5::/48\n");
  for (const char* text : {"10.9.0.0", "10.9.0.255", "192.0.2.7", "2001:db8:5::",
                           "2001:db8:5:ffff:ffff:ffff:ffff:ffff", "::ffff:10.9.0.1"}) {
    EXPECT_TRUE(contains(ignored, text)) << text;
  }
  for (const char* text : {"10.8.255.255", "10.9.1.0", "192.0.2.6", "192.0.2.8",
                           "2001:db8:4::", "2001:db8:6::", "a09:0:0::", "::10.9.0.1"}) {
    EXPECT_FALSE(contains(ignored, text)) << text;
  }
}

TEST(IgnoreList, ZeroIsOneAddressAndSlashZeroIsEveryAddressOfItsFamily) {
  EXPECT_FALSE(contains(list("0.0.0.0\n"), "10.0.0.1"));
  const IgnoreReading everybody = read_ignore_list("0.0.0.0/0\n", "f");
  ASSERT_TRUE(everybody.ok());
  EXPECT_TRUE(contains(*everybody.list, "10.0.0.1"));
  EXPECT_TRUE(contains(*everybody.list, "255.255.255.255"));
  EXPECT_FALSE(contains(*everybody.list, "2001:db8::1"));
  EXPECT_EQ(
      printed(everybody),
      "f:1: warning: '0.0.0.0/0' covers every IPv4 address: no such source is ever reported or "
      "banned\n");
  const IgnoreReading six = read_ignore_list("::/0\n", "f");
  ASSERT_TRUE(six.ok());
  EXPECT_TRUE(contains(*six.list, "2001:db8::1"));
  EXPECT_FALSE(contains(*six.list, "10.0.0.1"));
}

TEST(IgnoreList, FindsTheMostSpecificEntry) {
  const IgnoreList ignored = list("10.0.0.0/8\n10.9.0.0/24\n10.9.0.7\n");
  EXPECT_EQ(find(ignored, "10.9.0.7")->line, 3U);
  EXPECT_EQ(find(ignored, "10.9.0.8")->line, 2U);
  EXPECT_EQ(find(ignored, "10.10.0.1")->line, 1U);
  EXPECT_EQ(find(ignored, "10.9.0.8")->prefix.text(), "10.9.0.0/24");
  EXPECT_EQ(find(ignored, "11.0.0.0"), nullptr);
}

TEST(IgnoreList, APrefixThatHoldsAnIgnoredHostIntersects) {
  const IgnoreList ignored = list("2001:db8:5::77\n2001:db8:9::/48\n10.9.0.7\n");
  EXPECT_TRUE(ignored.intersects(net("2001:db8:5::/64"), kNow));
  EXPECT_EQ(ignored.find_overlap(net("2001:db8:5::/64"), kNow)->line, 1U);
  EXPECT_FALSE(ignored.intersects(net("2001:db8:5:1::/64"), kNow));
  EXPECT_FALSE(ignored.intersects(net("2001:db8:4:ffff::/64"), kNow));
  EXPECT_TRUE(ignored.intersects(net("2001:db8:9:ff::/64"), kNow)) << "inside an ignored network";
  EXPECT_TRUE(ignored.intersects(net("2001:db8::/32"), kNow)) << "around an ignored network";
  EXPECT_TRUE(ignored.intersects(net("10.9.0.7"), kNow));
  EXPECT_FALSE(ignored.intersects(net("10.9.0.6"), kNow));
  EXPECT_TRUE(ignored.intersects(net("0.0.0.0/0"), kNow));
}

TEST(IgnoreList, TheOtherFamilyNeverIntersects) {
  EXPECT_FALSE(list("10.0.0.0/8\n").intersects(net("::/0"), kNow));
  EXPECT_FALSE(list("2000::/3\n").intersects(net("0.0.0.0/0"), kNow));
}

TEST(IgnoreList, AgreesWithReadingEveryEntryOfALargeList) {
  // 100,000 entries of many lengths in both families; a linear congruence instead of a random
  // device keeps every run the same.
  std::string text;
  std::uint32_t state = 1;
  const auto next = [&state] { return state = state * 1664525U + 1013904223U; };
  for (int i = 0; i < 100'000; ++i) {
    const std::uint32_t a = next();
    if (i % 2 == 0) {
      text += std::to_string(a >> 24U) + "." + std::to_string((a >> 16U) & 255U) + "." +
              std::to_string((a >> 8U) & 255U) + ".1/" + std::to_string(20 + i % 13) + "\n";
    } else {
      char line[64];
      std::snprintf(line, sizeof line, "2001:db8:%x:%x::1/%d\n", a >> 16U, a & 0xffffU,
                    40 + i % 89);
      text += line;
    }
  }
  const IgnoreList ignored = list(text);
  EXPECT_GT(ignored.entries().size(), 90'000U);
  std::size_t covered = 0;
  for (int i = 0; i < 200; ++i) {
    const std::uint32_t a = next();
    const Address v4 =
        Address::v4(static_cast<std::uint8_t>(a >> 24U), static_cast<std::uint8_t>(a >> 16U),
                    static_cast<std::uint8_t>(a >> 8U), static_cast<std::uint8_t>(i));
    const auto entries = ignored.entries();
    const bool expected = std::any_of(entries.begin(), entries.end(),
                                      [&](const auto& e) { return e.prefix.contains(v4); });
    EXPECT_EQ(contains(ignored, v4.text()), expected) << v4.text();
    covered += expected ? 1 : 0;
  }
  EXPECT_GT(covered, 0U);
  EXPECT_LT(covered, 200U);
  for (const auto& entry : ignored.entries())
    ASSERT_TRUE(contains(ignored, entry.prefix.address().text()));
}

TEST(ShippedIgnoreFile, IsReadWithoutOneFindingAndSparesOnlyThisHost) {
  const std::string path = PORTSENTRY_SOURCE_ROOT "/etc/portsentry.ignore";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  ASSERT_TRUE(file);
  std::string text;
  for (int c = std::fgetc(file.get()); c != EOF; c = std::fgetc(file.get())) {
    text += static_cast<char>(c);
  }
  EXPECT_TRUE(text.ends_with('\n')) << "people append to it with echo";
  const IgnoreList ignored = list(text);
  for (const auto& entry : ignored.entries()) {
    EXPECT_TRUE(entry.prefix.address().is_loopback()) << entry.prefix.text();
  }
  EXPECT_TRUE(contains(ignored, "127.0.0.1"));
  EXPECT_TRUE(contains(ignored, "::1"));
}

}  // namespace
}  // namespace portsentry::monitor
