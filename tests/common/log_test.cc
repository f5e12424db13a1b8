#include "common/log.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

namespace portsentry {
namespace {

struct Said {
  std::vector<std::string> writes;  // one element per write(2)
  int exit_code = -1;
};

// Runs `body` in a child whose standard error is a datagram socket, so that each write is a
// message.
template <class Body>
Said what_is_said(Body body) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    body();
    _exit(0);
  }
  close(ends[1]);
  Said said;
  std::array<char, 8192> message{};
  for (ssize_t got = 0; (got = recv(ends[0], message.data(), message.size(), 0)) > 0;) {
    said.writes.emplace_back(message.data(), static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) said.exit_code = WEXITSTATUS(status);
  return said;
}

TEST(Log, SaysOneSignedLineInOneWrite) {
  const auto said = what_is_said([] { complain("open /x: Permission denied"); });
  EXPECT_EQ(said.writes, (std::vector<std::string>{"portsentryd: open /x: Permission denied\n"}));
}

TEST(Log, SignsWithTheNameThatWasSet) {
  const auto said = what_is_said([] {
    set_log_name("portsentry-sensor");
    complain("x");
  });
  EXPECT_EQ(said.writes, (std::vector<std::string>{"portsentry-sensor: x\n"}));
}

TEST(Log, ShowsWhatATerminalWouldObeyAsQuestionMarks) {
  const auto said = what_is_said([] {
    complain(
        std::string_view("a\nb\0c\x1b[31md\x9b"
                         "e\x7f\xc2\x85"
                         "f\t",
                         18));
  });
  ASSERT_EQ(said.writes.size(), 1U);
  EXPECT_EQ(said.writes.front(), "portsentryd: a?b?c?[31md?e???f?\n");
}

TEST(Log, CutsALongMessageAndKeepsItsNewline) {
  const auto said = what_is_said([] { complain(std::string(100000, 'x')); });
  ASSERT_EQ(said.writes.size(), 1U);
  EXPECT_EQ(said.writes.front().size(), 1024U);
  EXPECT_EQ(said.writes.front().substr(1021), "xx\n");
}

TEST(Log, SaysAnEmptyMessageAsAnEmptyLine) {
  const auto said = what_is_said([] { complain(""); });
  EXPECT_EQ(said.writes, (std::vector<std::string>{"portsentryd: \n"}));
}

TEST(Log, FatalEndsWithTheCodeGivenAndOneIfNone) {
  const auto runtime = what_is_said([] { fatal("netlink: gone"); });
  EXPECT_EQ(runtime.writes, (std::vector<std::string>{"portsentryd: netlink: gone\n"}));
  EXPECT_EQ(runtime.exit_code, 1);
  EXPECT_EQ(what_is_said([] { fatal("no", kExitConfig); }).exit_code, 78);
}

TEST(Log, SurvivesAClosedStandardError) {
  const auto said = what_is_said([] {
    close(STDERR_FILENO);
    complain("nobody hears");
  });
  EXPECT_TRUE(said.writes.empty());
  EXPECT_EQ(said.exit_code, 0);
}

}  // namespace
}  // namespace portsentry
