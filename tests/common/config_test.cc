#include "common/config.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

#include "common/conf_lexer.h"
#include "common/messages.h"

namespace portsentry {
namespace {

constexpr std::string_view kPorts =
    "TCP_PORTS=\"1\"\n";  // line 1 of every case: something to watch

std::string source(const std::string& path) {
  return PORTSENTRY_SOURCE_ROOT "/" + path;
}

std::string read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  EXPECT_TRUE(file) << path;
  std::string text;
  if (!file) return text;
  for (int c = std::fgetc(file.get()); c != EOF; c = std::fgetc(file.get())) {
    text += static_cast<char>(c);
  }
  return text;
}

// One printed finding per line.
std::string printed(const ConfigReading& reading) {
  std::string out;
  for (const Finding& finding : reading.findings)
    out += finding.print() + "\n";
  return out;
}

ConfigReading with_ports(std::string_view rest) {
  return read_config(std::string(kPorts) + std::string(rest), "f");
}

bool watches(const PortSet& set, std::uint32_t port) {
  return set.contains(*Port::make(port));
}

TEST(Config, WhatIsNotSetHasItsDefault) {
  const ConfigReading reading = read_config("UDP_PORTS=\"69\"", "f");
  EXPECT_EQ(printed(reading), "");
  EXPECT_TRUE(reading.ok());
  EXPECT_TRUE(reading.passes_check());
  const Config& config = reading.config;
  EXPECT_TRUE(config.ports.tcp.empty());
  EXPECT_TRUE(watches(config.ports.udp, 69));
  EXPECT_EQ(config.firewall, Firewall::automatic);
  EXPECT_EQ(config.ignore_file, "");
  EXPECT_EQ(config.history_file, "");
  EXPECT_EQ(config.blocked_file, "");
  EXPECT_EQ(config.block_tcp, BlockMode::observe);
  EXPECT_EQ(config.block_udp, BlockMode::observe);
  EXPECT_EQ(config.scan_trigger, 1U);
  EXPECT_EQ(config.scan_window, std::chrono::hours(24));
  EXPECT_EQ(config.max_sources, 65536U);
  EXPECT_EQ(config.block_time, std::chrono::minutes(30));
  EXPECT_TRUE(config.interfaces.empty());
  EXPECT_FALSE(config.armed());
}

TEST(Config, EveryKeyReachesItsOwnField) {
  const ConfigReading reading = read_config(
      "TCP_PORTS=\"1,5-7\"\nUDP_PORTS=\"9\"\nFIREWALL=\"nftables\"\nIGNORE_FILE=\"/i\"\n"
      "HISTORY_FILE=\"/h\"\nBLOCKED_FILE=\"/b\"\nBLOCK_TCP=\"1\"\nBLOCK_UDP=\"0\"\n"
      "SCAN_TRIGGER=\"3\"\nSCAN_WINDOW=\"2h\"\nMAX_SOURCES=\"16\"\nBLOCK_TIME=\"1w\"\n"
      "INTERFACES=\"eth0 eth1\"\n",
      "f");
  EXPECT_EQ(printed(reading), "");
  const Config& config = reading.config;
  EXPECT_EQ(config.ports.tcp.size(), 4U);
  EXPECT_EQ(config.ports.udp.size(), 1U);
  EXPECT_TRUE(watches(config.ports.tcp, 6));
  EXPECT_TRUE(watches(config.ports.udp, 9));
  EXPECT_EQ(config.firewall, Firewall::nftables);
  EXPECT_EQ(config.ignore_file, "/i");
  EXPECT_EQ(config.history_file, "/h");
  EXPECT_EQ(config.blocked_file, "/b");
  EXPECT_EQ(config.block_tcp, BlockMode::ban);
  EXPECT_EQ(config.block_udp, BlockMode::observe);
  EXPECT_EQ(config.scan_trigger, 3U);
  EXPECT_EQ(config.scan_window, std::chrono::hours(2));
  EXPECT_EQ(config.max_sources, 16U);
  EXPECT_EQ(config.block_time, std::chrono::hours(24 * 7));
  EXPECT_EQ(config.interfaces, (std::vector<std::string>{"eth0", "eth1"}));
  EXPECT_TRUE(config.armed());
}

TEST(Config, TriggerZeroIsTriggerOne) {
  EXPECT_EQ(with_ports("SCAN_TRIGGER=\"0\"\n").config.scan_trigger, 1U);
  EXPECT_EQ(with_ports("SCAN_TRIGGER=\"1\"\n").config.scan_trigger, 1U);
  EXPECT_EQ(with_ports("SCAN_TRIGGER=\"1000\"\n").config.scan_trigger, kMaxTrigger);
}

TEST(Config, EachProtocolArmsAlone) {
  EXPECT_TRUE(with_ports("BLOCK_TCP=\"1\"\n").config.armed());
  EXPECT_TRUE(with_ports("BLOCK_UDP=\"1\"\n").config.armed());
  EXPECT_FALSE(with_ports("BLOCK_TCP=\"2\"\nBLOCK_UDP=\"2\"\n").config.armed());
}

struct Broken {
  std::string_view lines;    // after the line that names a port
  std::string_view finding;  // all that is printed
};

TEST(Config, AnInvalidValueStopsTheStartAndIsExplained) {
  constexpr Broken kCases[]{
      {"UDP_PORTS=\"1,http\"",
       "f:2: error: UDP_PORTS: 'http' is not a port: expected numbers from 1 to 65535 and ranges "
       "such as 6000-6063, separated by commas\n"},
      {"UDP_PORTS=\"70000\"",
       "f:2: error: UDP_PORTS: port '70000' is out of range: expected 1 to 65535\n"},
      {"UDP_PORTS=\"9-1\"", "f:2: error: UDP_PORTS: the range '9-1' runs backwards: write 1-9\n"},
      {"BLOCK_TCP=\"3\"",
       "f:2: error: BLOCK_TCP: found '3', expected 0 (log only), 1 (ban) or 2 (run commands "
       "only)\n"},
      {"BLOCK_UDP=\"yes\"",
       "f:2: error: BLOCK_UDP: found 'yes', expected 0 (log only), 1 (ban) or 2 (run commands "
       "only)\n"},
      {"BLOCK_TCP=\"\"",
       "f:2: error: BLOCK_TCP: found '', expected 0 (log only), 1 (ban) or 2 (run commands "
       "only)\n"},
      {"BLOCK_TCP=1",
       "f:2: error: BLOCK_TCP: the value needs double quotes: write "
       "BLOCK_TCP=\"1\"\n"},
      {"SCAN_TRIGGER=\"1001\"",
       "f:2: error: SCAN_TRIGGER: found '1001', expected a number from 0 to 1000\n"},
      {"SCAN_TRIGGER=\"65537\"",
       "f:2: error: SCAN_TRIGGER: found '65537', expected a number from 0 to 1000\n"},
      {"SCAN_TRIGGER=\"-1\"",
       "f:2: error: SCAN_TRIGGER: found '-1', expected a number from 0 to 1000\n"},
      {"SCAN_WINDOW=\"1y\"",
       "f:2: error: SCAN_WINDOW: found '1y', expected 1s to 365d: a whole number of seconds, or "
       "one "
       "with s, m, h, d or w\n"},
      {"BLOCK_TIME=\"0\"",
       "f:2: error: BLOCK_TIME: found '0', expected 1s to 365d: a whole number of seconds, or one "
       "with s, m, h, d or w\n"},
      {"BLOCK_TIME=\"30M\"",
       "f:2: error: BLOCK_TIME: found '30M', expected 1s to 365d: a whole number of seconds, or "
       "one "
       "with s, m, h, d or w; did you mean '30m'?\n"},
      {"MAX_SOURCES=\"15\"",
       "f:2: error: MAX_SOURCES: found '15', expected a number from 16 to 1000000\n"},
      {"MAX_SOURCES=\"1000001\"",
       "f:2: error: MAX_SOURCES: found '1000001', expected a number from 16 to 1000000\n"},
      {"FIREWALL=\"iptables\"",
       "f:2: error: FIREWALL: found 'iptables', expected auto, nftables or none; did you mean "
       "'nftables'?\n"},
      {"FIREWALL=\"\"", "f:2: error: FIREWALL: found '', expected auto, nftables or none\n"},
      {"INTERFACES=\"eth0,lo\"",
       "f:2: error: INTERFACES: 'lo' is refused: traffic on loopback is this host talking to "
       "itself\n"},
      {"INTERFACES=\"/dev/eth0\"",
       "f:2: error: INTERFACES: '/dev/eth0' is no interface name: expected names such as eth0\n"},
      {"IGNORE_FILE=\"portsentry.ignore\"",
       "f:2: error: IGNORE_FILE: found 'portsentry.ignore', expected a full path that begins with "
       "'/', or \"\" for no such file\n"},
      {"HISTORY_FILE=\"/var/lib/portsentry/\"",
       "f:2: error: HISTORY_FILE: '/var/lib/portsentry/' is a directory: expected a file\n"},
      {"IGNORE_FILE=\"/a\"\nBLOCKED_FILE=\"/a\"",
       "f:3: error: BLOCKED_FILE: '/a' is also IGNORE_FILE: expected a file of its own\n"},
      {"BLOCKED_FILE=\"/a\"\nHISTORY_FILE=\"/a\"",
       "f:2: error: BLOCKED_FILE: '/a' is also HISTORY_FILE: expected a file of its own\n"},
      {"BLOCK_TCP=\"1\"\nSCAN_TRIGGER=\"2\"\nFIREWALL=\"none\"",
       "f:2: error: BLOCK_TCP: no ban can be enforced with FIREWALL=\"none\" (line 4): expected "
       "FIREWALL=\"auto\", or BLOCK_TCP=\"0\" to watch only\n"},
      {"BLOCK_UDP=\"1\"\nSCAN_TRIGGER=\"2\"\nFIREWALL=\"none\"",
       "f:2: error: BLOCK_UDP: no ban can be enforced with FIREWALL=\"none\" (line 4): expected "
       "FIREWALL=\"auto\", or BLOCK_UDP=\"0\" to watch only\n"},
      {"FIREWALL=\"command\"\nSCAN_TRIGGER=\"2\"\nBLOCK_TCP=\"1\"",
       "f:2: warning: FIREWALL: this version runs no command templates: nothing can be banned, as "
       "with none\n"
       "f:4: error: BLOCK_TCP: no ban can be enforced with FIREWALL=\"command\" (line 2): expected "
       "FIREWALL=\"auto\", or BLOCK_TCP=\"0\" to watch only\n"},
      {"IGNORE_FILE=\"/a\x1b]0;x\"",
       "f:2: error: IGNORE_FILE: the value holds a control byte: '/a\\x1b]0;x'\n"},
      {"FIREWALL=\"\xc2\x9b\"",
       "f:2: error: FIREWALL: found '\\xc2\\x9b', expected auto, nftables or none\n"},
  };
  for (const Broken& c : kCases) {
    const ConfigReading reading = with_ports(c.lines);
    EXPECT_EQ(printed(reading), c.finding);
    EXPECT_FALSE(reading.ok()) << c.lines;
    EXPECT_FALSE(reading.passes_check()) << c.lines;
  }
}

TEST(Config, AnUnknownKeyFailsTheCheckAndNotTheStart) {
  constexpr Broken kCases[]{
      {"TCP_PORT=\"2\"", "f:2: warning: TCP_PORT: unknown key, ignored; did you mean TCP_PORTS?\n"},
      {"block_tcp=\"1\"",
       "f:2: warning: block_tcp: unknown key, ignored; did you mean BLOCK_TCP?\n"},
      {"T=\"22\"", "f:2: warning: T: unknown key, ignored\n"},
      {"GREETING=\"hello\"", "f:2: warning: GREETING: unknown key, ignored\n"},
  };
  for (const Broken& c : kCases) {
    const ConfigReading reading = with_ports(c.lines);
    EXPECT_EQ(printed(reading), c.finding);
    EXPECT_TRUE(reading.ok()) << c.lines;
    EXPECT_FALSE(reading.passes_check()) << c.lines;
  }
}

TEST(Config, WhatIsLegalButRiskyOrIdleIsAWarning) {
  constexpr Broken kCases[]{
      {"FIREWALL=\"command\"",
       "f:2: warning: FIREWALL: this version runs no command templates: nothing can be banned, as "
       "with none\n"},
      {"UDP_PORTS=\"1,,2\"",
       "f:2: warning: UDP_PORTS: there is nothing between two commas, or beside one: is a port "
       "missing?\n"},
      {"BLOCK_TCP=\"2\"",
       "f:2: warning: BLOCK_TCP: this version runs no commands: 2 only logs, like 0\n"},
      {"BLOCK_UDP=\"1\"",
       "f:2: warning: BLOCK_UDP: with SCAN_TRIGGER at 0 or 1 a single forged datagram bans "
       "whomever "
       "it names as its sender; 2 or more asks for a second port\n"},
      {"SCAN_TRIGGER=\"0\"\nBLOCK_TCP=\"1\"",
       "f:3: warning: BLOCK_TCP: with SCAN_TRIGGER at 0 or 1 a single forged SYN packet bans "
       "whomever it names as its sender; 2 or more asks for a second port\n"},
      {"BLOCK_TIME=\"1\"\nBLOCK_TIME=\"2\"",
       "f:3: warning: BLOCK_TIME: stands on line 2 and again on line 3: the last one counts, as in "
       "PortSentry 2 (1.2 took the first)\n"},
      {"BLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\nSCAN_TRIGGER=\"2\"", ""},
      {"FIREWALL=\"none\"", ""},
  };
  for (const Broken& c : kCases) {
    const ConfigReading reading = with_ports(c.lines);
    EXPECT_EQ(printed(reading), c.finding);
    EXPECT_TRUE(reading.passes_check()) << c.lines;
  }
}

TEST(Config, EveryKeyThatComesLaterIsAcceptedWithAWarning) {
  std::size_t later = 0;
  for (const ConfigKey& key : config_keys()) {
    if (key.owner != KeyOwner::later) continue;
    ++later;
    const std::string name(key.name);
    const ConfigReading reading = with_ports(name + "=\"anything at all\"\n");
    EXPECT_EQ(printed(reading),
              "f:2: warning: " + name + ": accepted, not acted on by this version\n");
    EXPECT_TRUE(reading.passes_check());
  }
  EXPECT_GE(later, 18U);
}

TEST(Config, EachKeyIsInTheTableOnce) {
  std::set<std::string_view> names;
  for (const ConfigKey& key : config_keys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
  }
}

TEST(Config, NothingToWatchIsAnError) {
  const std::string expected =
      "f: error: nothing to watch: expected ports in TCP_PORTS or UDP_PORTS, for example "
      "TCP_PORTS=\"1,11,15,79\"\n";
  EXPECT_EQ(printed(read_config("", "f")), expected);
  EXPECT_EQ(printed(read_config("TCP_PORTS=\"\"\nUDP_PORTS=\" \"\n", "f")), expected);
}

TEST(Config, ABadPortListIsNotAlsoAnEmptyOne) {
  const ConfigReading reading = read_config("TCP_PORTS=\"x\"\n", "f");
  EXPECT_EQ(reading.findings.size(), 1U);
  EXPECT_FALSE(reading.ok());
}

TEST(Config, FindingsComeInTheOrderOfTheFile) {
  EXPECT_EQ(
      printed(read_config("BLOCK_TCP=\"9\"\nWHAT=\"x\"\nFIREWALL=auto\nMAX_SOURCES=\"1\"\n", "f")),
      "f:1: error: BLOCK_TCP: found '9', expected 0 (log only), 1 (ban) or 2 (run commands "
      "only)\n"
      "f:2: warning: WHAT: unknown key, ignored\n"
      "f:3: error: FIREWALL: the value needs double quotes: write FIREWALL=\"auto\"\n"
      "f:4: error: MAX_SOURCES: found '1', expected a number from 16 to 1000000\n");
}

TEST(Config, AThousandUnknownKeysAreNotAThousandMessages) {
  std::string text(kPorts);
  for (int i = 0; i < 1000; ++i)
    text += "UNKNOWN_" + std::to_string(i) + "=\"\"\n";
  const ConfigReading reading = read_config(text, "f");
  EXPECT_EQ(reading.findings.size(), kMaxFindings + 1);
  EXPECT_FALSE(reading.ok());
  EXPECT_EQ(reading.findings.back().print(),
            "f:102: error: too many findings: the rest was not checked");
}

TEST(Config, AnEarlierLineThatWasReplacedIsNotJudged) {
  const ConfigReading reading = with_ports("SCAN_TRIGGER=\"x\"\nSCAN_TRIGGER=\"2\"\n");
  EXPECT_TRUE(reading.ok());
  EXPECT_EQ(reading.config.scan_trigger, 2U);
}

// Whole files as people have them; X.want holds what is printed about X.conf.
TEST(Config, FilesOfEveryGenerationGetExactlyTheseFindings) {
  const std::string directory = source("tests/data/config");
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  ASSERT_TRUE(dir);
  std::size_t files = 0;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (!name.ends_with(".conf")) continue;
    ++files;
    const std::string wanted =
        read_file(directory + "/" + name.substr(0, name.size() - 5) + ".want");
    EXPECT_EQ(printed(read_config(read_file(directory + "/" + name), name)), wanted) << name;
  }
  EXPECT_GE(files, 5U);
}

