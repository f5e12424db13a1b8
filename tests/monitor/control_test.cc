#include "monitor/control.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/wire.h"

namespace portsentry::monitor {
namespace {

class ControlTest : public ::testing::Test {
 protected:
  ControlTest() {
    // An abstract name (unix(7)): no file is left behind.
    address_.sun_family = AF_UNIX;
    const std::string name = "portsentry-control-test-" + std::to_string(getpid());
    std::memcpy(address_.sun_path + 1, name.data(), name.size());
    size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    listening_ = UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(bind(listening_.get(), generic(), size_), 0);
    EXPECT_EQ(listen(listening_.get(), 64), 0);
  }
  const sockaddr* generic() { return reinterpret_cast<const sockaddr*>(&address_); }  // NOLINT

  // Whoever runs the test may do `access`; so may root in any case.
  Control& control(Access access = Access::change, Control::Limits limits = usual()) {
    ControlGroups groups;
    if (access == Access::view) groups.view = getegid();
    if (access == Access::change) groups.change = getegid();
    control_.emplace(
        std::move(listening_), loop_,
        [this](const ControlRequest& request, uid_t who, const Control::Answer& answer) {
          asked_ += 1;
          who_ = who;
          if (std::holds_alternative<ReloadAsk>(request)) {
            later_.push_back(answer);
          } else {
            answer(StatusReply{.active = true, .enforced = 7});
          }
        },
        groups, limits);
    return *control_;
  }
  static Control::Limits usual() { return {.root = 16, .others = 16, .each = 16}; }
  // Connects as somebody who is not root; nothing: this test does not run as root.
  std::optional<Channel> connect_as(uid_t uid, gid_t gid, const std::vector<gid_t>& groups = {}) {
    if (getuid() != 0) return std::nullopt;
    EXPECT_EQ(setgroups(groups.size(), groups.data()), 0);
    EXPECT_EQ(setegid(gid), 0);
    EXPECT_EQ(seteuid(uid), 0);
    auto channel = connect_one();
    EXPECT_EQ(seteuid(0), 0);
    EXPECT_EQ(setegid(0), 0);
    EXPECT_EQ(setgroups(0, nullptr), 0);
    return channel;
  }
  static std::optional<ControlReply> next(Channel& channel) {
    const auto received = channel.receive();
    if (received.got != Channel::Got::message) return std::nullopt;
    return decode_control_reply(received.bytes, 0);
  }
  // Turns the loop until `true`; a time-out of the test itself says that it never was.
  void run_until(const std::function<bool()>& done) {
    const std::function<void()> look = [&] {
      if (done()) return loop_.stop(0);
      loop_.after(std::chrono::milliseconds(1), look);
    };
    look();
    loop_.run();
  }
  Channel connect_one() {
    UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), generic(), size_), 0);
    return Channel(std::move(fd));
  }
  // Runs the loop: before each of `steps`, and after the last, everything that is pending is
  // handled. Each turn of the loop serves every ready descriptor once and then the timer that is
  // due, so a timer some turns later runs behind all of it.
  void run(std::vector<std::function<void()>> steps = {}) {
    steps_ = std::move(steps);
    turn(0, kTurns);
    loop_.run();
  }
  void turn(std::size_t step, int left) {
    loop_.after(Clock::duration::zero(), [this, step, left] {
      if (left > 0) return turn(step, left - 1);
      if (step == steps_.size()) return loop_.stop(0);
      steps_.at(step)();
      turn(step + 1, kTurns);
    });
  }
  static constexpr int kTurns = 40;
  static constexpr std::size_t kSeats = 16;

  sockaddr_un address_{};
  socklen_t size_ = 0;
  UniqueFd listening_;
  EventLoop loop_;
  std::optional<Control> control_;
  int asked_ = 0;
  uid_t who_ = 12345;
  std::vector<Control::Answer> later_;
  std::vector<std::function<void()>> steps_;
};

