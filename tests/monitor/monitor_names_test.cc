// RESOLVE_HOST: names for people, and nothing that waits for one but lines.
#include <gtest/gtest.h>

#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

class NameStory : public Story {
 protected:
  NameStory() { config_.resolve_host = true; }
  void serve_with_resolver() {
    serve();
    ASSERT_TRUE(hear(ResolverChannel{}));
  }
  void name(std::string_view text) {
    ASSERT_FALSE(effects_.asked.empty());
    ASSERT_TRUE(
        monitor_->on_resolver(HostName{effects_.asked.back().id, std::string(text)}, now()));
  }
};

TEST_F(NameStory, ALineWaitsForItsNameAndTheBanDoesNot) {
  serve_with_resolver();
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
  EXPECT_TRUE(lines().empty());
  answer(Verdict::ok);
  EXPECT_EQ(monitor_->status().enforced, 1U);
  EXPECT_NE(effects_.blocked_text, "");
  name("scanner.example");
  EXPECT_EQ(count("scan from host: scanner.example/198.51.100.7 to TCP port: 23"), 1U);
  EXPECT_EQ(count("Host: scanner.example/198.51.100.7 Port: 23 TCP Blocked"), 1U);
  EXPECT_NE(effects_.history_text.find("Host: scanner.example/198.51.100.7 Port: 23"),
            std::string::npos);
}

TEST_F(NameStory, WithoutAnAnswerTheAddressIsToldAfterTwoSeconds) {
  serve_with_resolver();
  detect(probe("198.51.100.7"));
  wait(1999ms);
  EXPECT_TRUE(lines().empty());
  wait(2ms);
  EXPECT_EQ(count("scan from host: 198.51.100.7/198.51.100.7"), 1U);
  name("late.example");
  EXPECT_EQ(lines().size(), 1U);
}

TEST_F(NameStory, WhatComesBehindAWaitingLineKeepsItsPlace) {
  serve_with_resolver();
  detect(probe("198.51.100.7"));
  ASSERT_TRUE(hear(TableLost{1}));
  EXPECT_TRUE(lines().empty());
  name("scanner.example");
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_NE(lines()[1].find("firewall state was lost"), std::string::npos);
}

TEST_F(NameStory, WithoutAResolverNothingWaits) {
  serve();
  detect(probe("198.51.100.7"));
  EXPECT_EQ(count("scan from host: 198.51.100.7/198.51.100.7"), 1U);
  ASSERT_TRUE(hear(ResolverChannel{}));
  effects_.resolver = false;
  detect(probe("198.51.100.8"));
  EXPECT_EQ(count("scan from host: 198.51.100.8/198.51.100.8"), 1U) << "it does not listen";
}

TEST_F(NameStory, TheEndOfTheResolverAndOursKeepNobodyWaiting) {
  serve_with_resolver();
  detect(probe("198.51.100.7"));
  ASSERT_TRUE(hear(ResolverLost{}));
  EXPECT_EQ(count("scan from host: 198.51.100.7/198.51.100.7"), 1U);
  ASSERT_TRUE(hear(ResolverChannel{}));
  detect(probe("198.51.100.8"));
  monitor_->shut_down();
  EXPECT_EQ(count("scan from host: 198.51.100.8/198.51.100.8"), 1U);
}

TEST_F(NameStory, AnAnswerThatNobodyAskedForIsIgnored) {
  serve_with_resolver();
  EXPECT_TRUE(monitor_->on_resolver(HostName{77, "x.example"}, now()));
  EXPECT_TRUE(lines().empty());
}

TEST_F(NameStory, NobodyIsAskedWhereNamesAreNotWanted) {
  config_.resolve_host = false;
  serve_with_resolver();
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(effects_.asked.empty());
  EXPECT_EQ(lines().size(), 1U);
}

}  // namespace
}  // namespace portsentry::monitor
