#include "common/event_loop.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <vector>

#include "common/unique_fd.h"

namespace portsentry {
namespace {

using std::chrono::milliseconds;

UniqueFd readable() {
  return UniqueFd(eventfd(1, EFD_CLOEXEC));
}

TEST(EventLoop, RunsTimersInTheOrderInWhichTheyAreDue) {
  EventLoop loop;
  std::vector<int> order;
  loop.after(milliseconds(3), [&] {
    order.push_back(3);
    loop.stop(5);
  });
  loop.after(milliseconds(1), [&] { order.push_back(1); });
  loop.after(milliseconds(1), [&] { order.push_back(2); });
  EXPECT_EQ(loop.run(), 5);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(EventLoop, ACancelledTimerNeverRuns) {
  EventLoop loop;
  const auto timer = loop.after(milliseconds(0), [] { FAIL(); });
  loop.cancel(timer);
  loop.after(milliseconds(1), [&] { loop.stop(0); });
  EXPECT_EQ(loop.run(), 0);
}

TEST(EventLoop, ATimerIsNeverEarly) {
  EventLoop loop;
  const auto start = Clock::now();
  loop.after(milliseconds(5), [&] { loop.stop(0); });
  loop.run();
  EXPECT_GE(Clock::now() - start, milliseconds(5));
}

TEST(EventLoop, AHandlerMayUnwatchItselfAndAnother) {
  EventLoop loop;
  const UniqueFd a = readable();
  const UniqueFd b = readable();
  int calls = 0;
  const auto once = [&](short) {
    ++calls;
    loop.unwatch(a.get());
    loop.unwatch(b.get());
    loop.after(milliseconds(1), [&] { loop.stop(0); });
  };
  loop.watch(a.get(), once);
  loop.watch(b.get(), once);
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, ATimerThatSetsItselfAgainDoesNotStarveDescriptors) {
  EventLoop loop;
  const UniqueFd fd = readable();
  int rounds = 0;
  std::function<void()> again = [&] {
    if (++rounds < 1000) loop.after(milliseconds(0), again);
  };
  loop.after(milliseconds(0), again);
  loop.watch(fd.get(), [&](short) { loop.stop(rounds < 1000 ? 1 : 2); });
  EXPECT_EQ(loop.run(), 1);
}

TEST(EventLoop, WaitsForRoomToWriteOnlyWhenAsked) {
  EventLoop loop;
  const UniqueFd fd(eventfd(0, EFD_CLOEXEC));  // writable, with nothing to read
  loop.watch(fd.get(), [&](short) { loop.stop(1); });
  loop.after(milliseconds(1), [&] {
    loop.watch(
        fd.get(), [&](short events) { loop.stop((events & POLLOUT) != 0 ? 2 : 3); },
        POLLIN | POLLOUT);
  });
  EXPECT_EQ(loop.run(), 2);
}

TEST(EventLoop, AStoppedLoopServesNobodyElse) {
  EventLoop loop;
  const UniqueFd a = readable();
  const UniqueFd b = readable();
  int calls = 0;
  const auto stop = [&](short) {
    ++calls;
    loop.stop(0);
  };
  loop.watch(a.get(), stop);
  loop.watch(b.get(), stop);
  loop.run();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace portsentry
