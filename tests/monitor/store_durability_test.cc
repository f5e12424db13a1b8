// What the disk and sudden ends can do: what was acknowledged is there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>

#include "common/lockdown.h"
#include "monitor/policy.h"
#include "store_file.h"

namespace portsentry::monitor {
namespace {

TEST_F(StoreFile, AKillAfterFlushLosesNothing) {
  EXPECT_EQ(in_child([&] {
              auto opened = open();
              opened->store.note(PutBan{ban("192.0.2.9")});
              require(opened->store.flush(kWall).has_value(), "flush");
              opened->store.note(PutBan{ban("192.0.2.10")});
              kill(getpid(), SIGKILL);
            }),
            "signal 9");
  EXPECT_EQ(content(), std::vector<StoredBan>{ban("192.0.2.9")});
}

// A state file, and after each flush() how long its log was: at that moment everything noted until then
// was acknowledged. One run stays within the log, so that nothing is in the file alone.
class PowerCut : public StoreFile {
 protected:
  static constexpr unsigned kFlushes = 12;
  // Bans are never erased here: the count says which flush it is.
  void SetUp() override {
    StoreFile::SetUp();
    ASSERT_EQ(in_child([&] {
                auto opened = open();
                std::ofstream sizes(directory_ + ".sizes");
                for (unsigned i = 0; i < kFlushes; ++i) {
                  for (unsigned k = 0; k <= i * 7; ++k)
                    opened->store.note(PutBan{numbered(i * 1000 + k)});
                  require(flush_all(opened->store).has_value(), "flush");
                  sizes << fs::file_size(path_ + "-wal") << '\n';
                }
                sizes.close();
                kill(getpid(), SIGKILL);
              }),
              "signal 9");
    std::ifstream sizes(directory_ + ".sizes");
    for (std::uintmax_t size = 0; sizes >> size;)
      acknowledged_.push_back(size);
    ASSERT_EQ(acknowledged_.size(), kFlushes);
    fs::copy(directory_, directory_ + ".kept");
  }
  void TearDown() override {
    fs::remove(directory_ + ".sizes");
    fs::remove_all(directory_ + ".kept");
    StoreFile::TearDown();
  }
  // The disk as it was, but for what `change` does to the log.
  void again(const std::function<void(const std::string& log)>& change) const {
    fs::remove_all(directory_);
    fs::copy(directory_ + ".kept", directory_);
    change(path_ + "-wal");
  }
  static std::size_t bans_after(std::size_t flushes) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < flushes; ++i)
      count += i * 7 + 1;
    return count;
  }
  std::vector<std::uintmax_t> acknowledged_;
};

TEST_F(PowerCut, WhereverTheLogEndsEveryFlushThatReturnedBeforeIsThereAndNothingIsHalf) {
  constexpr std::uintmax_t kFrame = 4096 + 24;
  std::set<std::uintmax_t> cuts;
  for (std::uintmax_t at = 32; at <= acknowledged_.back(); at += kFrame)
    for (const int more : {-1, 0, 1, 24, 25, 2000})
      cuts.insert(std::min(at + static_cast<std::uintmax_t>(more), acknowledged_.back()));
  for (const std::uintmax_t cut : cuts) {
    if (cut < acknowledged_.front()) continue;  // the tables themselves: of nobody's yet
    again([&](const std::string& log) { fs::resize_file(log, cut); });
    const auto flushes = static_cast<std::size_t>(
        std::upper_bound(acknowledged_.begin(), acknowledged_.end(), cut) - acknowledged_.begin());
    ASSERT_EQ(content().size(), bans_after(flushes)) << cut;
  }
}

TEST_F(PowerCut, WhatTheDiskLostOfAcknowledgedBansIsTold) {
  for (const std::size_t flush : {std::size_t{3}, std::size_t{7}, std::size_t{kFlushes - 1}}) {
    again([&](const std::string& log) {
      std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(acknowledged_.at(flush) - 1000));
      file << "damage";
    });
    auto opened = open();
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->store.load()->memory.bans.size(), bans_after(flush));
    const std::size_t lost = kFlushes - flush;
    const std::string told = lost == 1 ? "the last entry of" : "its last " + std::to_string(lost);
    EXPECT_NE(opened->finding.find(told), std::string::npos) << opened->finding;
  }
}

