// What the sealed processes have in common, done for real under each of their filters.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "child.h"
#include "common/log.h"
#include "exercise.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

class EveryProcess : public testing::TestWithParam<const SyscallPolicy*> {};

INSTANTIATE_TEST_SUITE_P(, EveryProcess, testing::ValuesIn(all_policies()),
                         [](const auto& of) { return std::string(of.param->process); });

TEST_P(EveryProcess, AllocatesReallocatesAndFrees) {
  EXPECT_LIVES(*GetParam(), exercise_memory());
}

class ServingProcess : public testing::TestWithParam<const SyscallPolicy*> {};

INSTANTIATE_TEST_SUITE_P(, ServingProcess, testing::ValuesIn(serving_policies()),
                         [](const auto& of) { return std::string(of.param->process); });

TEST_P(ServingProcess, ReadsTheClockAndWaits) {
  EXPECT_LIVES(*GetParam(), exercise_clock(); exercise_poll(1));
}

TEST_P(ServingProcess, WaitsOnAfterBeingStoppedAndContinued) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);
    REQUIRE(install(*GetParam()).has_value());
    exercise_poll(300);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(kill(child, SIGSTOP), 0);
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  // Once more while it is surely inside poll: continued and stopped again.
  ASSERT_EQ(kill(child, SIGCONT), 0);
  for (int i = 0; i < 2000 && status_line(child, "Seccomp") != "2"; ++i)
    ::poll(nullptr, 0, 1);
  for (int i = 0; i < 200 && status_line(child, "State").front() != 'S'; ++i)
    ::poll(nullptr, 0, 1);
  ASSERT_EQ(kill(child, SIGSTOP), 0);
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_EQ(kill(child, SIGCONT), 0);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_P(EveryProcess, SaysItsLastWordsAndExits) {
  const auto ended = run([&] {
    REQUIRE(install(*GetParam()).has_value());
    fatal("netlink: gone", 7);
  });
  EXPECT_EQ(ended.how, "exit 7");
  EXPECT_EQ(ended.words, "portsentryd: netlink: gone\n");
}

// A failed assertion must not look like a broken sandbox: the launcher reports the signal by name.
TEST_P(EveryProcess, AbortsAsACrashNotAsASandboxViolation) {
  const auto ended = run([&] {
    REQUIRE(install(*GetParam()).has_value());
    std::abort();
  });
  EXPECT_NE(ended.how, kDiedByFilter);
  EXPECT_NE(ended.how, kLived);
}

#ifdef PORTSENTRY_SANITIZED
// Sealed processes run under the sanitizers too, and a finding there must be readable.
[[gnu::noinline]] char read_beyond(const char* text, std::size_t at) {
  return text[at];
}

TEST_P(EveryProcess, SanitizersReportFromInsideTheSeal) {
  const auto ended = run([&] {
    REQUIRE(install(*GetParam()).has_value());
    const std::string text(100, 'x');
    volatile std::size_t at = 200;
    _exit(read_beyond(text.data(), at) == 'x' ? 2
                                              : 3);  // used, or the call would be optimised away
  });
  EXPECT_EQ(ended.how, "exit 1");
  EXPECT_NE(ended.words.find("heap-buffer-overflow"), std::string::npos) << ended.words;
  EXPECT_NE(ended.words.find("read_beyond"), std::string::npos) << ended.words;
}
#endif

}  // namespace
}  // namespace portsentry::sandbox
