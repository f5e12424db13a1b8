// What is written down of probes and bans, the record of a repeater, and the budgets.
#include <gtest/gtest.h>

#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

class Record : public Story {
 protected:
  Record() { config_.block_time_forgeable = 10min; }

  static Detection proven(std::string_view from) {
    Detection detection = probe(from);
    detection.proof = Proof::handshake;
    detection.kind = ScanKind::connect;
    detection.flags = {};
    return detection;
  }
  void ban_proven(std::string_view from) {
    detect(proven(from));
    answer(Verdict::ok);
  }
  static std::string nth(std::uint32_t i) {
    return "203." + std::to_string(i >> 16U) + "." + std::to_string((i >> 8U) & 255U) + "." +
           std::to_string(i & 255U);
  }
};

// ---- how long -----------------------------------------------------------------------------------

TEST_F(Record, ARepeaterGetsThirtyMinutesThenTwoHoursThenEight) {
  serve();
  for (const auto expected : {30min, 120min, 480min}) {
    ban_proven("198.51.100.7");
    EXPECT_EQ(sent<Ban>().back().duration, expected);
    wait(expected + 1min);
  }
  EXPECT_EQ(noted<PutOffence>().back().offence.count, 3U);
}

TEST_F(Record, ABystanderWhoIsForgedStaysAtTenMinutesForEver) {
  serve();
  for (int i = 0; i < 5; ++i) {
    ban("198.51.100.7");
    EXPECT_EQ(sent<Ban>().back().duration, 10min);
    wait(11min);
  }
  EXPECT_TRUE(noted<PutOffence>().empty());
}

// The sensor reports at once, and again when the kernel has told it of a connection.
TEST_F(Record, WhoIsFoundToBeProvenWhileABanIsAskedForGetsTheTimeOfOne) {
  serve();
  Detection later = probe("198.51.100.7");
  later.proof = Proof::established;
  detect(probe("198.51.100.7"));
  detect(later);
  EXPECT_EQ(sent<Ban>().size(), 1U);
  answer(Verdict::ok);
  ASSERT_EQ(sent<Ban>().size(), 2U);
  EXPECT_EQ(sent<Ban>().back().duration, 30min);
  answer(Verdict::ok);
  EXPECT_EQ(noted<PutOffence>().size(), 1U);
  EXPECT_EQ(noted<PutOffence>().back().offence.count, 1U);
  detect(later);
  EXPECT_EQ(sent<Ban>().size(), 2U) << "once";
}

TEST_F(Record, WhoIsFoundToBeProvenAfterABanGetsTheTimeOfOne) {
  serve();
  ban("198.51.100.7");
  Detection later = probe("198.51.100.7");
  later.proof = Proof::established;
  detect(later);
  ASSERT_EQ(sent<Ban>().size(), 2U);
  EXPECT_EQ(sent<Ban>().back().duration, 30min);
  answer(Verdict::ok);
  EXPECT_EQ(noted<PutOffence>().back().offence.count, 1U);
}

TEST_F(Record, AnotherTimeOfABanIsToldWhenTheDiskHasIt) {
  serve();
  ban("198.51.100.7");
  disk_ = false;
  detect(proven("198.51.100.7"));
  answer(Verdict::ok);
  EXPECT_EQ(count("holds for"), 0U);
  disk_ = true;
  commit();
  EXPECT_EQ(count("the ban of 198.51.100.7 holds for 30m from now on"), 1U);
}

TEST_F(Record, ABanThatNobodyConfirmedIsNoOffence) {
  serve();
  detect(proven("198.51.100.7"));
  answer(Verdict::kernel_refused, 28);
  EXPECT_TRUE(noted<PutOffence>().empty());
  wait(1s);
  answer(Verdict::ok);
  EXPECT_EQ(noted<PutOffence>().size(), 1U);
}

TEST_F(Record, OffencesOutliveARestartAndFadeWithTime) {
  remembered_.offences = {{host("198.51.100.7"), 2, now().wall - 60},
                          {host("198.51.100.8"), 1, now().wall - 8 * 86400}};
  serve();
  ban_proven("198.51.100.7");
  EXPECT_EQ(sent<Ban>().back().duration, 8h);
  ban_proven("198.51.100.8");
  EXPECT_EQ(sent<Ban>().back().duration, 30min);
  ASSERT_FALSE(noted<EraseOffence>().empty());
  EXPECT_EQ(noted<EraseOffence>()[0].source, host("198.51.100.8"));
}

TEST_F(Record, AQuietWeekHalvesTheCountFromTheEndOfTheLastBan) {
  serve();
  ban_proven("198.51.100.7");
  wait(31min);
  ban_proven("198.51.100.7");
  wait(2h + 7 * 24h - 1min);
  ban_proven("198.51.100.7");
  EXPECT_EQ(sent<Ban>().back().duration, 8h) << "a minute is missing to a week";
  wait(8h + 7 * 24h + 1min);
  ban_proven("198.51.100.7");
  EXPECT_EQ(sent<Ban>().back().duration, 2h) << "three, halved";
}

// ---- events -------------------------------------------------------------------------------------

TEST_F(Record, WhoeverForgesASourceNowAndThenDoesNotKeepItsRecordFromFading) {
  serve();
  ban_proven("198.51.100.7");
  wait(31min);
  const std::time_t ended = noted<PutOffence>().back().offence.last_end;
  wait(24h);
  ban("198.51.100.7");
  EXPECT_EQ(sent<Ban>().back().duration, 10min);
  wait(11min);
  EXPECT_EQ(noted<PutOffence>().back().offence.last_end, ended);
}

