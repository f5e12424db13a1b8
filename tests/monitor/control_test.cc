#include "monitor/control.h"

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

  Control& control(uid_t allowed) {
    control_.emplace(
        std::move(listening_), loop_,
        [this](const ControlRequest&, const Control::Answer& answer) {
          asked_ += 1;
          answer(StatusReply{.active = true, .enforced = 7});
        },
        allowed);
    return *control_;
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

  sockaddr_un address_{};
  socklen_t size_ = 0;
  UniqueFd listening_;
  EventLoop loop_;
  std::optional<Control> control_;
  int asked_ = 0;
  std::vector<std::function<void()>> steps_;
};

TEST_F(ControlTest, ARequestIsAnsweredAndTheConnectionStaysOpen) {
  Control& served = control(getuid());
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
  Control& served = control(getuid());
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
  Control& served = control(getuid());
  Channel user = connect_one();
  ASSERT_EQ(user.send(encode(ControlRequest(StatusRequest{})), STDERR_FILENO), Channel::Sent::ok);
  run();
  EXPECT_EQ(user.receive().got, Channel::Got::closed);
  EXPECT_EQ(served.connections(), 0U);
  EXPECT_EQ(asked_, 0);
}

TEST_F(ControlTest, AUserWhoIsNotRootIsTurnedAway) {
  if (getuid() == 0) {
    ASSERT_EQ(seteuid(65534), 0);  // SO_PEERCRED tells the effective user at connect(2)
  }
  Control& served = control(0);
  Channel user = connect_one();
  if (getuid() == 0) {
    ASSERT_EQ(seteuid(0), 0);
  }
  static_cast<void>(user.send(encode(ControlRequest(StatusRequest{}))));
  run();
  EXPECT_EQ(user.receive().got, Channel::Got::closed);
  EXPECT_EQ(served.connections(), 0U);
  EXPECT_EQ(asked_, 0);
}

TEST_F(ControlTest, OneConnectionTooManyIsClosedAndARoomThatIsFreedIsGivenAgain) {
  Control& served = control(getuid());
  std::vector<Channel> users;
  for (std::size_t i = 0; i < Control::kMaxConnections + 1; ++i)
    users.push_back(connect_one());
  run({[&] {
    EXPECT_EQ(served.connections(), Control::kMaxConnections);
    EXPECT_EQ(users.back().receive().got, Channel::Got::closed);
    EXPECT_EQ(users.front().receive().got, Channel::Got::nothing);
    users.erase(users.begin());
  }});
  EXPECT_EQ(served.connections(), Control::kMaxConnections - 1);
}

// Who comes in the same moment in which a whole crowd goes is heard first: the listening socket has
// the lower number.
TEST_F(ControlTest, ACrowdThatHasJustGoneTakesNobodysPlace) {
  Control& served = control(getuid());
  std::vector<Channel> crowd;
  for (std::size_t i = 0; i < Control::kMaxConnections; ++i)
    crowd.push_back(connect_one());
  std::optional<Channel> late;
  run({[&] {
         EXPECT_EQ(served.connections(), Control::kMaxConnections);
         crowd.clear();
         late.emplace(connect_one());
       },
       [&] { EXPECT_EQ(late->receive().got, Channel::Got::nothing) << "it was turned away"; }});
  EXPECT_EQ(served.connections(), 1U);
}

TEST_F(ControlTest, AUserWhoNeverReadsIsClosedRatherThanWaitedFor) {
  Control& served = control(getuid());
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
