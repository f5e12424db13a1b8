#include "ctl/history.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace portsentry::ctl {
namespace {

const std::vector<EventShown> kEvents{event(3, "banned", "TCP 23, for 30m"),
                                      event(2, "detected", "SYN to TCP 23")};
const std::vector<ReportRow> kRows{{.source = source("192.0.2.7"),
                                    .outcome = "would_ban",
                                    .scan_class = "spread",
                                    .times = 4,
                                    .first = kNow - 500,
                                    .last = kNow - 60,
                                    .distinct_ports = 9,
                                    .ban_time = std::chrono::minutes(10),
                                    .text = "nine trap ports"},
                                   {.source = source("192.0.2.9"),
                                    .outcome = "ignored",
                                    .times = 1,
                                    .first = kNow - 500,
                                    .last = kNow - 60,
                                    .distinct_ports = 2,
                                    .text = "portsentry.ignore, line 3"}};
const TopReply kTop{.rows = {{.name = "TCP 23", .count = 120, .last = kNow - 5}}};
constexpr std::time_t kWeekAgo = kNow - 604'800;

TEST(History, TheNewestIsTheLastAsInALog) {
  EXPECT_EQ(history_text(kEvents, kPipe),
            "TIME                 EVENT     SUBJECT    TEXT\n"
            "2026-11-18 11:05:02  detected  192.0.2.7  SYN to TCP 23\n"
            "2026-11-18 11:05:03  banned    192.0.2.7  TCP 23, for 30m\n");
}

TEST(History, OnANarrowTerminalEachEventIsAParagraph) {
  EXPECT_EQ(history_text(kEvents, kNarrow),
            "TIME     2026-11-18 11:05:02\n"
            "EVENT    detected\n"
            "SUBJECT  192.0.2.7\n"
            "TEXT     SYN to TCP 23\n"
            "\n"
            "TIME     2026-11-18 11:05:03\n"
            "EVENT    banned\n"
            "SUBJECT  192.0.2.7\n"
            "TEXT     TCP 23, for 30m\n");
}

TEST(History, JsonHasTheSameOrder) {
  EXPECT_EQ(
      history_json(kEvents),
      R"({"version":1,"verb":"history","events":[{"id":2,"at":1794999902,)"
      R"("kind":"detected","subject":"192.0.2.7","text":"SYN to TCP 23","until":null},{"id":3,)"
      R"("at":1794999903,"kind":"banned","subject":"192.0.2.7","text":"TCP 23,)"
      R"( for 30m","until":null}]})"
      "\n");
}

TEST(Report, WhoWouldHaveBeenBannedAndWhyAndASum) {
  EXPECT_EQ(report_text(kRows, kWeekAgo, kPipe),
            "SOURCE     OUTCOME    CLASS   TIMES  PORTS  BAN  FIRST                LAST            "
            "     WHY\n"
            "192.0.2.7  would_ban  spread      4      9  10m  2026-11-18 10:58:20  2026-11-18 "
            "11:05:40  nine trap ports\n"
            "192.0.2.9  ignored    -           1      2    -  2026-11-18 10:58:20  2026-11-18 "
            "11:05:40  portsentry.ignore, line 3\n"
            "\n"
            "Since 2026-11-11 11:06:40: 0 sources banned, 1 would have been, 1 not.\n");
}

TEST(Report, OnANarrowTerminalEachSourceIsAParagraph) {
  EXPECT_EQ(report_text(kRows, kWeekAgo, kNarrow),
            "SOURCE   192.0.2.7\n"
            "OUTCOME  would_ban\n"
            "CLASS    spread\n"
            "TIMES    4\n"
            "PORTS    9\n"
            "BAN      10m\n"
            "FIRST    2026-11-18 10:58:20\n"
            "LAST     2026-11-18 11:05:40\n"
            "WHY      nine trap ports\n"
            "\n"
            "SOURCE   192.0.2.9\n"
            "OUTCOME  ignored\n"
            "CLASS    -\n"
            "TIMES    1\n"
            "PORTS    2\n"
            "BAN      -\n"
            "FIRST    2026-11-18 10:58:20\n"
            "LAST     2026-11-18 11:05:40\n"
            "WHY      portsentry.ignore, line 3\n"
            "\n"
            "Since 2026-11-11 11:06:40: 0 sources\n"
            "banned, 1 would have been, 1 not.\n");
}

