// The states of a reload in the launcher, without files and processes.
#include "enforcer/reload.h"

#include <gtest/gtest.h>

namespace portsentry::enforcer {
namespace {

class ReloadTest : public testing::Test {
 protected:
  ReloadTest() {
    reload_.emplace(Generation{.usable = true}, [this](std::uint32_t number, const Generation&) {
      ++reads_;
      GenerationReading reading;
      if (readable_) {
        reading.generation = Generation{.number = number, .usable = usable_};
        if (other_watch_) reading.generation->orders.banner_size = 1;
      } else {
        reading.problems.push_back({ReloadProblem::config_file, Error{"gone", ENOENT}});
      }
      return reading;
    });
    reload_->monitor_serves();
  }
  void hang_up() {
    reload_->request();
    if (reload_->due()) reload_->begin();
  }

  bool readable_ = true;
  bool usable_ = true;
  bool other_watch_ = false;
  int reads_ = 0;
  std::optional<Reload> reload_;
};

TEST_F(ReloadTest, ACommitBringsWhatWasOfferedIntoForce) {
  hang_up();
  ASSERT_TRUE(reload_->under_way());
  EXPECT_EQ(reload_->offered()->number, 2U);
  EXPECT_EQ(reload_->current().number, 1U);
  EXPECT_TRUE(reload_->commit(2));
  EXPECT_EQ(reload_->current().number, 2U);
  EXPECT_FALSE(reload_->under_way());
  EXPECT_FALSE(reload_->commit(2)) << "it is in force already";
}

TEST_F(ReloadTest, ManyHangUpsMeanwhileAreOne) {
  hang_up();
  for (int i = 0; i < 200; ++i)
    hang_up();
  EXPECT_EQ(reads_, 1);
  reload_->over();
  ASSERT_TRUE(reload_->due());
  reload_->begin();
  EXPECT_EQ(reads_, 2);
  EXPECT_EQ(reload_->offered()->number, 3U) << "a number is used once";
  reload_->over();
  EXPECT_FALSE(reload_->due());
}

TEST_F(ReloadTest, AHangUpBeforeTheMonitorServesIsKept) {
  Reload early(Generation{.usable = true},
               [](std::uint32_t, const Generation&) { return GenerationReading{}; });
  early.request();
  EXPECT_FALSE(early.due());
  early.monitor_serves();
  EXPECT_TRUE(early.due());
}

TEST_F(ReloadTest, WhatCannotBeReadIsNotUnderWay) {
  readable_ = false;
  reload_->request();
  EXPECT_EQ(reload_->begin().problems.size(), 1U);
  EXPECT_FALSE(reload_->under_way());
  EXPECT_EQ(reload_->offered(), nullptr);
}

TEST_F(ReloadTest, WhatHasMistakesIsShownAndNeverComesIntoForce) {
  usable_ = false;
  hang_up();
  ASSERT_TRUE(reload_->under_way());
  EXPECT_FALSE(reload_->new_watch());
  EXPECT_FALSE(reload_->accept(2));
  EXPECT_FALSE(reload_->commit(2));
  EXPECT_EQ(reload_->current().number, 1U);
}

TEST_F(ReloadTest, AnotherGenerationIsNotTheOneThatIsOffered) {
  hang_up();
  for (const std::uint32_t other : {0U, 1U, 3U}) {
    EXPECT_FALSE(reload_->accept(other));
    EXPECT_FALSE(reload_->commit(other));
  }
  EXPECT_TRUE(reload_->under_way());
}

TEST_F(ReloadTest, AnAcceptIsOnceAndACommitMayComeAfterItsSuccessorIsGone) {
  hang_up();
  EXPECT_TRUE(reload_->accept(2));
  EXPECT_FALSE(reload_->accept(2));
  reload_->over();
  EXPECT_TRUE(reload_->accepted()) << "the old sensor may have handed over";
  EXPECT_TRUE(reload_->commit(2));
}

TEST_F(ReloadTest, OtherOrdersForTheSensorAreTold) {
  hang_up();
  EXPECT_FALSE(reload_->new_watch());
  reload_->over();
  other_watch_ = true;
  hang_up();
  EXPECT_TRUE(reload_->new_watch());
}

}  // namespace
}  // namespace portsentry::enforcer
