#include "common/config.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>
#include <utility>
#include <vector>

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
  EXPECT_EQ(config.tcp_mode, WatchMode::stealth);
  EXPECT_EQ(config.udp_mode, WatchMode::stealth);
  EXPECT_EQ(config.advanced_ports_tcp, 1024U);
  EXPECT_EQ(config.advanced_ports_udp, 1024U);
  EXPECT_TRUE(config.advanced_exclude_tcp.empty() && config.advanced_exclude_udp.empty());
  EXPECT_EQ(config.port_banner + config.log_file, "");
  EXPECT_EQ(config.kill_route + config.kill_route_remove + config.kill_hosts_deny +
                config.kill_run_cmd + config.external_command,
            "");
  EXPECT_FALSE(config.kill_run_cmd_first || config.resolve_host);
  EXPECT_TRUE(config.local_check && config.service_check);
  EXPECT_EQ(config.log_format, LogFormat::classic);
  EXPECT_EQ(config.log_facility, LogFacility::local0);
  EXPECT_EQ(config.log_tag, "portsentry");
  EXPECT_EQ(config.log_output, (LogOutput{true, false, false}));
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

TEST(Config, EveryKeyOfTheOldGenerationsReachesItsOwnField) {
  const ConfigReading reading = read_config(
      "TCP_MODE=\"tcp\"\nUDP_MODE=\"audp\"\nTCP_PORTS=\"1\"\nADVANCED_PORTS_TCP=\"512\"\n"
      "ADVANCED_PORTS_UDP=\"65536\"\nADVANCED_EXCLUDE_TCP=\"113,139\"\n"
      "ADVANCED_EXCLUDE_UDP=\"67,137-138\"\nPORT_BANNER=\" go away \"\nKILL_ROUTE=\"/k $TARGET$\"\n"
      "KILL_ROUTE_REMOVE=\"/r $TARGET$\"\nKILL_HOSTS_DENY=\"ALL: $TARGET$\"\n"
      "KILL_RUN_CMD=\"/c $PORT$\"\nKILL_RUN_CMD_FIRST=\"1\"\nEXTERNAL_COMMAND=\"/e 'a b' < /n\"\n"
      "RESOLVE_HOST=\"1\"\nLOG_FILE=\"/l\"\nLOG_FORMAT=\"2.x\"\nLOG_FACILITY=\"authpriv\"\n"
      "LOG_TAG=\"guard\"\nLOG_OUTPUT=\"syslog\"\nLOCAL_CHECK=\"0\"\nSERVICE_CHECK=\"0\"\n",
      "f");
  EXPECT_EQ(printed(reading), "");
  const Config& config = reading.config;
  EXPECT_EQ(config.tcp_mode, WatchMode::bind);
  EXPECT_EQ(config.udp_mode, WatchMode::advanced);
  EXPECT_EQ(config.mode(Protocol::udp), WatchMode::advanced);
  EXPECT_EQ(config.advanced_ports_tcp, 512U);
  EXPECT_EQ(config.advanced_ports_udp, 65536U);
  EXPECT_EQ(config.advanced_exclude_tcp.size(), 2U);
  EXPECT_TRUE(watches(config.advanced_exclude_tcp, 113));
  EXPECT_EQ(config.advanced_exclude_udp.size(), 3U);
  EXPECT_EQ(config.port_banner, " go away ");
  EXPECT_EQ(config.kill_route, "/k $TARGET$");
  EXPECT_EQ(config.kill_route_remove, "/r $TARGET$");
  EXPECT_EQ(config.kill_hosts_deny, "ALL: $TARGET$");
  EXPECT_EQ(config.kill_run_cmd, "/c $PORT$");
  EXPECT_TRUE(config.kill_run_cmd_first);
  EXPECT_EQ(config.external_command, "/e 'a b' < /n");
  EXPECT_TRUE(config.resolve_host);
  EXPECT_EQ(config.log_file, "/l");
  EXPECT_EQ(config.log_format, LogFormat::v2);
  EXPECT_EQ(config.log_facility, LogFacility::authpriv);
  EXPECT_EQ(config.log_tag, "guard");
  EXPECT_EQ(config.log_output, (LogOutput{false, false, true}));
  EXPECT_FALSE(config.local_check || config.service_check);
}

