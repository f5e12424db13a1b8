// One instance per network namespace: what each of the two witnesses sees, and what neither leaves
// behind. The first instance is a forked child, because record locks never stop their own process.
#include "enforcer/instance_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>

#include "tests/common/network_namespace.h"

namespace portsentry::enforcer {
namespace {

// A process that runs `body` and then stays until this object goes.
class Neighbour {
 public:
  explicit Neighbour(const std::function<bool()>& body) {
    std::array<int, 2> ready{};
    if (pipe2(ready.data(), O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      if (!body()) _exit(1);
      static_cast<void>(!write(ready[1], "x", 1));
      pause();
      _exit(0);
    }
    close(ready[1]);
    char word = 0;
    holds_ = read(ready[0], &word, 1) == 1;
    close(ready[0]);
  }
  ~Neighbour() { end(); }
  Neighbour(const Neighbour&) = delete;
  Neighbour& operator=(const Neighbour&) = delete;

  [[nodiscard]] bool holds() const { return holds_; }
  [[nodiscard]] std::string pid() const { return "pid " + std::to_string(pid_); }

  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  bool holds_ = false;
};

// Kept for the life of a Neighbour's process.
bool lock_for_good(const std::string& directory) {
  static std::optional<InstanceLock> held;
  pid_t holder = 0;
  auto lock = lock_instance(directory, holder);
  if (!lock) return false;
  held.emplace(std::move(*lock));
  return true;
}

class InstanceLockTest : public testing::Test {
 protected:
  void SetUp() override {
    PORTSENTRY_NEEDS_ROOT();
    std::string name = "/run/portsentry-lock-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    base_ = name;
    here_ = NetworkNamespace::make();
    ASSERT_TRUE(here_);
    visit_.emplace(*here_);
  }
  void TearDown() override {
    visit_.reset();
    if (!base_.empty()) run("rm -rf " + base_);
  }

  [[nodiscard]] std::string directory(const std::string& name = "run") const {
    return base_ + "/" + name;
  }
  // Why locking is refused; empty when it is not.
  static std::string refusal(const std::string& directory) {
    pid_t holder = 0;
    const auto lock = lock_instance(directory, holder);
    return lock ? std::string() : lock.error().what;
  }

  std::string base_;
  std::optional<NetworkNamespace> here_;
  std::optional<NetworkNamespace::Visit> visit_;
};

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(InstanceLockTest, ASecondInstanceIsRefusedByPid) {
  const Neighbour first([&] { return lock_for_good(directory()); });
  ASSERT_TRUE(first.holds());
  const std::string why = refusal(directory());
  EXPECT_TRUE(mentions(why, "already running in this network namespace")) << why;
  EXPECT_TRUE(mentions(why, first.pid())) << why;
}

TEST_F(InstanceLockTest, AnInstanceWithAPrivateRunIsSeenByItsName) {
  const Neighbour first([&] { return lock_for_good(directory("private")); });
  ASSERT_TRUE(first.holds());
  const std::string why = refusal(directory());
  EXPECT_TRUE(mentions(why, "already running in this network namespace")) << why;
  EXPECT_TRUE(mentions(why, first.pid())) << why;
}

TEST_F(InstanceLockTest, AnotherNetworkNamespaceWithARunOfItsOwnIsNobodysBusiness) {
  const auto elsewhere = NetworkNamespace::make();
  ASSERT_TRUE(elsewhere);
  const Neighbour first([&] {
    const NetworkNamespace::Visit visit(*elsewhere);
    return lock_for_good(directory("theirs"));
  });
  ASSERT_TRUE(first.holds());
  EXPECT_EQ(refusal(directory()), "");
}

TEST_F(InstanceLockTest, AnotherNetworkNamespaceWithTheSameRunIsRefusedByPidAndToldWhatToDo) {
  const auto elsewhere = NetworkNamespace::make();
  ASSERT_TRUE(elsewhere);
  const Neighbour first([&] {
    const NetworkNamespace::Visit visit(*elsewhere);
    return lock_for_good(directory());
  });
  ASSERT_TRUE(first.holds());
  const std::string why = refusal(directory());
  EXPECT_TRUE(mentions(why, "in another network namespace")) << why;
  EXPECT_TRUE(mentions(why, "private mount namespace")) << why;
  EXPECT_TRUE(mentions(why, first.pid())) << why;
}

TEST_F(InstanceLockTest, ADeadInstanceHoldsNothingAndItsFileIsUsedAgain) {
  Neighbour first([&] { return lock_for_good(directory()); });
  ASSERT_TRUE(first.holds());
  first.end();
  struct stat status {};
  ASSERT_EQ(stat((directory() + "/lock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_EQ(refusal(directory()), "");
}

// Any user may take an abstract name; that must not keep root from starting.
TEST_F(InstanceLockTest, ANameThatAnOrdinaryUserTookHoldsUpNobody) {
  const Neighbour squatter([] {
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return false;
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    constexpr std::string_view kName = "portsentryd";
    std::memcpy(&address.sun_path[1], kName.data(), kName.size());
    return bind(fd, reinterpret_cast<const sockaddr*>(&address),
                offsetof(sockaddr_un, sun_path) + 1 + kName.size()) == 0 &&
           listen(fd, 1) == 0;
  });
  ASSERT_TRUE(squatter.holds());
  EXPECT_EQ(refusal(directory()), "");
  const Neighbour first([&] { return lock_for_good(directory()); });
  ASSERT_TRUE(first.holds());
  EXPECT_TRUE(mentions(refusal(directory()), first.pid()));
}

TEST_F(InstanceLockTest, ADirectoryThatOthersCouldHavePreparedIsRefused) {
  const std::string open_to_all = directory("open");
  ASSERT_EQ(mkdir(open_to_all.c_str(), 0777), 0);
  ASSERT_EQ(chmod(open_to_all.c_str(), 0777), 0);
  EXPECT_TRUE(mentions(refusal(open_to_all), "only root can write"));
  const std::string theirs = directory("theirs");
  ASSERT_EQ(mkdir(theirs.c_str(), 0755), 0);
  ASSERT_EQ(chown(theirs.c_str(), 65534, 65534), 0);
  EXPECT_TRUE(mentions(refusal(theirs), "only root can write"));
  const std::string link = directory("link");
  ASSERT_EQ(symlink("/run", link.c_str()), 0);
  EXPECT_TRUE(mentions(refusal(link), "only root can write"));
}

TEST_F(InstanceLockTest, ALockFileThatIsALinkIsNotFollowed) {
  ASSERT_EQ(mkdir(directory().c_str(), 0755), 0);
  ASSERT_EQ(symlink("/etc/shadow", (directory() + "/lock").c_str()), 0);
  EXPECT_TRUE(mentions(refusal(directory()), "open " + directory() + "/lock"));
}

TEST_F(InstanceLockTest, ARefusedStartMakesNothingButItsDirectoryAndLock) {
  const Neighbour first([&] { return lock_for_good(directory("private")); });
  ASSERT_TRUE(first.holds());
  ASSERT_NE(refusal(directory()), "");
  EXPECT_TRUE(run("test \"$(ls -A " + directory() + ")\" = lock"));
}

}  // namespace
}  // namespace portsentry::enforcer
