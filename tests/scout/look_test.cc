// On this machine's own files, whatever they say: that reading them ends, and finds what is there.
#include "scout/look.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <ctime>

namespace portsentry::scout {
namespace {

TEST(Look, TwoLooksAtOneMomentSeeTheSame) {
  const auto now = std::time(nullptr);
  const Snapshot first = look(now);
  EXPECT_EQ(first, look(now));
  EXPECT_LE(first.found().size(), kMaxFound);
  if (::access("/etc/resolv.conf", R_OK) == 0) {
    EXPECT_GE(first.files(), 1U);
  }
}

TEST(Watch, WithoutAChangeNothingIsTold) {
  const auto watch = Watch::open();
  ASSERT_TRUE(watch);
  watch->follow();
  watch->follow();
  watch->drain();
  pollfd waiting{.fd = watch->fd(), .events = POLLIN, .revents = 0};
  EXPECT_GE(::poll(&waiting, 1, 0), 0);
}

}  // namespace
}  // namespace portsentry::scout
