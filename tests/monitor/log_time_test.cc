#include "monitor/log_time.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace portsentry::monitor {
namespace {

void live_in(const char* zone) {
  setenv("TZ", zone, 1);
  tzset();
}

TEST(LogTime, EachFormatPadsItsDayInItsOwnWay) {
  live_in("UTC");
  constexpr std::time_t kWhen = 1754450490;  // 2025-08-06T03:21:30Z
  EXPECT_EQ(syslog_time(kWhen), "Aug  6 03:21:30");
  EXPECT_EQ(history_time(kWhen), "08/06/2025 03:21:30");
  EXPECT_EQ(blocked_time(kWhen), "Aug 06 03:21:30 2025");
}

TEST(LogTime, TimeIsLocal) {
  live_in("UTC-5:30");
  EXPECT_EQ(syslog_time(0), "Jan  1 05:30:00");
  live_in("UTC");
  EXPECT_EQ(syslog_time(86400 * 30), "Jan 31 00:00:00");
}

}  // namespace
}  // namespace portsentry::monitor