TEST_F(ControlTest, ARequestIsAnsweredAndTheConnectionStaysOpen) {
  Control& served = control();
  Channel user = connect_one();
  ASSERT_EQ(user.send(encode(ControlRequest(StatusRequest{}))), Channel::Sent::ok);
  ASSERT_EQ(user.send(encode(ControlRequest(StatusRequest{}))), Channel::Sent::ok);
  run();
  for (int i = 0; i < 2; ++i) {
    const auto received = user.receive();
    ASSERT_EQ(received.got, Channel::Got::message);
    const auto reply = decode_control_reply(received.bytes, 0);
    ASSERT_TRUE(reply);
    EXPECT_EQ(std::get<StatusReply>(*reply).enforced, 7U);
  }
  EXPECT_EQ(user.receive().got, Channel::Got::nothing);
  EXPECT_EQ(served.connections(), 1U);
}

TEST_F(ControlTest, NonsenseClosesThatConnectionAndNoOther) {
  Control& served = control();
  Channel good = connect_one();
  Channel bad = connect_one();
  const std::array<std::byte, 3> nonsense{std::byte{0xff}, std::byte{0xff}, std::byte{0xff}};
  ASSERT_EQ(bad.send(nonsense), Channel::Sent::ok);
  ASSERT_EQ(good.send(encode(ControlRequest(StatusRequest{}))), Channel::Sent::ok);
  run();
  EXPECT_EQ(bad.receive().got, Channel::Got::closed);
  EXPECT_EQ(good.receive().got, Channel::Got::message);
  EXPECT_EQ(served.connections(), 1U);
  EXPECT_EQ(asked_, 1);
}

TEST_F(ControlTest, ADescriptorSentAlongClosesTheConnection) {
  Control& served = control();
  Channel user = connect_one();
  ASSERT_EQ(user.send(encode(ControlRequest(StatusRequest{})), STDERR_FILENO), Channel::Sent::ok);
  run();
  EXPECT_EQ(user.receive().got, Channel::Got::closed);
  EXPECT_EQ(served.connections(), 0U);
  EXPECT_EQ(asked_, 0);
}

TEST(ControlAccess, RootChangesMembersDoWhatTheirGroupMayAndOthersNothing) {
  const ControlGroups groups{.view = 100, .change = 200};
  EXPECT_EQ(access_of({0, 0, {}}, groups), Access::change);
  EXPECT_EQ(access_of({0, 0, {}}, {}), Access::change);
  EXPECT_EQ(access_of({1000, 1000, {100}}, groups), Access::view);
  EXPECT_EQ(access_of({1000, 100, {}}, groups), Access::view) << "the group of SO_PEERCRED counts";
  EXPECT_EQ(access_of({1000, 1000, {7, 200}}, groups), Access::change);
  EXPECT_EQ(access_of({1000, 200, {100}}, groups), Access::change) << "the greater right";
  EXPECT_EQ(access_of({1000, 1000, {99, 101, 199, 201}}, groups), Access::none);
  EXPECT_EQ(access_of({1000, 1000, {100, 200}}, {}), Access::none) << "without groups root alone";
  EXPECT_EQ(access_of({1000, 0, {0}}, {.view = 0, .change = 0}), Access::none)
      << "root's group is not root";
}

TEST_F(ControlTest, AUserOfNoGroupIsTurnedAwayAndCounted) {
  Control& served = control(Access::none);
  auto user = connect_as(65534, 65534);
  if (!user) GTEST_SKIP() << "needs root";
  static_cast<void>(user->send(encode(ControlRequest(StatusRequest{}))));
  run();
  EXPECT_EQ(user->receive().got, Channel::Got::closed);
  EXPECT_EQ(served.connections(), 0U);
  EXPECT_EQ(served.tally().strangers, 1U);
  EXPECT_EQ(asked_, 0);
}

TEST_F(ControlTest, AMemberByAGroupThatIsNotItsFirstMayLookAndMayNotChange) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  control_.emplace(
      std::move(listening_), loop_,
      [this](const ControlRequest&, uid_t who, const Control::Answer& answer) {
        asked_ += 1;
        who_ = who;
        answer(Done{});
      },
      ControlGroups{.view = 4242});
  // More groups than the usual buffer holds.
  std::vector<gid_t> many{4242};
  for (gid_t group = 5000; group < 5200; ++group)
    many.push_back(group);
  auto user = connect_as(65534, 65534, many);
  ASSERT_EQ(user->send(encode(ControlRequest(StatusRequest{}))), Channel::Sent::ok);
  ASSERT_EQ(user->send(encode(ControlRequest(FlushAsk{}))), Channel::Sent::ok);
  run();
  EXPECT_TRUE(std::holds_alternative<Done>(*next(*user)));
  EXPECT_EQ(who_, 65534U);
  const auto refused = next(*user);
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<Refused>(*refused).code, RefusedCode::not_permitted);
  EXPECT_EQ(asked_, 1) << "the flush was never heard of";
  EXPECT_EQ(control_->tally().not_permitted, 1U);
}

