#include "monitor/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "common/lockdown.h"
#include "common/log.h"
#include "monitor/policy.h"

namespace portsentry::monitor {
namespace {

namespace fs = std::filesystem;

Source src(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return *Source::from_prefix(prefix->address(), prefix->length());
}

StoredBan ban(std::string_view source, std::time_t since = 1000) {
  const Source s = src(source);
  return {.source = s,
          .address = s.prefix().address(),
          .cause = {Protocol::tcp, *Port::make(23)},
          .backend = BanBackend::command,
          .since = since,
          .until = since + 1800,
          .offences = 1};
}

StoredBan numbered(unsigned number) {
  const Address address =
      Address::v4(10, static_cast<std::uint8_t>(number >> 16U),
                  static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number));
  StoredBan one = ban("192.0.2.1");
  one.source = Source::of(address, false);
  one.address = address;
  return one;
}

// How `body` ends in a process of its own: "lived", or why not.
std::string in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "lived" : "exit " + std::to_string(WEXITSTATUS(status));
}

void require(bool holds, std::string_view what) {
  if (!holds) fatal(what, 99);
}

class StoreFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/portsentry-store-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/" + Store::kFileName;
  }
  void TearDown() override { fs::remove_all(directory_); }

  [[nodiscard]] Result<Store::Opened> open(const std::string& boot = "boot-1") const {
    return Store::open(directory_, boot);
  }
  // What the file holds for whoever opens it next.
  [[nodiscard]] std::vector<StoredBan> content() const {
    auto opened = open();
    EXPECT_TRUE(opened) << opened.error().what;
    if (!opened) return {};
    EXPECT_EQ(opened->finding, "");
    auto loaded = opened->store.load();
    EXPECT_TRUE(loaded);
    EXPECT_EQ(loaded->refused, 0U);
    std::sort(loaded->memory.bans.begin(), loaded->memory.bans.end(),
              [](const StoredBan& a, const StoredBan& b) { return a.source < b.source; });
    return loaded->memory.bans;
  }
  void keep(const std::vector<StoredBan>& bans) const {
    auto opened = open();
    ASSERT_TRUE(opened) << opened.error().what;
    for (const StoredBan& one : bans)
      opened->store.note(PutBan{one});
    ASSERT_TRUE(opened->store.flush());
  }
  // Somebody else's SQL on the file.
  void meddle(const std::string& sql) const {
    sqlite3* db = nullptr;
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    vfs->xSetSystemCall(vfs, nullptr, nullptr);
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    char* why = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &why), SQLITE_OK)
        << (why != nullptr ? why : "");
    sqlite3_close(db);
  }
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  // The file was moved aside with `tag` in its new name, the finding says so, and work goes on.
  void expect_set_aside(const std::string& tag, const std::string& why) const {
    auto opened = open();
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_NE(opened->finding.find(why), std::string::npos) << opened->finding;
    const auto names = files();
    const auto aside = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return name.rfind(std::string(Store::kFileName) + "." + tag + "-", 0) == 0;
    });
    ASSERT_NE(aside, names.end());
    EXPECT_NE(opened->finding.find(directory_ + "/" + *aside), std::string::npos);
    const auto loaded = opened->store.load();
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(loaded->memory.bans.empty());
    EXPECT_FALSE(opened->store.new_boot());
    opened->store.note(PutBan{ban("192.0.2.77")});
    EXPECT_TRUE(opened->store.flush());
  }

  std::string directory_;
  std::string path_;
};

TEST_F(StoreFile, RemembersEveryFieldOfEveryKindOfBan) {
  StoredBan v6 = ban("2001:db8::/64", 7);
  v6.address = *Address::parse("2001:db8::7");
  v6.cause.protocol = Protocol::udp;
  v6.cause.port = *Port::make(65535);
  v6.backend = BanBackend::nftables;
  v6.until.reset();
  v6.offences = 0xffffffff;
  StoredBan far = ban("fd00::1", 0);
  far.until = std::time_t{1} << 40;
  const std::vector<StoredBan> bans{ban("192.0.2.9"), v6, far};
  keep(bans);
  auto found = content();
  ASSERT_EQ(found.size(), 3U);
  for (const StoredBan& one : bans)
    EXPECT_EQ(std::count(found.begin(), found.end(), one), 1) << one.source.text();
}

