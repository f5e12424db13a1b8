// The enforcer half driven through its real channels, with a firewall made of a map. Villains: a
// monitor that speaks out of turn, raw bytes, a launcher that lies.
#include "enforcer/enforcer.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstring>
#include <map>

#include "common/wire.h"

namespace portsentry::enforcer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Source src(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return *Source::from_prefix(prefix->address(), prefix->length());
}

class FakeFirewall final : public Firewall {
 public:
  Result<void> ban(const Source& source, seconds duration) override {
    if (refuse != 0) return Error{"refused", refuse};
    held[source] = duration;
    return {};
  }
  Result<void> unban(const Source& source) override {
    held.erase(source);
    return {};
  }
  Result<std::vector<Held>> list() override {
    std::vector<Held> all;
    for (const auto& [source, remaining] : held)
      all.push_back({source, remaining});
    return all;
  }
  bool table_exists() override { return true; }

  std::map<Source, seconds> held;
  int refuse = 0;
};

class EnforcerTest : public testing::Test {
 protected:
  EnforcerTest() {
    auto a = Channel::make_pair();
    auto link = Channel::make_pair();
    enforcer_a_.emplace(std::move(a->first));
    monitor_.emplace(std::move(a->second));
    enforcer_link_.emplace(std::move(link->first));
    launcher_.emplace(std::move(link->second));
  }

  void start(bool with_firewall = true) {
    enforcer_.emplace(
        Enforcer::Parts{.loop = loop_,
                        .monitor = *enforcer_a_,
                        .launcher = *enforcer_link_,
                        .firewall = with_firewall ? &firewall_ : nullptr,
                        .view = [this] { return view_; },
                        .table_events = with_firewall ? events_.get() : -1,
                        .table_touched = [this](unsigned expected) { return touched_ > expected; },
                        .lifted = [this] { return std::exchange(lifted_, {}); }});
  }

  // To where bans are taken, as every start goes.
  void start_serving() {
    start();
    say(Accept{});
    launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
    say(RestoreDone{});
    drain();
  }

  void say(const MonitorToEnforcer& message) {
    ASSERT_EQ(monitor_->send(encode(message)), Channel::Sent::ok);
    enforcer_->on_monitor();
  }
  void launched(const LauncherEvent& event, int passed = -1) {
    ASSERT_EQ(launcher_->send(std::as_bytes(std::span(&event, 1)), passed), Channel::Sent::ok);
    enforcer_->on_launcher();
  }
  // The next message to the monitor.
  template <class T>
  std::optional<T> heard() {
    auto received = monitor_->receive();
    const auto message = decode_enforcer_to_monitor(received.bytes, received.fd ? 1 : 0);
    if (!message || !std::holds_alternative<T>(*message)) return std::nullopt;
    return std::get<T>(*message);
  }
  std::optional<LauncherOp> asked() {
    const auto received = launcher_->receive();
    LauncherRequest request{};
    if (received.bytes.size() != sizeof(request)) return std::nullopt;
    std::memcpy(&request, received.bytes.data(), sizeof(request));
    return request.op;
  }
  void drain() {
    while (monitor_->receive().got == Channel::Got::message) {
    }
    while (launcher_->receive().got == Channel::Got::message) {
    }
  }
  // Lets timers run for this long.
  void let_pass(milliseconds time) {
    loop_.after(time, [this] { loop_.stop(0); });
    loop_.run();
  }

  EventLoop loop_;
  std::optional<Channel> enforcer_a_, monitor_, enforcer_link_, launcher_;
  UniqueFd events_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  unsigned touched_ = 0;
  std::vector<Source> lifted_;
  FakeFirewall firewall_;
  LocalView empty_view_;
  const LocalView* view_ = &empty_view_;
  std::optional<Enforcer> enforcer_;
};

const BanCause kCause{Protocol::tcp, *Port::make(23)};

TEST_F(EnforcerTest, StartsInOrderTableThenRestoreThenSensor) {
  firewall_.held[src("192.0.2.9")] = seconds(77);
  start();
  say(Accept{});
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  EXPECT_EQ(monitor_->receive().got, Channel::Got::nothing)
      << "nothing is said before the kernel has the table";
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::nftables);
  EXPECT_FALSE(created->again);
  const auto adopted = heard<Adopted>();
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->source, src("192.0.2.9"));
  EXPECT_EQ(adopted->remaining, seconds(77));
  EXPECT_TRUE(heard<AdoptedDone>());
  EXPECT_EQ(asked(), std::nullopt) << "no sensor before the bans are back";
  say(RestoreDone{});
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
}

TEST_F(EnforcerTest, WithoutAFirewallItSaysSoAndRefusesEveryBan) {
  start(false);
  say(Accept{});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_EQ(created->backend, Backend::none);
  EXPECT_TRUE(heard<AdoptedDone>());
  say(RestoreDone{});
  say(Ban{5, src("192.0.2.9"), seconds(60), kCause});
  const auto outcome = heard<Outcome>();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->id, 5U);
  EXPECT_EQ(outcome->verdict, Verdict::no_firewall);
}

