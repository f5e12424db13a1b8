#include <gtest/gtest.h>

#include <cerrno>

#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

constexpr char kConf[] =
    "TCP_PORTS=\"23\"\nUDP_PORTS=\"161\"\nBLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\nSCAN_TRIGGER=\"2\"\n";

class ReloadStory : public Story {
 protected:
  ReloadStory() { config_ = read_config(kConf, "x").config; }
  // Root offers this; true: the monitor has taken it for legal.
  bool offer(const std::string& conf, const std::string& ignore = "", bool new_watch = false,
             std::uint32_t generation = 2) {
    bool fine = true;
    for (const auto which : {ReloadedFile::config, ReloadedFile::ignore, ReloadedFile::history,
                             ReloadedFile::blocked, ReloadedFile::log_file}) {
      fine = hear(ReloadFile{generation, which}) && fine;
    }
    effects_.files[ReloadedFile::config] = conf;
    effects_.files[ReloadedFile::ignore] = ignore;
    return hear(ReloadOffer{generation, new_watch}) && fine;
  }
  // A successor that is ready.
  void succeed() {
    ASSERT_TRUE(hear(SensorChannel{.successor = true}));
    ASSERT_TRUE(monitor_->expects(SensorRole::successor));
    ASSERT_TRUE(sense(SensorReady{}, SensorRole::successor));
  }
  template <class T>
  std::vector<T> told(SensorRole role) const {
    std::vector<T> found;
    for (const auto& [to, message] : effects_.to_sensors) {
      if (const auto* m = std::get_if<T>(&message); m != nullptr && to == role) found.push_back(*m);
    }
    return found;
  }
  static Evidence touch(std::string_view who) {
    return {host(who), {{Protocol::tcp, *Port::make(23), 5s}}, false};
  }
};

