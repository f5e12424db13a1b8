// Somebody sets the wall clock while bans hold.
#include <gtest/gtest.h>

#include "control_story.h"

namespace portsentry::monitor {
namespace {

class ClockStory : public ControlStory {
 protected:
  void set_clock(std::time_t by) {
    clock_set_by_ += by;
    monitor_->tick(now());
    commit();
  }
  const StoredBan& row(std::string_view who) const { return effects_.memory.at(host(who)); }
  // The machine goes on; the daemon dies, and starts with what the disk has.
  void restart() {
    remembered_ = {};
    for (const auto& [source, ban] : effects_.memory)
      remembered_.bans.push_back(ban);
    for (const PutAllowed& put : noted<PutAllowed>())
      remembered_.allowed = {put.allowed};
    effects_.notes.clear();
    start();
    ASSERT_TRUE(hear(TableCreated{.backend = Backend::nftables, .again = false}));
  }
};

TEST_F(ClockStory, ABanKeepsWhatItHasLeftWhicheverWayTheClockIsSet) {
  for (const std::time_t by : {3600, -3600, 86400 * 365 * 50, -86400 * 365 * 50}) {
    effects_.memory.clear();
    effects_.notes.clear();
    serve();
    ban("198.51.100.7");
    wait(10min);
    set_clock(by);
    EXPECT_EQ(row("198.51.100.7").until, now().wall + 1200) << by;
    EXPECT_EQ(row("198.51.100.7").since, now().wall - 600) << by;
    EXPECT_EQ(as<BanPage>(ask(ListAsk{})).bans.at(0).until, now().wall + 1200) << by;
    wait(19min);
    EXPECT_EQ(monitor_->status().enforced, 1U) << by;
    wait(61s);
    EXPECT_EQ(monitor_->status().enforced, 0U) << by;
    EXPECT_TRUE(effects_.memory.empty()) << by;
    clock_set_by_ -= by;
  }
}

TEST_F(ClockStory, ARestartAfterItFindsTheSameTime) {
  for (const std::time_t by : {7200, -7200}) {
    remembered_ = {};
    effects_.memory.clear();
    effects_.notes.clear();
    serve();
    ban("198.51.100.7");
    wait(10min);
    set_clock(by);
    restart();
    ASSERT_TRUE(hear(Adopted{host("198.51.100.7"), 1200s}));
    effects_.sent.clear();
    ASSERT_TRUE(hear(AdoptedDone{}));
    EXPECT_TRUE(sent<Ban>().empty() && sent<Restore>().empty() && sent<Unban>().empty())
        << "the kernel has what the row says: " << by;
    EXPECT_EQ(monitor_->status().enforced, 1U);
    clock_set_by_ -= by;
  }
}

TEST_F(ClockStory, OneLineSaysSoAndASmallCorrectionIsNotWorthOne) {
  serve();
  ban("198.51.100.7");
  const std::size_t notes = effects_.notes.size();
  effects_.lines.clear();
  set_clock(4);
  EXPECT_EQ(effects_.notes.size(), notes);
  EXPECT_TRUE(lines().empty());
  set_clock(-3604);
  EXPECT_EQ(lines(), std::vector<std::string>{
                         "adminalert: the clock went 1h back (it was set, or the machine slept): 1 "
                         "ban keeps the time that it has left"});
  set_clock(0);
  EXPECT_EQ(lines().size(), 1U);
}

TEST_F(ClockStory, ABanThatIsAskedForAfterItIsNotMoved) {
  serve();
  ban("198.51.100.7");
  clock_set_by_ += 3600;
  ban("198.51.100.8");  // before anything else has happened
  EXPECT_EQ(row("198.51.100.8").until, now().wall + 1800);
  EXPECT_EQ(row("198.51.100.7").until, now().wall + 1800);
}

TEST_F(ClockStory, ABanThatTheDiskHasNotYetIsToldAllTheSame) {
  serve();
  disk_ = false;
  ban("198.51.100.7");
  set_clock(3600);
  disk_ = true;
  commit();
  EXPECT_EQ(count("has been blocked"), 1U);
}

TEST_F(ClockStory, WhatWasLeftByAnEarlierRunIsReadByTheClockOfThatMoment) {
  serve();
  ban("198.51.100.7");
  effects_.lines.clear();
  restart();
  clock_set_by_ += 60;  // while the kernel tells what it holds
  ASSERT_TRUE(hear(Adopted{host("198.51.100.7"), 1800s}));
  ASSERT_TRUE(hear(AdoptedDone{}));
  monitor_->tick(now());
  EXPECT_EQ(row("198.51.100.7").until, now().wall + 1800);
}

TEST_F(ClockStory, AnAllowedSourceStaysSoForAsLongAsWasSaid) {
  serve();
  ask(AllowAddAsk{.prefix = *Prefix::parse("198.51.100.7"), .duration = 3600s});
  set_clock(7200);
  restart();
  ASSERT_TRUE(hear(AdoptedDone{}));
  wait(59min);
  EXPECT_EQ(as<AllowedPage>(ask(AllowListAsk{})).entries.size(), 1U);
  wait(2min);
  EXPECT_TRUE(as<AllowedPage>(ask(AllowListAsk{})).entries.empty());
}

}  // namespace
}  // namespace portsentry::monitor
