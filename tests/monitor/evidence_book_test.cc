#include "monitor/evidence_book.h"

#include <gtest/gtest.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

constexpr std::time_t kNow = 1'756'178'490;

Decision decision_on(const Detection& detection, Reason reason = Reason::ban) {
  return {.reason = reason, .target = detection.source, .narrowed = Narrowed::no};
}

class Evidences : public ::testing::Test {
 protected:
  void saw(const Detection& detection, std::time_t at = kNow, Reason reason = Reason::ban) {
    book_.saw(detection, decision_on(detection, reason), at);
  }
  std::optional<EvidenceBook::Entry> of(std::string_view from) const {
    const auto* found = book_.of(address(from));
    return found == nullptr ? std::nullopt : std::optional(found->second);
  }
  static std::string nth(std::uint32_t i) {
    return "10." + std::to_string(i >> 16U) + "." + std::to_string((i >> 8U) & 255U) + "." +
           std::to_string(i & 255U);
  }
  EvidenceBook book_;
};

TEST_F(Evidences, AProbeIsKnownWithItsTimePortFlagsKindAndTarget) {
  saw(probe("198.51.100.7"));
  const auto entry = of("198.51.100.7");
  ASSERT_TRUE(entry);
  ASSERT_EQ(entry->probes.size(), 1U);
  EXPECT_EQ(entry->probes[0].at, kNow);
  EXPECT_EQ(entry->probes[0].port.number(), 23);
  ASSERT_TRUE(entry->probes[0].packet);
  EXPECT_EQ(entry->probes[0].packet->kind, ScanKind::syn);
  EXPECT_EQ(entry->probes[0].packet->flags.bits, TcpFlags::syn);
  EXPECT_EQ(entry->probes[0].packet->to, address("192.0.2.1"));
  EXPECT_EQ(entry->decision.reason, Reason::ban);
  EXPECT_FALSE(of("198.51.100.8"));
}

TEST_F(Evidences, WhatWasTouchedBeforeIsKnownByPortAndTimeUntilItIsSeenItself) {
  Detection detection = probe("198.51.100.7");
  detection.touches = {{.protocol = Protocol::tcp, .port = *Port::make(80), .age = 5s}};
  saw(detection);
  ASSERT_EQ(of("198.51.100.7")->probes.size(), 2U);
  EXPECT_EQ(of("198.51.100.7")->probes[1].at, kNow - 5);
  EXPECT_FALSE(of("198.51.100.7")->probes[1].packet);
  saw(probe("198.51.100.7", Protocol::tcp, 80), kNow + 1);
  ASSERT_EQ(of("198.51.100.7")->probes.size(), 2U) << "the same port, and now with its flags";
  EXPECT_EQ(of("198.51.100.7")->probes[0].port.number(), 80);
  EXPECT_TRUE(of("198.51.100.7")->probes[0].packet);
}

TEST_F(Evidences, TheSameProbeAgainIsCountedAndAnotherKindIsAnotherProbe) {
  saw(probe("198.51.100.7"));
  saw(probe("198.51.100.7"), kNow + 3);
  Detection fin = probe("198.51.100.7");
  fin.kind = ScanKind::fin;
  saw(fin, kNow + 4);
  const auto entry = of("198.51.100.7");
  ASSERT_EQ(entry->probes.size(), 2U);
  EXPECT_EQ(entry->probes[0].packet->kind, ScanKind::fin);
  EXPECT_EQ(entry->probes[1].times, 2U);
  EXPECT_EQ(entry->probes[1].at, kNow + 3);
  EXPECT_EQ(entry->detections, 3U);
  EXPECT_EQ(entry->first, kNow);
  EXPECT_EQ(entry->last, kNow + 4);
}

TEST_F(Evidences, OnlyTheNewestProbesOfASourceAreKept) {
  for (std::uint32_t port = 1; port <= 100; ++port)
    saw(probe("198.51.100.7", Protocol::tcp, port), kNow + port);
  const auto entry = of("198.51.100.7");
  ASSERT_EQ(entry->probes.size(), EvidenceBook::kMaxProbes);
  EXPECT_EQ(entry->probes.front().port.number(), 100);
  EXPECT_EQ(entry->probes.back().port.number(), 100 - EvidenceBook::kMaxProbes + 1);
}

