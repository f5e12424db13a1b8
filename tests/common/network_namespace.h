// Throw-away network namespaces for tests that need root. They vanish with their last descriptor,
// also when a test dies.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "common/unique_fd.h"

namespace portsentry {

// Runs `command` in the shell, in the current network namespace; true when it exits 0.
inline bool run(const std::string& command) {
  const int status = std::system(command.c_str());  // NOLINT(cert-env33-c): our own words only
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class NetworkNamespace {
 public:
  // A new one with its loopback up; nothing without the right to make one.
  static std::optional<NetworkNamespace> make() {
    const UniqueFd home(::open(kSelf, O_RDONLY | O_CLOEXEC));
    if (!home || ::unshare(CLONE_NEWNET) != 0) return std::nullopt;
    // Not close-on-exec: `ip link set X netns PATH` finds it by our descriptor.
    UniqueFd made(::open(kSelf, O_RDONLY));
    const bool up = made && run("ip link set lo up");
    if (::setns(home.get(), CLONE_NEWNET) != 0) ::abort();
    if (!up) return std::nullopt;
    return NetworkNamespace(std::move(made));
  }

  // What `ip link set X netns` takes.
  [[nodiscard]] std::string path() const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_.get());
  }

  // Inside for as long as this lives.
  class Visit {
   public:
    explicit Visit(const NetworkNamespace& where) : home_(::open(kSelf, O_RDONLY | O_CLOEXEC)) {
      if (!home_ || ::setns(where.fd_.get(), CLONE_NEWNET) != 0) ::abort();
    }
    ~Visit() {
      if (::setns(home_.get(), CLONE_NEWNET) != 0) ::abort();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    UniqueFd home_;
  };

 private:
  static constexpr const char* kSelf = "/proc/self/ns/net";
  explicit NetworkNamespace(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

#define PORTSENTRY_NEEDS_ROOT() \
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces"

}  // namespace portsentry