TEST_F(ControlTest, OneUserWithManyConnectionsLeavesSeatsForOthersAndForRoot) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  Control& served = [&]() -> Control& {
    control_.emplace(
        std::move(listening_), loop_,
        [](const ControlRequest&, uid_t, const Control::Answer& answer) { answer(Done{}); },
        ControlGroups{.view = 65534}, Control::Limits{.root = 2, .others = 3, .each = 2});
    return *control_;
  }();
  std::vector<Channel> all;
  for (int i = 0; i < 4; ++i)
    all.push_back(*connect_as(1001, 65534));
  run({[&] {
    EXPECT_EQ(served.connections(), 2U);
    for (int i = 0; i < 2; ++i)
      all.push_back(*connect_as(1002, 65534));
    for (int i = 0; i < 3; ++i)
      all.push_back(connect_one());
  }});
  EXPECT_EQ(served.connections(), 5U) << "two, one of another user, two of root";
  EXPECT_EQ(served.tally().no_seat, 4U);
}

TEST_F(ControlTest, AnAnswerMayComeLaterAndNothingOfThatConnectionIsReadBefore) {
  control();
  Channel user = connect_one();
  ASSERT_EQ(user.send(encode(ControlRequest(ReloadAsk{}))), Channel::Sent::ok);
  ASSERT_EQ(user.send(encode(ControlRequest(StatusRequest{}))), Channel::Sent::ok);
  run({[&] {
    EXPECT_EQ(asked_, 1);
    EXPECT_EQ(user.receive().got, Channel::Got::nothing);
    ASSERT_EQ(later_.size(), 1U);
    later_.at(0)(ReloadDone{2});
  }});
  EXPECT_TRUE(std::holds_alternative<ReloadDone>(*next(user)));
  EXPECT_TRUE(std::holds_alternative<StatusReply>(*next(user)));
  EXPECT_EQ(asked_, 2);
}

TEST_F(ControlTest, AnAnswerToSomebodyWhoHasGoneReachesNobodyElse) {
  Control& served = control();
  std::optional<Channel> user(connect_one());
  ASSERT_EQ(user->send(encode(ControlRequest(ReloadAsk{}))), Channel::Sent::ok);
  std::optional<Channel> other;
  run({[&] { user.reset(); },
       [&] {
         EXPECT_EQ(served.connections(), 0U) << "its seat is free";
         other.emplace(connect_one());
       },
       [&] { later_.at(0)(ReloadDone{2}); }});
  EXPECT_EQ(other->receive().got, Channel::Got::nothing)
      << "it has that one's number, not its answer";
  EXPECT_EQ(served.connections(), 1U);
}

TEST_F(ControlTest, WhoWaitsLongIsToldThatItGoesOn) {
  auto limits = usual();
  limits.working = std::chrono::milliseconds(5);
  control(Access::change, limits);
  Channel user = connect_one();
  ASSERT_EQ(user.send(encode(ControlRequest(ReloadAsk{}))), Channel::Sent::ok);
  std::optional<ControlReply> told;
  run_until([&] {
    told = next(user);
    return told.has_value();
  });
  EXPECT_TRUE(std::holds_alternative<Working>(*told));
}

TEST_F(ControlTest, WhoSaysNothingIsClosedAfterAWhile) {
  auto limits = usual();
  limits.idle = std::chrono::milliseconds(5);
  Control& served = control(Access::change, limits);
  const Channel user = connect_one();
  run_until([&] { return served.tally().silent == 1; });
  EXPECT_EQ(served.connections(), 0U);
}