TEST(Config, ModesHaveTheirClassicWords) {
  constexpr WatchMode kModes[]{WatchMode::none, WatchMode::bind, WatchMode::stealth,
                               WatchMode::advanced};
  for (const WatchMode mode : kModes) {
    const std::string tcp = "TCP_MODE=\"" + std::string(mode_word(Protocol::tcp, mode)) + "\"\n";
    const std::string udp = "UDP_MODE=\"" + std::string(mode_word(Protocol::udp, mode)) + "\"\n";
    EXPECT_EQ(with_ports("UDP_PORTS=\"9\"\n" + tcp).config.tcp_mode, mode);
    EXPECT_EQ(with_ports("UDP_PORTS=\"9\"\n" + udp).config.udp_mode, mode);
  }
}

TEST(Config, EveryFacilityHasItsSyslogCode) {
  constexpr std::pair<std::string_view, int> kCodes[]{
      {"none", -1},   {"user", 1},    {"daemon", 3},  {"auth", 4},    {"authpriv", 10},
      {"local0", 16}, {"local1", 17}, {"local2", 18}, {"local3", 19}, {"local4", 20},
      {"local5", 21}, {"local6", 22}, {"local7", 23}};
  for (const auto& [word, code] : kCodes) {
    const ConfigReading reading = with_ports("LOG_FACILITY=\"" + std::string(word) + "\"\n");
    EXPECT_EQ(printed(reading), "");
    EXPECT_EQ(static_cast<int>(reading.config.log_facility), code) << word;
  }
}

TEST(Config, LogOutputIsAutomaticUnlessAPlaceIsNamed) {
  EXPECT_EQ(with_ports("LOG_OUTPUT=\"\"").config.log_output, (LogOutput{true, false, false}));
  EXPECT_EQ(with_ports("LOG_OUTPUT=\"stdout\"").config.log_output, (LogOutput{false, true, false}));
  EXPECT_EQ(with_ports("LOG_OUTPUT=\"syslog stdout\"").config.log_output,
            (LogOutput{false, true, true}));
}

