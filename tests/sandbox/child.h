// Runs a statement in a forked child and says how the child ended. Every test of this folder gives
// away rights that the test process itself must keep.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "common/seccomp.h"

namespace portsentry::sandbox {

struct Ended {
  std::string how;    // kLived, kDiedByFilter, "exit N" or "signal N"
  std::string words;  // what the child wrote on standard error
};

inline const std::string kLived = "lived";
inline const std::string kDiedByFilter = "died by the filter";

// At most twenty seconds; a child that needs longer ends by SIGALRM ("signal 14").
Ended run(const std::function<void()>& body);

// Inside a child: what must hold there. Otherwise the child ends with "exit 99", naming it.
void require(bool holds, const char* what);

// Inside a child, before the seal: a new network namespace with its loopback up.
void enter_private_network();

// Inside a child: `fd` becomes exactly `number`.
void place(int fd, int number);

bool is_root();

// The value of a "Name:" line of /proc/PID/status, without blanks around it.
std::string status_line(int pid, const std::string& name);

}  // namespace portsentry::sandbox

#define REQUIRE(condition) ::portsentry::sandbox::require((condition), #condition)

#define SKIP_WITHOUT_ROOT() \
  if (!::portsentry::sandbox::is_root()) GTEST_SKIP() << "needs root"

#define EXPECT_SEALED(expected, policy, ...)                               \
  do {                                                                     \
    const auto ended = ::portsentry::sandbox::run([&] {                    \
      REQUIRE(::portsentry::install(policy).has_value());                  \
      __VA_ARGS__;                                                         \
    });                                                                    \
    EXPECT_EQ(ended.how, expected) << #__VA_ARGS__ << "\n" << ended.words; \
  } while (false)

#define EXPECT_LIVES(policy, ...) EXPECT_SEALED(::portsentry::sandbox::kLived, policy, __VA_ARGS__)
#define EXPECT_DIES_BY_FILTER(policy, ...) \
  EXPECT_SEALED(::portsentry::sandbox::kDiedByFilter, policy, __VA_ARGS__)