TEST_F(StoreFile, TheLastWordOnASourceCounts) {
  keep({ban("192.0.2.1"), ban("192.0.2.2"), ban("192.0.2.3")});
  auto opened = open();
  ASSERT_TRUE(opened);
  StoredBan again = ban("192.0.2.1", 5000);
  again.offences = 2;
  opened->store.note(PutBan{again});
  opened->store.note(PutBan{ban("192.0.2.2", 6000)});
  opened->store.note(EraseBan{src("192.0.2.2")});
  opened->store.note(EraseBan{src("192.0.2.3")});
  opened->store.note(PutBan{ban("192.0.2.3", 7000)});
  opened->store.note(EraseBan{src("192.0.2.200")});  // was never there
  EXPECT_EQ(opened->store.unflushed(), 4U);
  ASSERT_TRUE(opened->store.flush());
  EXPECT_EQ(opened->store.unflushed(), 0U);
  opened = Error{"closed"};
  EXPECT_EQ(content(), (std::vector<StoredBan>{again, ban("192.0.2.3", 7000)}));
}

TEST_F(StoreFile, WhatWasNotFlushedIsNotThere) {
  {
    auto opened = open();
    ASSERT_TRUE(opened);
    opened->store.note(PutBan{ban("192.0.2.9")});
  }
  EXPECT_EQ(content().size(), 0U);
}

TEST_F(StoreFile, AKillAfterFlushLosesNothing) {
  EXPECT_EQ(in_child([&] {
              auto opened = open();
              opened->store.note(PutBan{ban("192.0.2.9")});
              require(opened->store.flush().has_value(), "flush");
              opened->store.note(PutBan{ban("192.0.2.10")});
              kill(getpid(), SIGKILL);
            }),
            "signal 9");
  EXPECT_EQ(content(), std::vector<StoredBan>{ban("192.0.2.9")});
}

// A power cut: what was written after the last flush may be there in part.
TEST_F(StoreFile, ALogThatEndsInTheMiddleGivesTheStateBeforeIt) {
  EXPECT_EQ(in_child([&] {
              auto opened = open();
              opened->store.note(PutBan{ban("192.0.2.1")});
              require(opened->store.flush().has_value(), "flush");
              opened->store.note(PutBan{ban("192.0.2.2")});
              require(opened->store.flush().has_value(), "flush");
              _exit(0);
            }),
            "lived");
  const std::string log = path_ + "-wal";
  fs::resize_file(log, fs::file_size(log) - 100);
  EXPECT_EQ(content(), std::vector<StoredBan>{ban("192.0.2.1")});
}

TEST_F(StoreFile, OnlyItsOwnerMayReadIt) {
  const mode_t before = umask(0);
  keep({ban("192.0.2.9")});
  umask(before);
  for (const std::string& name : files()) {
    struct stat status {};
    ASSERT_EQ(stat((directory_ + "/" + name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U) << name;
  }
}

TEST_F(StoreFile, HasNoSharedMemoryAndKnownDescriptors) {
  auto opened = open();
  ASSERT_TRUE(opened);
  EXPECT_EQ(files(), (std::vector<std::string>{"state.sqlite3", "state.sqlite3-wal"}));
  EXPECT_EQ(fs::read_symlink("/proc/self/fd/" + std::to_string(kStateFile)), path_);
  EXPECT_EQ(fs::read_symlink("/proc/self/fd/" + std::to_string(kStateLog)), path_ + "-wal");
}

TEST_F(StoreFile, ASecondProcessIsRefused) {
  auto opened = open();
  ASSERT_TRUE(opened);
  EXPECT_EQ(in_child([&] {
              close(kStateFile);
              close(kStateLog);
              const auto second = open();
              require(!second, "the second is refused");
              require(second.error().what.find("locked") != std::string::npos, second.error().what);
            }),
            "lived");
  opened->store.note(PutBan{ban("192.0.2.9")});
  EXPECT_TRUE(opened->store.flush());
}

TEST_F(StoreFile, TakenDescriptorsAreAnError) {
  const int taken = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, kStateFile);
  ASSERT_EQ(taken, kStateFile);
  EXPECT_FALSE(open());
  close(taken);
  EXPECT_TRUE(open());
}

TEST_F(StoreFile, ADirectoryThatIsNotThereIsAnError) {
  const auto opened = Store::open(directory_ + "/nowhere", "boot-1");
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().what.find("nowhere"), std::string::npos) << opened.error().what;
}

TEST_F(StoreFile, ALinkInItsPlaceIsNotFollowed) {
  fs::create_symlink("/etc/passwd", path_);
  EXPECT_FALSE(open());
}

// ---- Files that are not ours, or not whole ---------------------------------------------------------

TEST_F(StoreFile, GarbageIsSetAside) {
  std::ofstream(path_) << std::string(8192, 'x');
  expect_set_aside("damaged", "not a database");
  EXPECT_EQ(content().size(), 1U);
}

