#include "child.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>

#ifdef PORTSENTRY_SANITIZED
#include "common/sanitizer_rows.h"
#endif

namespace portsentry::sandbox {
namespace {

constexpr int kBrokenPromise = 99;

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return signal == SIGSYS ? kDiedByFilter : "signal " + std::to_string(signal);
  }
  const int code = WEXITSTATUS(status);
  return code == 0 ? kLived : "exit " + std::to_string(code);
}

#ifdef PORTSENTRY_SANITIZED
// Reads the debug information once, for every child: install() does it too, in half a second each.
class ReadDebugInformation : public testing::Environment {
  void SetUp() override { prepare_sanitizers(); }
};
const testing::Environment* const reads_debug_information =
    testing::AddGlobalTestEnvironment(new ReadDebugInformation);
#endif

}  // namespace

Ended run(const std::function<void()>& body) {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return {"no pipe", std::strerror(errno)};
  const pid_t child = fork();
  if (child < 0) return {"no child", std::strerror(errno)};
  if (child == 0) {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &none);
    alarm(20);
    dup2(pipe_ends[1], STDERR_FILENO);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    body();
    _exit(0);
  }
  close(pipe_ends[1]);
  Ended ended;
  std::array<char, 4096> piece{};
  for (;;) {
    const ssize_t got = read(pipe_ends[0], piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    ended.words.append(piece.data(), static_cast<std::size_t>(got));
  }
  close(pipe_ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ended.how = describe(status);
  return ended;
}

void require(bool holds, const char* what) {
  if (holds) return;
  const std::string words =
      std::string("does not hold: ") + what + " (" + std::strerror(errno) + ")\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, words.data(), words.size());
  _exit(kBrokenPromise);
}

void enter_private_network() {
  REQUIRE(unshare(CLONE_NEWNET) == 0);
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  REQUIRE(any >= 0);
  ifreq loopback{};
  std::memcpy(loopback.ifr_name, "lo", 3);
  loopback.ifr_flags = IFF_UP;
  REQUIRE(ioctl(any, SIOCSIFFLAGS, &loopback) == 0);
  close(any);
}

void place(int fd, int number) {
  REQUIRE(fd >= 0);
  if (fd == number) return;
  REQUIRE(dup2(fd, number) == number);
  close(fd);
}

bool is_root() {
  return geteuid() == 0;
}

std::string status_line(int pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) != 0) continue;
    const auto start = line.find_first_not_of(" \t", name.size() + 1);
    if (start == std::string::npos) return "";
    return line.substr(start, line.find_last_not_of(" \t") - start + 1);
  }
  return "(no such line)";
}

}  // namespace portsentry::sandbox