TEST_F(ControlTest, AFloodOfRequestsIsReadSlowerAndLosesNothing) {
  auto limits = usual();
  limits.root_rate = limits.rate = 2000;
  limits.burst = 4;
  control(Access::change, limits);
  Channel user = connect_one();
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(user.send(encode(ControlRequest(StatusRequest{}))), Channel::Sent::ok);
  const auto began = Clock::now();
  run_until([&] { return asked_ == 20; });
  EXPECT_GE(Clock::now() - began, std::chrono::milliseconds(7)) << "16 beyond the burst, at 2000/s";
}

TEST_F(ControlTest, HoweverManyAskWhatTakesLongTheyHaveAFifthOfTheTimeAndRootIsHeard) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  Clock::duration worked{};
  int others = 0;
  int roots = 0;
  control_.emplace(
      std::move(listening_), loop_,
      [&](const ControlRequest&, uid_t who, const Control::Answer& answer) {
        if (who == 0) {
          roots += 1;
        } else {
          const auto began = Clock::now();
          usleep(20'000);
          worked += Clock::now() - began;
          others += 1;
        }
        answer(Done{});
      },
      ControlGroups{.view = 65534}, usual());
  std::vector<Channel> crowd;
  for (int i = 0; i < 8; ++i) {
    crowd.push_back(*connect_as(1001, 65534));
    for (int request = 0; request < 4; ++request)
      ASSERT_EQ(crowd.back().send(encode(ControlRequest(ReportAsk{}))), Channel::Sent::ok);
  }
  Channel root = connect_one();
  const auto began = Clock::now();
  bool asked = false;
  int before_root = 0;
  Clock::rep share = 0;
  run_until([&] {
    if (others >= 3 && !std::exchange(asked, true))
      static_cast<void>(root.send(encode(ControlRequest(StatusRequest{}))));
    if (roots == 0) before_root = others;
    if (others >= 10 && share == 0) share = (Clock::now() - began) / worked;
    return others == 32;
  });
  EXPECT_LE(before_root, 5) << "root waits for nobody's turn";
  EXPECT_GE(share, 4);
  for (Channel& user : crowd)
    EXPECT_TRUE(next(user));
}

TEST_F(ControlTest, AWatcherHearsOfEventsAndNobodyElseDoes) {
  Control& served = control();
  Channel watcher = connect_one();
  Channel other = connect_one();
  ASSERT_EQ(watcher.send(encode(ControlRequest(WatchAsk{}))), Channel::Sent::ok);
  ASSERT_EQ(other.send(encode(ControlRequest(StatusRequest{}))), Channel::Sent::ok);
  run({[&] {
    EXPECT_EQ(served.watchers(), 1U);
    served.happened({.id = 1, .kind = "banned", .text = "x"});
    served.happened({.id = 2, .kind = "expired"});
  }});
  EXPECT_TRUE(std::holds_alternative<Watching>(*next(watcher)));
  EXPECT_EQ(std::get<Watched>(*next(watcher)).event.id, 1U);
  EXPECT_EQ(std::get<Watched>(*next(watcher)).event.id, 2U);
  EXPECT_EQ(watcher.receive().got, Channel::Got::nothing);
  EXPECT_TRUE(std::holds_alternative<StatusReply>(*next(other)));
  EXPECT_EQ(other.receive().got, Channel::Got::nothing);
}

TEST_F(ControlTest, AWatcherThatReadsTooSlowlyLosesEventsAndIsToldHowMany) {
  auto limits = usual();
  limits.queue = 8;
  Control& served = control(Access::change, limits);
  Channel watcher = connect_one();
  ASSERT_EQ(watcher.send(encode(ControlRequest(WatchAsk{}))), Channel::Sent::ok);
  constexpr std::uint64_t kEvents = 5000;  // more than any socket buffer holds of them
  std::uint64_t heard = 0;
  std::uint64_t missed = 0;
  bool happened = false;
  run_until([&] {
    if (served.watchers() == 1 && !std::exchange(happened, true)) {
      for (std::uint64_t i = 1; i <= kEvents; ++i)
        served.happened({.id = i, .kind = "banned", .text = std::string(200, 'x')});
    }
    while (happened) {
      const auto reply = next(watcher);
      if (!reply) break;
      if (const auto* event = std::get_if<Watched>(&*reply)) {
        heard += 1;
        EXPECT_EQ(event->event.id, heard) << "what is told is told in order";
      } else if (const auto* gap = std::get_if<Missed>(&*reply)) {
        missed += gap->count;
      }
    }
    return heard + missed == kEvents;
  });
  EXPECT_GT(missed, 0U);
  EXPECT_EQ(served.tally().events_missed, missed);
  EXPECT_EQ(served.watchers(), 1U) << "it stays";
}

