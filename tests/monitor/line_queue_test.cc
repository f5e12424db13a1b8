#include "monitor/line_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

Now at(Clock::duration later) {
  return {Clock::time_point(1h) + later, 0};
}

class Queue : public ::testing::Test {
 protected:
  LineQueue::Tell line(std::string_view name) {
    return [this, text = std::string(name)](std::string_view host) {
      told_ += text + "(" + std::string(host) + ") ";
    };
  }
  // What was told since the last call.
  std::string told() { return std::exchange(told_, {}); }

  const Address a_ = address("198.51.100.1");
  const Address b_ = address("2001:db8::2");
  LineQueue queue_;
  std::string told_;
};

TEST_F(Queue, WhereNobodyWaitsALineIsToldAtOnce) {
  queue_.tell(line("1"));
  EXPECT_EQ(told(), "1() ");
  EXPECT_FALSE(queue_.next_due());
}

TEST_F(Queue, ALineIsToldWithItsName) {
  queue_.tell_when_named(a_, line("1"), at(0s));
  EXPECT_EQ(told(), "");
  queue_.named(b_, "other.example");
  EXPECT_EQ(told(), "");
  queue_.named(a_, "scan.example");
  EXPECT_EQ(told(), "1(scan.example) ");
}

TEST_F(Queue, AnAddressWithoutANameIsToldAtOnceToo) {
  queue_.tell_when_named(a_, line("1"), at(0s));
  queue_.named(a_, "");
  EXPECT_EQ(told(), "1() ");
}

TEST_F(Queue, NothingOvertakesALineThatWaits) {
  queue_.tell_when_named(a_, line("1"), at(0s));
  queue_.tell(line("2"));
  queue_.tell_when_named(b_, line("3"), at(0s));
  queue_.tell_when_named(a_, line("4"), at(0s));
  queue_.tell(line("5"));
  queue_.named(b_, "b.example");
  EXPECT_EQ(told(), "");
  queue_.named(a_, "a.example");
  EXPECT_EQ(told(), "1(a.example) 2() 3(b.example) 4(a.example) 5() ");
  EXPECT_EQ(queue_.size(), 0U);
}

TEST_F(Queue, ALineWaitsTwoSecondsAndNotLonger) {
  queue_.tell_when_named(a_, line("1"), at(0s));
  queue_.tell(line("2"));
  queue_.tell_when_named(b_, line("3"), at(1s));
  EXPECT_EQ(queue_.next_due(), at(2s).steady);
  queue_.tick(at(1999ms));
  EXPECT_EQ(told(), "");
  queue_.tick(at(2s));
  EXPECT_EQ(told(), "1() 2() ");
  EXPECT_EQ(queue_.next_due(), at(3s).steady);
  queue_.tick(at(3s));
  EXPECT_EQ(told(), "3() ");
  EXPECT_FALSE(queue_.next_due());
}

TEST_F(Queue, ANameThatComesTooLateTellsNothingTwice) {
  queue_.tell_when_named(a_, line("1"), at(0s));
  queue_.tick(at(2s));
  queue_.named(a_, "late.example");
  EXPECT_EQ(told(), "1() ");
}

TEST_F(Queue, WhoHasItsNameStillWaitsForItsTurnAndKeepsIt) {
  queue_.tell_when_named(a_, line("1"), at(0s));
  queue_.tell_when_named(b_, line("2"), at(0s));
  queue_.named(b_, "b.example");
  queue_.tick(at(2s));
  EXPECT_EQ(told(), "1() 2(b.example) ");
}

TEST_F(Queue, AtTheEndEverythingIsTold) {
  queue_.tell_when_named(a_, line("1"), at(0s));
  queue_.tell(line("2"));
  queue_.flush();
  EXPECT_EQ(told(), "1() 2() ");
}

TEST_F(Queue, WhatIsTooMuchIsToldWithoutANameAndInOrder) {
  for (std::size_t i = 0; i < LineQueue::kMost; ++i)
    queue_.tell_when_named(a_, line(std::to_string(i)), at(0s));
  EXPECT_EQ(told(), "");
  queue_.tell_when_named(b_, line("b"), at(0s));
  EXPECT_EQ(told(), "0() ");
  queue_.tell(line("c"));
  EXPECT_EQ(told(), "1() ");
  EXPECT_EQ(queue_.size(), LineQueue::kMost);
}

}  // namespace
}  // namespace portsentry::monitor
