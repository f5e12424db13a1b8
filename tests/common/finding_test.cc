#include "common/finding.h"

#include <gtest/gtest.h>

namespace portsentry {
namespace {

TEST(Finding, PrintsFileLineSeverityKeyAndText) {
  const Finding finding{.severity = Severity::error,
                        .file = "/etc/x.conf",
                        .line = 7,
                        .key = "BLOCK_TCP",
                        .text = "found '3'"};
  EXPECT_EQ(finding.print(), "/etc/x.conf:7: error: BLOCK_TCP: found '3'");
}

TEST(Finding, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ((Finding{.severity = Severity::warning, .file = "x.conf", .text = "odd"}).print(),
            "x.conf: warning: odd");
  EXPECT_EQ((Finding{.severity = Severity::error, .key = "K", .text = "bad"}).print(),
            "error: K: bad");
}

TEST(Finding, NoPartCanCarryAControlSequenceToATerminal) {
  const Finding finding{.file = "a\x1b[2Jb", .line = 1, .key = "K\n", .text = "t\x7f\x9b\r"};
  EXPECT_EQ(finding.print(), "a\\x1b[2Jb:1: error: K\\x0a: t\\x7f\\x9b\\x0d");
}

TEST(Finding, AWarningIsNoError) {
  const Finding warning{.severity = Severity::warning, .text = "w"};
  const Finding error{.severity = Severity::error, .text = "e"};
  EXPECT_TRUE(error_free({}));
  EXPECT_TRUE(error_free({warning, warning}));
  EXPECT_FALSE(error_free({warning, error}));
}

TEST(InQuotes, ShowsTheBeginningOfALongText) {
  EXPECT_EQ(in_quotes("short"), "'short'");
  EXPECT_EQ(in_quotes(std::string(60, 'x')), "'" + std::string(60, 'x') + "'");
  EXPECT_EQ(in_quotes(std::string(61, 'x')), "'" + std::string(60, 'x') + "...'");
  EXPECT_EQ(in_quotes(std::string_view("a\0b", 3)), "'a\\x00b'");
}

TEST(Nearest, FindsWhatWasProbablyMeant) {
  const std::vector<std::string_view> words{"TCP_PORTS", "UDP_PORTS", "BLOCK_TCP", "BLOCK_UDP"};
  EXPECT_EQ(nearest("TCP_PORT", words), "TCP_PORTS");
  EXPECT_EQ(nearest("TCPPORTS", words), "TCP_PORTS");
  EXPECT_EQ(nearest("udp_ports", words), "UDP_PORTS");
  EXPECT_EQ(nearest("BLOCK_UPD", words), "BLOCK_UDP");
  EXPECT_EQ(nearest("XDP_PORTS", words), "UDP_PORTS");
}

TEST(Nearest, DoesNotGuessWildly) {
  const std::vector<std::string_view> words{"TCP_PORTS", "auto"};
  for (const char* word : {"", "x", "yes", "SOMETHING_ELSE", "TCP"}) {
    EXPECT_EQ(nearest(word, words), "") << word;
  }
  EXPECT_EQ(nearest(std::string(100'000, 'T'), words), "");
  EXPECT_EQ(nearest("TCP_PORTS", {}), "");
}

}  // namespace
}  // namespace portsentry
