#include "enforcer/migrate.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "common/conf_lexer.h"
#include "common/config.h"
#include "common/watch.h"

namespace portsentry::enforcer {
namespace {

std::string read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  EXPECT_TRUE(file) << path;
  std::string text;
  if (!file) return text;
  for (int c = std::fgetc(file.get()); c != EOF; c = std::fgetc(file.get()))
    text += static_cast<char>(c);
  return text;
}

std::string lines(const std::vector<std::string>& report) {
  std::string out;
  for (const std::string& line : report)
    out += line + "\n";
  return out;
}

// What a file is that was written for portsentryd: nothing is added, no old meaning is told.
constexpr std::string_view kOurs = "FIREWALL=\"auto\"\n";

std::string report_on(const std::string& text) {
  return lines(migrate_config(text, "f").report);
}

constexpr char kAdded[] =
    "f: TCP_MODE: added: TCP_MODE=\"stcp\", as by default (1.2 had it on its command line, Debian "
    "in /etc/default/portsentry)\n"
    "f: UDP_MODE: added: UDP_MODE=\"\", as by default (1.2 had it on its command line, Debian in "
    "/etc/default/portsentry)\n"
    "f: BLOCK_TIME: added: BLOCK_TIME=\"30m\", as by default\n"
    "f: BLOCK_TIME_MAX: added: BLOCK_TIME_MAX=\"7d\", as by default\n"
    "f: BLOCK_TIME_FORGEABLE: added: BLOCK_TIME_FORGEABLE=\"10m\", as by default\n"
    "f: BAN_SCOPE: added: BAN_SCOPE=\"inbound\", as by default\n"
    "f: LOGIN_PORTS: added: LOGIN_PORTS=\"22\", as by default\n"
    "f: PROTECT_SESSIONS: added: PROTECT_SESSIONS=\"1\", as by default\n"
    "f: PROTECT_NETWORKS: added: PROTECT_NETWORKS=\"\", as by default\n"
    "f: FIREWALL: added: FIREWALL=\"auto\", as by default\n";

TEST(Migrate, KeepsCommentsAndOrderAndAddsWhatIsNew) {
  const Migration done =
      migrate_config("# watch these\r\n\r\n  TCP_PORTS = \"1,11\" \t# two\r\nBLOCK_TCP=\"0\"", "f");
  EXPECT_EQ(done.text,
            "# watch these\n\nTCP_PORTS=\"1,11\" \t# two\nBLOCK_TCP=\"0\"\n\n"
            "# Added by portsentryd --migrate, with the values that count without them:\n"
            "TCP_MODE=\"stcp\"\nUDP_MODE=\"\"\nBLOCK_TIME=\"30m\"\nBLOCK_TIME_MAX=\"7d\"\n"
            "BLOCK_TIME_FORGEABLE=\"10m\"\nBAN_SCOPE=\"inbound\"\n"
            "LOGIN_PORTS=\"22\"\nPROTECT_SESSIONS=\"1\"\nPROTECT_NETWORKS=\"\"\n"
            "FIREWALL=\"auto\"\n");
  EXPECT_EQ(lines(done.report),
            "f:3: TCP_PORTS: changed meaning: blanks before the key do not hide it, as in 1.2\n"
            "f:4: BLOCK_TCP: kept\n" +
                std::string(kAdded));
}

TEST(Migrate, OfSeveralLinesOneCountsAndTheOthersBecomeComments) {
  const Migration done = migrate_config(
      std::string(kOurs) + "TCP_PORTS=\"1\"\nTCP_PORTS=\"2\"\nTCP_PORTS=\"3\"\n", "f");
  EXPECT_EQ(done.text, std::string(kOurs) +
                           "# replaced further down: TCP_PORTS=\"1\"\n"
                           "# replaced further down: TCP_PORTS=\"2\"\nTCP_PORTS=\"3\"\n");
  EXPECT_EQ(lines(done.report),
            "f:1: FIREWALL: kept\nf:2: TCP_PORTS: replaced by line 4\n"
            "f:3: TCP_PORTS: replaced by line 4\nf:4: TCP_PORTS: kept\n");
}

TEST(Migrate, AnUnknownKeyBecomesAComment) {
  const Migration done = migrate_config(
      std::string(kOurs) + "TCP_PORTS=\"1\"\nT=\"22\"\nBANTIME=\"3600\" # 1h\n", "f");
  EXPECT_EQ(done.text, std::string(kOurs) +
                           "TCP_PORTS=\"1\"\n# unknown to portsentryd: T=\"22\"\n"
                           "# unknown to portsentryd: BANTIME=\"3600\" # 1h\n");
  EXPECT_EQ(lines(done.report),
            "f:1: FIREWALL: kept\nf:2: TCP_PORTS: kept\n"
            "f:3: T: unknown; did you mean TCP_PORTS? PortSentry 2 read it so\n"
            "f:4: BANTIME: unknown: neither 1.2 nor 2.x nor portsentryd reads it\n");
}

struct Case {
  std::string_view line, anew, said;
};

TEST(Migrate, AValueThatNeededExplainingIsReplacedByWhatItCameTo) {
  constexpr Case kCases[]{
      {"BLOCK_TCP=\"3\"", "BLOCK_TCP=\"0\"", "BLOCK_TCP=\"0\": '3' bans nobody, as in 1.2"},
      {"BLOCK_UDP=\"\"", "BLOCK_UDP=\"0\"", "BLOCK_UDP=\"0\": '' bans nobody, as in 1.2"},
      {"SCAN_TRIGGER=\"0\"", "SCAN_TRIGGER=\"1\"",
       "SCAN_TRIGGER=\"1\": the first hit is the first, 0 and 1 alike"},
      {"SCAN_TRIGGER=\"\"", "SCAN_TRIGGER=\"1\"",
       "SCAN_TRIGGER=\"1\": the first hit is the first, 0 and 1 alike"},
      {"RESOLVE_HOST=\"2\"", "RESOLVE_HOST=\"1\"",
       "RESOLVE_HOST=\"1\": that is what 1.2 made of '2'"},
      {"KILL_RUN_CMD_FIRST=\"\"", "KILL_RUN_CMD_FIRST=\"0\"",
       "KILL_RUN_CMD_FIRST=\"0\": that is what 1.2 made of ''"},
      {"UDP_PORTS=\",9,, 69 ,\"", "UDP_PORTS=\"9,69\"",
       "UDP_PORTS=\"9,69\": the same without the empty items"},
  };
  for (const Case& c : kCases) {
    const Migration done =
        migrate_config(std::string(kOurs) + "TCP_PORTS=\"1\"\n" + std::string(c.line) + "\n", "f");
    ASSERT_EQ(done.report.size(), 3U) << c.line;
    EXPECT_EQ(done.text, std::string(kOurs) + "TCP_PORTS=\"1\"\n" + std::string(c.anew) + "\n");
    EXPECT_TRUE(done.report[2].ends_with("replaced by " + std::string(c.said))) << done.report[2];
  }
}

TEST(Migrate, AMeaningThatChangedIsToldOnce) {
  constexpr Case kCases[]{
      {"BLOCK_TCP=\"1\"", "",
       "a ban ends after BLOCK_TIME, or BLOCK_TIME_FORGEABLE where "
       "the packets could be forged (1.2 and 2.x ended none)"},
      {"SCAN_TRIGGER=\"3\"", "",
       "counts different ports within SCAN_WINDOW (1.2 and 2.x counted packets, without end)"},
      {"SCAN_TRIGGER=\"60\"", "",
       "waits for that many different ports within SCAN_WINDOW (1.2 took everything above 50 for "
       "0)"},
      {"RESOLVE_HOST=\"1\"", "", "a line waits at most two seconds for a name, and a ban never"},
      {"UDP_PORTS=\"1-9\"", "", "a range is all of its ports (1.2 took the first; 2.x as here)"},
      {"ADVANCED_PORTS_TCP=\"1024\"", "", "port 0 is not watched (1.2 watched it)"},
      {"IGNORE_FILE=\"/i\"", "", "read at start and on reload (1.2 read it with each packet)"},
      {"KILL_HOSTS_DENY=\"ALL: $TARGET$\"", "",
       "written beside a ban, which nftables enforces, and taken out when it ends"},
      {"KILL_ROUTE=\"/k $TARGET$\"", "",
       "its exit status says whether the host is banned, and it is undone when the ban ends"},
      {"KILL_RUN_CMD=\"/c\t$TARGET$\"", "",
       "the value is read whole (1.2 ended it at a tab or a byte outside ASCII)"},
  };
  for (const Case& c : kCases) {
    const std::string text = "TCP_PORTS=\"1\"\n" + std::string(c.line) + "\n";
    const Migration done = migrate_config(text, "f");
    ASSERT_EQ(done.report.size(), 12U) << c.line;
    EXPECT_TRUE(done.report[1].ends_with("changed meaning: " + std::string(c.said)))
        << done.report[1];
    EXPECT_TRUE(done.text.starts_with(text)) << "the line stays";
    const Migration ours = migrate_config(std::string(kOurs) + text, "f");
    EXPECT_TRUE(ours.report[2].ends_with(": kept")) << ours.report[2];
  }
}

TEST(Migrate, KeysWithoutAChangeAreKept) {
  for (const std::string line :
       {"BLOCK_TCP=\"0\"", "RESOLVE_HOST = \"0\"", "ADVANCED_EXCLUDE_TCP=\"113,139\"",
        "HISTORY_FILE=\"/h\"", "KILL_ROUTE=\"\"", "KILL_RUN_CMD_FIRST = \"1\"",
        "KILL_ROUTE_REMOVE=\"\"", "EXTERNAL_COMMAND=\"/e\"", "PORT_BANNER=\"go away\""}) {
    EXPECT_EQ(report_on("TCP_PORTS=\"1\"\n" + line + "\n"),
              "f:1: TCP_PORTS: kept\nf:2: " + line.substr(0, line.find_first_of(" =")) +
                  ": kept\n" + std::string(kAdded));
  }
}

TEST(Migrate, WhatFollowedAValueIsDroppedUnlessItIsAComment) {
  const Migration done =
      migrate_config(std::string(kOurs) + "TCP_PORTS=\"1\" and 2\nUDP_PORTS=\"9\"# c\n", "f");
  EXPECT_EQ(done.text, std::string(kOurs) + "TCP_PORTS=\"1\"\nUDP_PORTS=\"9\"# c\n");
  EXPECT_EQ(done.report.at(1), "f:2: TCP_PORTS: kept, without what followed the value");
}

TEST(Migrate, AFileWithMistakesIsNotMigrated) {
  const Migration done = migrate_config("TCP_PORTS=1\nWHAT=\"x\"\nUDP_PORTS=\"9\"\n", "f");
  ASSERT_EQ(done.errors.size(), 1U) << "warnings are no reason";
  EXPECT_EQ(done.errors[0].print(),
            "f:1: error: TCP_PORTS: the value needs double quotes: write TCP_PORTS=\"1\"");
  EXPECT_EQ(done.text, "");
  EXPECT_TRUE(done.report.empty());
  EXPECT_FALSE(migrate_config("", "f").errors.empty());
}

TEST(Migrate, ALineOfTheGreatestLengthStaysALine) {
  const std::string unknown = "UNKNOWN=\"" + std::string(kMaxConfLine - 10, 'v') + "\"\n";
  const std::string full =
      "BLOCK_TCP=\"\"#" + std::string(kMaxConfLine - 13, 'c') + "\nTCP_PORTS=\"1\"\n";
  const Migration done = migrate_config(std::string(kOurs) + unknown + full, "f");
  EXPECT_TRUE(done.errors.empty());
  EXPECT_TRUE(read_config(done.text, "f").passes_check());
  const std::string largest = "TCP_PORTS=\"1\"\n#" + std::string(kMaxConfFile - 40, '\n');
  const Migration refused = migrate_config(largest, "f");
  ASSERT_EQ(refused.errors.size(), 1U) << "what is added makes it too large";
  EXPECT_EQ(refused.text, "");
}

// What a configuration makes the daemon do, as far as it does not compare as a whole: the mode of a
// protocol without ports is written down as "none".
void expect_same(const Config& a, const Config& b, const std::string& name) {
  EXPECT_EQ(watch_orders(a), watch_orders(b)) << name;
  Config one = a;
  Config other = b;
  one.tcp_mode = other.tcp_mode = one.udp_mode = other.udp_mode = WatchMode::none;
  EXPECT_TRUE(one == other) << name;
}

TEST(Migrate, EveryFileOfTheCorpusKeepsItsMeaningAndIsThenLeftAlone) {
  const std::string directory = PORTSENTRY_SOURCE_ROOT "/tests/data/config";
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  ASSERT_TRUE(dir);
  std::size_t migrated = 0;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (!name.ends_with(".conf")) continue;
    const std::string text = read_file(directory + "/" + name);
    const ConfigReading before = read_config(text, name);
    const Migration done = migrate_config(text, name);
    EXPECT_EQ(done.errors.empty(), before.ok()) << name;
    if (!before.ok()) continue;
    ++migrated;
    const ConfigReading after = read_config(done.text, name);
    EXPECT_TRUE(after.passes_check()) << name;
    expect_same(before.config, after.config, name);
    const Migration again = migrate_config(done.text, name);
    EXPECT_EQ(again.text, done.text) << name;
    for (const std::string& line : again.report)
      EXPECT_TRUE(line.ends_with(": kept")) << line;
  }
  EXPECT_GE(migrated, 20U);
}

