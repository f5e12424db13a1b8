// An administrator's word against the file's.
#include <gtest/gtest.h>

#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

using Mode = Override::Mode;
using Code = ModeChange::Code;

class ModeStory : public Story {
 protected:
  void watch_only() { config_.block_tcp = config_.block_udp = BlockMode::observe; }
  void reload(const std::string& conf) {
    ASSERT_TRUE(hear(ReloadFile{2, ReloadedFile::config}));
    effects_.files[ReloadedFile::config] = conf;
    effects_.files[ReloadedFile::ignore] = "";
    ASSERT_TRUE(hear(ReloadOffer{2, false}));
    EXPECT_EQ(monitor_->mode().file.tcp, BlockMode::ban);
  }
  std::optional<Override> last_word() const {
    return noted<SetOverride>().empty() ? std::nullopt : noted<SetOverride>().back().override;
  }
};

TEST_F(ModeStory, TheEnforcerIsToldAtTheStartWhetherBansAreWanted) {
  start();
  EXPECT_TRUE(sent<Accept>().at(0).armed);
}

TEST_F(ModeStory, AFileThatWatchesOnlyIsArmedByOneWordAndBansFollow) {
  watch_only();
  serve(false);
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(sent<Ban>().empty());
  EXPECT_EQ(monitor_->arm(std::nullopt, now()).code, Code::done);
  ASSERT_EQ(sent<Arm>().size(), 1U);
  EXPECT_TRUE(sent<Arm>()[0].armed);
  EXPECT_EQ(last_word()->mode, Mode::arm);
  EXPECT_EQ(count("armed by \"portsentryctl arm\""), 1U);
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = true}));
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
  EXPECT_TRUE(monitor_->mode().armed);
  EXPECT_EQ(monitor_->mode().file.tcp, BlockMode::observe);
}

TEST_F(ModeStory, ObservingStopsNewBansAndLeavesThoseThatHold) {
  serve();
  ban("198.51.100.7");
  EXPECT_EQ(monitor_->observe(now()).code, Code::done);
  ASSERT_EQ(sent<Arm>().size(), 1U);
  EXPECT_FALSE(sent<Arm>()[0].armed);
  detect(probe("198.51.100.8"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
  EXPECT_TRUE(sent<Unban>().empty());
  EXPECT_EQ(count("(observe mode); to arm, run \"portsentryctl arm\""), 1U);
  EXPECT_EQ(events(EventKind::observed).size(), 1U);
}

TEST_F(ModeStory, WhoDoesNotConfirmObservesAgain) {
  watch_only();
  serve(false);
  monitor_->arm(5min, now());
  wait(5min - 1s);
  EXPECT_TRUE(monitor_->mode().armed);
  wait(1s);
  EXPECT_FALSE(monitor_->mode().armed);
  EXPECT_FALSE(last_word());
  ASSERT_EQ(sent<Arm>().size(), 2U);
  EXPECT_FALSE(sent<Arm>()[1].armed);
  EXPECT_EQ(count("nobody confirmed in time"), 1U);
}

TEST_F(ModeStory, AConfirmationFromALaterLoginStandsAndOneFromAnEarlierDoesNot) {
  watch_only();
  serve(false);
  EXPECT_EQ(monitor_->confirm(now().wall, now()).code, Code::refused) << "nothing to confirm";
  monitor_->arm(5min, now());
  const std::time_t armed_at = now().wall;
  wait(1min);
  EXPECT_EQ(monitor_->confirm(armed_at - 3600, now()).code, Code::refused);
  EXPECT_EQ(monitor_->confirm(armed_at + 30, now()).code, Code::done);
  wait(1h);
  EXPECT_TRUE(monitor_->mode().armed);
  EXPECT_FALSE(last_word()->confirm_by);
}

TEST_F(ModeStory, AnUnconfirmedArmingThatEndedWhileNobodyWasThereIsOverAtTheStart) {
  watch_only();
  remembered_.override =
      Override{.mode = Mode::arm, .since = now().wall - 600, .confirm_by = now().wall - 300};
  start();
  EXPECT_FALSE(sent<Accept>().at(0).armed);
  EXPECT_EQ(count("nobody confirmed in time"), 1U);
}

TEST_F(ModeStory, AnArmingOutlivesARestartAndStillWantsItsConfirmation) {
  watch_only();
  remembered_.override =
      Override{.mode = Mode::arm, .since = now().wall - 100, .confirm_by = now().wall + 200};
  serve();
  EXPECT_TRUE(monitor_->mode().armed);
  wait(200s);
  EXPECT_FALSE(monitor_->mode().armed);
}

TEST_F(ModeStory, AnArmedFileIsNotArmedAgainByWhatNobodyConfirmed) {
  serve();
  monitor_->observe(now());
  monitor_->arm(5min, now());
  EXPECT_TRUE(monitor_->mode().armed);
  wait(6min);
  EXPECT_FALSE(monitor_->mode().armed);
  EXPECT_EQ(last_word()->mode, Mode::observe);
}

TEST_F(ModeStory, WithoutAFirewallNothingIsArmed) {
  watch_only();
  config_.firewall = Firewall::none;
  serve(false);
  EXPECT_EQ(monitor_->arm(std::nullopt, now()).code, Code::refused);
  EXPECT_TRUE(sent<Arm>().empty());
}

TEST_F(ModeStory, WhatIsSoAlreadyChangesNothing) {
  serve();
  effects_.notes.clear();
  EXPECT_EQ(monitor_->arm(5min, now()).code, Code::done);
  EXPECT_EQ(monitor_->follow_file(now()).code, Code::done);
  EXPECT_TRUE(effects_.notes.empty());
  monitor_->observe(now());
  effects_.notes.clear();
  EXPECT_EQ(monitor_->observe(now()).code, Code::done);
  EXPECT_TRUE(effects_.notes.empty());
}

TEST_F(ModeStory, TheFileCountsAgainWhenTheWordIsTakenBack) {
  serve();
  monitor_->observe(now());
  EXPECT_EQ(monitor_->follow_file(now()).text,
            "armed again as /etc/portsentry/portsentry.conf says");
  EXPECT_TRUE(monitor_->mode().armed);
  EXPECT_FALSE(last_word());
}

TEST_F(ModeStory, AReloadChangesTheFilesWordAndNotTheAdministrators) {
  serve();
  monitor_->observe(now());
  reload("TCP_PORTS=\"23\"\nUDP_PORTS=\"161\"\nBLOCK_TCP=\"1\"\nBLOCK_UDP=\"0\"\n");
  EXPECT_FALSE(monitor_->mode().armed);
  EXPECT_EQ(monitor_->mode().file, (BlockModes{BlockMode::ban, BlockMode::observe}));
  monitor_->follow_file(now());
  EXPECT_TRUE(monitor_->mode().armed);
}

TEST_F(ModeStory, AReloadThatArmsTellsTheEnforcer) {
  watch_only();
  serve(false);
  reload("TCP_PORTS=\"23\"\nUDP_PORTS=\"161\"\nBLOCK_TCP=\"1\"\nBLOCK_UDP=\"0\"\n");
  ASSERT_EQ(sent<Arm>().size(), 1U);
  EXPECT_TRUE(sent<Arm>()[0].armed);
}

}  // namespace
}  // namespace portsentry::monitor
