#include "ctl/check.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "common/log.h"
#include "common/unique_fd.h"

namespace portsentry::ctl {
namespace {

// More than a hundred findings, the most that are told, can fill.
constexpr std::size_t kMaxPrinted = std::size_t{256} * 1024;

Failure cannot(std::string what, int code) {
  return {.exit = kExitUnreachable,
          .code = "cannot_run",
          .text = Error::from_errno(std::move(what), code).what};
}

// In a build tree as in a package both are in one directory.
std::string daemon_path() {
  std::array<char, 4096> self{};
  const ssize_t size = ::readlink("/proc/self/exe", self.data(), self.size());
  std::string path(self.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  path.erase(path.find_last_of('/') + 1);
  return path + "portsentryd";
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> some{};
  for (;;) {
    const ssize_t size = ::read(fd, some.data(), some.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    // What is too much is read, so that the writer can end, and dropped.
    if (text.size() < kMaxPrinted) text.append(some.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace

std::variant<Checked, Failure> check(const std::string& file, bool capture) {
  std::array<int, 2> ends{-1, -1};
  if (capture && ::pipe2(ends.data(), O_CLOEXEC) != 0) return cannot("pipe", errno);
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);

  std::vector<std::string> words{daemon_path(), "-t"};
  if (!file.empty()) {
    words.emplace_back("-f");
    words.push_back(file);
  }
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (capture) {
    ::posix_spawn_file_actions_adddup2(&actions, to.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, to.get(), STDERR_FILENO);
  }
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return cannot("run " + words[0], failed);
  to = UniqueFd();

  Checked checked;
  if (capture) checked.printed = read_all(from.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return cannot("wait for " + words[0], errno);
  }
  checked.good = WIFEXITED(status) && WEXITSTATUS(status) == kExitOk;
  return checked;
}

}  // namespace portsentry::ctl