// An old file does not name what portsentryd alone has: a ban's life and whom it spares is what its
// administrator looks for first.
TEST(Migrate, EveryKeyAboutABansLifeAndWhomItSparesIsThereAfterwards) {
  const Migration done = migrate_config("TCP_PORTS=\"1\"\nBLOCK_TCP=\"1\"\n", "f");
  const std::string shipped = read_file(PORTSENTRY_SOURCE_ROOT "/etc/portsentry.conf");
  std::size_t at = 0;
  for (const std::string key :
       {"BLOCK_TIME", "BLOCK_TIME_MAX", "BLOCK_TIME_FORGEABLE", "BAN_SCOPE", "LOGIN_PORTS",
        "PROTECT_SESSIONS", "PROTECT_NETWORKS", "FIREWALL"}) {
    const std::size_t found = shipped.find("\n" + key + "=\"");
    ASSERT_NE(found, std::string::npos) << key;
    const std::string line = shipped.substr(found, shipped.find('\n', found + 1) - found + 1);
    const std::size_t here = done.text.find(line);
    ASSERT_NE(here, std::string::npos) << "missing, or not as shipped:" << line;
    EXPECT_GE(here, at) << "in the order of the shipped file: " << key;
    at = here;
  }
}

TEST(Migrate, TheShippedFileIsKeptToTheByte) {
  const std::string text = read_file(PORTSENTRY_SOURCE_ROOT "/etc/portsentry.conf");
  const Migration done = migrate_config(text, "f");
  EXPECT_EQ(done.text, text);
  EXPECT_EQ(done.report.size(), config_keys().size());
}