TEST_F(ControlTest, AWatcherThatNeverReadsIsClosedInTheEnd) {
  auto limits = usual();
  limits.queue = 8;
  limits.unread = std::chrono::milliseconds(5);
  Control& served = control(Access::change, limits);
  Channel watcher = connect_one();
  ASSERT_EQ(watcher.send(encode(ControlRequest(WatchAsk{}))), Channel::Sent::ok);
  bool happened = false;
  run_until([&] {
    if (served.watchers() == 1 && !std::exchange(happened, true)) {
      for (std::uint64_t i = 1; i <= 5000; ++i)
        served.happened({.id = i, .kind = "banned", .text = std::string(200, 'x')});
    }
    return happened && served.connections() == 0;
  });
  EXPECT_EQ(served.tally().silent, 1U);
}

TEST_F(ControlTest, AWatcherThatGoesLeavesItsSeat) {
  Control& served = control();
  std::optional<Channel> watcher(connect_one());
  ASSERT_EQ(watcher->send(encode(ControlRequest(WatchAsk{}))), Channel::Sent::ok);
  run({[&] { watcher.reset(); }});
  EXPECT_EQ(served.connections(), 0U);
  served.happened({.id = 1, .kind = "banned"});
}

TEST_F(ControlTest, WhoWatchesCannotAskAsWell) {
  Control& served = control();
  Channel watcher = connect_one();
  ASSERT_EQ(watcher.send(encode(ControlRequest(WatchAsk{}))), Channel::Sent::ok);
  ASSERT_EQ(watcher.send(encode(ControlRequest(StatusRequest{}))), Channel::Sent::ok);
  run();
  EXPECT_EQ(served.connections(), 0U);
  EXPECT_EQ(asked_, 0);
}

TEST_F(ControlTest, OneConnectionTooManyIsClosedAndARoomThatIsFreedIsGivenAgain) {
  Control& served = control();
  std::vector<Channel> users;
  for (std::size_t i = 0; i < kSeats + 1; ++i)
    users.push_back(connect_one());
  run({[&] {
    EXPECT_EQ(served.connections(), kSeats);
    EXPECT_EQ(users.back().receive().got, Channel::Got::closed);
    EXPECT_EQ(users.front().receive().got, Channel::Got::nothing);
    users.erase(users.begin());
  }});
  EXPECT_EQ(served.connections(), kSeats - 1);
}

// Who comes in the same moment in which a whole crowd goes is heard first: the listening socket has
// the lower number.
TEST_F(ControlTest, ACrowdThatHasJustGoneTakesNobodysPlace) {
  Control& served = control();
  std::vector<Channel> crowd;
  for (std::size_t i = 0; i < kSeats; ++i)
    crowd.push_back(connect_one());
  std::optional<Channel> late;
  run({[&] {
         EXPECT_EQ(served.connections(), kSeats);
         crowd.clear();
         late.emplace(connect_one());
       },
       [&] { EXPECT_EQ(late->receive().got, Channel::Got::nothing) << "it was turned away"; }});
  EXPECT_EQ(served.connections(), 1U);
}

TEST_F(ControlTest, AUserWhoNeverReadsIsClosedRatherThanWaitedFor) {
  Control& served = control();
  Channel user = connect_one();
  const auto request = encode(ControlRequest(StatusRequest{}));
  // Many times what the buffers of both directions hold.
  const std::function<void()> ask_a_lot = [&] {
    for (int i = 0; i < 40; ++i)
      static_cast<void>(user.send(request));
  };
  run(std::vector<std::function<void()>>(100, ask_a_lot));
  EXPECT_EQ(served.connections(), 0U);
}

}  // namespace
}  // namespace portsentry::monitor
