#include "common/config_checks.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace portsentry {
namespace {

// One printed finding per line about this file, which is written for portsentryd.
std::string found(const std::string& text) {
  std::string out;
  for (const Finding& finding : read_config("LOG_TAG=\"t\"\n" + text, "f").findings)
    out += finding.print() + "\n";
  return out;
}

constexpr char kRoute[] =
    "f:2: warning: KILL_ROUTE: a route is no filter: what the banned host sends still arrives, and "
    "what this host sends to it, answers included, is lost; without KILL_ROUTE nftables drops what "
    "arrives\n";

TEST(ConfigChecks, ARouteIsToldApartFromAFilter) {
  const auto about = [](const std::string& command) {
    return found("KILL_ROUTE=\"" + command + "\"\nTCP_PORTS=\"1\"\n");
  };
  for (const char* command :
       {"/sbin/route add -host $TARGET$ reject", "route add $TARGET$ 127.0.0.1",
        "/sbin/route -A inet6 add $TARGET$ reject", "ip route add blackhole $TARGET$",
        "/usr/sbin/ip -4 route replace unreachable $TARGET$",
        "  ip\troute add prohibit $TARGET$"}) {
    EXPECT_EQ(about(command), kRoute) << command;
  }
  for (const char* command :
       {"/sbin/iptables -I INPUT -s $TARGET$ -j DROP", "/usr/local/bin/reroute add $TARGET$",
        "ipset add scanners $TARGET$", "nft add element ip f s { $TARGET$ }", "/sbin/route",
        "ip rule add from $TARGET$ blackhole", "ufw insert 1 deny from $TARGET$", "/"}) {
    EXPECT_EQ(about(command), "") << command;
  }
}

TEST(ConfigChecks, ARouteThatIsNotUsedIsOnlyUnused) {
  EXPECT_EQ(found("KILL_ROUTE=\"ip route add blackhole "
                  "$TARGET$\"\nTCP_PORTS=\"1\"\nFIREWALL=\"nftables\"\n"),
            "f:2: warning: KILL_ROUTE: not used with FIREWALL=\"nftables\" (line 4)\n");
}

TEST(ConfigChecks, ThePlaceholderOfTheOldExampleIsRecognised) {
  EXPECT_EQ(found("KILL_ROUTE=\"route add $TARGET$ 333.444.555.666\"\nTCP_PORTS=\"1\"\n"),
            "f:2: warning: KILL_ROUTE: 333.444.555.666 is the placeholder of PortSentry's own "
            "example, not an address: no ban can be enforced with it\n" +
                std::string(kRoute));
}

TEST(ConfigChecks, AnObfuscatedMailAddressIsRecognisedInEveryCommand) {
  for (const std::string key : {"KILL_ROUTE", "KILL_RUN_CMD", "EXTERNAL_COMMAND"}) {
    EXPECT_EQ(
        found(key + "=\"mail [email protected]\"\nTCP_PORTS=\"1\"\n"),
        "f:2: warning: " + key +
            ": '[email protected]' is what a web page shows in place of an address: write the "
            "address\n");
  }
  // A no-break space, as browsers copy it.
  EXPECT_NE(found("EXTERNAL_COMMAND=\"mail [email\xc2\xa0protected]\"\nTCP_PORTS=\"1\"\n"), "");
  EXPECT_EQ(found("EXTERNAL_COMMAND=\"mail root@[192.0.2.1]\"\nTCP_PORTS=\"1\"\n"), "");
}

TEST(ConfigChecks, AListIsWideFromHalfOfTheWellKnownPortsOn) {
  constexpr char kArmed[] = "BLOCK_TCP=\"1\"\nSCAN_TRIGGER=\"1\"\nTCP_MODE=\"tcp\"\n";
  EXPECT_EQ(found(std::string(kArmed) + "TCP_PORTS=\"1-511\"\n"), "");
  EXPECT_EQ(
      found(std::string(kArmed) + "TCP_PORTS=\"1-512\"\n"),
      "f:2: warning: BLOCK_TCP: with SCAN_TRIGGER at 0 or 1 one probe of any of 512 TCP ports "
      "is a ban: a list this wide holds ports that ordinary clients try unasked (113, 137 to "
      "139, 443); raise SCAN_TRIGGER or name fewer ports\n");
  EXPECT_EQ(found("BLOCK_TCP=\"1\"\nSCAN_TRIGGER=\"2\"\nTCP_PORTS=\"1-65535\"\n"), "");
}

TEST(ConfigChecks, AnAcceptedConnectionIsNotForgedAndADatagramIs) {
  EXPECT_EQ(found("BLOCK_TCP=\"1\"\nTCP_MODE=\"tcp\"\nTCP_PORTS=\"1\"\n"), "");
  EXPECT_NE(found("BLOCK_TCP=\"1\"\nTCP_MODE=\"stcp\"\nTCP_PORTS=\"1\"\n"), "");
  EXPECT_NE(found("BLOCK_UDP=\"1\"\nUDP_MODE=\"udp\"\nUDP_PORTS=\"1\"\n"), "");
}

TEST(ConfigChecks, AProtocolThatIsNotWatchedEndangersNobody) {
  EXPECT_EQ(found("BLOCK_UDP=\"1\"\nUDP_MODE=\"\"\nUDP_PORTS=\"1\"\nTCP_PORTS=\"1\"\n"), "");
}

TEST(ConfigChecks, OnlyListeningSocketsCollideWithOutgoingConnections) {
  const std::string warning =
      "is among 32768 to 60999, where Linux takes the source ports of its own connections: "
      "listening "
      "there can fail at any start, and takes the port from others\n";
  EXPECT_EQ(found("TCP_PORTS=\"1,60999,61000\"\nTCP_MODE=\"tcp\"\n"),
            "f:2: warning: TCP_PORTS: port 60999 " + warning);
  EXPECT_EQ(found("UDP_PORTS=\"32768,40000\"\nUDP_MODE=\"udp\"\n"),
            "f:2: warning: UDP_PORTS: port 32768 " + warning);
  EXPECT_EQ(found("TCP_PORTS=\"32767,61000\"\nTCP_MODE=\"tcp\"\n"), "");
  EXPECT_EQ(found("TCP_PORTS=\"40000\"\n"), "");
}

TEST(ConfigChecks, AModeThatIsNamedAndFindsNothingIsTold) {
  EXPECT_EQ(
      found("UDP_MODE=\"udp\"\nTCP_PORTS=\"1\"\n"),
      "f:2: warning: UDP_MODE: 'udp' watches the ports of UDP_PORTS, which names none: no UDP "
      "is watched\n");
  EXPECT_EQ(
      found("TCP_MODE=\"atcp\"\nADVANCED_PORTS_TCP=\"3\"\nADVANCED_EXCLUDE_TCP=\"1-2\"\n"
            "UDP_PORTS=\"1\"\n"),
      "f:2: warning: TCP_MODE: 'atcp' watches the ports below ADVANCED_PORTS_TCP, and none is "
      "left: no TCP is watched\n");
}

TEST(ConfigChecks, CommandsOnlyNeedACommandAndNoFirewall) {
  EXPECT_EQ(found("BLOCK_TCP=\"2\"\nKILL_RUN_CMD=\"/c\"\nFIREWALL=\"none\"\nTCP_PORTS=\"1\"\n"),
            "");
  EXPECT_EQ(found("BLOCK_TCP=\"2\"\nKILL_RUN_CMD=\"  \"\nTCP_PORTS=\"1\"\n"),
            "f:2: error: BLOCK_TCP: 2 runs KILL_RUN_CMD only, and KILL_RUN_CMD is empty: name a "
            "command, or BLOCK_TCP=\"0\" to watch only\n");
}

TEST(ConfigChecks, FourFilesAreFourFiles) {
  EXPECT_EQ(found("IGNORE_FILE=\"/a\"\nHISTORY_FILE=\"/b\"\nBLOCKED_FILE=\"/c\"\nLOG_FILE=\"/d\"\n"
                  "TCP_PORTS=\"1\"\n"),
            "");
  EXPECT_EQ(found("IGNORE_FILE=\"/a\"\nLOG_FILE=\"/a\"\nTCP_PORTS=\"1\"\n"),
            "f:3: error: LOG_FILE: '/a' is also IGNORE_FILE: expected a file of its own\n");
}

TEST(ConfigChecks, WhatATriggerOfNoughtOrOneMeansIsToldWhoNamesIt) {
  constexpr char kSaid[] =
      "f:3: warning: SCAN_TRIGGER: 0 and 1 mean the same: one packet to one port is a scan. One "
      "packet is easily forged: once armed, anybody can have any address banned; 2 asks for a "
      "second port\n";
  EXPECT_EQ(found("TCP_PORTS=\"1\"\nSCAN_TRIGGER=\"0\"\n"), kSaid);
  EXPECT_EQ(found("TCP_PORTS=\"1\"\nSCAN_TRIGGER=\"1\"\n"), kSaid);
  EXPECT_EQ(found("TCP_PORTS=\"1\"\nSCAN_TRIGGER=\"2\"\n"), "");
  const std::string armed = found("TCP_PORTS=\"1\"\nSCAN_TRIGGER=\"0\"\nBLOCK_TCP=\"1\"\n");
  EXPECT_EQ(armed.find("0 and 1 mean"), std::string::npos) << "told once, at what arms";
  EXPECT_NE(armed.find("BLOCK_TCP: with SCAN_TRIGGER at 0 or 1 a single forged SYN packet"),
            std::string::npos);
}

TEST(ConfigChecks, TimesThatContradictEachOtherAreTold) {
  EXPECT_EQ(found("TCP_PORTS=\"1\"\nBLOCK_TIME=\"2h\"\nBLOCK_TIME_MAX=\"1h\"\n"),
            "f:4: warning: BLOCK_TIME_MAX: is shorter than BLOCK_TIME (line 3): who comes back is "
            "banned for BLOCK_TIME each time, and no longer\n");
  EXPECT_EQ(found("TCP_PORTS=\"1\"\nBLOCK_TIME_FORGEABLE=\"31m\"\n"),
            "f:3: warning: BLOCK_TIME_FORGEABLE: is longer than BLOCK_TIME (by default): who may "
            "not have sent the packets is banned for longer than who has\n");
  EXPECT_EQ(found("TCP_PORTS=\"1\"\nBLOCK_TIME=\"30d\"\n"), "") << "a month each time";
  EXPECT_EQ(found("TCP_PORTS=\"1\"\nBLOCK_TIME=\"1m\"\n"), "");
}

TEST(ConfigChecks, ProtectingEverybodyIsToldHoweverItIsWritten) {
  const auto about = [](const std::string& networks) {
    return found("TCP_PORTS=\"1\"\nPROTECT_NETWORKS=\"" + networks + "\"\n");
  };
  constexpr char kAll4[] =
      "f:3: warning: PROTECT_NETWORKS: holds every address of IPv4: none of them is ever banned\n";
  constexpr char kAll6[] =
      "f:3: warning: PROTECT_NETWORKS: holds every address of IPv6: none of them is ever banned\n";
  EXPECT_EQ(about("0.0.0.0/0"), kAll4);
  EXPECT_EQ(about("0.0.0.0/1 128.0.0.0/1"), kAll4);
  EXPECT_EQ(about("192.0.0.0/2 0.0.0.0/1 160.0.0.0/3 128.0.0.0/3"), kAll4);
  EXPECT_EQ(about("0.0.0.0/1 128.0.0.0/2 192.0.0.0/3"), "");
  EXPECT_EQ(about("::/0"), kAll6);
  EXPECT_EQ(about("::/1 8000::/1 0.0.0.0/0"), std::string(kAll4) + kAll6);
  EXPECT_EQ(about("10.0.0.0/8 192.0.2.1 2001:db8::/32"), "");
  EXPECT_EQ(about(""), "");
}

TEST(ConfigPlaces, NameTheLineTheCommandLineOrTheDefault) {
  const std::array<ConfEntry, 2> entries{{{"A", "1", 7, {}}, {"B", "2", 0, {}}}};
  const ConfigPlaces places("f", entries, true);
  EXPECT_EQ(places.of("A"), "line 7");
  EXPECT_EQ(places.of("B"), "command line");
  EXPECT_EQ(places.of("C"), "by default");
  EXPECT_EQ(places.about(Severity::error, "A", "x").print(), "f:7: error: A: x");
  EXPECT_EQ(places.about(Severity::error, "B", "x").print(), "command line: error: B: x");
  EXPECT_EQ(places.about(Severity::error, "C", "x").print(), "f: error: C: x");
}

}  // namespace
}  // namespace portsentry