TEST(Migrate, PortSentrysOwnFileIsReportedKeyByKey) {
  const std::string directory = PORTSENTRY_SOURCE_ROOT "/tests/data/config/";
  const Migration done = migrate_config(read_file(directory + "classic-1.2-upstream.conf"), "f");
  EXPECT_EQ(
      lines(done.report),
      "f:6: TCP_PORTS: kept\n"
      "f:7: UDP_PORTS: kept\n"
      "f:10: ADVANCED_PORTS_TCP: changed meaning: port 0 is not watched (1.2 watched it)\n"
      "f:11: ADVANCED_PORTS_UDP: changed meaning: port 0 is not watched (1.2 watched it)\n"
      "f:13: ADVANCED_EXCLUDE_TCP: kept\n"
      "f:15: ADVANCED_EXCLUDE_UDP: kept\n"
      "f:17: IGNORE_FILE: changed meaning: read at start and on reload (1.2 read it with each "
      "packet)\n"
      "f:18: HISTORY_FILE: kept\n"
      "f:19: BLOCKED_FILE: changed meaning: exactly this file, text, the bans that hold now "
      "(1.2 put the mode behind its name, 2.x wrote bytes)\n"
      "f:21: RESOLVE_HOST: changed meaning: a line waits at most two seconds for a name, and a "
      "ban never\n"
      "f:22: BLOCK_UDP: changed meaning: a ban ends after BLOCK_TIME, or BLOCK_TIME_FORGEABLE "
      "where "
      "the packets could be forged (1.2 and 2.x ended none)\n"
      "f:23: BLOCK_TCP: changed meaning: a ban ends after BLOCK_TIME, or BLOCK_TIME_FORGEABLE "
      "where "
      "the packets could be forged (1.2 and 2.x ended none)\n"
      "f:27: KILL_HOSTS_DENY: changed meaning: written beside a ban, which nftables enforces, "
      "and taken out when it ends\n"
      "f:32: SCAN_TRIGGER: replaced by SCAN_TRIGGER=\"1\": the first hit is the first, 0 and 1 "
      "alike\n"
      "f: TCP_MODE: added: TCP_MODE=\"stcp\", as by default (1.2 had it on its command line, "
      "Debian in /etc/default/portsentry)\n"
      "f: UDP_MODE: added: UDP_MODE=\"sudp\", as by default (1.2 had it on its command line, "
      "Debian in /etc/default/portsentry)\n"
      "f: BLOCK_TIME: added: BLOCK_TIME=\"30m\", as by default\n"
      "f: BLOCK_TIME_MAX: added: BLOCK_TIME_MAX=\"7d\", as by default\n"
      "f: BLOCK_TIME_FORGEABLE: added: BLOCK_TIME_FORGEABLE=\"10m\", as by default\n"
      "f: BAN_SCOPE: added: BAN_SCOPE=\"inbound\", as by default\n"
      "f: LOGIN_PORTS: added: LOGIN_PORTS=\"22\", as by default\n"
      "f: PROTECT_SESSIONS: added: PROTECT_SESSIONS=\"1\", as by default\n"
      "f: PROTECT_NETWORKS: added: PROTECT_NETWORKS=\"\", as by default\n"
      "f: FIREWALL: added: FIREWALL=\"auto\", as by default\n");
}

}  // namespace
}  // namespace portsentry::enforcer