TEST_F(Record, ABanIsOneEventWithItsEvidenceOnceItIsConfirmed) {
  serve();
  Detection detection = probe("198.51.100.7");
  detection.touches = {{.protocol = Protocol::tcp, .port = *Port::make(80), .age = 1s}};
  detect(detection);
  EXPECT_TRUE(events(EventKind::banned).empty());
  answer(Verdict::ok);
  const auto banned = events(EventKind::banned);
  ASSERT_EQ(banned.size(), 1U);
  EXPECT_EQ(banned[0].source, host("198.51.100.7"));
  EXPECT_EQ(banned[0].detail, "TCP 23 SYN, TCP 80");
  EXPECT_EQ(banned[0].until, now().wall + 600);
  wait(11min);
  EXPECT_EQ(events(EventKind::expired).size(), 1U);
}

TEST_F(Record, ARefusalIsAnEventWithItsReason) {
  serve();
  detect(probe("198.51.100.7"));
  answer(Verdict::own_address);
  ASSERT_EQ(events(EventKind::refused).size(), 1U);
  EXPECT_EQ(events(EventKind::refused)[0].detail, "an address of this host: TCP 23 SYN");
}

TEST_F(Record, InObserveModeTheEventSaysWhoWouldHaveBeenBannedAndForHowLong) {
  config_.block_tcp = BlockMode::observe;
  serve();
  for (int i = 0; i < 100; ++i) {
    detect(probe("198.51.100.7"));
    wait(1s);
  }
  const auto would = events(EventKind::would_ban);
  ASSERT_EQ(would.size(), 1U) << "once an hour for the same";
  EXPECT_EQ(would[0].detail, "observe mode, would ban for 10m: TCP 23 SYN");
  EXPECT_EQ(*would[0].until - would[0].at, 600);
}

TEST_F(Record, AnIgnoredSourceLeavesNoEventAndNoEvidence) {
  ignored_ = *read_ignore_list("198.51.100.7\n", "x").list;
  serve();
  effects_.notes.clear();
  detect(probe("198.51.100.7"));
  EXPECT_TRUE(effects_.notes.empty());
  EXPECT_FALSE(monitor_->evidence(address("198.51.100.7"), now()).anything());
}

TEST_F(Record, WhoIsProtectedIsAnEventWithTheReason) {
  known_.next_hop("192.0.2.254");
  serve();
  detect(probe("192.0.2.254"));
  ASSERT_EQ(events(EventKind::detected).size(), 1U);
  EXPECT_EQ(events(EventKind::detected)[0].detail,
            "never banned: a next hop of this host's routes: TCP 23 SYN");
}

TEST_F(Record, AFloodWritesFewEvents) {
  config_.block_tcp = BlockMode::observe;
  serve();
  for (std::uint32_t i = 0; i < 50'000; ++i)
    detect(probe(nth(i)));
  EXPECT_EQ(events(EventKind::would_ban).size(), EventBudget::kSingle);
}

// ---- budgets ------------------------------------------------------------------------------------

TEST_F(Record, AFloodOfForgedSourcesIsToldOnceAndAScannerIsBannedAllTheSame) {
  serve();
  for (std::uint32_t i = 0; i < 5000; ++i)
    detect(probe(nth(i)));
  EXPECT_EQ(count("ask for more bans than are made"), 1U);
  EXPECT_EQ(events(EventKind::budget).size(), 1U);
  EXPECT_TRUE(monitor_->budget(BanClass::single, now()).tripped);
  EXPECT_FALSE(monitor_->budget(BanClass::spread, now()).tripped);
  Detection scanner = probe("198.51.100.7");
  scanner.distinct_ports = 5;
  detect(scanner);
  EXPECT_EQ(counter("decision_ban"), BanBudget::kBurst + 1);
  wait(30s);
  EXPECT_EQ(count("the flood is over"), 1U);
  EXPECT_EQ(events(EventKind::budget).size(), 2U);
  EXPECT_FALSE(monitor_->budget(BanClass::single, now()).tripped);
}

// ---- why and report -----------------------------------------------------------------------------

TEST_F(Record, WhyTellsTheBanTheEvidenceTheDecisionAndWhatEndsIt) {
  serve();
  ban("198.51.100.7");
  const Explanation why = monitor_->evidence(address("198.51.100.7"), now());
  ASSERT_TRUE(why.ban);
  EXPECT_EQ(why.ban->second.state, Bans::State::enforced);
  ASSERT_TRUE(why.evidence);
  EXPECT_EQ(why.evidence->second.probes.size(), 1U);
  EXPECT_EQ(why.reason, "a ban was asked for");
  EXPECT_EQ(why.undo, "\"portsentryctl unban 198.51.100.7\", or its own end in 10m");
  EXPECT_FALSE(monitor_->evidence(address("198.51.100.9"), now()).anything());
}

TEST_F(Record, TheReportGoesThroughAllPagesOfEvents) {
  serve();
  for (std::uint64_t id = 1; id <= 450; ++id) {
    const Detection detection = probe(nth(static_cast<std::uint32_t>(id)));
    effects_.event_rows.push_back(
        {id, event_of(EventKind::would_ban, detection, detection.source, "observe mode", 1000)});
  }
  const auto report = monitor_->report(0);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->size(), 450U);
}

}  // namespace
}  // namespace portsentry::monitor