TEST(ShippedConfig, StartsAsItIsInObserveModeWithoutOneFinding) {
  const ConfigReading reading = read_config(read_file(source("etc/portsentry.conf")), "f");
  EXPECT_EQ(printed(reading), "");
  const Config& config = reading.config;
  EXPECT_FALSE(config.armed());
  EXPECT_EQ(config.block_tcp, BlockMode::observe);
  EXPECT_EQ(config.block_udp, BlockMode::observe);
  EXPECT_EQ(config.scan_trigger, 2U);
  EXPECT_EQ(config.ignore_file, "/etc/portsentry/portsentry.ignore");
  EXPECT_EQ(config.history_file, "/var/lib/portsentry/portsentry.history");
  EXPECT_EQ(config.blocked_file, "/var/lib/portsentry/portsentry.blocked");
  EXPECT_GT(config.ports.tcp.size(), 30U);
  EXPECT_GT(config.ports.udp.size(), 5U);
  // What real clients of a real server reach for, and where Linux's own UDP questions come from.
  for (const std::uint32_t port : {22U, 25U, 53U, 80U, 110U, 139U, 143U, 443U, 445U, 993U}) {
    EXPECT_FALSE(watches(config.ports.tcp, port)) << port;
  }
  for (std::uint32_t port = 32768; port <= 60999; ++port) {
    ASSERT_FALSE(watches(config.ports.udp, port)) << port;
  }
}

TEST(ShippedConfig, SetsAndExplainsEveryKeyOfThisVersion) {
  const std::string text = "\n" + read_file(source("etc/portsentry.conf"));
  for (const ConfigKey& key : config_keys()) {
    const std::string line = "\n" + std::string(key.name) + "=\"";
    if (key.owner == KeyOwner::later) {
      EXPECT_EQ(text.find(line), std::string::npos) << key.name << " does nothing yet";
      continue;
    }
    const auto at = text.find(line);
    ASSERT_NE(at, std::string::npos) << key.name << " is not set";
    // The two lines above are comment.
    auto end = at;
    for (int i = 0; i < 2; ++i) {
      const auto start = text.rfind('\n', end - 1);
      ASSERT_NE(start, std::string::npos) << key.name;
      EXPECT_EQ(text.substr(start + 1, 2), "# ") << key.name << " is not explained";
      end = start;
    }
  }
}

}  // namespace
}  // namespace portsentry