TEST(Config, KillRouteIsTheFirewallUnlessAnotherIsNamed) {
  const auto backend = [](std::string_view lines) { return with_ports(lines).config.backend(); };
  EXPECT_EQ(backend(""), Firewall::nftables);
  EXPECT_EQ(backend("KILL_ROUTE=\"/k\"\n"), Firewall::command);
  EXPECT_EQ(backend("KILL_ROUTE=\" \"\n"), Firewall::nftables);
  EXPECT_EQ(backend("KILL_ROUTE=\"/k\"\nFIREWALL=\"nftables\"\n"), Firewall::nftables);
  EXPECT_EQ(backend("KILL_ROUTE=\"/k\"\nFIREWALL=\"none\"\n"), Firewall::none);
  EXPECT_EQ(backend("KILL_ROUTE=\"/k\"\nFIREWALL=\"command\"\n"), Firewall::command);
  EXPECT_EQ(backend("FIREWALL=\"nftables\"\n"), Firewall::nftables);
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
       "f:2: error: FIREWALL: found 'iptables', expected auto, nftables, command or none; did you "
       "mean "
       "'nftables'?\n"},
      {"FIREWALL=\"\"",
       "f:2: error: FIREWALL: found '', expected auto, nftables, command or none\n"},
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
       "f:2: error: FIREWALL: 'command' runs KILL_ROUTE, and KILL_ROUTE is empty\n"},
      {"BLOCK_UDP=\"2\"",
       "f:2: error: BLOCK_UDP: 2 runs KILL_RUN_CMD only, and KILL_RUN_CMD is empty: name a "
       "command, "
       "or BLOCK_UDP=\"0\" to watch only\n"},
      {"TCP_MODE=\"-stcp\"",
       "f:2: error: TCP_MODE: found '-stcp', expected \"\", tcp, stcp or atcp; did you mean "
       "'stcp'?\n"},
      {"UDP_MODE=\"tcp\"", "f:2: error: UDP_MODE: found 'tcp', expected \"\", udp, sudp or audp\n"},
      {"TCP_MODE=\"\"\nUDP_MODE=\" \"",
       "f: error: nothing to watch: TCP_MODE and UDP_MODE are both empty\n"},
      {"TCP_MODE=\"\"",
       "f: error: nothing to watch: expected ports in TCP_PORTS or UDP_PORTS, for example "
       "TCP_PORTS=\"1,11,15,79\"\n"},
      {"ADVANCED_PORTS_TCP=\"0\"",
       "f:2: error: ADVANCED_PORTS_TCP: found '0', expected a number from 1 to 65536\n"},
      {"ADVANCED_PORTS_UDP=\"65537\"",
       "f:2: error: ADVANCED_PORTS_UDP: found '65537', expected a number from 1 to 65536\n"},
      {"ADVANCED_EXCLUDE_TCP=\"ident\"",
       "f:2: error: ADVANCED_EXCLUDE_TCP: 'ident' is not a port: expected numbers from 1 to 65535 "
       "and ranges such as 6000-6063, separated by commas\n"},
      {"RESOLVE_HOST=\"yes\"",
       "f:2: error: RESOLVE_HOST: found 'yes', expected 0 (off) or 1 (on)\n"},
      {"LOCAL_CHECK=\"2\"", "f:2: error: LOCAL_CHECK: found '2', expected 0 (off) or 1 (on)\n"},
      {"SERVICE_CHECK=\"\"", "f:2: error: SERVICE_CHECK: found '', expected 0 (off) or 1 (on)\n"},
      {"LOG_FORMAT=\"1.2\"", "f:2: error: LOG_FORMAT: found '1.2', expected classic or 2.x\n"},
      {"LOG_FACILITY=\"LOCAL0\"",
       "f:2: error: LOG_FACILITY: found 'LOCAL0', expected local0, local1, local2, local3, local4, "
       "local5, local6, local7, daemon, auth, authpriv, user or none; did you mean 'local0'?\n"},
      {"LOG_TAG=\"port sentry\"",
       "f:2: error: LOG_TAG: found 'port sentry', expected 1 to 32 letters, digits, '.', '_' or "
       "'-'\n"},
      {"LOG_OUTPUT=\"stdout file\"",
       "f:2: error: LOG_OUTPUT: found 'file', expected stdout or syslog\n"},
      {"LOG_FILE=\"portsentry.log\"",
       "f:2: error: LOG_FILE: found 'portsentry.log', expected a full path that begins with '/', "
       "or "
       "\"\" for no such file\n"},
      {"LOG_FILE=\"/a\"\nHISTORY_FILE=\"/a\"",
       "f:2: error: LOG_FILE: '/a' is also HISTORY_FILE: expected a file of its own\n"},
      {"IGNORE_FILE=\"/a\x1b]0;x\"",
       "f:2: error: IGNORE_FILE: the value holds a control byte: '/a\\x1b]0;x'\n"},
      {"FIREWALL=\"\xc2\x9b\"",
       "f:2: error: FIREWALL: found '\\xc2\\x9b', expected auto, nftables, command or none\n"},
  };
  for (const Broken& c : kCases) {
    const ConfigReading reading = with_ports(c.lines);
    EXPECT_EQ(printed(reading), c.finding);
    EXPECT_FALSE(reading.ok()) << c.lines;
    EXPECT_FALSE(reading.passes_check()) << c.lines;
  }
}