TEST(Report, JsonCountsTheBanInSeconds) {
  EXPECT_EQ(report_json(kRows, kWeekAgo),
            R"({"version":1,"verb":"report","since":1794395200,"rows":[{"source":"192.0.2.7",)"
            R"("outcome":"would_ban","class":"spread","times":4,"first":1794999500,)"
            R"("last":1794999940,"distinct_ports":9,"ban_seconds":600,)"
            R"("text":"nine trap ports"},{"source":"192.0.2.9","outcome":"ignored",)"
            R"("class":"","times":1,"first":1794999500,"last":1794999940,"distinct_ports":2,)"
            R"("ban_seconds":null,"text":"portsentry.ignore, line 3"}]})"
            "\n");
}

TEST(Top, TheColumnIsNamedForWhatIsCounted) {
  EXPECT_EQ(top_text(kTop, TopBy::port, kPipe),
            "PORT    COUNT  LAST\n"
            "TCP 23    120  2026-11-18 11:06:35\n");
}

TEST(Top, JsonSaysSinceWhen) {
  EXPECT_EQ(top_json(kTop, TopBy::port, kNow - 86'400),
            R"({"version":1,"verb":"top","by":"port","since":1794913600,)"
            R"("rows":[{"name":"TCP 23","count":120,"last":1794999995}]})"
            "\n");
}

TEST(History, NothingIsSaidInWords) {
  EXPECT_EQ(history_text({}, kPipe), "nothing happened in that time\n");
  EXPECT_EQ(top_text({}, TopBy::kind, kPipe), "nothing was counted in that time\n");
  EXPECT_EQ(report_text({}, kWeekAgo, kPipe),
            "Since 2026-11-11 11:06:40: 0 sources banned, 0 would have been, 0 not.\n");
}

TEST(History, WordsAreSpeltLikeTheOtherWordsOfJson) {
  EXPECT_NE(history_text({event(1, "would-ban", "x")}, kPipe).find(" would_ban "),
            std::string::npos);
  EXPECT_NE(history_json({event(1, "would-ban", "x")}).find(R"("kind":"would_ban")"),
            std::string::npos);
  ReportRow row = kRows.at(0);
  row.outcome = "would-ban";
  EXPECT_EQ(report_json({row, kRows.at(1)}, kWeekAgo), report_json(kRows, kWeekAgo));
  EXPECT_EQ(report_text({row, kRows.at(1)}, kWeekAgo, kPipe), report_text(kRows, kWeekAgo, kPipe));
}

TEST(Watch, AnEventIsALine) {
  EXPECT_EQ(watch_text(kEvents.at(0), kPipe),
            "2026-11-18 11:05:03  banned  192.0.2.7  TCP 23, for 30m\n");
  EXPECT_EQ(watch_json(kEvents.at(0)),
            R"({"version":1,"verb":"watch","event":{"id":3,"at":1794999903,"kind":"banned",)"
            R"("subject":"192.0.2.7","text":"TCP 23, for 30m","until":null}})"
            "\n");
}

TEST(Watch, WhatWasMissedIsCounted) {
  EXPECT_EQ(missed_text(3, kPipe),
            "3 events came too fast to be shown here (see portsentryctl history)\n");
  EXPECT_EQ(missed_json(3), "{\"version\":1,\"verb\":\"watch\",\"missed\":3}\n");
}

TEST(Watch, WhatASourceWroteReachesNoTerminalRaw) {
  const EventShown evil = event(4, kEvil, kEvil);
  const Layout colour{.width = 80, .colour = false, .ascii = true};
  EXPECT_TRUE(is_harmless(watch_text(evil, colour)));
  EXPECT_EQ(watch_text(evil, kPipe).find('\n'), watch_text(evil, kPipe).size() - 1);
  EXPECT_TRUE(is_harmless(watch_json(evil)));
  EXPECT_TRUE(is_harmless(history_text({evil}, kPipe)));
  EXPECT_TRUE(is_harmless(top_text({.rows = {{.name = kEvil}}}, TopBy::source, kPipe)));
}

}  // namespace
}  // namespace portsentry::ctl
