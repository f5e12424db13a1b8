#include "enforcer/background.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "common/log.h"

namespace portsentry::enforcer {
namespace {

using Ground = Options::Ground;

TEST(GoesAway, AClassicWordOnlyFromATerminalThatNobodyManages) {
  EXPECT_TRUE(goes_away(Ground::as_started, true, false));
  EXPECT_FALSE(goes_away(Ground::as_started, false, false));
  EXPECT_FALSE(goes_away(Ground::as_started, true, true));
}

TEST(GoesAway, TheDaemonOptionAlwaysAndTheForegroundNever) {
  EXPECT_TRUE(goes_away(Ground::background, false, true));
  EXPECT_FALSE(goes_away(Ground::foreground, true, false));
}

struct Ended {
  int status;
  std::string words;  // of standard error
};

// What somebody sees who starts a daemon that goes to the background, and there does `daemon`.
Ended start(const std::function<void(Background&)>& daemon) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  const pid_t started = fork();
  if (started == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    Background background = Background::begin(Ground::background);
    daemon(background);
    _exit(0);
  }
  close(ends[1]);
  Ended ended{};
  waitpid(started, &ended.status, 0);
  std::array<char, 4096> text{};
  for (ssize_t size = 1; size > 0;) {
    size = read(ends[0], text.data(), text.size());
    if (size > 0) ended.words.append(text.data(), static_cast<std::size_t>(size));
  }
  close(ends[0]);
  return ended;
}

TEST(Background, TheForegroundEndsWellOnceTheDaemonIsReady) {
  const Ended ended = start([](Background& background) {
    complain("a word before");
    background.ready();
  });
  EXPECT_EQ(WEXITSTATUS(ended.status), 0);
  EXPECT_NE(ended.words.find("a word before\n"), std::string::npos);
}

TEST(Background, ADaemonThatDoesNotComeUpGivesItsStatusAndItsReason) {
  const Ended ended = start([](Background&) { fatal("no such thing", kExitConfig); });
  EXPECT_EQ(WEXITSTATUS(ended.status), kExitConfig);
  EXPECT_NE(ended.words.find("no such thing"), std::string::npos);
}

TEST(Background, ADaemonThatIsKilledIsAFailure) {
  const Ended ended = start([](Background&) { raise(SIGKILL); });
  EXPECT_EQ(WEXITSTATUS(ended.status), kExitRuntime);
}

TEST(Background, NothingOfTheTerminalIsLeftToAReadyDaemon) {
  // The pipe's end is seen by start(): a daemon that kept it would make this test wait for ever.
  std::array<int, 2> lives{};
  ASSERT_EQ(pipe(lives.data()), 0);
  const Ended ended = start([&](Background& background) {
    background.ready();
    char until_the_test_is_done = 0;
    close(lives[1]);
    static_cast<void>(!read(lives[0], &until_the_test_is_done, 1));
  });
  EXPECT_EQ(WEXITSTATUS(ended.status), 0);
  close(lives[0]);
  close(lives[1]);
}

TEST(Background, TheDaemonIsInASessionOfItsOwn) {
  const Ended ended = start([](Background&) { _exit(getsid(0) == getpid() ? 7 : 8); });
  EXPECT_EQ(WEXITSTATUS(ended.status), 7);
}

TEST(Background, TheServiceManagerIsToldOnce) {
  const std::string name = "@portsentry-test-" + std::to_string(getpid());
  const UniqueFd manager(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(static_cast<char*>(address.sun_path), name.data(), name.size());
  address.sun_path[0] = '\0';
  ASSERT_EQ(bind(manager.get(), reinterpret_cast<const sockaddr*>(&address),  // NOLINT
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
            0);
  setenv("NOTIFY_SOCKET", name.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
  Background background = Background::begin(Ground::as_started);
  unsetenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe)
  EXPECT_FALSE(background.away());
  background.ready();
  std::array<char, 256> text{};
  const ssize_t size = recv(manager.get(), text.data(), text.size(), 0);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(text.data(), static_cast<std::size_t>(size)),
            "READY=1\nMAINPID=" + std::to_string(getpid()));
  background.ready();
  EXPECT_EQ(recv(manager.get(), text.data(), text.size(), 0), -1) << "told once";
}

}  // namespace
}  // namespace portsentry::enforcer