TEST(Config, WhatHidesASettingFailsTheCheckAndNotTheStart) {
  constexpr Broken kCases[]{
      {"TCP_PORT=\"2\"",
       "f:2: warning: TCP_PORT: unknown key, ignored; did you mean TCP_PORTS? PortSentry 2 read it "
       "so\n"},
      {"block_tcp=\"1\"",
       "f:2: warning: block_tcp: unknown key, ignored; did you mean BLOCK_TCP?\n"},
      {"T=\"22\"",
       "f:2: warning: T: unknown key, ignored; did you mean TCP_PORTS? PortSentry 2 read it so\n"},
      {"KILL=\"x\"",
       "f:2: warning: KILL: unknown key, ignored; did you mean KILL_ROUTE? PortSentry 2 read it "
       "so\n"},
      {"BLOCK_TCP=\"3\"",
       "f:2: warning: BLOCK_TCP: found '3', expected 0 (log only), 1 (ban) or 2 (run commands "
       "only): "
       "nobody is banned, as in 1.2 (2.x refused the file)\n"},
      {"BLOCK_UDP=\"yes\"",
       "f:2: warning: BLOCK_UDP: found 'yes', expected 0 (log only), 1 (ban) or 2 (run commands "
       "only): nobody is banned, as in 1.2 (2.x refused the file)\n"},
      {"BLOCK_TCP=\"\"",
       "f:2: warning: BLOCK_TCP: found '', expected 0 (log only), 1 (ban) or 2 (run commands "
       "only): "
       "nobody is banned, as in 1.2 (2.x refused the file)\n"},
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
      {"UDP_PORTS=\"1,,2\"",
       "f:2: warning: UDP_PORTS: there is nothing between two commas, or beside one: is a port "
       "missing?\n"},
      {"UDP_PORTS=\"9\"\nBLOCK_UDP=\"1\"\nBLOCK_TIME=\"1h\"",
       "f:3: warning: BLOCK_UDP: with SCAN_TRIGGER at 0 or 1 a single forged datagram bans "
       "whomever "
       "it names as its sender; 2 or more asks for a second port\n"},
      {"SCAN_TRIGGER=\"0\"\nBLOCK_TCP=\"1\"\nBLOCK_TIME=\"1h\"",
       "f:3: warning: BLOCK_TCP: with SCAN_TRIGGER at 0 or 1 a single forged SYN packet bans "
       "whomever it names as its sender; 2 or more asks for a second port\n"},
      {"BLOCK_TIME=\"1\"\nBLOCK_TIME=\"2\"",
       "f:3: warning: BLOCK_TIME: stands on line 2 and again on line 3: the last one counts, as in "
       "PortSentry 2 (1.2 took the first)\n"},
      {"BLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\nSCAN_TRIGGER=\"2\"\nBLOCK_TIME=\"1h\"", ""},
      {"BLOCK_TCP=\"2\"\nKILL_RUN_CMD=\"/c\"", ""},
      {"SCAN_TRIGGER=\"\"",
       "f:2: warning: SCAN_TRIGGER: found '', read as 0 as in 1.2 (2.x refused the file)\n"
       "f:2: warning: SCAN_TRIGGER: 0 and 1 mean the same: one packet to one port is a scan. One "
       "packet is easily forged: once armed, anybody can have any address banned; 2 asks for a "
       "second port\n"},
      {"RESOLVE_HOST=\"2\"",
       "f:2: warning: RESOLVE_HOST: found '2', read as 1 (on) as in 1.2 (2.x refused the file)\n"},
      {"KILL_RUN_CMD_FIRST=\"\"",
       "f:2: warning: KILL_RUN_CMD_FIRST: found '', read as 0 (off) as in 1.2 (2.x refused the "
       "file)\n"},
      {"SCAN_TRIGGER \"2\"",
       "f:2: warning: SCAN_TRIGGER: no '=' between key and value: read as if there were one, as in "
       "1.2 (2.x refused the file)\n"},
      {"FIREWALL=\"none\"", ""},
  };
  for (const Broken& c : kCases) {
    const ConfigReading reading = with_ports(c.lines);
    EXPECT_EQ(printed(reading), c.finding);
    EXPECT_TRUE(reading.passes_check()) << c.lines;
  }
}

