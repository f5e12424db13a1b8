#include "enforcer/options.h"

#include <gtest/gtest.h>

#include <vector>

namespace portsentry::enforcer {
namespace {

using Action = Options::Action;

Result<Options> parse(std::vector<std::string_view> arguments) {
  return parse_options(arguments);
}

TEST(Options, NothingGivenServesTheDefaultFile) {
  const auto options = parse({});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->action, Action::serve);
  EXPECT_EQ(options->config, "/etc/portsentry/portsentry.conf");
}

TEST(Options, FileAndCheckComeInAnyOrder) {
  for (const auto& arguments :
       {std::vector<std::string_view>{"-t", "-f", "/x"}, {"-f", "/x", "-t"}}) {
    const auto options = parse(arguments);
    ASSERT_TRUE(options);
    EXPECT_EQ(options->action, Action::check);
    EXPECT_EQ(options->config, "/x");
  }
}

TEST(Options, HelpAndVersionAnswerAlone) {
  EXPECT_EQ(parse({"-h"})->action, Action::help);
  EXPECT_EQ(parse({"-V"})->action, Action::version);
}

TEST(Options, WhatIsNotKnownIsRefusedByName) {
  const auto refused = [](std::vector<std::string_view> arguments) {
    const auto options = parse(std::move(arguments));
    return options ? std::string() : options.error().what;
  };
  EXPECT_EQ(refused({"-x"}), "unknown argument \"-x\"");
  EXPECT_EQ(refused({"start"}), "unknown argument \"start\"");
  EXPECT_EQ(refused({""}), "unknown argument \"\"");
  EXPECT_EQ(refused({"-f"}), "-f needs a file");
  EXPECT_EQ(refused({"-f", ""}), "-f needs a file");
  EXPECT_EQ(refused({"-f", "/a", "-f", "/b"}), "-f is given twice");
}

TEST(Options, UsageNamesEveryOptionAndExitStatus) {
  for (const std::string_view word :
       {"-f FILE", "-t", "-V", "-h", "77", "78", "/etc/portsentry/portsentry.conf"}) {
    EXPECT_NE(usage().find(word), std::string_view::npos) << word;
  }
}

}  // namespace
}  // namespace portsentry::enforcer