TEST_F(StoreFile, EveryKindOfDamageEndsInBansOrInAFileSetAside) {
  std::vector<StoredBan> bans;
  for (unsigned i = 0; i < 400; ++i)
    bans.push_back(numbered(i));
  keep(bans);
  meddle("PRAGMA journal_mode = DELETE");  // one file, without a log
  std::ostringstream whole;
  whole << std::ifstream(path_).rdbuf();
  const std::string bytes = whole.str();
  unsigned set_aside = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 509) {
    for (const bool cut : {false, true}) {
      for (const std::string& name : files())
        fs::remove(directory_ + "/" + name);
      std::string damaged = bytes;
      if (cut) {
        damaged.resize(at);
      } else {
        std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(at),
                    std::min<std::size_t>(64, bytes.size() - at), '\xa5');
      }
      std::ofstream(path_) << damaged;
      auto opened = open();
      ASSERT_TRUE(opened) << at << ' ' << cut << ' ' << opened.error().what;
      const auto loaded = opened->store.load();
      ASSERT_TRUE(loaded) << at << ' ' << cut << ' ' << loaded.error().what;
      if (!opened->finding.empty()) ++set_aside;
      opened->store.note(PutBan{ban("192.0.2.9")});
      ASSERT_TRUE(opened->store.flush()) << at << ' ' << cut;
    }
  }
  EXPECT_GT(set_aside, 10U);
}

TEST_F(StoreFile, ADamagedLogGivesAnOlderStateAndNeverACrash) {
  EXPECT_EQ(in_child([&] {
              auto opened = open();
              for (unsigned i = 0; i < 20; ++i) {
                opened->store.note(PutBan{numbered(i)});
                require(opened->store.flush().has_value(), "flush");
              }
              _exit(0);
            }),
            "lived");
  const std::string log = path_ + "-wal";
  const auto size = fs::file_size(log);
  std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(size / 2));
  file << std::string(200, '\xa5');
  file.close();
  const auto found = content();
  EXPECT_LT(found.size(), 20U);
  EXPECT_GT(found.size(), 2U);
}

TEST_F(StoreFile, ANewerVersionIsSetAsideWithItsNumber) {
  keep({ban("192.0.2.9")});
  meddle(
      "UPDATE meta SET value = '2' WHERE key = 'schema'; ALTER TABLE bans ADD COLUMN score "
      "INTEGER");
  expect_set_aside("other-version", "another version of portsentryd (schema 2, this one knows 1)");
}

TEST_F(StoreFile, ADatabaseOfSomebodyElseIsSetAside) {
  meddle("CREATE TABLE bans(a)");
  expect_set_aside("foreign", "no state of portsentryd's");
}

TEST_F(StoreFile, ATriggerInItIsNotRun) {
  keep({ban("192.0.2.9")});
  meddle("CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM bans; END");
  expect_set_aside("foreign", "no state of portsentryd's");
}

TEST_F(StoreFile, RowsWithImpossibleValuesAreSkippedAndCounted) {
  keep({ban("192.0.2.9")});
  const std::vector<std::string> bad{
      "'x', '192.0.2.1', 6, 1, 1, 1, 2, 1",
      "'192.0.2.1/24', '192.0.2.1', 6, 1, 1, 1, 2, 1",
      "'2001:0db8::1', '2001:db8::1', 6, 1, 1, 1, 2, 1",
      "'::ffff:192.0.2.1', '192.0.2.1', 6, 1, 1, 1, 2, 1",
      "'192.0.2.1', '192.0.2.2', 6, 1, 1, 1, 2, 1",
      "'192.0.2.3', '192.0.2.3', 1, 1, 1, 1, 2, 1",
      "'192.0.2.4', '192.0.2.4', 6, 0, 1, 1, 2, 1",
      "'192.0.2.5', '192.0.2.5', 6, 65537, 1, 1, 2, 1",
      "'192.0.2.6', '192.0.2.6', 6, 1, 0, 1, 2, 1",
      "'192.0.2.7', '192.0.2.7', 6, 1, 4, 1, 2, 1",
      "'192.0.2.8', '192.0.2.8', 6, 1, 1, -1, 2, 1",
      "'192.0.2.10', '192.0.2.10', 6, 1, 1, 3, 2, 1",
      "'192.0.2.11', '192.0.2.11', 6, 1, 1, 1, 2, 0",
      "'192.0.2.12', '192.0.2.12', 6, 1, 1, 1, 2, 4294967296",
  };
  for (const std::string& row : bad)
    meddle("INSERT INTO bans VALUES(" + row + ")");
  auto opened = open();
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->finding, "");
  const auto loaded = opened->store.load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->memory.bans, std::vector<StoredBan>{ban("192.0.2.9")});
  EXPECT_EQ(loaded->refused, bad.size());
}

