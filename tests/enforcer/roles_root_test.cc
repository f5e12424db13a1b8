// spawn(), looked at from outside: an ordinary program takes the place of ours, and /proc says what
// it was born with. Every case begins in a parent that holds far more than it hands on.
#include "enforcer/roles.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "common/channel.h"
#include "enforcer/root_files.h"

namespace portsentry::enforcer {
namespace {

constexpr char kStandIn[] = "/usr/bin/sleep";
constexpr Account kNobody{65534, 65534};

std::string link_of(const std::string& path) {
  std::array<char, 4096> target{};
  const ssize_t size = readlink(path.c_str(), target.data(), target.size());
  return size < 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(size));
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::uint64_t mask(std::initializer_list<int> capabilities) {
  std::uint64_t bits = 0;
  for (const int capability : capabilities)
    bits |= std::uint64_t{1} << static_cast<unsigned>(capability);
  return bits;
}

// A spawned process; killed and reaped with this object.
class Born {
 public:
  explicit Born(const SpawnPlan& plan) {
    auto pid = spawn(plan);
    if (!pid) return;
    pid_ = *pid;
    // Between fork and exec it is still this program.
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!lives_ && std::chrono::steady_clock::now() < give_up &&
           waitpid(pid_, nullptr, WNOHANG) == 0) {
      // The environment is the last thing that exec shows.
      lives_ =
          link_of(path("exe")) != link_of("/proc/self/exe") && !content_of(path("environ")).empty();
    }
  }
  ~Born() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Born(const Born&) = delete;
  Born& operator=(const Born&) = delete;

  [[nodiscard]] bool lives() const { return lives_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string path(const std::string& name) const {
    return "/proc/" + std::to_string(pid_) + "/" + name;
  }
  [[nodiscard]] std::string status(const std::string& name) const {
    std::istringstream lines(content_of(path("status")));
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind(name + ":", 0) != 0) continue;
      const std::size_t value = line.find_first_not_of(" \t", name.size() + 1);
      if (value == std::string::npos) return {};
      return line.substr(value, line.find_last_not_of(" \t") - value + 1);
    }
    return "no " + name;
  }
  [[nodiscard]] std::uint64_t capabilities(const std::string& set) const {
    return std::stoull(status(set), nullptr, 16);
  }
  [[nodiscard]] std::map<int, std::string> descriptors() const {
    std::map<int, std::string> found;
    DIR* directory = opendir(path("fd").c_str());
    if (directory == nullptr) return found;
    while (const dirent* entry = readdir(directory)) {
      const std::string name(static_cast<const char*>(entry->d_name));
      if (name.front() != '.') found[std::atoi(name.c_str())] = link_of(path("fd/" + name));
    }
    closedir(directory);
    return found;
  }

 private:
  pid_t pid_ = 0;
  bool lives_ = false;
};

class Roles : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: becomes another user";
    binary_ = UniqueFd(open(kStandIn, O_PATH | O_CLOEXEC));
    ASSERT_TRUE(binary_);
    auto memory = sealed_copy("handed on", {});
    ASSERT_TRUE(memory);
    memory_ = std::move(*memory);
    auto channel = Channel::make_pair();
    ASSERT_TRUE(channel);
    channel_ = std::move(channel->second);
    // What must not be inherited: low, high, and without close-on-exec.
    ASSERT_GE(low_ = open("/etc/passwd", O_RDONLY), 0);
    ASSERT_EQ(dup2(low_, 63), 63);
    ASSERT_EQ(dup2(low_, 200), 200);
    ASSERT_EQ(setenv("LD_PRELOAD", "", 1), 0);
  }
  void TearDown() override {
    for (const int fd : {low_, 63, 200})
      close(fd);
  }

  [[nodiscard]] SpawnPlan plan(RoleId id, Account account) const {
    return {.role = role(id),
            .account = account,
            .binary = binary_.get(),
            .arguments = {"60"},
            .descriptors = {{channel_.get(), 3}, {memory_.get(), 4}}};
  }

  UniqueFd binary_;
  UniqueFd memory_;
  UniqueFd channel_;
  int low_ = -1;
};

