#include "monitor/ignore_line.h"

#include <gtest/gtest.h>

#include <utility>

namespace portsentry::monitor {
namespace {

IgnoreList::Conditions conditions(std::string_view words) {
  const IgnoreLine read = read_ignore_line("10.9.0.2 " + std::string(words));
  EXPECT_EQ(read.error, "") << words;
  EXPECT_TRUE(read.prefix) << words;
  return read.conditions;
}

std::string error(std::string_view line) {
  const IgnoreLine read = read_ignore_line(line);
  EXPECT_FALSE(read.prefix) << line;
  return read.error;
}

TEST(IgnoreLine, AWrongAddressIsExplained) {
  using namespace std::string_view_literals;
  constexpr std::string_view kAddress = "expected an IPv4 or IPv6 address, or ADDRESS/LENGTH";
  constexpr std::string_view kName =
      "expected an IPv4 or IPv6 address: names are not looked up, or whoever answers for this one "
      "would decide who is ignored";
  const std::pair<std::string_view, std::string> kCases[]{
      {"printer.example", "found 'printer.example', " + std::string(kName)},
      {"localhost", "found 'localhost', " + std::string(kName)},
      {"10.9.0.256", "found '10.9.0.256', " + std::string(kAddress)},
      {"10.9.0.*", "found '10.9.0.*', " + std::string(kAddress)},
      {"010.9.0.2", "found '010.9.0.2', " + std::string(kAddress)},
      {"[2001:db8::1]", "found '[2001:db8::1]', " + std::string(kAddress)},
      {"fe80::1%eth0", "found 'fe80::1%eth0', " + std::string(kAddress)},
      {"/24", "found '/24', " + std::string(kAddress)},
      {"10.9.0.2;", "found '10.9.0.2;', " + std::string(kAddress)},
      {"10.9.0.2\0"sv, "found '10.9.0.2\\x00', " + std::string(kAddress)},
      {"10.9.0.2\x1b[2J", "found '10.9.0.2\\x1b[2J', " + std::string(kAddress)},
      {"10.9.0.0/0.0.0.255",
       "found '10.9.0.0/0.0.0.255', expected a length from 0 to 32 after the '/'"},
      {"10.9.0.0/33", "found '10.9.0.0/33', expected a length from 0 to 32 after the '/'"},
      {"10.9.0.0/", "found '10.9.0.0/', expected a length from 0 to 32 after the '/'"},
      {"10.9.0.0/-1", "found '10.9.0.0/-1', expected a length from 0 to 32 after the '/'"},
      {"10.9.0.0/4294967304",
       "found '10.9.0.0/4294967304', expected a length from 0 to 32 after the '/'"},
      {"2001:db8::/129", "found '2001:db8::/129', expected a length from 0 to 128 after the '/'"},
      {"::ffff:10.9.0.0/24",
       "found '::ffff:10.9.0.0/24', expected a length from 96 to 128 after the '/'"},
      {"10.9.0.2 10.9.0.3", "found '10.9.0.3', expected one address or ADDRESS/LENGTH per line"},
      {"10.9.0.0 /24", "found '/24', expected one address or ADDRESS/LENGTH per line"},
  };
  for (const auto& [line, expected] : kCases)
    EXPECT_EQ(error(line), expected);
}

TEST(IgnoreLine, AShortFormIsExplainedByBothOfItsMeanings) {
  EXPECT_EQ(error("10.9.2"),
            "found '10.9.2', expected four numbers: write 10.9.0.2 for that host, as PortSentry "
            "read it, or 10.9.2.0/24 for the network");
  EXPECT_EQ(error("10.9"),
            "found '10.9', expected four numbers: write 10.0.0.9 for that host, as PortSentry read "
            "it, or 10.9.0.0/16 for the network");
  EXPECT_EQ(error("10.9.300"),
            "found '10.9.300', expected an IPv4 or IPv6 address, or ADDRESS/LENGTH");
}

TEST(IgnoreLine, ADottedMaskIsReadForItsLengthAndTold) {
  const IgnoreLine read = read_ignore_line("10.9.0.77/255.255.255.0");
  ASSERT_TRUE(read.prefix);
  EXPECT_EQ(read.prefix->text(), "10.9.0.0/24");
  EXPECT_EQ(read.warning, "'10.9.0.77/255.255.255.0' is read as 10.9.0.0/24, which says the same");
  EXPECT_EQ(read_ignore_line("10.9.0.77/255.255.255.255").prefix->text(), "10.9.0.77");
  EXPECT_EQ(read_ignore_line("10.9.0.77/0.0.0.0").prefix->text(), "0.0.0.0/0");
}

TEST(IgnoreLine, ConditionsComeInAnyOrderAndAnyCase) {
  const auto all =
      conditions("until 2026-12-31 IFACE eth0.5\tPort 53,1000-2000 proto UDP # its name server");
  EXPECT_EQ(all.protocol, Protocol::udp);
  EXPECT_EQ(all.ports, (std::vector<IgnoreList::PortRange>{{53, 53}, {1000, 2000}}));
  EXPECT_EQ(all.interface, "eth0.5");
  EXPECT_EQ(all.until, 1798761600) << "the end of that day";
  EXPECT_TRUE(all.about_probes());
  EXPECT_FALSE(conditions("until 2026-12-31").about_probes());
  EXPECT_FALSE(conditions("").about_probes());
}

TEST(IgnoreLine, AMomentIsUtc) {
  const std::pair<std::string_view, std::time_t> kCases[]{
      {"1970-01-01", 86400},
      {"1970-01-01T00:00", 0},
      {"2026-11-22T15:02:30", 1795359750},
      {"2026-11-22T15:02:30Z", 1795359750},
      {"2026-11-22t15:02z", 1795359720},
      {"2028-02-29T12:00", 1835438400},
      {"2000-02-29T00:00:01", 951782401},
      {"2100-03-01T00:00", 4107542400},
      {"9999-12-31", 253402300800},
  };
  for (const auto& [text, expected] : kCases)
    EXPECT_EQ(conditions("until " + std::string(text)).until, expected) << text;
}

TEST(IgnoreLine, AMomentThatDoesNotExistIsRefused) {
  for (const char* text : {"2026-02-29",       "2100-02-29",         "2026-13-01",
                           "2026-00-10",       "2026-04-31",         "2026-01-00",
                           "1969-12-31",       "26-01-01",           "2026-1-1",
                           "2026-01-01T24:00", "2026-01-01T23:60",   "2026-01-01T23:59:60",
                           "2026-01-01T23",    "2026-01-01T23:59:5", "2026-01-01T23:59:59+01:00",
                           "2026-01-01ZZ",     "2026/01/01",         "tomorrow",
                           "20260101",         "99999-01-01"}) {
    EXPECT_EQ(error("10.9.0.2 until " + std::string(text)),
              "found '" + std::string(text) +
                  "', expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS (UTC) after until");
  }
}

TEST(IgnoreLine, AWrongConditionIsExplained) {
  const std::pair<std::string_view, std::string_view> kCases[]{
      {"proto icmp", "found 'icmp', expected tcp or udp after proto"},
      {"proto", "found 'proto', expected a value after it"},
      {"port 0", "found '0', expected a port from 1 to 65535, or a range FIRST-LAST, after port"},
      {"port 65536",
       "found '65536', expected a port from 1 to 65535, or a range FIRST-LAST, after port"},
      {"port 20-10",
       "found '20-10', expected a port from 1 to 65535, or a range FIRST-LAST, after port"},
      {"port 22,", "found '', expected a port from 1 to 65535, or a range FIRST-LAST, after port"},
      {"port -22",
       "found '-22', expected a port from 1 to 65535, or a range FIRST-LAST, after port"},
      {"port ssh",
       "found 'ssh', expected a port from 1 to 65535, or a range FIRST-LAST, after port"},
      {"port 22 23", "found '23', expected proto, port, iface or until after the address"},
      {"iface an-interface-of-16",
       "found 'an-interface-of-16', expected the name of an interface "
       "after iface"},
      {"iface eth0/1", "found 'eth0/1', expected the name of an interface after iface"},
      {"port 22 port 23", "found 'port', expected it once at most on a line"},
      {"prot tcp",
       "found 'prot', expected proto, port, iface or until after the address; did you "
       "mean proto?"},
      {"the printer", "found 'the', expected proto, port, iface or until after the address"},
  };
  for (const auto& [words, expected] : kCases)
    EXPECT_EQ(error("10.9.0.2 " + std::string(words)), expected);
}

TEST(IgnoreLine, AnEmptyLineIsNothingAndNoError) {
  for (const char* line : {"", "\r", " \t ", "# 10.9.0.2", "  # x\r"}) {
    EXPECT_FALSE(read_ignore_line(line).prefix) << line;
    EXPECT_EQ(read_ignore_line(line).error, "") << line;
  }
}

}  // namespace
}  // namespace portsentry::monitor