// What 1.2 and 2.x read differently, and what is said of it in a file that was written for them.
constexpr Broken kOldReadings[]{
    {"UDP_PORTS=\"1-10\"",
     "f:2: warning: UDP_PORTS: a range means all of its ports, as in PortSentry 2 (1.2 took the "
     "first port only)\n"},
    {"UDP_PORTS=\"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,"
     "31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,"
     "61,62,63,64,65\"",
     "f:2: warning: UDP_PORTS: all 65 items count, as in PortSentry 2 (1.2 took the first 64)\n"},
    {"SCAN_TRIGGER=\"51\"",
     "f:2: warning: SCAN_TRIGGER: waits for 51 ports, as PortSentry 2 for as many packets (1.2 "
     "took "
     "everything above 50 for 0)\n"},
    {"  SCAN_TRIGGER=\"2\"",
     "f:2: warning: SCAN_TRIGGER: the blanks before the key mean nothing (1.2 did not find such a "
     "key, 2.x refused the file)\n"},
    {"KILL_RUN_CMD=\"/c\t$TARGET$\"",
     "f:2: warning: KILL_RUN_CMD: the value holds a tab or a byte outside ASCII and is read whole, "
     "as in PortSentry 2 (1.2 ended it there)\n"},
    {"BLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\nSCAN_TRIGGER=\"2\"",
     "f:2: warning: BLOCK_TCP: a ban ends after 30m, or 10m where the packets could be forged; "
     "BLOCK_TIME and BLOCK_TIME_FORGEABLE set other times (1.2 and 2.x "
     "ended none)\n"},
    {"KILL_HOSTS_DENY=\"ALL: $TARGET$\"\nBLOCK_UDP=\"1\"\nSCAN_TRIGGER=\"2\"",
     "f:2: warning: KILL_HOSTS_DENY: written beside each ban, which nftables enforces; 1.2 and 2.x "
     "did nothing else without KILL_ROUTE\n"
     "f:3: warning: BLOCK_UDP: a ban ends after 30m, or 10m where the packets could be forged; "
     "BLOCK_TIME and BLOCK_TIME_FORGEABLE set other times (1.2 and 2.x "
     "ended none)\n"},
};

TEST(Config, AFileWrittenForAnOlderVersionIsToldWhatThatReadDifferently) {
  for (const Broken& c : kOldReadings) {
    const ConfigReading reading = with_ports(c.lines);
    EXPECT_EQ(printed(reading), c.finding);
    EXPECT_TRUE(reading.passes_check()) << c.lines;
  }
}

TEST(Config, AFileWrittenForThisOneIsNot) {
  for (const Broken& c : kOldReadings) {
    EXPECT_EQ(printed(with_ports(std::string(c.lines) + "\nBLOCK_TIME=\"1h\"\n")), "") << c.lines;
  }
}

TEST(Config, ALongLineIsReadWhole) {
  std::string ports = "2";
  while (ports.size() < kMaxOldConfLine)
    ports += ",2";
  const ConfigReading reading = with_ports("UDP_PORTS=\"" + ports + ",9\"\n");
  EXPECT_TRUE(watches(reading.config.ports.udp, 9));
  ASSERT_EQ(reading.findings.size(), 2U);
  EXPECT_EQ(
      reading.findings[0].print(),
      "f:2: warning: UDP_PORTS: the line is longer than 1023 bytes and read whole (1.2 cut it "
      "there, 2.x refused the file)");
}

TEST(Config, TheCommandLineCountsInsteadOfTheFile) {
  const std::vector<ConfigOverride> overrides{
      {"TCP_MODE", "tcp"}, {"UDP_MODE", ""}, {"SCAN_TRIGGER", "3"}};
  const ConfigReading reading =
      read_config("TCP_PORTS=\"1\"\nTCP_MODE=\"nonsense\"\nSCAN_TRIGGER=\"2\"\n", "f", overrides);
  EXPECT_EQ(printed(reading), "");
  EXPECT_EQ(reading.config.tcp_mode, WatchMode::bind);
  EXPECT_EQ(reading.config.udp_mode, WatchMode::none);
  EXPECT_EQ(reading.config.scan_trigger, 3U);
}

TEST(Config, OfTwoOverridesTheLastCounts) {
  const std::vector<ConfigOverride> overrides{{"TCP_MODE", "what"}, {"TCP_MODE", "atcp"}};
  const ConfigReading reading = read_config(kPorts, "f", overrides);
  EXPECT_EQ(printed(reading), "");
  EXPECT_EQ(reading.config.tcp_mode, WatchMode::advanced);
}

