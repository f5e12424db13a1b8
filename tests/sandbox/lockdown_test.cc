#include "common/lockdown.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

#include "child.h"
#include "common/unique_fd.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

constexpr unsigned kNobody = 65534;
constexpr std::array<int, 2> kSensorKeeps{CAP_NET_RAW, CAP_NET_BIND_SERVICE};
constexpr std::array<int, 1> kEnforcerKeeps{CAP_NET_ADMIN};
constexpr const char* kSensorMask = "0000000000002400";
constexpr const char* kEnforcerMask = "0000000000001000";
constexpr const char* kNoMask = "0000000000000000";

// The five sets in the order of capabilities(7), each as /proc shows it, joined by blanks.
std::string sets_of(int pid) {
  std::string all;
  for (const char* name : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    if (!all.empty()) all += " ";
    all += status_line(pid, name);
  }
  return all;
}

std::string five_times(const std::string& mask) {
  return mask + " " + mask + " " + mask + " " + mask + " " + mask;
}

// Joins what lines of /proc are about: Uid and Gid list real, effective, saved and file system ids.
std::string four_times(unsigned id) {
  const std::string text = std::to_string(id);
  return text + "\t" + text + "\t" + text + "\t" + text;
}

bool takes_back(int capability) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return true;
  data.front().permitted |= 1U << capability;
  data.front().effective |= 1U << capability;
  return syscall(SYS_capset, &header, data.data()) == 0;
}

class Lockdown : public testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_ROOT(); }
};

// ---- become -------------------------------------------------------------------------------------

