#include "resolver/escape.h"

#include <gtest/gtest.h>

#include "common/messages.h"
#include "common/wire.h"

namespace portsentry::resolver {
namespace {

TEST(Escape, LeavesAnOrdinaryNameAsItIs) {
  EXPECT_EQ(escape_host_name("Mail-7.example.ORG."), "Mail-7.example.ORG.");
  EXPECT_EQ(escape_host_name(""), "");
}

TEST(Escape, ShowsEveryOtherByteAsThreeDecimalDigits) {
  EXPECT_EQ(escape_host_name("a b"), "a\\032b");
  EXPECT_EQ(escape_host_name("\x1b[31m\r\n"), "\\027\\09131m\\013\\010");
  EXPECT_EQ(escape_host_name("../../etc"), "..\\047..\\047etc");
  EXPECT_EQ(escape_host_name("$(reboot);`id`'\""),
            "\\036\\040reboot\\041\\059\\096id\\096\\039\\034");
  EXPECT_EQ(escape_host_name("\\032"), "\\092032");
  EXPECT_EQ(escape_host_name(std::string_view("\0\x7f\x80\xff", 4)), "\\000\\127\\128\\255");
}

TEST(Escape, CutsAtTheLimitAndNeverInsideAnEscape) {
  EXPECT_EQ(escape_host_name(std::string(1024, 'a')), std::string(kMaxHostName, 'a'));
  EXPECT_EQ(escape_host_name(std::string(kMaxHostName - 3, 'a') + " aaaa"),
            std::string(kMaxHostName - 3, 'a'));
  EXPECT_EQ(escape_host_name(std::string(kMaxHostName - 4, 'a') + " "),
            std::string(kMaxHostName - 4, 'a') + "\\032");
}

// What we say must be what the monitor's gate lets through, or a name server could end us.
TEST(Escape, SaysNothingThatTheMonitorWouldRefuse) {
  for (int byte = 0; byte < 256; ++byte) {
    for (const std::size_t length : {1U, 2U, 250U, 251U, 252U, 253U, 254U, 1024U}) {
      const HostName answer{1, escape_host_name(std::string(length, static_cast<char>(byte)))};
      EXPECT_TRUE(decode_resolver_to_monitor(encode(ResolverToMonitor(answer)), 0)) << byte;
    }
  }
}

}  // namespace
}  // namespace portsentry::resolver
