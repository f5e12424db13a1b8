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
