#include "enforcer/background.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "common/log.h"
#include "common/result.h"

namespace portsentry::enforcer {
namespace {

constexpr char kReady = 1;

struct Pipe {
  UniqueFd from;
  UniqueFd to;
};

Pipe make_pipe() {
  std::array<int, 2> ends{-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fatal(Error::from_errno("pipe", errno).what);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// The process that was started, from here to its end: it passes on what the daemon says, and ends
// with 0 when that is ready, or with its status when it is gone.
[[noreturn]] void wait_for(pid_t daemon, const UniqueFd& status, const UniqueFd& words) {
  std::array<pollfd, 2> polled{{{status.get(), POLLIN, 0}, {words.get(), POLLIN, 0}}};
  for (;;) {
    if (poll(polled.data(), polled.size(), -1) < 0) {
      if (errno == EINTR) continue;
      fatal(Error::from_errno("poll", errno).what);
    }
    if (polled[1].revents != 0) {
      std::array<char, 1024> text{};
      const ssize_t size = read(words.get(), text.data(), text.size());
      // Nothing sensible is left to do when standard error does not take it.
      if (size > 0)
        static_cast<void>(!write(STDERR_FILENO, text.data(), static_cast<std::size_t>(size)));
      if (size <= 0) polled[1].fd = -1;
      continue;  // every word before the end
    }
    if (polled[0].revents == 0) continue;
    char said = 0;
    if (read(status.get(), &said, 1) == 1 && said == kReady) _exit(kExitOk);
    int ended = 0;
    while (waitpid(daemon, &ended, 0) < 0 && errno == EINTR) {
    }
    _exit(WIFEXITED(ended) ? WEXITSTATUS(ended) : kExitRuntime);
  }
}

void put(int from, int to) {
  if (dup2(from, to) < 0) fatal(Error::from_errno("dup2", errno).what);
}

UniqueFd open_null() {
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) fatal(Error::from_errno("open /dev/null", errno).what);
  return null;
}

// What the launcher has to say when nobody reads its standard error any more.
void complain_to_syslog(std::string_view line) {
  syslog(LOG_ERR, "%.*s", static_cast<int>(line.size()), line.data());
}

}  // namespace

bool goes_away(Options::Ground ground, bool terminal, bool service_manager) {
  switch (ground) {
    case Options::Ground::foreground:
      return false;
    case Options::Ground::background:
      return true;
    case Options::Ground::as_started:
      return terminal && !service_manager;
  }
  return false;
}

Background Background::begin(Options::Ground ground) {
  Background self;
  // One thread, and nobody changes the environment.
  if (const char* name = getenv("NOTIFY_SOCKET"))  // NOLINT(concurrency-mt-unsafe)
    self.notify_socket_ = name;
  self.away_ = goes_away(ground, isatty(STDOUT_FILENO) == 1, !self.notify_socket_.empty());
  if (!self.away_) return self;

  Pipe status = make_pipe();
  Pipe words = make_pipe();
  const pid_t daemon = fork();
  if (daemon < 0) fatal(Error::from_errno("fork", errno).what);
  if (daemon > 0) {
    status.to.reset();
    words.to.reset();
    wait_for(daemon, status.from, words.from);
  }
  // A session of its own, so that the terminal's end and Ctrl-C are not ours.
  if (setsid() < 0) fatal(Error::from_errno("setsid", errno).what);
  const UniqueFd null = open_null();
  put(null.get(), STDIN_FILENO);
  put(null.get(), STDOUT_FILENO);
  put(words.to.get(), STDERR_FILENO);
  self.waiting_ = std::move(status.to);
  return self;
}

void Background::ready() {
  if (std::exchange(told_, true)) return;
  tell_manager("READY=1\nMAINPID=" + std::to_string(getpid()));
  if (!waiting_) return;
  const UniqueFd null = open_null();
  // Before the last word to the foreground: what is said from here on must not get lost on the way.
  openlog("portsentryd", LOG_PID, LOG_DAEMON);
  set_log_sink(complain_to_syslog);
  put(null.get(), STDERR_FILENO);
  static_cast<void>(
      !write(waiting_.get(), &kReady, 1));  // it may have been ended: then nobody waits
  waiting_.reset();
}

void Background::tell_manager(const std::string& state) const {
  sockaddr_un address{};
  if (notify_socket_.empty() || notify_socket_.size() >= sizeof(address.sun_path)) return;
  address.sun_family = AF_UNIX;
  std::memcpy(static_cast<char*>(address.sun_path), notify_socket_.data(), notify_socket_.size());
  // '@' stands for the zero byte of an abstract name.
  if (notify_socket_.front() == '@') address.sun_path[0] = '\0';
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + notify_socket_.size());
  // A manager that does not hear it says so itself, by its own timeout.
  if (fd) {
    static_cast<void>(sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address),  // NOLINT: the API's cast
                             size));
  }
}

}  // namespace portsentry::enforcer