TEST_F(Lockdown, BecomingTheSensorLeavesExactlyItsTwoCapabilitiesInAllFiveSets) {
  const auto ended = run([] {
    const std::array<gid_t, 2> some{4, 27};
    REQUIRE(setgroups(some.size(), some.data()) == 0);
    become(kNobody, kNobody, kSensorKeeps);
    REQUIRE(sets_of(getpid()) == five_times(kSensorMask));
    REQUIRE(status_line(getpid(), "Uid") == four_times(kNobody));
    REQUIRE(status_line(getpid(), "Gid") == four_times(kNobody));
    REQUIRE(status_line(getpid(), "Groups").empty());
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, BecomingTheMonitorLeavesNoCapabilityAnywhere) {
  const auto ended = run([] {
    become(kNobody, kNobody, {});
    REQUIRE(sets_of(getpid()) == five_times(kNoMask));
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, BecomingTheEnforcerStaysRootWithOneCapability) {
  const auto ended = run([] {
    become(0, 0, kEnforcerKeeps);
    REQUIRE(sets_of(getpid()) == five_times(kEnforcerMask));
    REQUIRE(status_line(getpid(), "Uid") == four_times(0));
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, WhoBecameAnotherCannotComeBack) {
  const auto ended = run([] {
    become(kNobody, kNobody, kSensorKeeps);
    REQUIRE(setuid(0) == -1 && setresuid(0, 0, 0) == -1 && setgid(0) == -1);
    REQUIRE(!takes_back(CAP_NET_ADMIN));
    REQUIRE(!takes_back(CAP_SETUID));
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, AnExecByRootBringsBackNoMoreThanTheBoundingSet) {
  const auto ended = run([] {
    become(0, 0, kEnforcerKeeps);
    execl("/bin/grep", "grep", "-q", "CapPrm:\t0000000000001000", "/proc/self/status", nullptr);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, AnExecByTheSensorKeepsItsTwoAmbientCapabilities) {
  const auto ended = run([] {
    become(kNobody, kNobody, kSensorKeeps);
    no_new_privileges();
    execl("/bin/grep", "grep", "-q", "CapEff:\t0000000000002400", "/proc/self/status", nullptr);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, KeepingACapabilityThatLeadsBackToRootIsFatal) {
  const auto ended = run([] {
    constexpr std::array<int, 1> kContradiction{CAP_SETUID};
    become(kNobody, kNobody, kContradiction);
  });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_EQ(ended.words, "portsentryd: user ids: root could be taken back\n");
}

TEST_F(Lockdown, ANonRootUserInGroupRootIsFatal) {
  const auto ended = run([] { become(kNobody, 0, {}); });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_EQ(ended.words, "portsentryd: group ids: group root was kept or could be taken back\n");
}

TEST_F(Lockdown, ACapabilityThatDoesNotExistIsFatal) {
  const auto ended = run([] {
    constexpr std::array<int, 1> kNone{63};
    become(kNobody, kNobody, kNone);
  });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_NE(ended.words.find("portsentryd: capabilities: "), std::string::npos) << ended.words;
}

TEST_F(Lockdown, BecomingWithoutTheRightToIsFatal) {
  const auto ended = run([] {
    REQUIRE(setresuid(kNobody, kNobody, kNobody) == 0);
    become(kNobody, kNobody, {});
  });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_EQ(ended.words, "portsentryd: supplementary groups: Operation not permitted\n");
}

// ---- die_with -----------------------------------------------------------------------------------

// A parent that is killed while its child waits; says whether the child ended by SIGKILL too. The
// test process is the reaper of both.
std::string child_ends_after_its_parent(void (*prepare_child)(int parent)) {
  return run([prepare_child] {
           REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
           std::array<int, 2> ready{};
           REQUIRE(pipe(ready.data()) == 0);
           const pid_t parent = fork();
           if (parent == 0) {
             const pid_t parent_pid = getpid();
             const pid_t child = fork();
             if (child == 0) {
               prepare_child(parent_pid);
               REQUIRE(write(ready[1], "r", 1) == 1);
               close(ready[1]);
               execl("/bin/sleep", "sleep", "10", nullptr);
               _exit(98);
             }
             for (;;)
               pause();
           }
           char byte = 0;
           REQUIRE(read(ready[0], &byte, 1) == 1);
           REQUIRE(kill(parent, SIGKILL) == 0);
           int status = 0;
           REQUIRE(waitpid(parent, &status, 0) == parent);
           const pid_t orphan = waitpid(-1, &status, 0);
           REQUIRE(orphan > 0);
           REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
         })
      .how;
}

TEST_F(Lockdown, AChildDiesWithItsParent) {
  EXPECT_EQ(child_ends_after_its_parent([](int parent) { die_with(parent); }), kLived);
}

TEST_F(Lockdown, AChildDiesWithItsParentAfterItsIdsChangedAndAnExec) {
  EXPECT_EQ(child_ends_after_its_parent([](int parent) {
              become(kNobody, kNobody, kSensorKeeps);
              no_new_privileges();
              die_with(parent);
            }),
            kLived);
}

// Why the order in ARCHITECTURE 5 is binding: a credential change forgets the promise.
TEST_F(Lockdown, AChangeOfIdsAfterwardsForgetsThePromise) {
  const auto ended = run([] {
    die_with(getppid());
    become(kNobody, kNobody, {});
    int signal = -1;
    REQUIRE(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, DroppingCapabilitiesAfterwardsKeepsThePromise) {
  const auto ended = run([] {
    become(kNobody, kNobody, kSensorKeeps);
    die_with(getppid());
    drop_capabilities({});
    int signal = -1;
    REQUIRE(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGKILL);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, AParentThatIsAlreadyGoneIsFatal) {
  const auto ended = run([] { die_with(getpid()); });
  EXPECT_EQ(ended.how, "exit 1");
  EXPECT_EQ(ended.words, "portsentryd: the process that started this one is gone\n");
}

// ---- undumpable ---------------------------------------------------------------------------------

TEST_F(Lockdown, AnUndumpableProcessHidesItselfFromItsOwnUser) {
  const auto ended = run([] {
    become(kNobody, kNobody, {});
    REQUIRE(prctl(PR_SET_DUMPABLE, 1) == 0);  // as exec would leave it
    struct stat own {};
    REQUIRE(stat("/proc/self/environ", &own) == 0 && own.st_uid == kNobody);
    undumpable();
    REQUIRE(stat("/proc/self/environ", &own) == 0 && own.st_uid == 0);
    REQUIRE(open("/proc/self/mem", O_RDONLY | O_CLOEXEC) == -1);
    rlimit core{};
    REQUIRE(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

// ---- restrict_files -----------------------------------------------------------------------------

// A directory with one file, removed at the end.
class Landlock : public Lockdown {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/portsentry-sandbox-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    file_ = directory_ + "/file";
    const UniqueFd made(open(file_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    ASSERT_TRUE(static_cast<bool>(made));
  }
  void TearDown() override {
    unlink((directory_ + "/new").c_str());
    unlink(file_.c_str());
    rmdir(directory_.c_str());
  }

  std::string directory_;
  std::string file_;
};

bool opens(const std::string& path, int flags) {
  return static_cast<bool>(UniqueFd(open(path.c_str(), flags | O_CLOEXEC, 0600)));
}

TEST_F(Landlock, WithoutPathsNothingOpensAnyMore) {
  const auto ended = run([this] {
    const UniqueFd before(open(file_.c_str(), O_RDWR | O_CLOEXEC));
    restrict_files({});
    for (const std::string& path : {file_, directory_, std::string("/"), std::string("/etc/passwd"),
                                    std::string("/proc/self/maps"), std::string("/dev/null")}) {
      REQUIRE(!opens(path, O_RDONLY) && errno == EACCES);
    }
    REQUIRE(!opens(file_, O_WRONLY | O_TRUNC));
    REQUIRE(unlink(file_.c_str()) == -1);
    execl("/bin/true", "true", nullptr);
    REQUIRE(errno == EACCES);
    // What was opened before stays usable, truncation included (the blocked file needs it).
    REQUIRE(write(before.get(), "x", 1) == 1 && ftruncate(before.get(), 0) == 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Landlock, AWritableDirectoryTakesNewFilesAndNothingBesideIt) {
  const auto ended = run([this] {
    const std::array<LandlockPath, 1> paths{{{directory_, true}}};
    restrict_files(paths);
    REQUIRE(opens(directory_ + "/new", O_CREAT | O_RDWR));
    REQUIRE(opens(file_, O_RDWR | O_TRUNC));
    REQUIRE(unlink((directory_ + "/new").c_str()) == 0);
    REQUIRE(!opens("/etc/passwd", O_RDONLY) && !opens("/tmp/portsentry-none", O_CREAT | O_RDWR));
    REQUIRE(symlink("/etc", (directory_ + "/link").c_str()) == -1);
    REQUIRE(mkdir((directory_ + "/sub").c_str(), 0700) == -1);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Landlock, AReadOnlyPathMayBeAFileAndCannotBeWritten) {
  const auto ended = run([this] {
    const std::array<LandlockPath, 1> paths{{{file_, false}}};
    restrict_files(paths);
    REQUIRE(opens(file_, O_RDONLY));
    REQUIRE(!opens(file_, O_WRONLY) && !opens(file_, O_RDONLY | O_TRUNC));
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Landlock, APathThatIsMissingIsFatal) {
  const auto ended = run([this] {
    const std::array<LandlockPath, 1> paths{{{directory_ + "/none", true}}};
    restrict_files(paths);
  });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_EQ(ended.words,
            "portsentryd: landlock: " + directory_ + "/none: No such file or directory\n");
}

TEST_F(Landlock, APathThatIsALinkIsFatal) {
  ASSERT_EQ(symlink("/", (directory_ + "/new").c_str()), 0);
  const auto ended = run([this] {
    const std::array<LandlockPath, 1> paths{{{directory_ + "/new", true}}};
    restrict_files(paths);
  });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_EQ(ended.words, "portsentryd: landlock: " + directory_ + "/new: is a link\n");
}

TEST_F(Landlock, GrantingTheRootDirectoryIsFatal) {
  const auto ended = run([] {
    const std::array<LandlockPath, 1> paths{{{"/", false}}};
    restrict_files(paths);
  });
  EXPECT_EQ(ended.words, "portsentryd: landlock: the root directory can still be read\n");
  EXPECT_EQ(ended.how, "exit 77");
}

TEST_F(Landlock, WorksForAnOrdinaryUser) {
  const auto ended = run([] {
    if (is_root()) become(kNobody, kNobody, {});
    restrict_files({});
    REQUIRE(status_line(getpid(), "NoNewPrivs") == "(no such line)");  // /proc is out of reach
    REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

// ---- drop_capabilities --------------------------------------------------------------------------

TEST_F(Lockdown, ServingSensorHasNoCapabilityLeft) {
  const auto ended = run([] {
    become(kNobody, kNobody, kSensorKeeps);
    restrict_files({});  // as in main: /proc is out of reach before the drop
    drop_capabilities({});
    REQUIRE(!takes_back(CAP_NET_RAW) && !takes_back(CAP_NET_BIND_SERVICE));
    REQUIRE(socket(AF_PACKET, SOCK_DGRAM, 0) == -1 && errno == EPERM);
    REQUIRE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0) == 0);
    REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, ServingEnforcerHasNetAdminAndNothingElse) {
  const auto ended = run([] {
    become(0, 0, kEnforcerKeeps);
    drop_capabilities(kEnforcerKeeps);
    REQUIRE(sets_of(getpid()) == std::string(kNoMask) + " " + kEnforcerMask + " " + kEnforcerMask +
                                     " " + kEnforcerMask + " " + kNoMask);
    REQUIRE(status_line(getpid(), "NoNewPrivs") == "1");
    REQUIRE(!takes_back(CAP_SYS_ADMIN) && !takes_back(CAP_SETUID));
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, RootWithEveryCapabilityGivesUpTheBoundingSetToo) {
  const auto ended = run([] {
    drop_capabilities({});
    REQUIRE(sets_of(getpid()) == five_times(kNoMask));
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, AnOrdinaryUserWithoutCapabilitiesMayCheckItsConfiguration) {
  const auto ended = run([] {
    REQUIRE(setresgid(kNobody, kNobody, kNobody) == 0 && setresuid(kNobody, kNobody, kNobody) == 0);
    drop_capabilities({});
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST_F(Lockdown, ABoundingSetWiderThanWhatRootWasGivenIsFatal) {
  const auto ended = run([] {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, 2> data{};
    data.front().permitted = data.front().effective = 1U << CAP_NET_ADMIN;
    REQUIRE(syscall(SYS_capset, &header, data.data()) == 0);
    drop_capabilities(kEnforcerKeeps);
  });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_EQ(
      ended.words,
      "portsentryd: capabilities: the bounding set holds more than was given to this process\n");
}

TEST_F(Lockdown, KeepingWhatIsNotHeldIsFatal) {
  const auto ended = run([] {
    become(kNobody, kNobody, kSensorKeeps);
    drop_capabilities(kEnforcerKeeps);
  });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_EQ(ended.words, "portsentryd: capabilities: Operation not permitted\n");
}

// ---- all of it, in the order of ARCHITECTURE 5 --------------------------------------------------

TEST_F(Lockdown, EveryProcessCanWalkTheWholeWayAndShowsIt) {
  struct Way {
    const SyscallPolicy* policy;
    unsigned user;
    std::span<const int> born_with;
    std::span<const int> keeps;
    const char* mask;
  };
  const std::array<Way, 3> ways{
      {{&enforcer::kPolicy, 0, kEnforcerKeeps, kEnforcerKeeps, kEnforcerMask},
       {&monitor::kPolicy, kNobody, {}, {}, kNoMask},
       {&sensor::kPolicy, kNobody, kSensorKeeps, {}, kNoMask}}};
  for (const Way& way : ways) {
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()), 0);
    const pid_t test = getpid();
    const pid_t child = fork();
    if (child == 0) {
      become(way.user, way.user, way.born_with);
      no_new_privileges();
      die_with(test);
      undumpable();
      restrict_files({});
      drop_capabilities(way.keeps);
      place(ends[1], 3);
      seal(*way.policy);
      REQUIRE(send(3, "s", 1, 0) == 1);
      char byte = 0;
      iovec part{.iov_base = &byte, .iov_len = 1};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      _exit(recvmsg(3, &message, 0) == 1 ? 0 : 1);
    }
    char byte = 0;
    close(ends[1]);
    EXPECT_EQ(recv(ends[0], &byte, 1, 0), 1) << way.policy->process;
    EXPECT_EQ(status_line(child, "Seccomp"), "2") << way.policy->process;
    EXPECT_EQ(status_line(child, "NoNewPrivs"), "1") << way.policy->process;
    EXPECT_EQ(status_line(child, "CapEff"), way.mask) << way.policy->process;
    EXPECT_EQ(status_line(child, "CapPrm"), way.mask) << way.policy->process;
    EXPECT_EQ(status_line(child, "Uid"), four_times(way.user)) << way.policy->process;
    EXPECT_EQ(send(ends[0], &byte, 1, MSG_NOSIGNAL), 1);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << way.policy->process;
    close(ends[0]);
  }
}

TEST_F(Lockdown, APolicyThatCannotBeInstalledIsFatal) {
  const auto ended = run([] {
    constexpr std::array<SyscallRow, 1> kNonsense{
        {{SCMP_SYS(read),
          "read",
          "no such argument",
          {ArgumentCheck{.argument = 6, .mask = 1, .value = 1}}}}};
    seal({.process = "nobody", .allowed = kNonsense, .answered_enosys = {}});
  });
  EXPECT_EQ(ended.how, "exit 77");
  EXPECT_EQ(ended.words, "portsentryd: seccomp row read: Invalid argument\n");
}

}  // namespace
}  // namespace portsentry::sandbox
