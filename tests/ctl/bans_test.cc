#include "ctl/bans.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace portsentry::ctl {
namespace {

const std::vector<BanShown> kBans{timed_ban(), permanent_ban(), troubled_ban()};

WhyReply scanner() {
  return {.address = prefix("192.0.2.7").address(),
          .ban = timed_ban(),
          .source = source("192.0.2.7"),
          .scan_class = "proven",
          .proof = Proof::handshake,
          .first = kNow - 70,
          .last = kNow - 60,
          .distinct_ports = 2,
          .offences = 1,
          .touches = {{.at = kNow - 60,
                       .protocol = Protocol::tcp,
                       .port = *Port::make(23),
                       .kind = ScanKind::syn,
                       .flags = TcpFlags{TcpFlags::syn}},
                      {.at = kNow - 70,
                       .protocol = Protocol::udp,
                       .port = *Port::make(161),
                       .kind = ScanKind::udp,
                       .flags = TcpFlags{}}},
          .decision = "ban",
          .reason = "two ports inside the window",
          .undo = "portsentryctl unban 192.0.2.7"};
}

TEST(List, PermanentBansAreListedApart) {
  EXPECT_EQ(
      list_text(kBans, kNow, kPipe),
      "SOURCE        STATE     LEFT  SINCE                ORIGIN     PROOF      OFFENCES  REMARK\n"
      "192.0.2.7     enforced   29m  2026-11-18 11:05:40  scan       handshake         2\n"
      "198.51.100.9  waiting    10m  2026-11-18 11:06:35  recovered  -                 0  over "
      "budget; not on the disk yet; unverifiable: made by a command\n"
      "\n"
      "Permanent:\n"
      "SOURCE           STATE     SINCE                ORIGIN  PROOF  OFFENCES  REMARK\n"
      "2001:db8:7::/64  enforced  2026-11-17 11:06:40  hand    -             0\n");
}

TEST(List, OnANarrowTerminalEachBanIsAParagraph) {
  EXPECT_EQ(list_text(kBans, kNow, kNarrow),
            "SOURCE    192.0.2.7\n"
            "STATE     enforced\n"
            "LEFT      29m\n"
            "SINCE     2026-11-18 11:05:40\n"
            "ORIGIN    scan\n"
            "PROOF     handshake\n"
            "OFFENCES  2\n"
            "\n"
            "SOURCE    198.51.100.9\n"
            "STATE     waiting\n"
            "LEFT      10m\n"
            "SINCE     2026-11-18 11:06:35\n"
            "ORIGIN    recovered\n"
            "PROOF     -\n"
            "OFFENCES  0\n"
            "REMARK    over budget; not on the disk\n"
            "          yet; unverifiable: made by a\n"
            "          command\n"
            "\n"
            "Permanent:\n"
            "SOURCE    2001:db8:7::/64\n"
            "STATE     enforced\n"
            "SINCE     2026-11-17 11:06:40\n"
            "ORIGIN    hand\n"
            "PROOF     -\n"
            "OFFENCES  0\n");
}

TEST(List, JsonHasEveryBanInOneList) {
  EXPECT_EQ(list_json(kBans),
            R"({"version":1,"verb":"list","bans":[{"source":"192.0.2.7","state":"enforced",)"
            R"("origin":"scan","backend":"nftables","proof":"handshake","since":1794999940,)"
            R"("until":1795001740,"permanent":false,"offences":2,"recorded":true,)"
            R"("trouble":""},{"source":"2001:db8:7::/64","state":"enforced","origin":"hand",)"
            R"("backend":"nftables","proof":null,"since":1794913600,"until":null,)"
            R"("permanent":true,"offences":0,"recorded":true,"trouble":""},)"
            R"({"source":"198.51.100.9","state":"waiting","origin":"recovered",)"
            R"("backend":"command","proof":null,"since":1794999995,"until":1795000600,)"
            R"("permanent":false,"offences":0,"recorded":false,"trouble":"over budget"}]})"
            "\n");
}

TEST(List, PlainIsASourceALine) {
  EXPECT_EQ(list_plain(kBans), "192.0.2.7\n2001:db8:7::/64\n198.51.100.9\n");
  EXPECT_EQ(list_plain({}), "");
}

TEST(List, NothingIsSaidInWords) {
  EXPECT_EQ(list_text({}, kNow, kPipe), "nothing is banned\n");
  EXPECT_EQ(list_json({}), "{\"version\":1,\"verb\":\"list\",\"bans\":[]}\n");
}

TEST(Why, TheEvidenceTheDecisionAndWhatUndoesIt) {
  EXPECT_EQ(why_text(scanner(), kNow, kPipe),
            "address     192.0.2.7\n"
            "ban         enforced, 29m left (until 2026-11-18 11:35:40), by a scan, since "
            "2026-11-18 11:05:40\n"
            "decision    ban: two ports inside the window\n"
            "class       proven (it was really there)\n"
            "proof       proven: a completed handshake\n"
            "first seen  2026-11-18 11:05:30\n"
            "last seen   2026-11-18 11:05:40\n"
            "ports       2 distinct\n"
            "offences    1 before\n"
            "undo        portsentryctl unban 192.0.2.7\n"
            "\n"
            "TIME                 PROTOCOL  PORT  KIND  FLAGS\n"
            "2026-11-18 11:05:40  tcp         23  syn   SYN\n"
            "2026-11-18 11:05:30  udp        161  udp   -\n");
}

TEST(Why, OnANarrowTerminalEachProbeIsAParagraph) {
  EXPECT_EQ(why_text(scanner(), kNow, kNarrow),
            "address     192.0.2.7\n"
            "ban         enforced, 29m left (until\n"
            "            2026-11-18 11:35:40), by a\n"
            "            scan, since 2026-11-18\n"
            "            11:05:40\n"
            "decision    ban: two ports inside the\n"
            "            window\n"
            "class       proven (it was really there)\n"
            "proof       proven: a completed\n"
            "            handshake\n"
            "first seen  2026-11-18 11:05:30\n"
            "last seen   2026-11-18 11:05:40\n"
            "ports       2 distinct\n"
            "offences    1 before\n"
            "undo        portsentryctl unban\n"
            "            192.0.2.7\n"
            "\n"
            "TIME      2026-11-18 11:05:40\n"
            "PROTOCOL  tcp\n"
            "PORT      23\n"
            "KIND      syn\n"
            "FLAGS     SYN\n"
            "\n"
            "TIME      2026-11-18 11:05:30\n"
            "PROTOCOL  udp\n"
            "PORT      161\n"
            "KIND      udp\n"
            "FLAGS     -\n");
}

TEST(Why, JsonHasEachProbe) {
  EXPECT_EQ(why_json(scanner()),
            R"({"version":1,"verb":"why","address":"192.0.2.7","source":"192.0.2.7",)"
            R"("ban":{"source":"192.0.2.7","state":"enforced","origin":"scan",)"
            R"("backend":"nftables","proof":"handshake","since":1794999940,)"
            R"("until":1795001740,"permanent":false,"offences":2,"recorded":true,)"
            R"("trouble":""},"class":"proven","proof":"handshake","proven":true,)"
            R"("first":1794999930,"last":1794999940,"distinct_ports":2,"offences":1,)"
            R"("decision":"ban","reason":"two ports inside the window","shield":"",)"
            R"("undo":"portsentryctl unban 192.0.2.7","touches":[{"at":1794999940,)"
            R"("protocol":"tcp","port":23,"kind":"syn","flags":"SYN"},{"at":1794999930,)"
            R"("protocol":"udp","port":161,"kind":"udp","flags":"none"}]})"
            "\n");
}

TEST(Why, ASourceThatIsNotBannedIsExplainedToo) {
  const WhyReply why{.address = prefix("2001:db8::7").address(),
                     .source = source("2001:db8::/64"),
                     .decision = "protected",
                     .shield = "next hop"};
  EXPECT_EQ(why_text(why, kNow, kPipe),
            "address   2001:db8::7\n"
            "source    2001:db8::/64 (held responsible as a whole)\n"
            "ban       none\n"
            "decision  protected\n"
            "shield    next hop\n"
            "offences  0 before\n");
}

TEST(Why, TextsOfTheDaemonReachNoTerminalRaw) {
  WhyReply why = scanner();
  why.reason = why.decision = why.shield = why.undo = why.scan_class = why.ban->trouble = kEvil;
  EXPECT_TRUE(is_harmless(why_text(why, kNow, kPipe)));
  EXPECT_TRUE(is_harmless(why_json(why)));
}

TEST(Ban, WhatWasNarrowedIsSaid) {
  EXPECT_EQ(ban_text({.source = source("192.0.2.7"), .until = kNow + 600, .text = "only the host"},
                     kNow, kPipe),
            "192.0.2.7 is banned for 10m, until 2026-11-18 11:16:40 (only the host)\n");
  EXPECT_EQ(ban_text({.source = source("192.0.2.7"), .changed = true}, kNow, kPipe),
            "192.0.2.7 stays banned without an end\n");
}

TEST(Ban, JsonSaysWhenItEnds) {
  EXPECT_EQ(ban_json({.source = source("192.0.2.7"), .changed = true}),
            R"({"version":1,"verb":"ban","source":"192.0.2.7","until":null,"permanent":true,)"
            R"("changed":true,"text":""})"
            "\n");
}

TEST(Unban, CountsWhatEndedWhatStaysAndWhatFailed) {
  EXPECT_EQ(unban_text({.ended = 2, .failed = 1, .permanent_left = 1}, kPipe),
            "2 bans ended; 1 permanent ban stays (--permanent ends those too)\n"
            "1 ban could not be undone: see portsentryctl list --only troubled\n");
  EXPECT_EQ(unban_text({.ended = 1, .allowed = true}, kPipe),
            "1 ban ended; it will not be banned again meanwhile\n");
  EXPECT_EQ(
      unban_json("flush", {.ended = 2}),
      R"({"version":1,"verb":"flush","ended":2,"failed":0,"permanent_left":0,"allowed":false})"
      "\n");
}

}  // namespace
}  // namespace portsentry::ctl