TEST_F(EnforcerTest, ABanIsOkOnlyWhenTheFirewallTookIt) {
  start_serving();
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  EXPECT_EQ(firewall_.held.at(src("192.0.2.9")), seconds(60));
  firewall_.refuse = ENFILE;
  say(Ban{2, src("192.0.2.10"), seconds(60), kCause});
  const auto outcome = heard<Outcome>();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict, Verdict::kernel_refused);
  EXPECT_EQ(outcome->error, ENFILE);
}

TEST_F(EnforcerTest, TheGuardJudgesBansAndRestoresAlike) {
  start();
  say(Accept{});
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  drain();
  say(Restore{1, src("127.0.0.1"), seconds(60)});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::not_unicast);
  say(RestoreDone{});
  say(Ban{2, src("224.0.0.1"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::not_unicast);
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerTest, WithoutAViewOfItselfItBansNobody) {
  start_serving();
  view_ = nullptr;
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::view_unknown);
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerTest, AFloodOfBansEndsAtTheBudget) {
  start_serving();
  unsigned ok = 0;
  unsigned refused = 0;
  for (std::uint64_t id = 1; id <= 2 * kBanBurst; ++id) {
    const auto low = static_cast<std::uint8_t>(id);
    const auto high = static_cast<std::uint8_t>(id >> 8);
    say(Ban{id, Source::of(Address::v4(198, 51, high, low), false), seconds(60), kCause});
    const auto outcome = heard<Outcome>();
    ASSERT_TRUE(outcome);
    (outcome->verdict == Verdict::ok ? ok : refused) += 1;
  }
  EXPECT_GE(ok, kBanBurst);
  EXPECT_GT(refused, 0U);
  EXPECT_EQ(firewall_.held.size(), ok);
}

TEST_F(EnforcerTest, UnbanRemovesAndIsOkTwice) {
  start_serving();
  say(Ban{1, src("192.0.2.9"), seconds(60), kCause});
  drain();
  for (const std::uint64_t id : {2U, 3U}) {
    say(Unban{id, src("192.0.2.9")});
    EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
  }
  EXPECT_TRUE(firewall_.held.empty());
}

TEST_F(EnforcerTest, TheSensorsChannelReachesTheMonitorWithItsDescriptor) {
  start_serving();
  const UniqueFd channel(eventfd(0, EFD_CLOEXEC));
  launched({.kind = LauncherEventKind::sensor_started, .by_signal = 0, .code = 0}, channel.get());
  const auto received = monitor_->receive();
  EXPECT_TRUE(received.fd);
  const auto message = decode_enforcer_to_monitor(received.bytes, 1);
  ASSERT_TRUE(message);
  EXPECT_TRUE(std::holds_alternative<SensorChannel>(*message));
}

TEST_F(EnforcerTest, ADeadSensorIsReportedAndStartedAgainLater) {
  start_serving();
  launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGSYS});
  const auto lost = heard<SensorLost>();
  ASSERT_TRUE(lost);
  EXPECT_TRUE(lost->by_signal);
  EXPECT_EQ(lost->code, SIGSYS);
  EXPECT_EQ(lost->retry_in, milliseconds(100));
  EXPECT_EQ(asked(), std::nullopt);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::spawn_sensor);
}

TEST_F(EnforcerTest, DropSensorKillsItThroughTheLauncherOncePerSensor) {
  start_serving();
  const UniqueFd channel(eventfd(0, EFD_CLOEXEC));
  say(DropSensor{});
  EXPECT_EQ(asked(), std::nullopt) << "there is none yet";
  for (int sensor = 0; sensor < 2; ++sensor) {
    launched({.kind = LauncherEventKind::sensor_started, .by_signal = 0, .code = 0}, channel.get());
    for (int i = 0; i < 10; ++i)
      say(DropSensor{});
    EXPECT_EQ(asked(), LauncherOp::kill_sensor);
    EXPECT_EQ(asked(), std::nullopt);
    launched({.kind = LauncherEventKind::sensor_ended, .by_signal = 1, .code = SIGKILL});
    say(DropSensor{});
    EXPECT_EQ(asked(), std::nullopt);
  }
}

TEST_F(EnforcerTest, AMonitorThatNeverPausesDoesNotKeepItFromTheOthers) {
  start_serving();
  constexpr std::uint64_t kQueued = 100;
  for (std::uint64_t id = 1; id <= kQueued; ++id)
    ASSERT_EQ(monitor_->send(encode(Unban{id, src("192.0.2.9/32")})), Channel::Sent::ok);
  std::uint64_t handled = 0;
  for (std::uint64_t turn = 0; turn < kQueued && handled < kQueued; ++turn) {
    const std::uint64_t before = handled;
    enforcer_->on_monitor();
    while (heard<Outcome>())
      ++handled;
    EXPECT_LE(handled - before, 10U);
  }
  EXPECT_EQ(handled, kQueued);
}

