// Holds, as the monitor judges them. Villain: a sensor that has everybody released.
#include <algorithm>

#include "story.h"

namespace portsentry::monitor {
namespace {

class HoldsTest : public Story {
 protected:
  void serve_with_traps() {
    start();
    ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = false, .traps = true}));
    ASSERT_TRUE(hear(AdoptedDone{}));
    ASSERT_TRUE(hear(SensorChannel{.successor = false}));
    EXPECT_TRUE(monitor_->sensor_config().traps);
    ASSERT_TRUE(sense(SensorReady{}));
    effects_.lines.clear();
  }
  Detection held(std::string_view from) {
    Detection detection = probe(from);
    detection.held = true;
    return detection;
  }
  bool sent_to_sensor(auto want) const {
    return std::ranges::any_of(effects_.to_sensors,
                               [&](const auto& sent) { return want(sent.second); });
  }
  static bool is_use_traps(const MonitorToSensor& m) { return std::holds_alternative<UseTraps>(m); }
  // The list that is in force, in one piece.
  std::vector<Prefix> exempt() const {
    std::vector<Prefix> whole;
    bool begun = true;
    for (const Exempt& part : sent<Exempt>()) {
      if (std::exchange(begun, !part.more)) whole.clear();
      whole.insert(whole.end(), part.networks.begin(), part.networks.end());
    }
    return whole;
  }
  bool spares(std::string_view text) const {
    const auto list = exempt();
    return std::ranges::find(list, *Prefix::parse(text)) != list.end();
  }
  std::uint64_t counter(std::string_view name) const {
    for (const NamedCount& count : monitor_->counters())
      if (count.name == name) return count.value;
    return ~0ULL;
  }
};

TEST_F(HoldsTest, AHoldThatBecomesABanIsNotReleased) {
  serve_with_traps();
  detect(held("198.51.100.7"));
  EXPECT_EQ(sent<Ban>().size(), 1U);
  EXPECT_TRUE(sent<Release>().empty());
  EXPECT_EQ(counter("holds_banned"), 1U);
}

TEST_F(HoldsTest, AHoldThatComesToNothingIsReleasedAtOnce) {
  ignored_ = *read_ignore_list("198.51.100.7 port 23\n", "ignore").list;
  serve_with_traps();
  detect(held("198.51.100.7"));
  EXPECT_TRUE(sent<Ban>().empty());
  ASSERT_EQ(sent<Release>().size(), 1U);
  EXPECT_EQ(sent<Release>()[0].source, host("198.51.100.7"));
  ASSERT_TRUE(hear(Outcome{sent<Release>()[0].id, Verdict::ok, 0}));
  EXPECT_EQ(counter("holds_released"), 1U);
}

TEST_F(HoldsTest, AnAcquittalReleases) {
  serve_with_traps();
  ASSERT_TRUE(sense(Acquitted{host("198.51.100.7"), Protocol::udp, *Port::make(161)}));
  EXPECT_EQ(sent<Release>().size(), 1U);
  EXPECT_TRUE(effects_.lines.empty());
}

TEST_F(HoldsTest, AFloodOfAcquittalsIsNotAFloodOfRequests) {
  serve_with_traps();
  for (int i = 0; i < 10'000; ++i)
    ASSERT_TRUE(sense(Acquitted{host("198.51.100.7"), Protocol::tcp, *Port::make(23)}));
  EXPECT_EQ(sent<Release>().size(), 256U);
  EXPECT_EQ(counter("holds_left_to_end"), 10'000U - 256);
}

TEST_F(HoldsTest, WhoIsIgnoredAllowedOrProtectedIsSparedInTheKernel) {
  ignored_ = *read_ignore_list(
                  "203.0.113.0/24\n198.51.100.9 proto tcp\n192.0.2.77 until 2001-01-01\n", "ignore")
                  .list;
  config_.protect_networks = {*Prefix::parse("198.51.100.128/25")};
  serve_with_traps();
  EXPECT_TRUE(spares("203.0.113.0/24"));
  EXPECT_TRUE(spares("198.51.100.128/25"));
  EXPECT_FALSE(spares("198.51.100.9")) << "only some of its probes are ignored";
  EXPECT_FALSE(spares("192.0.2.77")) << "over";
}

TEST_F(HoldsTest, TheListFollowsWhoLogsInAndIsNotToldTwice) {
  serve_with_traps();
  const std::size_t before = sent<Exempt>().size();
  scout_tells({{.address = *Address::parse("198.51.100.7"), .where = FoundIn::utmp, .since = 1}});
  EXPECT_TRUE(spares("198.51.100.7"));
  const std::size_t after = sent<Exempt>().size();
  EXPECT_GT(after, before);
  scout_tells({{.address = *Address::parse("198.51.100.7"), .where = FoundIn::utmp, .since = 1}});
  EXPECT_EQ(sent<Exempt>().size(), after);
}

TEST_F(HoldsTest, BeforeTheScoutHasSpokenNobodyCanBeHeld) {
  scouted_ = false;
  serve_with_traps();
  EXPECT_TRUE(sent<Exempt>().empty());
  scout_tells({});
  EXPECT_FALSE(sent<Exempt>().empty());
}

TEST_F(HoldsTest, WithoutTrapsNothingOfThisIsSaid) {
  serve();
  detect(held("198.51.100.7"));
  ASSERT_TRUE(sense(Acquitted{host("198.51.100.8"), Protocol::tcp, *Port::make(23)}));
  EXPECT_TRUE(sent<Exempt>().empty());
  EXPECT_TRUE(sent<Release>().empty());
  EXPECT_FALSE(monitor_->sensor_config().traps);
}

TEST_F(HoldsTest, ATableWithTrapsMakesTheSensorUseThem) {
  serve();
  ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = true, .traps = true}));
  EXPECT_TRUE(sent_to_sensor(is_use_traps));
  EXPECT_TRUE(sent<DropSensor>().empty());
  EXPECT_FALSE(sent<Exempt>().empty());
}

TEST_F(HoldsTest, WithoutThemASensorThatCapturesTakesItsPlace) {
  serve_with_traps();
  ASSERT_TRUE(hear(TableLost{1}));
  EXPECT_EQ(sent<DropSensor>().size(), 1U);
  EXPECT_TRUE(sense(probe("198.51.100.9"))) << "said before it ended: no fault of its own";
  EXPECT_TRUE(sent<Ban>().empty());
  ASSERT_TRUE(hear(SensorLost{true, 9, 100ms, false}));
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  EXPECT_FALSE(monitor_->sensor_config().traps);
  ASSERT_TRUE(sense(SensorReady{}));
  EXPECT_EQ(sent<DropSensor>().size(), 1U) << "once";
}

}  // namespace
}  // namespace portsentry::monitor
