// A probe, and what comes of it where no ban does.
#include <gtest/gtest.h>

#include <cerrno>

#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

using Lines = std::vector<std::string>;

// ---- no ban -------------------------------------------------------------------------------------

TEST_F(Story, AnIgnoredSourceLeavesNothingButACount) {
  ignored_ = *read_ignore_list("198.51.100.7\n", "x").list;
  serve();
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(lines().empty());
  EXPECT_TRUE(effects_.sent.empty());
  EXPECT_EQ(counter("decision_ignored"), 1U);
}

TEST_F(Story, ObserveModeTellsWhatItWouldDoOnceAMinutePerKindOfScan) {
  config_.block_tcp = BlockMode::observe;
  serve();
  for (int i = 0; i < 59; ++i) {
    detect(probe("198.51.100.7"));
    wait(1s);
  }
  EXPECT_EQ(lines(),
            (Lines{"attackalert: TCP SYN/Normal scan from host: 198.51.100.7/198.51.100.7 to "
                   "TCP port: 23",
                   "attackalert: Ignoring TCP response per configuration file setting.",
                   "adminalert: would ban 198.51.100.7 for 30m (observe mode); to arm, set "
                   "BLOCK_TCP=\"1\" in /etc/portsentry/portsentry.conf"}));
  EXPECT_TRUE(sent<Ban>().empty());
  EXPECT_EQ(counter("decision_observe"), 59U);
}

TEST_F(Story, TheFormatOf2xTellsAScanAlsoWhereNothingNewComesOfIt) {
  config_.log_format = LogFormat::v2;
  serve();
  detect(probe("198.51.100.7"));
  wait(61s);
  effects_.lines.clear();
  detect(probe("198.51.100.7"));  // its ban is still asked for
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_EQ(count("Scan from: [198.51.100.7] "), 1U);
  EXPECT_EQ(count("triggered: [true] noblock: [false] blocked: [false]"), 1U);

  answer(Verdict::ok);
  wait(61s);
  detect(probe("198.51.100.7"));
  effects_.lines.clear();
  Detection fin = probe("198.51.100.7");
  fin.kind = ScanKind::fin;
  detect(fin);  // "already blocked" was said within this minute
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_EQ(count("type: [TCP FIN scan]"), 1U);
  EXPECT_EQ(count("noblock: [false] blocked: [true]"), 1U);
}

TEST_F(Story, AGatewayIsNotBannedAndTheReasonIsTold) {
  known_.next_hop("192.0.2.254");
  serve();
  detect(probe("192.0.2.254"));
  EXPECT_TRUE(effects_.sent.empty());
  EXPECT_EQ(
      count("ERROR: Could not block host 192.0.2.254/192.0.2.254 !! (a next hop of this host's "
            "routes)"),
      1U);
}

TEST_F(Story, ARefusalOfTheGuardIsToldAndNotTriedAgain) {
  serve();
  detect(probe("198.51.100.7"));
  effects_.lines.clear();
  answer(Verdict::own_address);
  EXPECT_EQ(lines(),
            Lines{"attackalert: ERROR: Could not block host 198.51.100.7/198.51.100.7 !! (an "
                  "address of this host)"});
  wait(50s);
  EXPECT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(monitor_->status().failed, 1U);
  EXPECT_EQ(effects_.history_text, "");
}

TEST_F(Story, AFailureOfTheKernelIsToldOnceTriedAgainAndThenTheBlockIsTold) {
  serve();
  detect(probe("198.51.100.7"));
  effects_.lines.clear();
  answer(Verdict::kernel_refused, ENOSPC);
  wait(1s);
  answer(Verdict::kernel_refused, ENOSPC);
  EXPECT_EQ(lines(), Lines{"attackalert: ERROR: Could not block host 198.51.100.7/198.51.100.7 !! "
                           "(kernel: No space left on device; trying again)"});
  EXPECT_EQ(effects_.history_text, "");
  wait(2s);
  answer(Verdict::ok);
  EXPECT_EQ(sent<Ban>().size(), 3U);
  EXPECT_EQ(count("has been blocked"), 1U);
  EXPECT_NE(effects_.history_text, "");
}

TEST_F(Story, ANetworkThatTheGuardRefusesIsNarrowedToTheHost) {
  serve();
  detect(probe(site("2001:db8:7::9"), "2001:db8:7::9"));
  effects_.lines.clear();
  answer(Verdict::own_address);
  EXPECT_EQ(lines(),
            Lines{"adminalert: ban of 2001:db8:7::/64 narrowed to 2001:db8:7::9: the network "
                  "holds an address of this host"});
  ASSERT_EQ(sent<Ban>().size(), 2U);
  EXPECT_EQ(sent<Ban>()[1].source, host("2001:db8:7::9"));
  answer(Verdict::ok);
  EXPECT_EQ(count("Host 2001:db8:7::9 has been blocked via nftables set \"inet portsentry ban6\""),
            1U);
}

TEST_F(Story, AHostThatTheGuardRefusesAfterNarrowingIsRefused) {
  serve();
  detect(probe(site("2001:db8:7::9"), "2001:db8:7::9"));
  answer(Verdict::next_hop);
  answer(Verdict::next_hop);
  EXPECT_EQ(sent<Ban>().size(), 2U);
  EXPECT_EQ(count("Could not block host 2001:db8:7::9/2001:db8:7::9"), 1U);
}

TEST_F(Story, ANetworkWithAnIgnoredHostIsNarrowedBeforeItIsAskedFor) {
  ignored_ = *read_ignore_list("2001:db8:7::1\n", "x").list;
  serve();
  detect(probe(site("2001:db8:7::9"), "2001:db8:7::9"));
  ASSERT_EQ(sent<Ban>().size(), 1U);
  EXPECT_EQ(sent<Ban>()[0].source, host("2001:db8:7::9"));
  EXPECT_EQ(count("the network holds an address of IGNORE_FILE"), 1U);
}

TEST_F(Story, AFloodOfForgedSourcesIsBoundedInLinesAndRequestsAndEverythingIsCounted) {
  serve();
  for (unsigned i = 0; i < 20000; ++i) {
    detect(probe("203." + std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
                 std::to_string(i % 256)));
  }
  EXPECT_LE(lines().size(), LogBudget::kInAll + 1) << "one more says that a budget is spent";
  EXPECT_LE(sent<Ban>().size(), Bans::kMaxInFlight);
  EXPECT_EQ(counter("decision_ban"), BanBudget::kBurst);
  EXPECT_EQ(counter("decision_over_budget_single"), 20000 - BanBudget::kBurst);
  EXPECT_GT(counter("log_lines_suppressed"), 0U);
  wait(61s);
  EXPECT_EQ(count("adminalert: suppressed "), 1U);
  EXPECT_EQ(count("(more than 200 a minute in all)"), 1U);
}

}  // namespace
}  // namespace portsentry::monitor
