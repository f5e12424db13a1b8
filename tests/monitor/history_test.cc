#include "monitor/history.h"

#include <gtest/gtest.h>
#include <regex.h>
#include <stdlib.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

class History : public ::testing::Test {
 protected:
  History() {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST_F(History, ALineIsThatOf12) {
  EXPECT_EQ(
      history_line(1756178490, address("198.51.100.7"), {Protocol::tcp, *Port::make(23)}),
      "1756178490 - 08/26/2025 03:21:30 Host: 198.51.100.7/198.51.100.7 Port: 23 TCP Blocked\n");
  EXPECT_EQ(history_line(0, address("2001:db8::7"), {Protocol::udp, *Port::make(161)}),
            "0 - 01/01/1970 00:00:00 Host: 2001:db8::7/2001:db8::7 Port: 161 UDP Blocked\n");
}

TEST_F(History, AResolvedNameStandsBeforeTheSlash) {
  EXPECT_EQ(
      history_line(0, address("198.51.100.7"), {Protocol::tcp, *Port::make(23)}, "scan.example"),
      "0 - 01/01/1970 00:00:00 Host: scan.example/198.51.100.7 Port: 23 TCP Blocked\n");
}

TEST_F(History, ALineMatchesTheStockFilterOfFail2ban) {
  // /etc/fail2ban/filter.d/portsentry.conf: failregex = \/<HOST> Port\: [0-9]+ (?:TCP|UDP)
  // Blocked\s*$
  regex_t filter;
  ASSERT_EQ(
      regcomp(&filter, "/([0-9a-f.:]+) Port: [0-9]+ (TCP|UDP) Blocked[[:space:]]*$", REG_EXTENDED),
      0);
  for (const char* who : {"198.51.100.7", "2001:db8::7"}) {
    const std::string line =
        history_line(1756178490, address(who), {Protocol::tcp, *Port::make(23)}, "scan.example");
    regmatch_t groups[2];
    ASSERT_EQ(regexec(&filter, line.c_str(), 2, groups, 0), 0) << line;
    EXPECT_EQ(line.substr(static_cast<std::size_t>(groups[1].rm_so),
                          static_cast<std::size_t>(groups[1].rm_eo - groups[1].rm_so)),
              who);
  }
  regfree(&filter);
}

TEST_F(History, ABlockedLineIsTheGuides) {
  EXPECT_EQ(blocked_line(host("198.51.100.7"), 1756178490),
            "198.51.100.7 - Blocked: Aug 26 03:21:30 2025\n");
  EXPECT_EQ(blocked_line(site("2001:db8::7"), 0),
            "2001:db8::/64 - Blocked: Jan 01 00:00:00 1970\n");
}

TEST_F(History, TheBlockedViewHoldsWhatHoldsOldestFirstAndNothingElse) {
  Bans bans;
  const Now now{Clock::time_point(1h), 100'000};
  bans.adopt(host("198.51.100.1"), 1800s, 1800s, now);
  bans.adopt(host("198.51.100.2"), 60s, 1800s, now);
  bans.ask(host("198.51.100.3"),
           {.address = address("198.51.100.3"),
            .cause = {Protocol::tcp, *Port::make(23)},
            .duration = 60s},
           now);
  const std::string view = blocked_view(bans);
  EXPECT_EQ(view,
            "198.51.100.2 - Blocked: Jan 02 03:17:40 1970\n"
            "198.51.100.1 - Blocked: Jan 02 03:46:40 1970\n");
}

TEST_F(History, AnEmptyTableIsAnEmptyView) {
  EXPECT_EQ(blocked_view(Bans()), "");
}

}  // namespace
}  // namespace portsentry::monitor