TEST(Config, FindingsAboutAnOverrideNameTheCommandLine) {
  const auto of = [](const ConfigOverride& given, std::string_view text) {
    return printed(read_config(text, "f", {&given, 1}));
  };
  EXPECT_EQ(of({"TCP_MODE", "udp"}, kPorts),
            "command line: error: TCP_MODE: found 'udp', expected \"\", tcp, stcp or atcp\n");
  EXPECT_EQ(of({"TCP_MOD", "tcp"}, kPorts),
            "command line: warning: TCP_MOD: unknown key, ignored; did you mean TCP_MODE?\n");
  EXPECT_EQ(of({"UDP_MODE", "sudp"}, kPorts),
            "command line: warning: UDP_MODE: 'sudp' watches the ports of UDP_PORTS, which names "
            "none: no UDP is watched\n");
  EXPECT_EQ(of({"KILL_ROUTE", "/k \x1b[2J"}, kPorts),
            "command line: error: KILL_ROUTE: the value holds a control byte: '/k \\x1b[2J'\n");
  EXPECT_EQ(
      of({"FIREWALL", "none"}, "TCP_PORTS=\"1\"\nSCAN_TRIGGER=\"2\"\nBLOCK_TCP=\"1\"\n"),
      "f:3: error: BLOCK_TCP: no ban can be enforced with FIREWALL=\"none\" (command line): "
      "expected FIREWALL=\"auto\", or BLOCK_TCP=\"0\" to watch only\n"
      "f:3: warning: BLOCK_TCP: a ban ends after 30m, or 10m where the packets could be forged; "
      "BLOCK_TIME and BLOCK_TIME_FORGEABLE set other times (1.2 and "
      "2.x ended none)\n");
}

TEST(ConfigOverride, IsOneWordBetweenProcesses) {
  const ConfigOverride given{"KILL_ROUTE", "/k a=b"};
  EXPECT_EQ(given.text(), "KILL_ROUTE=/k a=b");
  EXPECT_EQ(ConfigOverride::parse(given.text()), given);
  EXPECT_EQ(ConfigOverride::parse("UDP_MODE="), (ConfigOverride{"UDP_MODE", ""}));
  EXPECT_FALSE(ConfigOverride::parse("=x"));
  EXPECT_FALSE(ConfigOverride::parse("TCP_MODE"));
  EXPECT_FALSE(ConfigOverride::parse(""));
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
      printed(read_config("BLOCK_TIME=\"9\"\nWHAT=\"x\"\nFIREWALL=auto\nMAX_SOURCES=\"1\"\n", "f")),
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
  std::size_t broken = 0;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (!name.ends_with(".conf")) continue;
    ++files;
    const std::string wanted =
        read_file(directory + "/" + name.substr(0, name.size() - 5) + ".want");
    const ConfigReading reading = read_config(read_file(directory + "/" + name), name);
    EXPECT_EQ(printed(reading), wanted) << name;
    // What is broken is told, and no file of a predecessor fails for a key that this knew.
    if (name.starts_with("broken-")) {
      ++broken;
      EXPECT_FALSE(reading.passes_check()) << name;
    }
    if (name.starts_with("classic-") || name.starts_with("modern-") || name == "guide-all.conf") {
      EXPECT_TRUE(reading.passes_check()) << name;
    }
  }
  EXPECT_GE(broken, 40U);
  EXPECT_GE(files, 60U);
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

TEST(ShippedConfig, SetsAndExplainsEveryKey) {
  const std::string text = "\n" + read_file(source("etc/portsentry.conf"));
  for (const ConfigKey& key : config_keys()) {
    const std::string line = "\n" + std::string(key.name) + "=\"";
    const auto at = text.find(line);
    ASSERT_NE(at, std::string::npos) << key.name << " is not set";
    EXPECT_EQ(text.find(line, at + 1), std::string::npos) << key.name << " is set twice";
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

TEST(Config, LoginPortsAreFewEnoughToBeToldOneByOne) {
  std::string ports = "2";
  for (int i = 1; i < 64; ++i)
    ports += "," + std::to_string(2 + 2 * i);
  EXPECT_TRUE(with_ports("LOGIN_PORTS=\"" + ports + "\"\n").ok());
  EXPECT_TRUE(with_ports("LOGIN_PORTS=\"1-65535\"\n").ok()) << "one range";
  const ConfigReading many = with_ports("LOGIN_PORTS=\"" + ports + ",1000\"\n");
  EXPECT_FALSE(many.ok());
  EXPECT_NE(printed(many).find("more than 64"), std::string::npos);
}

}  // namespace
}  // namespace portsentry
