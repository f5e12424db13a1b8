// The whole editor, as the launcher starts it: `portsentryd --hosts-deny`, sandbox on, in mounts of
// its own. Run as root (suite root).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>

#include "common/log.h"
#include "enforcer/commands.h"
#include "enforcer/roles.h"
#include "enforcer/root_files.h"
#include "tests/common/template_lab.h"

namespace portsentry::enforcer {
namespace {

// portsentryd of the same build: the editor is that program.
UniqueFd portsentryd() {
  std::array<char, 4096> path{};
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  std::string_view here(path.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  for (int i = 0; i < 3; ++i)
    here = here.substr(0, here.rfind('/'));
  return UniqueFd(open((std::string(here) + "/portsentryd").c_str(), O_PATH | O_CLOEXEC));
}

// An /etc and a state directory of the test's own. `body` returns the line that failed, or 0.
int in_own_etc(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", "/etc", "tmpfs", 0, "mode=0755") != 0 ||
        mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=0755") != 0 ||
        mkdir("/var/lib/portsentry", 0755) != 0)
      _exit(250);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int run_editor(const HostsDenyBatch& batch) {
  const auto memory = hosts_deny_batch(batch);
  const UniqueFd binary = portsentryd();
  const auto pid = spawn({.role = role(RoleId::hosts_deny),
                          .account = {},
                          .binary = binary.get(),
                          .arguments = {"--hosts-deny"},
                          .descriptors = {{memory->get(), 3}}});
  int status = 0;
  if (!pid || waitpid(*pid, &status, 0) != *pid) return -1000;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool holds(const std::string& expected) {
  const auto content = read_trusted(kHostsDenyFile, kMaxHostsDeny, true);
  return content && *content == expected;
}

HostsDenyBatch adds(int count, HostsDenyChange::Op op = HostsDenyChange::Op::add) {
  HostsDenyBatch batch{.line = "ALL: $TARGET$", .changes = {}};
  for (int i = 0; i < count; ++i)
    batch.changes.push_back({.op = op, .values = probe("192.0.2." + std::to_string(i))});
  return batch;
}

#define CHECK_HERE(condition) \
  if (!(condition)) return __LINE__ % 240 + 1

class HostsDenyEditor : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: has an /etc of its own";
    ASSERT_TRUE(portsentryd()) << "needs portsentryd in the build directory";
  }
};

TEST_F(HostsDenyEditor, AddsAndRemovesInsideItsSandbox) {
  EXPECT_EQ(in_own_etc([] {
              CHECK_HERE(run_editor(adds(0)) == kExitOk);
              CHECK_HERE(access(kHostsDenyFile, F_OK) != 0);
              CHECK_HERE(run_editor(adds(1)) == kExitOk);
              CHECK_HERE(holds("# portsentryd 192.0.2.0\nALL: 192.0.2.0\n"));
              CHECK_HERE(run_editor(adds(200)) == kExitOk);
              CHECK_HERE(run_editor(adds(200, HostsDenyChange::Op::remove)) == kExitOk);
              CHECK_HERE(holds(""));
              return 0;
            }),
            0);
}

TEST_F(HostsDenyEditor, ALargeFileNeedsNoCallThatItMayNotMake) {
  EXPECT_EQ(in_own_etc([] {
              std::string text;
              while (text.size() < 4'000'000)
                text += "sshd: 10.0.0.1\n";
              const UniqueFd fd(open(kHostsDenyFile, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
              CHECK_HERE(write(fd.get(), text.data(), text.size()) > 3'000'000);
              CHECK_HERE(run_editor(adds(3)) == kExitOk);
              CHECK_HERE(run_editor(adds(3, HostsDenyChange::Op::remove)) == kExitOk);
              CHECK_HERE(holds(text));
              return 0;
            }),
            0);
}

TEST_F(HostsDenyEditor, SaysByItsStatusWhyItCouldNot) {
  EXPECT_EQ(in_own_etc([] {
              CHECK_HERE(symlink("/etc/other", kHostsDenyFile) == 0);
              CHECK_HERE(run_editor(adds(1)) == kEditorErrno + EPERM);
              CHECK_HERE(unlink(kHostsDenyFile) == 0);
              CHECK_HERE(unlink(kHostsDenyJournal) == 0 && rmdir("/var/lib/portsentry") == 0);
              CHECK_HERE(run_editor(adds(1)) == kEditorErrno + ENOENT);
              return 0;
            }),
            0);
}

// A broken table shows as SIGSYS; a failing write must not.
TEST_F(HostsDenyEditor, AFullDiskIsSaidFromInsideTheSandbox) {
  EXPECT_EQ(in_own_etc([] {
              CHECK_HERE(mount("tmpfs", "/etc", "tmpfs", 0, "size=8k,mode=0755") == 0);
              CHECK_HERE(run_editor(adds(1)) == kExitOk);
              const UniqueFd rest(open("/etc/rest", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
              const std::string block(4096, 'x');
              while (write(rest.get(), block.data(), block.size()) > 0)
                continue;
              CHECK_HERE(run_editor(adds(200)) == kEditorErrno + ENOSPC);
              CHECK_HERE(holds("# portsentryd 192.0.2.0\nALL: 192.0.2.0\n"));
              return 0;
            }),
            0);
}

TEST_F(HostsDenyEditor, IsNotForPeople) {
  const std::string program = "/proc/self/fd/" + std::to_string(portsentryd().release());
  const std::string said = output_of({program, "--hosts-deny"});
  EXPECT_NE(said.find("--hosts-deny is for portsentryd itself, not for people"), std::string::npos)
      << said;
  EXPECT_NE(said.find("status 512"), std::string::npos) << said;
}

// Through Commands, as the launcher does it: what is asked for meanwhile goes into one batch.
TEST_F(HostsDenyEditor, ManyRequestsNeedFewEditors) {
  EXPECT_EQ(
      in_own_etc([] {
        const auto now = std::chrono::steady_clock::now();
        Commands commands({.kill_hosts_deny = "ALL: $TARGET$"}, portsentryd());
        commands.recover_hosts_deny(now);
        std::uint64_t id = 0;
        for (int i = 0; i < 200; ++i)
          commands.start({.id = ++id,
                          .kind = CommandKind::hosts_deny_add,
                          .values = probe("192.0.2." + std::to_string(i))},
                         now);
        commands.start(
            {.id = ++id, .kind = CommandKind::hosts_deny_remove, .values = probe("192.0.2.0")},
            now);
        std::size_t finished = 0;
        int editors = 0;
        int status = 0;
        while (commands.running() > 0) {
          const pid_t pid = waitpid(-1, &status, 0);
          CHECK_HERE(commands.ended(pid, status, now));
          ++editors;
          for (const auto& end : commands.take().finished) {
            CHECK_HERE(end.verdict == Verdict::ok && end.error == 0);
            ++finished;
          }
        }
        CHECK_HERE(finished == 201 && editors == 2);
        const auto content = read_trusted(kHostsDenyFile, kMaxHostsDeny, true);
        CHECK_HERE(content && content->starts_with("# portsentryd 192.0.2.1\n") &&
                   content->ends_with("ALL: 192.0.2.199\n"));
        // What went wrong inside is told as an errno, to every request of the batch.
        CHECK_HERE(chmod(kHostsDenyFile, 0666) == 0);
        commands.start(
            {.id = ++id, .kind = CommandKind::hosts_deny_add, .values = probe("198.51.100.1")},
            now);
        const pid_t pid = waitpid(-1, &status, 0);
        CHECK_HERE(commands.ended(pid, status, now));
        const auto end = commands.take().finished;
        CHECK_HERE(end.size() == 1 && end[0].verdict == Verdict::command_not_run &&
                   end[0].error == EPERM);
        return 0;
      }),
      0);
}

}  // namespace
}  // namespace portsentry::enforcer