TEST_F(Roles, TheSensorIsBornAsItsUserWithExactlyItsTwoCapabilities) {
  const Born sensor(plan(RoleId::sensor, kNobody));
  ASSERT_TRUE(sensor.lives());
  const std::uint64_t two = mask({CAP_NET_RAW, CAP_NET_BIND_SERVICE});
  for (const char* set : {"CapPrm", "CapEff", "CapAmb", "CapInh", "CapBnd"})
    EXPECT_EQ(sensor.capabilities(set), two) << set;
  EXPECT_EQ(sensor.status("Uid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(sensor.status("Gid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(sensor.status("Groups"), "");
  EXPECT_EQ(sensor.status("NoNewPrivs"), "1");
}

TEST_F(Roles, MonitorAndResolverAreBornWithoutAnyCapability) {
  for (const RoleId id : {RoleId::monitor, RoleId::resolver, RoleId::scout}) {
    const Born child(plan(id, kNobody));
    ASSERT_TRUE(child.lives()) << role(id).title;
    for (const char* set : {"CapPrm", "CapEff", "CapAmb", "CapInh", "CapBnd"})
      EXPECT_EQ(child.capabilities(set), 0U) << role(id).title << " " << set;
    EXPECT_EQ(child.status("Uid"), "65534\t65534\t65534\t65534");
  }
}

TEST_F(Roles, EnforcerAndNftStayRootAndCanNeverHaveMoreThanNetAdmin) {
  for (const RoleId id : {RoleId::enforcer, RoleId::nft}) {
    const Born child(plan(id, {}));
    ASSERT_TRUE(child.lives()) << role(id).title;
    EXPECT_EQ(child.status("Uid"), "0\t0\t0\t0");
    for (const char* set : {"CapPrm", "CapEff", "CapBnd"})
      EXPECT_EQ(child.capabilities(set), mask({CAP_NET_ADMIN})) << role(id).title << " " << set;
  }
}

TEST_F(Roles, ExactlyThePromisedDescriptorsAreInherited) {
  const Born sensor(plan(RoleId::sensor, kNobody));
  ASSERT_TRUE(sensor.lives());
  const auto held = sensor.descriptors();
  ASSERT_EQ(held.size(), 5U);
  EXPECT_EQ(held.at(0), "/dev/null");
  EXPECT_EQ(held.at(1), "/dev/null");
  EXPECT_EQ(held.at(2), link_of("/proc/self/fd/2"));
  EXPECT_EQ(held.at(3), link_of("/proc/self/fd/" + std::to_string(channel_.get())));
  EXPECT_EQ(held.at(4).rfind("/memfd:handed on", 0), 0U);
}

TEST_F(Roles, DescriptorsMayTradePlaces) {
  // Each source is the other's destination.
  const UniqueFd three(fcntl(memory_.get(), F_DUPFD_CLOEXEC, 20));
  const UniqueFd four(fcntl(channel_.get(), F_DUPFD_CLOEXEC, 20));
  SpawnPlan swapped = plan(RoleId::sensor, kNobody);
  swapped.descriptors = {{three.get(), four.get()}, {four.get(), three.get()}};
  const Born child(swapped);
  ASSERT_TRUE(child.lives());
  const auto held = child.descriptors();
  EXPECT_EQ(held.at(four.get()).rfind("/memfd:", 0), 0U);
  EXPECT_EQ(held.at(three.get()).rfind("socket:", 0), 0U);
}

TEST_F(Roles, OnlyTheMonitorKeepsTheLog) {
  const Born monitor(plan(RoleId::monitor, kNobody));
  ASSERT_TRUE(monitor.lives());
  EXPECT_EQ(monitor.descriptors().at(1), link_of("/proc/self/fd/1"));
  SpawnPlan reading = plan(RoleId::nft, {});
  reading.input = memory_.get();
  const Born nft(reading);
  ASSERT_TRUE(nft.lives());
  EXPECT_EQ(nft.descriptors().at(0).rfind("/memfd:", 0), 0U);
  EXPECT_EQ(nft.descriptors().at(1), "/dev/null");
}

TEST_F(Roles, NothingOfOurEnvironmentDirectoryOrSignalsIsInherited) {
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  ASSERT_EQ(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
  const Born sensor(plan(RoleId::sensor, kNobody));
  ASSERT_EQ(sigprocmask(SIG_SETMASK, &before, nullptr), 0);
  ASSERT_TRUE(sensor.lives());
  EXPECT_EQ(content_of(sensor.path("environ")), std::string("LC_ALL=C\0", 9));
  EXPECT_EQ(link_of(sensor.path("cwd")), "/");
  EXPECT_EQ(sensor.status("SigBlk"), "0000000000000000");
  EXPECT_EQ(sensor.status("Umask"), "0077");
  EXPECT_EQ(getsid(sensor.pid()), sensor.pid());
  const std::string limits = content_of(sensor.path("limits"));
  EXPECT_NE(limits.find("Max core file size        0                    0"), std::string::npos);
  EXPECT_NE(limits.find("Max open files            256                  256"), std::string::npos);
}

TEST_F(Roles, AChildDiesWithItsLauncher) {
  std::array<int, 2> told{};
  ASSERT_EQ(pipe2(told.data(), O_CLOEXEC), 0);
  const pid_t launcher = fork();
  ASSERT_GE(launcher, 0);
  if (launcher == 0) {
    const Born sensor(plan(RoleId::sensor, kNobody));
    const pid_t pid = sensor.lives() ? sensor.pid() : 0;
    static_cast<void>(!write(told[1], &pid, sizeof pid));
    kill(getpid(), SIGKILL);
  }
  pid_t sensor = 0;
  ASSERT_EQ(read(told[0], &sensor, sizeof sensor), static_cast<ssize_t>(sizeof sensor));
  close(told[0]);
  close(told[1]);
  ASSERT_EQ(waitpid(launcher, nullptr, 0), launcher);
  ASSERT_GT(sensor, 0);
  // An orphan is reaped by whoever adopts it, so that it may be a zombie for a while: no program.
  const std::string exe = "/proc/" + std::to_string(sensor) + "/exe";
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!link_of(exe).empty() && std::chrono::steady_clock::now() < give_up)
    continue;
  EXPECT_EQ(link_of(exe), "");
}

TEST_F(Roles, AMissingUserIsNamedWithTheCommandThatMakesIt) {
  Role stranger = role(RoleId::sensor);
  stranger.user = "portsentry-nobody-has-this";
  const auto account = account_of(stranger);
  ASSERT_FALSE(account);
  EXPECT_NE(account.error().what.find("user portsentry-nobody-has-this does not exist"),
            std::string::npos);
  EXPECT_NE(account.error().what.find("useradd"), std::string::npos);
}

// The launcher gives away only what it keeps: a role with anything else could not be started.
TEST_F(Roles, TheLauncherKeepsWhateverItHandsOut) {
  const auto kept = launcher_capabilities();
  const std::set<int> own(kept.begin(), kept.end());
  for (const RoleId id : {RoleId::enforcer, RoleId::monitor, RoleId::sensor, RoleId::nft,
                          RoleId::resolver, RoleId::scout}) {
    for (const int capability : role(id).capabilities)
      EXPECT_TRUE(own.contains(capability)) << role(id).title << " " << capability;
  }
}

}  // namespace
}  // namespace portsentry::enforcer
