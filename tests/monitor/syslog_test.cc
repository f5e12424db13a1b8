#include "monitor/syslog.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>

#include "syslog_receiver.h"

namespace portsentry::monitor {
namespace {

const LogIdentity kIdentity{
    .facility = LogFacility::local0, .tag = "portsentry", .host = "server", .pid = 1234};

class Syslog : public ::testing::Test {
 protected:
  Syslog() {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST_F(Syslog, ADatagramIsWhatLocalSendersSend) {
  EXPECT_EQ(syslog_datagram(kIdentity, "attackalert: x", 1754450490),
            "<133>Aug  6 03:21:30 portsentry[1234]: attackalert: x");
  EXPECT_EQ(syslog_datagram(kIdentity, "adminalert: ERROR: x", 1754450490),
            "<131>Aug  6 03:21:30 portsentry[1234]: adminalert: ERROR: x");
}

TEST_F(Syslog, ALineOfTheFileIsTheGuides) {
  EXPECT_EQ(log_file_line(kIdentity, "attackalert: x", 1756178490),
            "Aug 26 03:21:30 server portsentry[1234]: attackalert: x");
}

TEST_F(Syslog, ErrorsOfOursAreErrorsAndTheRestIsNotice) {
  for (const char* line :
       {"attackalert: ERROR: Could not block host", "adminalert: ERROR: x",
        "securityalert: ERROR: x", "ERROR: x", "attackalert: Error during target dispose A/A!"}) {
    EXPECT_EQ(severity(line), SyslogSeverity::error) << line;
  }
  for (const char* line :
       {"attackalert: Host A has been blocked", "adminalert: command for host A said: ERROR: x",
        "Scan from: [A]", "", "adminalert: "}) {
    EXPECT_EQ(severity(line), SyslogSeverity::notice) << line;
  }
}

TEST_F(Syslog, EveryFacilityHasItsNumber) {
  LogIdentity identity = kIdentity;
  const std::pair<LogFacility, std::string_view> kCases[] = {{LogFacility::user, "<13>"},
                                                             {LogFacility::daemon, "<29>"},
                                                             {LogFacility::auth, "<37>"},
                                                             {LogFacility::authpriv, "<85>"},
                                                             {LogFacility::local7, "<189>"}};
  for (const auto& [facility, expected] : kCases) {
    identity.facility = facility;
    EXPECT_TRUE(syslog_datagram(identity, "x", 0).starts_with(expected)) << expected;
  }
}

TEST_F(Syslog, AnOutputReachesWhoListensAlsoAfterItsRestart) {
  const auto socket = SyslogOutput::open();
  ASSERT_TRUE(socket);
  SyslogReceiver receiver;
  SyslogOutput output(socket->get(), receiver.path());
  EXPECT_TRUE(output.write("one"));
  EXPECT_EQ(receiver.take(), "one");
  receiver.close();
  EXPECT_FALSE(output.write("two"));
  receiver.listen();
  EXPECT_TRUE(output.write("three"));
  EXPECT_EQ(receiver.take(), "three");
}

TEST_F(Syslog, AFullSocketCostsItsPatienceOnceAndThenNothing) {
  using Clock = std::chrono::steady_clock;
  const auto socket = SyslogOutput::open();
  ASSERT_TRUE(socket);
  SyslogReceiver receiver;
  SyslogOutput output(socket->get(), receiver.path());
  // The sending socket's own buffer bounds it too, so this ends.
  int taken = 0;
  while (taken < 100'000 && output.write("x"))
    ++taken;
  ASSERT_LT(taken, 100'000);
  const auto begin = Clock::now();
  for (int i = 0; i < 1000; ++i)
    EXPECT_FALSE(output.write("x"));
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(1000 * SyslogOutput::kPatienceMs / 10));
  EXPECT_EQ(receiver.take(), "x");
  EXPECT_TRUE(output.write("y"));
}

TEST_F(Syslog, APathThatNoSocketCanHaveIsNoReasonToEnd) {
  const auto socket = SyslogOutput::open();
  ASSERT_TRUE(socket);
  EXPECT_FALSE(SyslogOutput(socket->get(), std::string(200, 'x')).write("x"));
}

}  // namespace
}  // namespace portsentry::monitor