// ---- Boots -----------------------------------------------------------------------------------------

TEST_F(StoreFile, ANewBootIsKnownUntilItsWorkWasDone) {
  const auto is_new = [this](const std::string& boot) {
    auto opened = open(boot);
    EXPECT_TRUE(opened);
    return opened && opened->store.new_boot();
  };
  EXPECT_FALSE(is_new("boot-1"));  // a fresh file has nothing to do again
  EXPECT_FALSE(is_new("boot-1"));
  EXPECT_TRUE(is_new("boot-2"));
  EXPECT_TRUE(is_new("boot-2"));  // a crash before the work was done
  {
    auto opened = open("boot-2");
    ASSERT_TRUE(opened);
    opened->store.note(BootRestored{});
    EXPECT_TRUE(opened->store.new_boot());
    EXPECT_EQ(opened->store.unflushed(), 1U);
    ASSERT_TRUE(opened->store.flush());
    EXPECT_FALSE(opened->store.new_boot());
  }
  EXPECT_FALSE(is_new("boot-2"));
}

TEST(Boot, HasAnId) {
  const auto id = current_boot_id();
  ASSERT_TRUE(id);
  EXPECT_EQ(id->size(), 36U);
}

// ---- Sealed, and without room ------------------------------------------------------------------------

// Everything that it does once the monitor is sealed, with the monitor's own filter and nothing of
// the file system but its directory: large transactions, checkpoints, reading, the end.
TEST_F(StoreFile, WritesAndReadsUnderTheMonitorsOwnFilter) {
  for (const bool existing : {false, true}) {
    EXPECT_EQ(in_child([&] {
                auto opened = open();
                require(opened.has_value(), opened ? "" : opened.error().what);
                undumpable();
                const std::array<LandlockPath, 1> reachable{{{directory_, true}}};
                restrict_files(reachable);
                seal(kPolicy);
                require(opened->store.load().has_value(), "load");
                for (unsigned round = 0; round < 4; ++round) {
                  for (unsigned i = 0; i < 20'000; ++i)
                    opened->store.note(PutBan{numbered(round * 20'000 + i)});
                  const auto written = opened->store.flush();
                  require(written.has_value(), written ? "" : written.error().what);
                }
                for (unsigned i = 0; i < 3000; ++i) {
                  opened->store.note(EraseBan{numbered(i).source});
                  if (i % 100 == 0) require(opened->store.flush().has_value(), "flush");
                }
                require(opened->store.flush().has_value(), "flush");
                const auto loaded = opened->store.load();
                require(loaded && loaded->memory.bans.size() == 77'000, "77,000 bans");
                { const auto gone = std::move(opened); }
              }),
              "lived")
        << existing;
  }
  EXPECT_EQ(content().size(), 77'000U);
}

TEST_F(StoreFile, AFullDiskIsAnErrorAndNothingIsLostInMemory) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([&] {
              require(unshare(CLONE_NEWNS) == 0, "unshare");
              require(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private");
              require(mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=512k") == 0, "tmpfs");
              std::string kept;
              {
                auto opened = open();
                require(opened.has_value(), "open");
                opened->store.note(PutBan{numbered(1)});
                require(opened->store.flush().has_value(), "flush");
                std::ofstream(directory_ + "/filler") << std::string(1U << 20U, 'x');
                for (unsigned i = 2; i < 3000; ++i)
                  opened->store.note(PutBan{numbered(i)});
                const auto written = opened->store.flush();
                require(!written, "no room");
                require(written.error().what.find("full") != std::string::npos,
                        written.error().what);
                require(opened->store.unflushed() == 2998, "all still noted");
                const auto loaded = opened->store.load();
                require(loaded && loaded->memory.bans.size() == 1, "the file as before");
              }
              {
                // A start on a full disk still knows what was there.
                auto opened = open();
                require(opened.has_value(), opened ? "" : opened.error().what);
                const auto loaded = opened->store.load();
                require(loaded && loaded->memory.bans.size() == 1, "found on a full disk");
                for (unsigned i = 2; i < 3000; ++i)
                  opened->store.note(PutBan{numbered(i)});
                require(!opened->store.flush(), "no room");
                fs::remove(directory_ + "/filler");
                const auto written = opened->store.flush();
                require(written.has_value(), written ? "" : written.error().what);
              }
              auto opened = open();
              const auto loaded = opened->store.load();
              require(loaded && loaded->memory.bans.size() == 2999, "all there");
            }),
            "lived");
}

}  // namespace
}  // namespace portsentry::monitor
