// Run as root (suite root): who owns what is the point of it.
#include "enforcer/root_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace portsentry::enforcer {
namespace {

// A directory that passes root's own rules: under /run, since everything under /tmp is distrusted.
class RootFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: files owned by other users are made";
    std::string pattern = "/run/portsentry-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  }
  void TearDown() override {
    if (directory_.empty()) return;
    ASSERT_EQ(::system(("rm -rf " + directory_).c_str()), 0);
  }

  std::string file(const std::string& name, std::string_view content = "text", mode_t mode = 0644) {
    std::string path = directory_ + "/" + name;
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    EXPECT_EQ(write(fd.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
    EXPECT_EQ(fchmod(fd.get(), mode), 0);
    return path;
  }
  static std::string refusal(const std::string& path) {
    const auto content = read_trusted(path, 100, true);
    return content ? "" : content.error().what;
  }

  std::string directory_;
};

TEST_F(RootFiles, ReadsAFileThatOnlyRootCanWrite) {
  const auto content = read_trusted(file("a"), 100, true);
  ASSERT_TRUE(content);
  EXPECT_EQ(*content, "text");
  EXPECT_TRUE(read_trusted(file("b", "x", 0600), 100, true));
}

TEST_F(RootFiles, RefusesAFileThatSomebodyElseOwnsOrCanWrite) {
  const std::string foreign = file("foreign");
  ASSERT_EQ(chown(foreign.c_str(), 65534, 0), 0);
  EXPECT_NE(refusal(foreign).find("belongs to uid 65534, not to root"), std::string::npos);
  EXPECT_NE(refusal(file("open", "x", 0666)).find("can be written by anybody"), std::string::npos);
  const std::string group = file("group", "x", 0664);
  ASSERT_EQ(chown(group.c_str(), 0, 65534), 0);
  EXPECT_NE(refusal(group).find("can be written by group 65534"), std::string::npos);
}

TEST_F(RootFiles, RefusesWhenADirectoryAboveCanBeChangedByOthers) {
  const std::string path = file("inside");
  ASSERT_EQ(chmod(directory_.c_str(), 0777), 0);
  EXPECT_NE(refusal(path).find(directory_ + " can be written by anybody"), std::string::npos);
  EXPECT_FALSE(open_append(directory_ + "/new"));
  EXPECT_NE(refusal("/tmp/anything").find("/tmp can be written by anybody"), std::string::npos);
}

TEST_F(RootFiles, FollowsNoLinkAnywhereInThePath) {
  const std::string target = file("target");
  ASSERT_EQ(symlink(target.c_str(), (directory_ + "/link").c_str()), 0);
  ASSERT_EQ(symlink(directory_.c_str(), (directory_ + "/loop").c_str()), 0);
  EXPECT_NE(refusal(directory_ + "/link").find("is a symbolic link"), std::string::npos);
  EXPECT_NE(refusal(directory_ + "/loop/target").find("is a symbolic link"), std::string::npos);
  EXPECT_FALSE(open_append(directory_ + "/link"));
  EXPECT_FALSE(read_trusted(directory_ + "/../etc/passwd", 100'000, true));
}

TEST_F(RootFiles, DoesNotHangOnAFifoNorReadADevice) {
  ASSERT_EQ(mkfifo((directory_ + "/fifo").c_str(), 0600), 0);
  EXPECT_NE(refusal(directory_ + "/fifo").find("not a regular file"), std::string::npos);
  EXPECT_FALSE(open_append(directory_ + "/fifo"));
  EXPECT_FALSE(read_trusted("/dev/zero", 100, true));
}

TEST_F(RootFiles, RefusesAFileAboveTheLimit) {
  EXPECT_TRUE(read_trusted(file("fits", std::string(1024, 'x')), 1024, true));
  EXPECT_FALSE(read_trusted(file("large", std::string(1025, 'x')), 1024, true));
}

TEST_F(RootFiles, AppendingNeverTruncatesAndRefusesASecondName) {
  const std::string path = file("history", "old\n", 0600);
  {
    const auto fd = open_append(path);
    ASSERT_TRUE(fd);
    ASSERT_EQ(write(fd->get(), "new\n", 4), 4);
  }
  EXPECT_EQ(*read_trusted(path, 100, true), "old\nnew\n");
  ASSERT_EQ(link(path.c_str(), (directory_ + "/second").c_str()), 0);
  EXPECT_FALSE(open_append(path));
}

// Ubuntu's /var/log is root:syslog, mode 0775.
TEST_F(RootFiles, OnlyALogMayLieWhereAGroupCanWrite) {
  ASSERT_EQ(chown(directory_.c_str(), 0, 65534), 0);
  ASSERT_EQ(chmod(directory_.c_str(), 0775), 0);
  EXPECT_FALSE(open_append(directory_ + "/portsentry.blocked"));
  EXPECT_TRUE(open_append(directory_ + "/portsentry.log", Output::log));
  const std::string foreign = file("foreign");
  ASSERT_EQ(chown(foreign.c_str(), 0, 65534), 0);
  ASSERT_EQ(chmod(foreign.c_str(), 0664), 0);
  EXPECT_FALSE(open_append(foreign, Output::log)) << "the file itself is root's alone";
  ASSERT_EQ(chmod(directory_.c_str(), 0777), 0);
  EXPECT_FALSE(open_append(directory_ + "/portsentry.log", Output::log)) << "anybody is too many";
}

TEST_F(RootFiles, ASealedCopyCannotBeChangedByWhoeverGetsIt) {
  const std::string text = "ports";
  const auto fd = sealed_copy("test", std::as_bytes(std::span(text)));
  ASSERT_TRUE(fd);
  EXPECT_EQ(pwrite(fd->get(), "X", 1, 0), -1);
  EXPECT_EQ(ftruncate(fd->get(), 0), -1);
  EXPECT_EQ(ftruncate(fd->get(), 100), -1);
  std::array<char, 6> back{};
  EXPECT_EQ(pread(fd->get(), back.data(), back.size(), 0), 5);
  EXPECT_EQ(std::string_view(back.data(), 5), text);
}

TEST_F(RootFiles, TheControlSocketIsForRootAloneUnlessThereAreGroupsAndReplacesADeadOne) {
  const std::string path = directory_ + "/control.sock";
  for (const bool for_groups : {false, false, true, false}) {
    const auto fd = make_control_socket(path, for_groups);
    ASSERT_TRUE(fd) << fd.error().what;
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, for_groups ? 0666U : 0600U);
  }
  EXPECT_FALSE(make_control_socket("/run/" + std::string(200, 'x'), false));
}

TEST_F(RootFiles, ADirectoryGetsItsOwnerAndMode) {
  const std::string path = directory_ + "/state";
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(make_directory(path, 0700, 65534, 65534));
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 65534U);
    EXPECT_EQ(status.st_mode & 07777, 0700U);
  }
  EXPECT_FALSE(make_directory(file("plain"), 0700, 0, 0));
}

}  // namespace
}  // namespace portsentry::enforcer
