// Real files, real kills, a real full disk, and the real libwrap. Run as root (suite root).
#include "enforcer/hosts_deny_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "enforcer/root_files.h"
#include "tests/common/template_lab.h"
#include "trace.h"

namespace portsentry::enforcer {
namespace {

constexpr char kLine[] = "ALL: $TARGET$ : DENY";

HostsDenyChange add(const std::string& address) {
  return {.op = HostsDenyChange::Op::add, .values = probe(address)};
}
HostsDenyChange remove(const std::string& address) {
  return {.op = HostsDenyChange::Op::remove, .values = probe(address)};
}

class HostsDenyFile : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: its files must belong to root";
    std::string pattern = "/run/portsentry-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  }
  void TearDown() override {
    if (directory_.empty()) return;
    ASSERT_EQ(::system(("rm -rf " + directory_).c_str()), 0);
  }

  [[nodiscard]] std::string file() const { return directory_ + "/hosts.deny"; }
  [[nodiscard]] std::string journal() const { return directory_ + "/journal"; }

  void put(const std::string& content) const { write_to(file(), content, O_CREAT | O_TRUNC); }
  static void write_to(const std::string& path, const std::string& content, int flags) {
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0644));
    ASSERT_TRUE(fd);
    ASSERT_EQ(write(fd.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
  }
  [[nodiscard]] std::string content() const { return content_of(file()); }
  static std::string content_of(const std::string& path) {
    return read_trusted(path, kMaxHostsDeny, false).value();
  }
  // 0, or the errno.
  [[nodiscard]] int apply(std::vector<HostsDenyChange> changes) const {
    return apply_to(file(), journal(), std::move(changes));
  }
  static int apply_to(const std::string& file, const std::string& journal,
                      std::vector<HostsDenyChange> changes) {
    bool create = false;
    for (const auto& change : changes)
      create = create || change.op == HostsDenyChange::Op::add;
    const auto files = open_hosts_deny(file, journal, create);
    if (!files) return files.error().code;
    const auto applied = apply_hosts_deny(*files, {.line = kLine, .changes = std::move(changes)});
    return applied ? 0 : applied.error().code;
  }
  // In a child with its own mounts: what a body mounts is gone with it.
  static int in_own_mounts(const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) {
      if (unshare(CLONE_NEWNS) != 0 ||
          mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        _exit(97);
      _exit(body());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string directory_;
};

TEST_F(HostsDenyFile, KeepsInodeModeAndOwner) {
  put("sshd: 10.0.0.1\n");
  ASSERT_EQ(chown(file().c_str(), 0, 4), 0);
  ASSERT_EQ(chmod(file().c_str(), 0640), 0);
  struct stat before {};
  struct stat after {};
  ASSERT_EQ(stat(file().c_str(), &before), 0);
  ASSERT_EQ(apply({add("192.0.2.1")}), 0);
  ASSERT_EQ(apply({remove("192.0.2.1")}), 0);
  ASSERT_EQ(stat(file().c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_gid, before.st_gid);
  EXPECT_EQ(content(), "sshd: 10.0.0.1\n");
  EXPECT_EQ(content_of(journal()), "");
}

TEST_F(HostsDenyFile, AMissingFileIsMadeOnlyToAdd) {
  EXPECT_EQ(apply({remove("192.0.2.1")}), 0);
  EXPECT_NE(access(file().c_str(), F_OK), 0);
  const mode_t old = umask(077);
  EXPECT_EQ(apply({add("192.0.2.1")}), 0);
  umask(old);
  struct stat status {};
  ASSERT_EQ(stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0644U);
  ASSERT_EQ(stat(journal().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST_F(HostsDenyFile, FollowsNoLinkAndTrustsNobodysFile) {
  ASSERT_EQ(symlink("/etc/passwd", file().c_str()), 0);
  EXPECT_EQ(apply({add("192.0.2.1")}), EPERM);
  ASSERT_EQ(unlink(file().c_str()), 0);
  put("");
  ASSERT_EQ(chmod(file().c_str(), 0666), 0);
  EXPECT_EQ(apply({add("192.0.2.1")}), EPERM);
  ASSERT_EQ(unlink(file().c_str()), 0);
  ASSERT_EQ(mkfifo(file().c_str(), 0644), 0);
  EXPECT_NE(apply({add("192.0.2.1")}), 0);
}

TEST_F(HostsDenyFile, OneEditorAtATime) {
  put("");
  const auto first = open_hosts_deny(file(), journal(), true);
  ASSERT_TRUE(first);
  EXPECT_EQ(apply({add("192.0.2.1")}), EWOULDBLOCK);
}

TEST_F(HostsDenyFile, WorksOnABindMount) {
  put("sshd: 10.0.0.1\n");
  const std::string behind = directory_ + "/behind";
  write_to(behind, "outer\n", O_CREAT);
  EXPECT_EQ(in_own_mounts([&] {
              if (mount(behind.c_str(), file().c_str(), nullptr, MS_BIND, nullptr) != 0) return 1;
              return apply({add("192.0.2.1")});
            }),
            0);
  EXPECT_EQ(content(), "sshd: 10.0.0.1\n");
  EXPECT_EQ(content_of(behind), "outer\n# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n");
}

std::string foreign(int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i)
    text += "sshd: 10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250) + "\n";
  return text;
}

TEST_F(HostsDenyFile, AFullDiskLosesNothing) {
  const std::string old = foreign(100) + "last without newline";
  // The disk of the file is full, that of the journal, or one disk that holds both.
  for (const bool file_there : {true, false}) {
    for (const bool journal_there : {true, false}) {
      if (!file_there && !journal_there) continue;
      EXPECT_EQ(in_own_mounts([&] {
                  const std::string disk = directory_ + "/disk";
                  if (mkdir(disk.c_str(), 0755) != 0 && errno != EEXIST) return 1;
                  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=16k,mode=0755") != 0) return 2;
                  const std::string here = (file_there ? disk : directory_) + "/hosts.deny";
                  const std::string log = (journal_there ? disk : directory_) + "/journal";
                  const UniqueFd made(open(here.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644));
                  if (write(made.get(), old.data(), old.size()) < 0) return 3;
                  const UniqueFd rest(open((disk + "/rest").c_str(), O_CREAT | O_WRONLY, 0644));
                  const std::string block(4096, 'x');
                  while (write(rest.get(), block.data(), block.size()) > 0)
                    continue;
                  std::vector<HostsDenyChange> many;
                  for (int i = 0; i < 200; ++i)
                    many.push_back(add("192.0.2." + std::to_string(i)));
                  if (apply_to(here, log, many) != ENOSPC) return 4;
                  if (content_of(here) != old) return 5;
                  if (apply_to(here, log, {}) != 0 || content_of(here) != old) return 6;
                  if (ftruncate(rest.get(), 0) != 0) return 7;
                  return apply_to(here, log, {add("192.0.2.1")}) == 0 &&
                                 content_of(here).starts_with(old + "\n# portsentryd 192.0.2.1\n")
                             ? 0
                             : 8;
                }),
                0)
          << file_there << journal_there;
    }
  }
}

// A write that ends half-way through: the limit on a file's size stands for a disk that fills.
TEST_F(HostsDenyFile, AWriteThatFailsHalfWayIsTakenBack) {
  const std::string old = foreign(300);
  put(old);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = old.size() + 30, .rlim_max = old.size() + 30};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
    _exit(apply({add("192.0.2.1"), add("192.0.2.2")}));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), EFBIG);
  EXPECT_EQ(content(), old);
  EXPECT_EQ(content_of(journal()), "");
}

// The promise of the journal, for every system call there is.
TEST_F(HostsDenyFile, KilledAnywhereItIsOldOrNewAfterTheNextRun) {
  const std::string middle = edit_hosts_deny(foreign(150), {}, kLine) +
                             "# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n" + foreign(150);
  struct Case {
    std::string old;
    std::vector<HostsDenyChange> changes;
  };
  const std::vector<Case> cases{
      {middle, {remove("192.0.2.1")}},
      {middle, {remove("192.0.2.1"), add("192.0.2.2")}},
      {foreign(3), {add("192.0.2.1")}},
      {"", {add("192.0.2.1")}},
  };
  for (const auto& [old, changes] : cases) {
    const std::string wanted = edit_hosts_deny(old, changes, kLine);
    bool saw_old = false;
    bool saw_new = false;
    for (int last = 0;; ++last) {
      put(old);
      const Traced traced =
          trace([&] { return apply(changes); }, [&](pid_t, int stop) { return stop < last; });
      // The next run has nothing to do but to look after what the last one left.
      ASSERT_EQ(apply({}), 0) << "killed at stop " << last;
      const std::string after = content();
      ASSERT_TRUE(after == old || after == wanted) << "killed at stop " << last;
      saw_old = saw_old || after == old;
      saw_new = saw_new || after == wanted;
      ASSERT_EQ(content_of(journal()), "");
      if (traced.ended) {
        ASSERT_EQ(traced.status, 0);
        ASSERT_EQ(after, wanted);
        break;
      }
      ASSERT_LT(last, 1000);
    }
    EXPECT_TRUE(saw_old && saw_new);
  }
}

// Torn as a kill between two blocks leaves it, with somebody's line behind it; then killed again at
// every call of the repair.
TEST_F(HostsDenyFile, ARepairMayBeKilledAnywhereToo) {
  const std::string old =
      foreign(150) + "# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n" + foreign(150);
  const std::string wanted = edit_hosts_deny(old, std::vector{remove("192.0.2.1")}, kLine);
  const std::size_t cut = 4096;
  const std::string torn = wanted.substr(0, cut) + old.substr(cut) + "theirs: 203.0.113.1\n";
  for (int last = 0;; ++last) {
    put(torn);
    write_to(journal(), make_journal(old, wanted), O_CREAT | O_TRUNC);
    const Traced traced =
        trace([&] { return apply({}); }, [&](pid_t, int stop) { return stop < last; });
    ASSERT_EQ(apply({}), 0) << "killed at stop " << last;
    ASSERT_EQ(content(), wanted + "theirs: 203.0.113.1\n") << "killed at stop " << last;
    if (traced.ended) break;
    ASSERT_LT(last, 1000);
  }
}

TEST_F(HostsDenyFile, WhatSomebodyAppendsWhileWeWorkIsKept) {
  const std::string theirs = "theirs: 203.0.113.1\n";
  const std::string old = foreign(3);
  int lost = 0;
  for (int at = 0;; ++at) {
    put(old);
    const Traced traced = trace([&] { return apply({add("192.0.2.1")}); },
                                [&](pid_t, int stop) {
                                  if (stop == at) write_to(file(), theirs, O_APPEND);
                                  return true;
                                });
    ASSERT_TRUE(traced.ended && traced.status == 0);
    if (at >= traced.stops) break;
    const std::string after = content();
    EXPECT_EQ(after.find(old), 0U);
    EXPECT_NE(after.find("# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n"), std::string::npos);
    if (after.find(theirs) == std::string::npos) ++lost;
  }
  // The instant between the last look at the file and the write, which no editor in place can close:
  // two calls, four stops, and what malloc does meanwhile.
  EXPECT_LE(lost, 8);
}

TEST_F(HostsDenyFile, AFileThatIsReplacedUnderUsIsNotClaimedToBeEdited) {
  put(foreign(3));
  const std::string other = directory_ + "/other";
  write_to(other, "new\n", O_CREAT);
  const Traced traced = trace([&] { return apply({add("192.0.2.1")}); },
                              [&](pid_t, int) {
                                struct stat status {};
                                if (stat(journal().c_str(), &status) == 0 && status.st_size > 0)
                                  rename(other.c_str(), file().c_str());
                                return true;
                              });
  ASSERT_TRUE(traced.ended);
  EXPECT_EQ(traced.status, ESTALE);
  EXPECT_EQ(content(), "new\n");
}

TEST_F(HostsDenyFile, AJournalOfAnotherTimeIsThrownAway) {
  const std::string old = foreign(3);
  const std::string wanted = edit_hosts_deny(old, std::vector{add("192.0.2.1")}, kLine);
  for (const std::string& theirs : {old, std::string("mine\n"), wanted + "mine\n"}) {
    put(theirs);
    write_to(journal(), make_journal(old, wanted), O_CREAT | O_TRUNC);
    EXPECT_EQ(apply({}), 0);
    EXPECT_EQ(content(), theirs);
    EXPECT_EQ(content_of(journal()), "");
  }
  put("mine\n");
  write_to(journal(), std::string(100'000, '\0'), O_CREAT | O_TRUNC);
  EXPECT_EQ(apply({add("192.0.2.1")}), 0);
  EXPECT_EQ(content(), "mine\n# portsentryd 192.0.2.1\nALL: 192.0.2.1 : DENY\n");
}

// tcpdmatch(8) asks the library that sshd and others are linked with.
TEST_F(HostsDenyFile, TheRealLibwrapDeniesWhomWeWrote) {
  if (access("/usr/sbin/tcpdmatch", X_OK) != 0) GTEST_SKIP() << "needs tcpd (contrib/packages)";
  put("# foreign\nsshd: 10.0.0.1\nvsftpd: 10.9.9.9 \\\n");
  write_to(directory_ + "/hosts.allow", "", O_CREAT);
  ASSERT_EQ(apply({add("192.0.2.1"),
                   add("2001:db8::1"),
                   {.op = HostsDenyChange::Op::add, .values = probe(network("2001:db8:5::"))}}),
            0);
  const auto verdict = [&](const std::string& host) {
    const std::string said = output_of(
        {"/bin/sh", "-c",
         "cd " + directory_ + " && exec /usr/sbin/tcpdmatch -d " + "-i /dev/null sshd " + host});
    const std::size_t at = said.find("access:");
    return at == std::string::npos ? said : said.substr(at + 7, said.find('\n', at) - at - 7);
  };
  for (const char* host : {"192.0.2.1", "2001:db8::1", "2001:db8:5::77", "10.0.0.1"})
    EXPECT_NE(verdict(host).find("denied"), std::string::npos) << host << verdict(host);
  for (const char* host : {"192.0.2.10", "192.0.2.2", "2001:db8::2", "2001:db8:6::1"})
    EXPECT_NE(verdict(host).find("granted"), std::string::npos) << host << verdict(host);
  ASSERT_EQ(apply({remove("192.0.2.1"), remove("2001:db8::1")}), 0);
  EXPECT_NE(verdict("192.0.2.1").find("granted"), std::string::npos);
  EXPECT_NE(verdict("2001:db8::1").find("granted"), std::string::npos);
  EXPECT_NE(verdict("10.0.0.1").find("denied"), std::string::npos);
}

}  // namespace
}  // namespace portsentry::enforcer
