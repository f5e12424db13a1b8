#include "ctl/allow.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace portsentry::ctl {
namespace {

const std::vector<AllowedShown> kEntries{{.prefix = prefix("192.0.2.0/24"),
                                          .since = kNow - 60,
                                          .until = kNow + 3600,
                                          .note = "penetration test"},
                                         {.prefix = prefix("2001:db8::7"), .since = kNow - 60}};

TEST(Allow, TheListSaysHowLong) {
  EXPECT_EQ(allow_list_text(kEntries, kNow, kPipe),
            "ALLOWED           LEFT  SINCE                NOTE\n"
            "192.0.2.0/24        1h  2026-11-18 11:05:40  penetration test\n"
            "2001:db8::7   for good  2026-11-18 11:05:40\n");
}

TEST(Allow, JsonHasTheNotes) {
  EXPECT_EQ(allow_list_json(kEntries),
            R"({"version":1,"verb":"allow list","entries":[{"prefix":"192.0.2.0/24",)"
            R"("since":1794999940,"until":1795003600,"note":"penetration test"},)"
            R"({"prefix":"2001:db8::7","since":1794999940,"until":null,"note":""}]})"
            "\n");
}

TEST(Allow, AddingSaysUntilWhenAndWhatEnded) {
  EXPECT_EQ(allow_add_text({.entry = kEntries.at(0), .lifted = 1}, kNow, kPipe),
            "192.0.2.0/24 is allowed for 1h, until 2026-11-18 12:06:40; 1 ban ended\n");
}

TEST(Allow, AddingInJson) {
  EXPECT_EQ(allow_add_json({.entry = kEntries.at(1)}),
            R"({"version":1,"verb":"allow add","entry":{"prefix":"2001:db8::7",)"
            R"("since":1794999940,"until":null,"note":""},"lifted":0})"
            "\n");
}

TEST(Allow, ForGoodAndRemovedAreSaidInWords) {
  EXPECT_EQ(allow_add_text({.entry = kEntries.at(1)}, kNow, kPipe),
            "2001:db8::7 is allowed for good\n");
  EXPECT_EQ(allow_remove_text(prefix("192.0.2.0/24"), kPipe),
            "192.0.2.0/24 is not on the allow list any more\n");
  EXPECT_EQ(allow_remove_json(prefix("192.0.2.0/24")),
            "{\"version\":1,\"verb\":\"allow remove\",\"prefix\":\"192.0.2.0/24\"}\n");
  EXPECT_EQ(allow_list_text({}, kNow, kPipe),
            "nobody is on the allow list (portsentry.ignore may still name some)\n");
}

TEST(Allow, ANoteCannotMoveTheCursor) {
  AllowedShown evil = kEntries.at(0);
  evil.note = kEvil;
  EXPECT_TRUE(is_harmless(allow_list_text({evil}, kNow, kPipe)));
  EXPECT_TRUE(is_harmless(allow_list_json({evil})));
}

}  // namespace
}  // namespace portsentry::ctl
