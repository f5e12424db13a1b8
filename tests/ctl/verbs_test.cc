#include "ctl/verbs.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <set>

namespace portsentry::ctl {
namespace {

std::string content(const std::string& name) {
  std::FILE* file = std::fopen((std::string(COMPLETION_DIR) + "/" + name).c_str(), "re");
  if (file == nullptr) return {};
  std::string text(std::size_t{1} << 16, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

TEST(Verbs, NoVerbAndNoFlagIsThereTwice) {
  std::set<std::string_view> names;
  for (const VerbRow& row : verbs())
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
  for (const FlagRow& row : flags())
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
}

TEST(Verbs, EveryHelpFitsAHundredColumns) {
  std::string all = usage();
  for (const VerbRow& row : verbs())
    all += usage(row);
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = all.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = all.substr(begin, end - begin);
    if (!line.starts_with("usage:")) {
      EXPECT_LE(line.size(), 100U) << line;
    }
    EXPECT_FALSE(line.ends_with(' ')) << line;
  }
}

TEST(Verbs, TheUsageNamesEveryVerbAndExitStatus) {
  const std::string text = usage();
  for (const VerbRow& row : verbs()) {
    EXPECT_NE(text.find("\n  " + std::string(row.name) + " "), std::string::npos) << row.name;
  }
  EXPECT_NE(text.find("4 the daemon cannot be reached"), std::string::npos);
  EXPECT_NE(text.find("nft list table inet portsentry"), std::string::npos);
}

TEST(Verbs, TheHelpOfAVerbExplainsEachOfItsFlags) {
  for (const VerbRow& row : verbs()) {
    const std::string text = usage(row);
    for (const Flag flag : row.flags) {
      EXPECT_NE(text.find("\n  " + std::string(row_of(flag).name)), std::string::npos)
          << row.name << " " << row_of(flag).name;
    }
  }
}

// A verb or a flag that is added and that nobody can complete is noticed here.
TEST(Verbs, TheCompletionsKnowEveryVerbAndFlag) {
  for (const char* name : {"portsentryctl.bash", "_portsentryctl"}) {
    const std::string text = content(name);
    ASSERT_FALSE(text.empty()) << name;
    for (const VerbRow& row : verbs()) {
      EXPECT_NE(text.find(row.name), std::string::npos) << name << " " << row.name;
    }
    for (const FlagRow& row : flags()) {
      EXPECT_NE(text.find(row.name), std::string::npos) << name << " " << row.name;
    }
  }
}

}  // namespace
}  // namespace portsentry::ctl
