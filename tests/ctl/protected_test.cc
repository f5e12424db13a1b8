#include "ctl/protected.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace portsentry::ctl {
namespace {

const std::vector<ProtectedShown> kEntries{{prefix("192.0.2.1"), "next hop of this host's routes"},
                                           {prefix("192.0.2.53"), "resolver, /etc/resolv.conf"}};

TEST(Protected, EachEntryHasItsReason) {
  EXPECT_EQ(protected_text(kEntries, kPipe),
            "PROTECTED   REASON\n"
            "192.0.2.1   next hop of this host's routes\n"
            "192.0.2.53  resolver, /etc/resolv.conf\n");
}

TEST(Protected, JsonHasTheSame) {
  EXPECT_EQ(protected_json(kEntries),
            R"({"version":1,"verb":"protected","entries":[{"prefix":"192.0.2.1",)"
            R"("reason":"next hop of this host's routes"},{"prefix":"192.0.2.53",)"
            R"("reason":"resolver, /etc/resolv.conf"}]})"
            "\n");
}

TEST(Protected, NothingYetIsSaidInWords) {
  EXPECT_EQ(protected_text({}, kPipe), "nothing is protected yet\n");
}

}  // namespace
}  // namespace portsentry::ctl
