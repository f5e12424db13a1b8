// Stops a forked child at each of its system calls: before and after, so that "killed between any
// two" can be tried for every two.
#pragma once

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace portsentry {

struct Traced {
  bool ended = false;  // by itself, with `status`
  int status = 0;
  int stops = 0;
};

// Runs `body` in a child until it ends; at each stop `at_stop(pid, number)` says whether it may go on.
// If not it is killed there. `body` must not return values by memory: it is another process.
inline Traced trace(const std::function<int()>& body,
                    const std::function<bool(pid_t, int)>& at_stop) {
  Traced traced;
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(98);
    raise(SIGSTOP);
    _exit(body());
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return traced;
  // The options' type is a pointer in ptrace(2)'s prototype.
  ptrace(PTRACE_SETOPTIONS, child, 0L, long{PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD});
  for (;;) {
    if (ptrace(PTRACE_SYSCALL, child, 0L, 0L) != 0) break;
    if (waitpid(child, &status, 0) != child) break;
    if (!WIFSTOPPED(status)) {
      traced.ended = WIFEXITED(status);
      traced.status = WEXITSTATUS(status);
      return traced;
    }
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    if (!at_stop(child, traced.stops++)) break;
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return traced;
}

}  // namespace portsentry
