// A state file in a directory of its own, and what tests do to it.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/log.h"
#include "monitor/store.h"

namespace portsentry::monitor {

namespace fs = std::filesystem;

inline constexpr std::time_t kWall = 1'700'000'000;

inline Source src(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return *Source::from_prefix(prefix->address(), prefix->length());
}

inline StoredBan ban(std::string_view source, std::time_t since = 1000) {
  const Source s = src(source);
  return {.source = s,
          .address = s.prefix().address(),
          .cause = {Protocol::tcp, *Port::make(23)},
          .backend = BanBackend::command,
          .since = since,
          .until = since + 1800,
          .offences = 1};
}

inline StoredBan numbered(unsigned number) {
  const Address address =
      Address::v4(10, static_cast<std::uint8_t>(number >> 16U),
                  static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number));
  StoredBan one = ban("192.0.2.1");
  one.source = Source::of(address, false);
  one.address = address;
  return one;
}

// How `body` ends in a process of its own: "lived", or why not.
inline std::string in_child(const std::function<void()>& body) {
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

inline void require(bool holds, std::string_view what) {
  if (!holds) fatal(what, 99);
}

inline Result<void> flush_all(Store& store) {
  Result<void> done;
  while (done && store.unflushed() > 0)
    done = store.flush(kWall);
  return done;
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
    ASSERT_TRUE(flush_all(opened->store));
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
    EXPECT_TRUE(opened->store.flush(kWall));
  }

  std::string directory_;
  std::string path_;
};

}  // namespace portsentry::monitor
