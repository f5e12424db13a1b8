#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/wire.h"
#include "control_story.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

TEST_F(Story, EveryCounterIsToldPageByPage) {
  serve();
  const std::vector<NamedCount> all = monitor_->counters();
  ASSERT_GT(all.size(), 48U) << "or there is nothing to turn over";
  std::vector<std::string> told;
  for (bool more = true; more;) {
    monitor_->on_control(
        CountersAsk{static_cast<std::uint32_t>(told.size())}, 0,
        [&](const ControlReply& reply) {
          ASSERT_TRUE(decode_control_reply(encode(reply), 0));
          const auto& page = std::get<CounterPage>(reply);
          for (const NamedCount& c : page.counters)
            told.push_back(c.name);
          more = page.more;
        },
        now());
  }
  ASSERT_EQ(told.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(told.at(i), all.at(i).name);
}

TEST_F(ControlStory, HistoryIsTurnedOverToItsEndAndEveryEventIsToldOnce) {
  serve();
  for (int i = 0; i < 100; ++i)
    happened(i % 2 == 0 ? "198.51.100.7" : "203.0.113.9");
  std::vector<std::uint64_t> ids;
  for (bool more = true; more;) {
    const auto page = as<HistoryPage>(ask(HistoryAsk{.before = ids.empty() ? 0 : ids.back()}));
    ASSERT_FALSE(page.events.empty());
    for (const EventShown& event : page.events)
      ids.push_back(event.id);
    more = page.more;
  }
  EXPECT_EQ(ids.size(), 100U);
  EXPECT_TRUE(std::ranges::is_sorted(ids, std::greater<>()));
}

TEST_F(ControlStory, HistoryOfAHostAndOfANetworkIsOnlyTheirs) {
  serve();
  for (int i = 0; i < 30; ++i)
    happened(i % 10 == 0 ? "198.51.100.7" : "203.0.113.9");
  EXPECT_EQ(as<HistoryPage>(ask(HistoryAsk{.inside = Prefix::parse("198.51.100.7")})).events.size(),
            3U);
  const auto network = as<HistoryPage>(ask(HistoryAsk{.inside = Prefix::parse("198.51.0.0/16")}));
  EXPECT_EQ(network.events.size(), 3U);
  EXPECT_FALSE(network.more);
  EXPECT_TRUE(
      as<HistoryPage>(ask(HistoryAsk{.inside = Prefix::parse("10.0.0.0/8")})).events.empty());
  effects_.can_read = false;
  EXPECT_EQ(code(ask(HistoryAsk{})), RefusedCode::failed);
  EXPECT_EQ(code(ask(TopAsk{})), RefusedCode::failed);
}

TEST_F(ControlStory, TopAsksTheStoreForWhatWasAsked) {
  serve();
  const auto top = as<TopReply>(ask(TopAsk{.by = TopBy::port, .since = 5, .limit = 3}));
  ASSERT_EQ(top.rows.size(), 1U);
  EXPECT_EQ(top.rows.at(0).name, "TCP 23");
  ASSERT_EQ(effects_.tops.size(), 1U);
  EXPECT_EQ(effects_.tops.at(0).by, TopQuery::By::port);
  EXPECT_EQ(effects_.tops.at(0).since, 5);
  EXPECT_EQ(effects_.tops.at(0).limit, 3U);
}

// ---- reload -------------------------------------------------------------------------------------

constexpr char kConf[] = "TCP_PORTS=\"23\"\nBLOCK_TCP=\"1\"\nSCAN_TRIGGER=\"2\"\n";

class ReloadAsked : public ControlStory {
 protected:
  ReloadAsked() { config_ = read_config(kConf, "x").config; }
  bool offer(const std::string& conf) {
    bool fine = true;
    for (const auto which : {ReloadedFile::config, ReloadedFile::ignore, ReloadedFile::history,
                             ReloadedFile::blocked, ReloadedFile::log_file}) {
      fine = hear(ReloadFile{2, which}) && fine;
    }
    effects_.files[ReloadedFile::config] = conf;
    effects_.files[ReloadedFile::ignore] = "";
    return hear(ReloadOffer{2, false}) && fine;
  }
};

TEST_F(ReloadAsked, AReloadIsAnsweredWhenItIsDoneAndNotBefore) {
  serve();
  EXPECT_FALSE(ask(ReloadAsk{}));
  EXPECT_EQ(sent<RequestReload>().size(), 1U);
  EXPECT_FALSE(ask(ReloadAsk{})) << "who comes later waits for the same one";
  EXPECT_EQ(sent<RequestReload>().size(), 1U);
  ASSERT_TRUE(offer(kConf));
  EXPECT_FALSE(answered(0)) << "the firewall's rules may be those of before";
  ASSERT_TRUE(hear(ReloadFollowed{2}));
  EXPECT_EQ(as<ReloadDone>(answered(0)).generation, 2U);
  EXPECT_EQ(as<ReloadDone>(answered(1)).generation, 2U);
}

TEST_F(ReloadAsked, AMistakeIsToldWithItsLine) {
  serve();
  ask(ReloadAsk{});
  ASSERT_TRUE(offer("BLOCK_TCP=\"1\"\nTCP_PORTS=\"20-11\"\n"));
  const auto refused = as<Refused>(answered(0));
  EXPECT_EQ(refused.code, RefusedCode::failed);
  EXPECT_NE(refused.text.find(":2"), std::string::npos) << refused.text;
}

TEST_F(ReloadAsked, WhatRootCouldNotReadIsToldToo) {
  serve();
  ask(ReloadAsk{});
  ASSERT_TRUE(hear(ReloadFailed{ReloadProblem::config_file, ENOENT, 0}));
  EXPECT_EQ(code(answered(0)), RefusedCode::failed);
  EXPECT_FALSE(ask(ReloadAsk{})) << "and another may be asked for";
  EXPECT_EQ(sent<RequestReload>().size(), 1U) << "but root would not hear it yet";
  wait(1s);
  EXPECT_EQ(sent<RequestReload>().size(), 1U);
  wait(1s);
  EXPECT_EQ(sent<RequestReload>().size(), 2U);
}

TEST_F(ReloadAsked, SilenceIsAnsweredInTheEnd) {
  serve();
  ask(ReloadAsk{});
  wait(21s);
  EXPECT_EQ(code(answered(0)), RefusedCode::busy);
}

TEST_F(ReloadAsked, BeforeItServesAndWhileOneIsUnderWayThereIsNoSecond) {
  start();
  EXPECT_EQ(code(ask(ReloadAsk{})), RefusedCode::busy);
  make_table();
  ASSERT_TRUE(hear(ReloadFile{2, ReloadedFile::config}));
  EXPECT_EQ(code(ask(ReloadAsk{})), RefusedCode::busy);
}

}  // namespace
}  // namespace portsentry::monitor
