#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "control_story.h"

namespace portsentry::monitor {
namespace {

class ModeAsked : public ControlStory {};

TEST_F(ModeAsked, ArmingAnObservingDaemonIsShownFirstWithTheFilesWord) {
  config_.block_tcp = config_.block_udp = BlockMode::observe;
  serve();
  EXPECT_FALSE(monitor_->status(now()).armed);
  const auto done = as<ModeDone>(ask(ArmAsk{300s}));
  EXPECT_TRUE(done.armed);
  ASSERT_TRUE(done.override_mode);
  EXPECT_EQ(done.override_mode->confirm_by, now().wall + 300);
  const StatusReply status = monitor_->status(now());
  EXPECT_TRUE(status.armed);
  EXPECT_EQ(status.file_tcp, 0U);
  EXPECT_TRUE(status.override_mode);
  EXPECT_EQ(code(ask(ConfirmAsk{now().wall - 10})), RefusedCode::policy) << "an old session";
  wait(1s);
  EXPECT_FALSE(as<ModeDone>(ask(ConfirmAsk{now().wall})).override_mode->confirm_by);
  EXPECT_FALSE(as<ModeDone>(ask(FollowFileAsk{})).override_mode);
  EXPECT_FALSE(monitor_->status(now()).armed);
}

TEST_F(ModeAsked, AModeIsAnsweredWhenTheDiskHasIt) {
  serve();
  disk_ = false;
  EXPECT_FALSE(ask(ObserveAsk{}));
  disk_ = true;
  commit();
  EXPECT_FALSE(as<ModeDone>(answered(0)).armed);
}

// `observe` where it observes already, as it does when it was just installed.
TEST_F(ModeAsked, WhatChangesNothingIsAnsweredThoughNothingIsWrittenAnyMore) {
  config_.block_tcp = config_.block_udp = BlockMode::observe;
  serve();
  wait(1s);
  disk_ = false;
  ask(ObserveAsk{});
  ask(FollowFileAsk{});
  wait(1s);
  EXPECT_FALSE(as<ModeDone>(answered(0)).armed);
  EXPECT_FALSE(as<ModeDone>(answered(1)).override_mode);
  EXPECT_EQ(monitor_->status(now()).unrecorded, 0U);
}

TEST_F(ModeAsked, WhyTellsTheEvidenceAndWhatUndoesIt) {
  serve();
  ban("198.51.100.7");
  const auto why = as<WhyReply>(ask(WhyAsk{*Address::parse("198.51.100.7")}));
  ASSERT_TRUE(why.ban);
  EXPECT_EQ(why.source->text(), "198.51.100.7");
  EXPECT_FALSE(why.touches.empty());
  EXPECT_FALSE(why.decision.empty());
  EXPECT_FALSE(why.undo.empty());
  EXPECT_EQ(code(ask(WhyAsk{*Address::parse("203.0.113.9")})), RefusedCode::no_match);
}

// A restart forgets the probes; the disk does not.
TEST_F(ModeAsked, WhyTellsTheProbesFromTheDiskWhenMemoryHasNone) {
  serve();
  Detection detection = probe("198.51.100.7");
  detection.distinct_ports = 2;
  detection.touches = {{.protocol = Protocol::udp, .port = *Port::make(161), .age = 3s}};
  effects_.note(AddEvent{event_of(EventKind::would_ban, detection, detection.source,
                                  "observe mode, would ban for 10m", now().wall - 60)});
  detection.port = *Port::make(80);
  effects_.note(AddEvent{event_of(EventKind::banned, detection, detection.source, "", now().wall)});
  const auto why = as<WhyReply>(ask(WhyAsk{*Address::parse("198.51.100.7")}));
  EXPECT_FALSE(why.ban);
  EXPECT_EQ(why.source->text(), "198.51.100.7");
  EXPECT_EQ(why.scan_class, "single");
  EXPECT_EQ(why.proof, Proof::forgeable);
  EXPECT_EQ(why.first, now().wall - 60);
  EXPECT_EQ(why.last, now().wall);
  EXPECT_EQ(why.distinct_ports, 2U);
  EXPECT_EQ(why.reason, "as it was recorded, banned: TCP 80 SYN, UDP 161");
  ASSERT_EQ(why.touches.size(), 3U);
  EXPECT_EQ(why.touches[0].port.number(), 80);
  EXPECT_EQ(why.touches[0].kind, ScanKind::syn);
  EXPECT_EQ(why.touches[1].port.number(), 161);
  EXPECT_EQ(why.touches[1].protocol, Protocol::udp);
  EXPECT_EQ(why.touches[2].port.number(), 23);
}

TEST_F(ModeAsked, WhyTellsWhatShieldsSomebodyNobodyHasSeen) {
  serve();
  ask(AllowAddAsk{*Prefix::parse("203.0.113.0/24")});
  const auto why = as<WhyReply>(ask(WhyAsk{*Address::parse("203.0.113.9")}));
  EXPECT_NE(why.shield.find("203.0.113.0/24"), std::string::npos);
  EXPECT_NE(as<WhyReply>(ask(WhyAsk{*Address::parse("127.0.0.1")})).shield, "");
}

TEST_F(ModeAsked, TheReportIsTurnedOverBySource) {
  config_.block_tcp = config_.block_udp = BlockMode::observe;
  serve();
  for (int i = 1; i <= 30; ++i) {
    detect(probe("198.51.100." + std::to_string(i)));
    wait(1s);
  }
  std::vector<std::string> sources;
  std::optional<Source> after;
  for (bool more = true; more;) {
    const auto page = as<ReportPage>(ask(ReportAsk{0, after}));
    for (const ReportRow& row : page.rows) {
      sources.push_back(row.source.text());
      EXPECT_EQ(row.outcome, "would-ban");
    }
    ASSERT_FALSE(page.rows.empty());
    after = page.rows.back().source;
    more = page.more;
  }
  EXPECT_EQ(sources.size(), 30U);
}

TEST_F(ModeAsked, TheStatusIsOneScreenOfWhatTheOthersKnow) {
  serve();
  const auto status = as<StatusReply>(ask(StatusRequest{}));
  EXPECT_EQ(status.budgets.size(), 3U);
  EXPECT_GT(status.protected_entries, 0U);
  EXPECT_TRUE(status.alarms.empty()) << status.alarms.front();
}

}  // namespace
}  // namespace portsentry::monitor