// ---- Killed at any instant ---------------------------------------------------------------------------

// Each round a child notes and flushes, telling through a pipe what flush() acknowledged, until it is
// killed somewhere. STORE_KILLS: how many rounds (contrib/test --long has a thousand).
TEST_F(StoreFile, KilledAtAnyInstantItForgetsNothingThatWasAcknowledged) {
  const char* asked = std::getenv("STORE_KILLS");
  const int rounds = asked != nullptr ? std::atoi(asked) : 20;
  std::set<unsigned> acknowledged;
  unsigned next = 0;
  for (int round = 0; round < rounds; ++round) {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(ends[0]);
      auto opened = open();
      require(opened.has_value(), opened ? "" : opened.error().what);
      for (unsigned i = next;; ++i) {
        opened->store.note(PutBan{numbered(i)});
        opened->store.note(AddEvent{{.at = kWall, .kind = EventKind::banned}});
        require(opened->store.flush(kWall).has_value(), "flush");
        require(write(ends[1], &i, sizeof i) == sizeof i, "tell");
      }
    }
    close(ends[1]);
    unsigned number = 0;
    // After so many acknowledgements, and then in the middle of something.
    for (int heard = 0; heard < 1 + round % 7 && read(ends[0], &number, sizeof number) > 0; ++heard)
      acknowledged.insert(number);
    usleep(static_cast<useconds_t>(round * 37 % 900));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (read(ends[0], &number, sizeof number) == sizeof number)
      acknowledged.insert(number);
    close(ends[0]);
    std::set<Source> there;
    for (const StoredBan& one : content())
      there.insert(one.source);
    for (const unsigned one : acknowledged)
      ASSERT_TRUE(there.contains(numbered(one).source)) << "round " << round << ", ban " << one;
    // One may be on the disk without having been told.
    ASSERT_LE(there.size(), acknowledged.size() + static_cast<std::size_t>(round) + 1);
    next = *acknowledged.rbegin() + 2;
  }
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
                  const auto written = flush_all(opened->store);
                  require(written.has_value(), written ? "" : written.error().what);
                }
                for (unsigned i = 0; i < 3000; ++i) {
                  opened->store.note(EraseBan{numbered(i).source});
                  if (i % 100 == 0) require(opened->store.flush(kWall).has_value(), "flush");
                }
                require(flush_all(opened->store).has_value(), "flush");
                const auto loaded = opened->store.load();
                require(loaded && loaded->memory.bans.size() == 77'000, "77,000 bans");
                // Events, read and counted: sorting needs no file.
                for (unsigned i = 0; i < 10'000; ++i)
                  opened->store.note(
                      AddEvent{{.at = kWall,
                                .kind = EventKind::detected,
                                .source = numbered(i).source,
                                .cause = BanCause{Protocol::tcp, *Port::make(i % 97 + 1)}}});
                require(flush_all(opened->store).has_value(), "flush");
                const auto page = opened->store.events({.newest_first = true, .limit = 200});
                require(page && page->rows.size() == 200, "a page of events");
                const auto top = opened->store.top({.by = TopQuery::By::source, .limit = 200});
                require(top && top->size() == 200, "the top of the sources");
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
                require(opened->store.flush(kWall).has_value(), "flush");
                std::ofstream(directory_ + "/filler") << std::string(1U << 20U, 'x');
                for (unsigned i = 2; i < 3000; ++i)
                  opened->store.note(PutBan{numbered(i)});
                const auto written = opened->store.flush(kWall);
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
                require(!opened->store.flush(kWall), "no room");
                fs::remove(directory_ + "/filler");
                const auto written = opened->store.flush(kWall);
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