TEST_F(EnforcerTest, ATableThatSomebodyRemovedIsMadeAgainAndAnnouncedAsSuch) {
  start_serving();
  touched_ = 1;
  const std::uint64_t one = 1;
  ASSERT_EQ(write(events_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
  EXPECT_EQ(asked(), std::nullopt) << "one load, however often the kernel tells";
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
  const auto created = heard<TableCreated>();
  ASSERT_TRUE(created);
  EXPECT_TRUE(created->again);
  EXPECT_TRUE(heard<AdoptedDone>());
  say(Restore{9, src("192.0.2.9"), seconds(5)});
  EXPECT_EQ(heard<Outcome>()->verdict, Verdict::ok);
}

TEST_F(EnforcerTest, ABanThatSomebodyEndedByHandIsReportedAndTheTableLeftAlone) {
  start_serving();
  lifted_ = {src("192.0.2.9")};
  const std::uint64_t one = 1;
  ASSERT_EQ(write(events_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  let_pass(milliseconds(1));
  const auto lifted = heard<Lifted>();
  ASSERT_TRUE(lifted);
  EXPECT_EQ(lifted->source, src("192.0.2.9"));
  EXPECT_EQ(asked(), std::nullopt);
}

TEST_F(EnforcerTest, ATableThatCannotBeMadeAgainIsReportedAndTriedAgain) {
  start_serving();
  launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 3});
  const auto lost = heard<TableLost>();
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->error, 3);
  let_pass(milliseconds(150));
  EXPECT_EQ(asked(), LauncherOp::load_ruleset);
}

using EnforcerDeathTest = EnforcerTest;

TEST_F(EnforcerDeathTest, AVerbOutOfTurnStopsIt) {
  start();
  const Ban early{1, src("192.0.2.9"), seconds(60), kCause};
  EXPECT_EXIT(say(early), testing::ExitedWithCode(1), "Ban out of turn");
  start_serving();
  const Restore late{1, src("192.0.2.9"), seconds(60)};
  EXPECT_EXIT(say(late), testing::ExitedWithCode(1), "Restore out of turn");
  EXPECT_EXIT(say(Accept{}), testing::ExitedWithCode(1), "Accept out of turn");
}

TEST_F(EnforcerDeathTest, RawBytesFromTheMonitorStopIt) {
  start_serving();
  EXPECT_EXIT(
      {
        send(monitor_->fd(), "garbage", 7, 0);
        enforcer_->on_monitor();
      },
      testing::ExitedWithCode(1), "invalid message");
  EXPECT_EXIT(
      {
        const std::vector<char> long_message(kMaxMessage + 1, 'x');
        send(monitor_->fd(), long_message.data(), long_message.size(), 0);
        enforcer_->on_monitor();
      },
      testing::ExitedWithCode(1), "malformed message");
  EXPECT_EXIT(
      {
        static_cast<void>(monitor_->send(encode(MonitorToEnforcer(RestoreDone{})), 0));
        enforcer_->on_monitor();
      },
      testing::ExitedWithCode(1), "invalid message")
      << "a descriptor with a verb that carries none";
}

TEST_F(EnforcerDeathTest, AFirstTableThatCannotBeMadeStopsIt) {
  start();
  say(Accept{});
  EXPECT_EXIT(launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 1}),
              testing::ExitedWithCode(1), "could not make the table");
}

TEST_F(EnforcerDeathTest, ALauncherThatTalksNonsenseStopsIt) {
  start_serving();
  EXPECT_EXIT(launched({LauncherEventKind{9}, 0, 0}), testing::ExitedWithCode(1), "unknown event");
  EXPECT_EXIT(launched({.kind = LauncherEventKind::sensor_started, .by_signal = 0, .code = 0}),
              testing::ExitedWithCode(1), "without a channel");
  EXPECT_EXIT(
      {
        send(launcher_->fd(), "x", 1, 0);
        enforcer_->on_launcher();
      },
      testing::ExitedWithCode(1), "malformed event");
}

TEST_F(EnforcerTest, TheMonitorsEndEndsIt) {
  start_serving();
  monitor_.reset();
  enforcer_->on_monitor();
  EXPECT_EQ(loop_.run(), 0);
}

TEST(Backoff, DoublesToItsCeilingAndForgetsAfterALongLife) {
  Backoff backoff;
  EXPECT_EQ(backoff.next({}), milliseconds(100));
  EXPECT_EQ(backoff.next({}), milliseconds(200));
  for (int i = 0; i < 20; ++i)
    static_cast<void>(backoff.next(seconds(59)));
  EXPECT_EQ(backoff.next({}), milliseconds(30'000));
  EXPECT_EQ(backoff.next(seconds(60)), milliseconds(100));
}

}  // namespace
}  // namespace portsentry::enforcer