TEST_F(ReloadStory, AnIgnoreListChangesAtOnceWithoutANewSensorAndLiftsWhomItNames) {
  serve();
  ban("198.51.100.7");
  ban("198.51.100.8");
  ASSERT_TRUE(offer(kConf, "198.51.100.7\n"));
  ASSERT_EQ(sent<ReloadCommit>().size(), 1U);
  EXPECT_EQ(sent<ReloadCommit>()[0].generation, 2U);
  EXPECT_TRUE(sent<ReloadAccept>().empty());
  EXPECT_EQ(count("configuration read again"), 0U) << "root has yet to follow";
  ASSERT_TRUE(hear(ReloadFollowed{2}));
  EXPECT_EQ(count("adminalert: configuration read again: generation 2"), 1U);
  ASSERT_EQ(sent<Unban>().size(), 1U);
  EXPECT_EQ(count("ban of 198.51.100.7 lifted"), 0U) << "nobody has done it yet";
  ASSERT_TRUE(hear(Outcome{sent<Unban>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(count("ban of 198.51.100.7 lifted: IGNORE_FILE names it now"), 1U);
  EXPECT_EQ(monitor_->status().enforced, 1U);
  EXPECT_EQ(counter("generation"), 2U);
  EXPECT_EQ(counter("bans_confirmed"), 2U) << "counters belong to no generation";
  detect(probe("198.51.100.7"));
  EXPECT_EQ(counter("decision_ignored"), 1U);
  EXPECT_EQ(effects_.adopted.size(), 3U);
}

TEST_F(ReloadStory, ASourceThatIsNamedWhileItsBanIsAskedForIsLiftedWhenTheKernelSaidYes) {
  serve();
  detect(probe("198.51.100.7"));
  ASSERT_TRUE(offer(kConf, "198.51.100.7\n"));
  answer(Verdict::ok);
  EXPECT_EQ(sent<Unban>().size(), 1U);
}

TEST_F(ReloadStory, ABrokenFileIsToldLineByLineAndChangesNothing) {
  serve();
  ASSERT_TRUE(offer("TCP_PORTS=\"23\"\nBLOCK_TIME=\"soon\"\n", "198.51.100.7\n"));
  EXPECT_EQ(sent<ReloadRefuse>().size(), 1U);
  EXPECT_EQ(count("ERROR: portsentry.conf:2: error: BLOCK_TIME: "), 1U);
  EXPECT_EQ(count("ERROR: reload refused: 1 mistake, told above; generation 1 stays"), 1U);
  EXPECT_EQ(counter("reloads_refused"), 1U);
  ban("198.51.100.7");
  EXPECT_EQ(sent<Ban>().size(), 1U) << "the old ignore list";
  EXPECT_EQ(effects_.adopted.size(), 3U) << "the same paths are opened anew for logrotate";
}

TEST_F(ReloadStory, ABrokenIgnoreListChangesNothingEither) {
  serve();
  ASSERT_TRUE(offer(kConf, "198.51.100.7\nnonsense here\n"));
  EXPECT_EQ(sent<ReloadRefuse>().size(), 1U);
  EXPECT_EQ(count("portsentry.ignore:2: error"), 1U);
}

TEST_F(ReloadStory, WhereTheSensorChangesASuccessorServesBeforeTheOldOneEnds) {
  serve();
  ASSERT_TRUE(offer(std::string(kConf) + "SCAN_WINDOW=\"1h\"\n"));
  ASSERT_EQ(sent<ReloadAccept>().size(), 1U);
  EXPECT_TRUE(sent<ReloadCommit>().empty());
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U) << "the old one serves all the while";
  ASSERT_TRUE(hear(SensorChannel{.successor = true}));
  EXPECT_EQ(monitor_->sensor_config(SensorRole::successor).scan_window, 1h);
  EXPECT_EQ(monitor_->sensor_config().scan_window, 24h);
  ASSERT_TRUE(sense(SensorReady{}, SensorRole::successor));
  EXPECT_EQ(told<HandOver>(SensorRole::current).size(), 1U);
  ASSERT_TRUE(sense(touch("203.0.113.1")));
  ASSERT_TRUE(sense(probe("198.51.100.8"))) << "seen before it heard";
  ASSERT_TRUE(sense(probe("198.51.100.9"), SensorRole::successor));
  EXPECT_TRUE(sent<ReloadCommit>().empty());
  ASSERT_TRUE(sense(HandedOver{}));
  EXPECT_EQ(told<Evidence>(SensorRole::successor).size(), 1U);
  EXPECT_EQ(sent<ReloadCommit>().size(), 1U);
  EXPECT_EQ(effects_.promoted, 1);
  EXPECT_EQ(sent<Ban>().size(), 3U);
  detect(probe("198.51.100.10"));
  EXPECT_EQ(sent<Ban>().size(), 4U);
  EXPECT_EQ(monitor_->status().sensor_restarts, 0U);
  wait(1min);
  EXPECT_EQ(monitor_->status().active, true);
}

TEST_F(ReloadStory, OtherWatchOrdersOfRootAskForASuccessorToo) {
  serve();
  ASSERT_TRUE(offer(kConf, "", true));
  EXPECT_EQ(sent<ReloadAccept>().size(), 1U);
  succeed();
  ASSERT_TRUE(sense(HandedOver{}));
  ASSERT_TRUE(hear(ReloadFollowed{2}));
  EXPECT_EQ(count("Going into stealth listen mode on TCP port: 23"), 1U);
}

TEST_F(ReloadStory, RulesThatRootDoesNotGetLoadedAreTold) {
  serve();
  ASSERT_TRUE(offer(kConf));
  ASSERT_TRUE(hear(ReloadFollowed{1})) << "of another one";
  wait(14s);
  EXPECT_EQ(count("configuration read again"), 0U);
  wait(1s);
  EXPECT_EQ(count("the firewall's rules are still those of before generation 2"), 1U);
  EXPECT_EQ(count("configuration read again: generation 2"), 1U);
  ASSERT_TRUE(hear(ReloadFollowed{2})) << "late";
  EXPECT_EQ(count("configuration read again"), 1U);
}

TEST_F(ReloadStory, AReloadThatFollowsAnotherAtOnceEndsItsWait) {
  serve();
  ASSERT_TRUE(offer(kConf));
  ASSERT_TRUE(offer(kConf, "", false, 3));
  EXPECT_EQ(count("configuration read again: generation 2"), 1U);
  ASSERT_TRUE(hear(ReloadFollowed{3}));
  EXPECT_EQ(count("configuration read again: generation 3"), 1U);
}

TEST_F(ReloadStory, ASuccessorWithoutRoomHoldsTheOldSensorBackAndLosesNothing) {
  serve();
  ASSERT_TRUE(offer(kConf, "", true));
  succeed();
  effects_.sensor_full = true;
  ASSERT_TRUE(sense(touch("203.0.113.1")));
  EXPECT_TRUE(monitor_->holding_back());
  EXPECT_FALSE(sense(touch("203.0.113.2"))) << "it should not have been read";
  effects_.sensor_full = false;
  wait(20ms);
  EXPECT_FALSE(monitor_->holding_back());
  ASSERT_TRUE(sense(HandedOver{}));
  EXPECT_EQ(told<Evidence>(SensorRole::successor).size(), 1U);
  EXPECT_EQ(sent<ReloadCommit>().size(), 1U);
}

TEST_F(ReloadStory, ASuccessorThatDoesNotGetReadyIsAbandonedAfterFiveSeconds) {
  serve();
  ASSERT_TRUE(offer(kConf, "", true));
  ASSERT_TRUE(hear(SensorChannel{.successor = true}));
  wait(6s);
  EXPECT_EQ(sent<ReloadAbandon>().size(), 1U);
  EXPECT_EQ(count("reload refused: the new sensor did not get ready; generation 1 stays"), 1U);
  EXPECT_EQ(effects_.dropped, 1);
  detect(probe("198.51.100.7"));
  ASSERT_TRUE(hear(SensorLost{.by_signal = true, .code = 9, .retry_in = 0ms, .successor = true}))
      << "its end was on its way";
  EXPECT_TRUE(monitor_->status().active);
  EXPECT_TRUE(sent<DropSensor>().empty());
}

TEST_F(ReloadStory, ASuccessorThatEndsLeavesTheOldGenerationAndNothingToAbandon) {
  serve();
  ASSERT_TRUE(offer(kConf, "", true));
  ASSERT_TRUE(hear(SensorChannel{.successor = true}));
  ASSERT_TRUE(hear(SensorLost{.by_signal = true, .code = 9, .retry_in = 0ms, .successor = true}));
  EXPECT_EQ(count("reload refused: the new sensor ended by signal 9; generation 1 stays"), 1U);
  EXPECT_TRUE(sent<ReloadAbandon>().empty());
  EXPECT_EQ(monitor_->status().sensor_restarts, 0U);
  detect(probe("198.51.100.7"));
}

TEST_F(ReloadStory, ASuccessorThatEndsAfterTheOldOneFellSilentHasItReplaced) {
  serve();
  ASSERT_TRUE(offer(kConf, "", true));
  succeed();
  ASSERT_TRUE(hear(SensorLost{.by_signal = true, .code = 9, .retry_in = 0ms, .successor = true}));
  EXPECT_EQ(sent<DropSensor>().size(), 1U);
  EXPECT_TRUE(sent<ReloadCommit>().empty());
}

TEST_F(ReloadStory, AnOldSensorThatDiesWhileItHandsOverIsFollowedAllTheSame) {
  serve();
  ASSERT_TRUE(offer(kConf, "", true));
  succeed();
  monitor_->sensor_hung_up(now());
  EXPECT_EQ(sent<ReloadCommit>().size(), 1U);
  EXPECT_EQ(effects_.promoted, 1);
  EXPECT_TRUE(monitor_->status().active);
}

TEST_F(ReloadStory, AnOldSensorThatDoesNotHandOverInTimeIsLeftBehind) {
  serve();
  ASSERT_TRUE(offer(kConf, "", true));
  succeed();
  wait(6s);
  EXPECT_EQ(count("the old sensor did not tell all it knew"), 1U);
  EXPECT_EQ(sent<ReloadCommit>().size(), 1U);
}

TEST_F(ReloadStory, ASuccessorThatBreaksTheProtocolIsAbandoned) {
  serve();
  ASSERT_TRUE(offer(kConf, "", true));
  ASSERT_TRUE(hear(SensorChannel{.successor = true}));
  EXPECT_FALSE(sense(HandedOver{}, SensorRole::successor));
  EXPECT_FALSE(sense(touch("203.0.113.1"), SensorRole::successor));
  monitor_->sensor_broken("message out of its phase", now(), SensorRole::successor);
  EXPECT_EQ(sent<ReloadAbandon>().size(), 1U);
  EXPECT_TRUE(sent<DropSensor>().empty()) << "the one that serves did nothing";
}

TEST_F(ReloadStory, EvidenceThatNobodyAskedForIsOutOfTurn) {
  serve();
  EXPECT_FALSE(sense(touch("203.0.113.1")));
  EXPECT_FALSE(sense(HandedOver{}));
}

TEST_F(ReloadStory, AnOfferThatWasNotAnnouncedOrIsOldIsOutOfTurn) {
  serve();
  EXPECT_FALSE(hear(ReloadOffer{2, false}));
  EXPECT_FALSE(hear(ReloadFile{1, ReloadedFile::config})) << "the generation that holds";
  ASSERT_TRUE(hear(ReloadFile{2, ReloadedFile::config}));
  EXPECT_FALSE(hear(ReloadOffer{3, false}));
}

TEST_F(ReloadStory, WhatRootCouldNotPrepareIsTold) {
  serve();
  ASSERT_TRUE(hear(ReloadFailed{ReloadProblem::account, 0}));
  EXPECT_EQ(count("reload refused: a user that it needs does not exist; generation 1 stays"), 1U);
  ASSERT_TRUE(hear(ReloadFailed{ReloadProblem::log_file, ENOENT}));
  EXPECT_EQ(count("LOG_FILE cannot be opened: No such file or directory; the old one stays in use"),
            1U);
}

TEST_F(ReloadStory, ARootThatDidNotFollowACommitIsGoneBackTo) {
  serve();
  ASSERT_TRUE(offer(kConf, "198.51.100.7\n"));
  ASSERT_TRUE(hear(ReloadFailed{ReloadProblem::other, 0, 2}));
  EXPECT_EQ(count("it could not be prepared; generation 1 stays"), 1U);
  detect(probe("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
  ASSERT_TRUE(offer(kConf, "", false, 3));
  EXPECT_EQ(counter("generation"), 3U);
}

TEST_F(ReloadStory, AFileThatCannotBeReadSoonAfterACommitTakesNothingBack) {
  serve();
  ASSERT_TRUE(offer(kConf, "198.51.100.7\n"));
  ASSERT_TRUE(hear(ReloadFailed{ReloadProblem::ignore_file, ENOENT}));
  EXPECT_EQ(count("IGNORE_FILE cannot be read: No such file or directory; generation 2 stays"), 1U);
  EXPECT_EQ(counter("generation"), 2U);
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(sent<Ban>().empty());
}

TEST_F(ReloadStory, AnotherBackendTakesOverWhatHeldAndSaysSo) {
  serve();
  ban("198.51.100.7");
  ASSERT_TRUE(offer(kConf));
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::command, .again = true}));
  ASSERT_TRUE(hear(AdoptedDone{}));
  ASSERT_EQ(sent<Restore>().size(), 1U);
  ASSERT_TRUE(hear(Outcome{sent<Restore>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(count("bans are made by KILL_ROUTE now; 1 taken over"), 1U);
  EXPECT_EQ(count("firewall state was lost"), 0U);
}

TEST_F(ReloadStory, AHundredReloadsLeaveNothingBehind) {
  serve();
  ban("198.51.100.7");
  for (std::uint32_t generation = 2; generation < 102; ++generation) {
    const bool successor = generation % 2 == 0;
    ASSERT_TRUE(offer(kConf, "", successor, generation));
    if (successor) {
      succeed();
      ASSERT_TRUE(sense(HandedOver{}));
    }
  }
  EXPECT_EQ(sent<ReloadCommit>().size(), 100U);
  EXPECT_EQ(counter("generation"), 101U);
  EXPECT_EQ(monitor_->status().enforced, 1U);
  EXPECT_TRUE(effects_.files.empty());
}

}  // namespace
}  // namespace portsentry::monitor
