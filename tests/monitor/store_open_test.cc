// Whose file it is, in what state, and what is made of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "store_file.h"

namespace portsentry::monitor {
namespace {

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
  EXPECT_TRUE(opened->store.flush(kWall));
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

TEST_F(StoreFile, APipeOrALinkInPlaceOfAnyOfItsFilesIsRefusedAndHoldsNobodyUp) {
  for (const char* suffix : {"", "-wal", "-journal"}) {
    for (const bool pipe : {true, false}) {
      for (const std::string& name : files())
        fs::remove(directory_ + "/" + name);
      keep({ban("192.0.2.9")});
      const std::string name = path_ + suffix;
      fs::remove(name);
      if (pipe) {
        ASSERT_EQ(mkfifo(name.c_str(), 0600), 0);
      } else {
        fs::create_symlink("/etc/passwd", name);
      }
      EXPECT_EQ(in_child([&] {
                  alarm(10);
                  const auto opened = open();
                  require(!opened && opened.error().what.ends_with(name + " is not a plain file"),
                          name + " was opened");
                }),
                "lived");
    }
  }
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
      ASSERT_TRUE(opened->store.flush(kWall)) << at << ' ' << cut;
    }
  }
  EXPECT_GT(set_aside, 10U);
}

TEST_F(StoreFile, ANewerVersionIsSetAsideWithItsNumber) {
  keep({ban("192.0.2.9")});
  meddle(
      "UPDATE meta SET value = '3' WHERE key = 'schema'; ALTER TABLE bans ADD COLUMN score "
      "INTEGER");
  expect_set_aside("other-version", "another version of portsentryd (schema 3, this one knows 2)");
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

TEST_F(StoreFile, ADamagedLogGivesAnOlderStateAndNeverACrash) {
  EXPECT_EQ(in_child([&] {
              auto opened = open();
              for (unsigned i = 0; i < 20; ++i) {
                opened->store.note(PutBan{numbered(i)});
                require(opened->store.flush(kWall).has_value(), "flush");
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
  auto opened = open();
  ASSERT_TRUE(opened);
  EXPECT_NE(opened->finding.find("-wal is damaged: its last"), std::string::npos);
  const auto found = opened->store.load()->memory.bans;
  EXPECT_LT(found.size(), 20U);
  EXPECT_GT(found.size(), 2U);
}

// ---- What can be saved -------------------------------------------------------------------------------

TEST_F(StoreFile, OfADamagedFileEverythingIsKeptThatCanStillBeRead) {
  {
    auto opened = open();
    ASSERT_TRUE(opened);
    for (unsigned i = 0; i < 2000; ++i)
      opened->store.note(PutBan{numbered(i)});
    opened->store.note(PutOffence{{src("192.0.2.1"), 3, 1000}});
    opened->store.note(
        PutAllowed{{*Prefix::parse("198.51.100.0/24"), std::nullopt, 1000, "office"}});
    opened->store.note(SetOverride{Override{Override::Mode::observe, 1000, std::nullopt}});
    ASSERT_TRUE(flush_all(opened->store));
  }
  meddle("PRAGMA journal_mode = DELETE");
  // A page in the middle of the bans: it holds rows of the seventies.
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  std::ostringstream whole;
  whole << file.rdbuf();
  const std::size_t at = whole.str().find("10.0.3.70") / 4096 * 4096;
  ASSERT_GT(at, 4096U);
  file.seekp(static_cast<std::streamoff>(at));
  file << std::string(4096, '\xa5');
  file.close();
  auto opened = open("boot-1");
  ASSERT_TRUE(opened);
  const auto loaded = opened->store.load();
  ASSERT_TRUE(loaded);
  EXPECT_GT(loaded->memory.bans.size(), 1800U);
  EXPECT_LT(loaded->memory.bans.size(), 2000U);
  EXPECT_EQ(loaded->memory.offences.size(), 1U);
  EXPECT_EQ(loaded->memory.allowed.size(), 1U);
  EXPECT_TRUE(loaded->memory.override);
  EXPECT_FALSE(opened->store.new_boot());
  const std::string told =
      std::to_string(loaded->memory.bans.size()) + " bans, 1 offence count, 1 allowed network";
  EXPECT_NE(opened->finding.find(told), std::string::npos) << opened->finding;
  opened = Error{"closed"};
  EXPECT_TRUE(open("boot-2")->store.new_boot());
}

// ---- A file of an earlier version --------------------------------------------------------------------

// As portsentryd 0.1 made it.
class Version1 : public StoreFile {
 protected:
  void SetUp() override {
    StoreFile::SetUp();
    meddle(
        "PRAGMA journal_mode = WAL; PRAGMA application_id = 1886614625;"
        "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
        "CREATE TABLE bans(source TEXT PRIMARY KEY, address TEXT NOT NULL, protocol INTEGER NOT "
        "NULL, "
        "port INTEGER NOT NULL, backend INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER, "
        "offences INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
        "INSERT INTO meta VALUES('schema', '1'), ('boot_id', 'boot-1'), ('opened', '1000');"
        "INSERT INTO bans VALUES('192.0.2.9', '192.0.2.9', 6, 23, 2, 1000, 2800, 1);"
        "INSERT INTO bans VALUES('2001:db8::/64', '2001:db8::7', 17, 161, 3, 1000, NULL, 1);");
  }
  static std::vector<StoredBan> bans() {
    StoredBan v6 = ban("2001:db8::/64");
    v6.address = *Address::parse("2001:db8::7");
    v6.cause = {Protocol::udp, *Port::make(161)};
    v6.backend = BanBackend::asked;
    v6.until.reset();
    return {v6, ban("192.0.2.9")};
  }
};

TEST_F(Version1, IsReadOnWithAllThatItHeldAndIsWrittenAsThisVersion) {
  EXPECT_EQ(content(), bans());
  EXPECT_FALSE(open()->store.new_boot());
  EXPECT_TRUE(open("boot-2")->store.new_boot());
  {
    auto opened = open();
    opened->store.note(AddEvent{{.at = kWall, .kind = EventKind::armed}});
    opened->store.note(PutBan{ban("192.0.2.10")});
    ASSERT_TRUE(flush_all(opened->store));
    EXPECT_EQ(opened->store.events({})->rows.size(), 1U);
  }
  EXPECT_EQ(content().size(), 3U);
  EXPECT_EQ(files().size(), 2U) << "nothing was set aside";
}

TEST_F(Version1, WithSomethingElseInItIsForeign) {
  meddle("CREATE TABLE offences(a)");
  expect_set_aside("foreign", "no state of portsentryd's");
}

TEST_F(Version1, IsReadWhereTheDiskIsFullAndBecomesThisVersionOnceThereIsRoom) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([&] {
              require(unshare(CLONE_NEWNS) == 0, "unshare");
              require(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private");
              fs::copy(directory_, directory_ + "/copy");
              std::string bytes;
              std::ostringstream whole;
              whole << std::ifstream(path_, std::ios::binary).rdbuf();
              require(mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=128k") == 0, "tmpfs");
              std::ofstream(path_, std::ios::binary) << whole.str();
              std::ofstream(path_ + "-wal") << std::string();
              // Not a byte is left.
              std::ofstream(directory_ + "/filler") << std::string(1U << 20U, 'x');
              auto opened = open();
              require(opened.has_value(), opened ? "" : opened.error().what);
              require(opened->finding.find("full") != std::string::npos, opened->finding);
              require(opened->store.load()->memory.bans.size() == 2, "both bans");
              opened->store.note(PutBan{ban("192.0.2.10")});
              require(!opened->store.flush(kWall), "no room");
              require(!opened->store.events({}), "no table of events yet");
              fs::remove(directory_ + "/filler");
              const auto written = flush_all(opened->store);
              require(written.has_value(), written ? "" : written.error().what);
              require(opened->store.load()->memory.bans.size() == 3, "all three");
              require(opened->store.events({}).has_value(), "a table of events");
            }),
            "lived");
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
    ASSERT_TRUE(opened->store.flush(kWall));
    EXPECT_FALSE(opened->store.new_boot());
  }
  EXPECT_FALSE(is_new("boot-2"));
}

TEST(Boot, HasAnId) {
  const auto id = current_boot_id();
  ASSERT_TRUE(id);
  EXPECT_EQ(id->size(), 36U);
}

}  // namespace
}  // namespace portsentry::monitor