TEST_F(Evidences, TheStrongestProofStandsWhateverComesAfterIt) {
  Detection proven = probe("198.51.100.7");
  proven.proof = Proof::established;
  saw(proven);
  saw(probe("198.51.100.7"), kNow + 1);
  EXPECT_EQ(of("198.51.100.7")->proof, Proof::established);
  EXPECT_EQ(of("198.51.100.7")->how, BanClass::proven);
}

TEST_F(Evidences, AHostIsFoundByItsNetwork) {
  saw(probe(site("2001:db8:7::1"), "2001:db8:7::1"));
  EXPECT_TRUE(of("2001:db8:7::99"));
  EXPECT_FALSE(of("2001:db8:8::99"));
}

TEST_F(Evidences, AFloodOfSinglePacketsDoesNotWashOutWhoScannedManyPorts) {
  Detection spread = probe("198.51.100.7");
  spread.distinct_ports = 7;
  saw(spread);
  for (std::uint32_t i = 0; i < 3 * EvidenceBook::kMaxSources; ++i)
    saw(probe(nth(i)));
  EXPECT_EQ(book_.size(), EvidenceBook::kMaxSources);
  EXPECT_TRUE(of("198.51.100.7"));
  EXPECT_TRUE(of(nth(3 * EvidenceBook::kMaxSources - 1))) << "the last is there to be asked about";
}

TEST_F(Evidences, WhoIsFullOfProvenOnesTakesASingleOneForNoLongerThanItMust) {
  for (std::uint32_t i = 0; i < EvidenceBook::kMaxSources; ++i) {
    Detection proven = probe(nth(i));
    proven.proof = Proof::handshake;
    saw(proven);
  }
  saw(probe("198.51.100.7"));
  EXPECT_EQ(book_.size(), EvidenceBook::kMaxSources);
  EXPECT_FALSE(of("198.51.100.7"));
}

TEST_F(Evidences, WhatIsAWeekOldIsForgottenBitByBit) {
  Detection proven = probe("198.51.100.7");
  proven.proof = Proof::handshake;
  saw(proven);
  saw(probe("198.51.100.8"), kNow + 7 * 86400 - 1);
  EXPECT_TRUE(of("198.51.100.7"));
  saw(probe("198.51.100.9"), kNow + 7 * 86400);
  EXPECT_FALSE(of("198.51.100.7"));
  EXPECT_TRUE(of("198.51.100.8"));
}

TEST_F(Evidences, TheSameAgainIsNewsAfterAnHourAndAnythingElseAtOnce) {
  const Detection detection = probe("198.51.100.7");
  const auto news = [&](const Detection& seen, Reason reason, std::time_t at) {
    return book_.saw(seen, decision_on(seen, reason), at);
  };
  EXPECT_TRUE(news(detection, Reason::observe, kNow));
  EXPECT_FALSE(news(detection, Reason::observe, kNow + 1));
  EXPECT_TRUE(news(detection, Reason::next_hop, kNow + 2));
  Detection spread = detection;
  spread.distinct_ports = 5;
  EXPECT_TRUE(news(spread, Reason::next_hop, kNow + 3));
  EXPECT_FALSE(news(detection, Reason::next_hop, kNow + 4)) << "weaker again";
  EXPECT_FALSE(news(spread, Reason::next_hop, kNow + 3602));
  EXPECT_TRUE(news(spread, Reason::next_hop, kNow + 3603));
}

TEST_F(Evidences, AClockThatJumpsBreaksNothing) {
  for (const std::time_t at : {kNow, std::time_t{0}, std::time_t{-1}, kNow * 2, std::time_t{5}})
    saw(probe("198.51.100.7"), at);
  EXPECT_EQ(book_.size(), 1U);
  EXPECT_EQ(of("198.51.100.7")->detections, 5U);
}

}  // namespace
}  // namespace portsentry::monitor
