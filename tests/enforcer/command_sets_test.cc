// Which generation's undo runs, with real children.
#include "enforcer/command_sets.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

namespace portsentry::enforcer {
namespace {

using Time = std::chrono::steady_clock;

CommandTexts route(const std::string& undo) {
  CommandTexts texts;
  texts.kill_route = "/bin/true $TARGET$";
  texts.kill_route_remove = undo;
  return texts;
}

class CommandSetsTest : public testing::Test {
 protected:
  // The verdict and the exit status of an undo.
  std::pair<Verdict, int> undo(std::uint32_t stamp) {
    const auto source = Source::of(Address::v4(192, 0, 2, 9), false);
    sets_.start({.id = 7,
                 .kind = CommandKind::undo_route,
                 .values = {.source = source, .port = {}, .mode = {}}},
                stamp, Time::now());
    while (sets_.running() > 0) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, 0);
      if (pid <= 0) break;
      EXPECT_TRUE(sets_.ended(pid, status, Time::now()));
    }
    const CommandEvents events = sets_.take();
    if (events.finished.size() != 1) return {Verdict::kernel_refused, 0};
    return {events.finished[0].verdict, events.finished[0].error};
  }

  CommandSets sets_{1, route("exit 1; $TARGET$"), UniqueFd()};
};

TEST_F(CommandSetsTest, EachBanIsUndoneByTheGenerationThatMadeIt) {
  sets_.use(2, route("exit 1; $TARGET$"));
  EXPECT_EQ(sets_.route_generation(), 1U) << "nothing about it has changed";
  sets_.use(3, route("exit 3; $TARGET$"));
  EXPECT_EQ(sets_.route_generation(), 3U);
  sets_.use(4, CommandTexts{});
  EXPECT_EQ(undo(1), std::pair(Verdict::command_failed, 1));
  EXPECT_EQ(undo(3), std::pair(Verdict::command_failed, 3));
  EXPECT_EQ(undo(4), std::pair(Verdict::no_command, 0));
  EXPECT_EQ(undo(0), std::pair(Verdict::no_command, 0));
  EXPECT_EQ(undo(9), std::pair(Verdict::no_command, 0)) << "which never was";
}

TEST_F(CommandSetsTest, OnlyTheLastFewAreRemembered) {
  for (std::uint32_t generation = 2; generation < 30; ++generation)
    sets_.use(generation, route("exit " + std::to_string(generation) + "; $TARGET$"));
  EXPECT_EQ(undo(1).first, Verdict::no_command);
  EXPECT_EQ(undo(28), std::pair(Verdict::command_failed, 28));
  EXPECT_EQ(undo(29), std::pair(Verdict::command_failed, 29));
  EXPECT_EQ(undo(29 - kRetiredRoutes).first, Verdict::command_failed);
  EXPECT_EQ(undo(28 - kRetiredRoutes).first, Verdict::no_command);
}

}  // namespace
}  // namespace portsentry::enforcer
