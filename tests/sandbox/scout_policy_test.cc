// The scout's own calls, for real.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "child.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

TEST(ScoutPolicy, ListsADirectoryAndReadsAFile) {
  const auto reader = run([] {
    REQUIRE(install(scout::kPolicy).has_value());
    DIR* etc = opendir("/etc");
    REQUIRE(etc != nullptr);
    REQUIRE(readdir(etc) != nullptr);
    const int file = openat(dirfd(etc), "passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat status {};
    std::array<char, 16> some{};
    REQUIRE(fstat(file, &status) == 0);
    REQUIRE(pread(file, some.data(), some.size(), 0) > 0);
    REQUIRE(close(file) == 0);
    REQUIRE(closedir(etc) == 0);
  });
  EXPECT_EQ(reader.how, kLived) << reader.words;
}

TEST(ScoutPolicy, OpensNothingForWriting) {
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC,
                          O_RDONLY | O_APPEND, O_TMPFILE | O_RDWR}) {
    EXPECT_DIES_BY_FILTER(scout::kPolicy, open("/dev/null", flags, 0600));
  }
}

TEST(ScoutPolicy, HasNoSocketAndHearsNobody) {
  for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_PACKET, AF_NETLINK})
    EXPECT_DIES_BY_FILTER(scout::kPolicy, socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_DIES_BY_FILTER(scout::kPolicy, recv(3, nullptr, 0, 0));
  EXPECT_DIES_BY_FILTER(scout::kPolicy, syscall(SYS_read, 0, nullptr, 0));
  EXPECT_DIES_BY_FILTER(scout::kPolicy, inotify_add_watch(5, "/", IN_CREATE));
}

}  // namespace
}  // namespace portsentry::sandbox
