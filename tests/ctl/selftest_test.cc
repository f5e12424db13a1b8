#include "ctl/selftest.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace portsentry::ctl {
namespace {

const SelfTestReply kHalf{
    .hops = {{.name = "sensor",
              .passed = true,
              .microseconds = 230,
              .text = "parsed, classified, tracked"},
             {.name = "firewall", .passed = false, .microseconds = 1200, .text = "ENOENT"}}};

TEST(SelfTest, EachHopIsReportedWithItsTime) {
  EXPECT_EQ(selftest_text(kHalf, kPipe),
            "HOP       RESULT   AFTER  REMARK\n"
            "sensor    ok      230 us  parsed, classified, tracked\n"
            "firewall  FAILED  1.2 ms  ENOENT\n"
            "It does not work: see the hop that failed.\n");
}

TEST(SelfTest, JsonSaysWhetherAllPassed) {
  EXPECT_EQ(selftest_json(kHalf),
            R"({"version":1,"verb":"selftest","passed":false,"hops":[{"name":"sensor",)"
            R"("passed":true,"microseconds":230,"text":"parsed, classified, tracked"},)"
            R"({"name":"firewall","passed":false,"microseconds":1200,"text":"ENOENT"}]})"
            "\n");
}

TEST(SelfTest, NoHopAtAllIsNoSuccess) {
  EXPECT_FALSE(all_passed({}));
  EXPECT_FALSE(all_passed(kHalf));
  EXPECT_TRUE(all_passed({.hops = {kHalf.hops.at(0)}}));
  EXPECT_TRUE(selftest_text({.hops = {kHalf.hops.at(0)}}, kPipe)
                  .ends_with("It works: every hop answered, and nobody was banned for it.\n"));
}

TEST(Check, JsonHasEachLineThatWasPrinted) {
  EXPECT_EQ(
      check_json("/etc/x", false, "a:1: error\n\nb\n"),
      R"({"version":1,"verb":"check","good":false,"file":"/etc/x","lines":["a:1: error","b"]})"
      "\n");
  EXPECT_EQ(check_json("", true, ""),
            R"({"version":1,"verb":"check","good":true,"file":null,"lines":[]})"
            "\n");
}

}  // namespace
}  // namespace portsentry::ctl
