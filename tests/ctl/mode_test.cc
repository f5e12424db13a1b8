#include "ctl/mode.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace portsentry::ctl {
namespace {

const ModeDone kTrial{
    .armed = true,
    .override_mode = OverrideShown{.armed = true, .since = kNow, .confirm_by = kNow + 300}};

TEST(Mode, ATrialSaysHowToKeepIt) {
  EXPECT_EQ(
      mode_text(kTrial, kNow, kPipe),
      "armed, by `arm` of 2026-11-18 11:06:40, for 5m more unless it is confirmed\n"
      "To keep it: log in anew before 2026-11-18 11:11:40 (a new ssh connection) and run there: "
      "portsentryctl confirm\n");
}

TEST(Mode, WithoutATrialThereIsNothingMoreToDo) {
  EXPECT_EQ(mode_text({.armed = false}, kNow, kPipe),
            "observing: nothing is blocked, as the file says\n");
  EXPECT_EQ(
      mode_text({.armed = false, .override_mode = OverrideShown{.armed = false, .since = kNow}},
                kNow, kPipe),
      "observing: nothing is blocked, by `observe` of 2026-11-18 11:06:40\n");
}

TEST(Mode, JsonHasTheDeadline) {
  EXPECT_EQ(mode_json("arm", kTrial),
            R"({"version":1,"verb":"arm","armed":true,"override":{"armed":true,)"
            R"("since":1795000000,"confirm_by":1795000300}})"
            "\n");
  EXPECT_EQ(mode_json("follow", {.armed = false}),
            R"({"version":1,"verb":"follow","armed":false,"override":null})"
            "\n");
}

TEST(Mode, AReloadSaysItsNumber) {
  EXPECT_EQ(reload_text({.generation = 4}, kPipe), "reloaded: this is configuration 4\n");
  EXPECT_EQ(reload_json({.generation = 4}),
            "{\"version\":1,\"verb\":\"reload\",\"generation\":4}\n");
}

TEST(Mode, WhoCannotConfirmIsToldFromWhereOneCan) {
  EXPECT_NE(no_session_advice().find("log in anew"), std::string::npos);
  EXPECT_NE(no_session_advice().find("portsentryctl confirm"), std::string::npos);
}

}  // namespace
}  // namespace portsentry::ctl
