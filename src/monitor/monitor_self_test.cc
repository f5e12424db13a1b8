// `portsentryctl selftest`: does everything between a frame and the firewall still answer? The sensor
// takes a built-in frame through parse, classify and track, in tables that it throws away; the
// enforcer puts a documentation address into a set that no rule reads, reads it back and removes it.
// Nobody is banned, and nothing is counted.
#include <array>
#include <chrono>
#include <utility>

#include "common/text.h"
#include "monitor/log_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

std::uint64_t since(Clock::time_point began, Now now) {
  const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(now.steady - began);
  return passed.count() > 0 ? static_cast<std::uint64_t>(passed.count()) : 0;
}

}  // namespace

void Monitor::ask_self_test(Answer answer, Now now) {
  if (self_test_) return answer(Refused{RefusedCode::busy, "a self-test is under way"});
  self_test_ = SelfTest{.answer = std::move(answer), .began = now.steady, .hops = {}};
  SelfTest& test = *self_test_;
  test.hops.push_back({.name = "monitor", .passed = true, .text = "it was asked"});

  if (sensor_.phase != SensorPhase::ready) {
    test.hops.push_back({.name = "sensor", .text = "it is not ready"});
  } else if (sensor_test_ != 0) {
    test.hops.push_back({.name = "sensor", .text = "it has not answered an earlier test"});
  } else if (!effects_.to_sensor(SensorRole::current, TestSensor{next_test_})) {
    test.hops.push_back({.name = "sensor", .text = "its channel is full"});
  } else {
    sensor_test_ = next_test_++;
    test.sensor_asked = true;
  }

  if (phase_ != Phase::serving) {
    test.hops.push_back({.name = "enforcer", .text = "the daemon is just starting"});
  } else if (backend_ == Backend::command) {
    test.hops.push_back({.name = "kernel-set",
                         .passed = true,
                         .text = "not tried: bans are made by KILL_ROUTE, which nobody can test"});
  } else if (backend_ == Backend::none) {
    test.hops.push_back({.name = "kernel-set",
                         .passed = true,
                         .text = "not tried: nothing makes bans (observing, or FIREWALL=none)"});
  } else if (firewall_test_ != 0) {
    test.hops.push_back({.name = "enforcer", .text = "it has not answered an earlier test"});
  } else {
    // The same numbers as RunCommand's, so that an Outcome tells whose it is.
    firewall_test_ = next_run_++;
    test.firewall_asked = true;
    owe(TestFirewall{firewall_test_}, now);
  }
  if (!test.sensor_asked && !test.firewall_asked) self_test_over();
}

bool Monitor::hear(const SensorTested& tested, SensorRole role, Now now) {
  if (role != SensorRole::current || sensor_test_ == 0 || tested.nonce != sensor_test_)
    return false;
  sensor_test_ = 0;
  if (!self_test_ || !self_test_->sensor_asked) return true;  // nobody waits for it any more
  SelfTest& test = *self_test_;
  test.sensor_asked = false;
  const std::uint64_t passed = since(test.began, now);
  test.hops.push_back({.name = "sensor", .passed = true, .microseconds = passed});
  constexpr std::array<std::pair<TestHop, const char*>, 3> kHops{
      {{TestHop::parsed, "parse"}, {TestHop::classified, "classify"}, {TestHop::tracked, "track"}}};
  for (const auto& [hop, name] : kHops) {
    test.hops.push_back({.name = name, .passed = tested.reached >= hop, .microseconds = passed});
  }
  if (!test.firewall_asked) self_test_over();
  return true;
}

bool Monitor::on_test_outcome(const Outcome& outcome, Now now) {
  firewall_test_ = 0;
  if (!self_test_ || !self_test_->firewall_asked) return true;
  SelfTest& test = *self_test_;
  test.firewall_asked = false;
  const std::uint64_t passed = since(test.began, now);
  test.hops.push_back({.name = "enforcer", .passed = true, .microseconds = passed});
  const bool held = outcome.verdict == Verdict::ok;
  test.hops.push_back(
      {.name = "kernel-set",
       .passed = held,
       .microseconds = passed,
       .text = held ? "an address was put in, read back and taken out"
                    : plain_text(words::refusal(outcome.verdict, outcome.error), kMaxText)});
  if (!test.sensor_asked) self_test_over();
  return true;
}

// Its sensor has gone, and answers nothing.
void Monitor::sensor_test_over() {
  sensor_test_ = 0;
  if (!self_test_ || !self_test_->sensor_asked) return;
  self_test_->sensor_asked = false;
  self_test_->hops.push_back({.name = "sensor", .text = "it ended"});
  if (!self_test_->firewall_asked) self_test_over();
}

void Monitor::self_test_over() {
  SelfTest test = *std::exchange(self_test_, std::nullopt);
  const std::string silent =
      "no answer within " + std::to_string(kSelfTestPatience.count()) + " seconds";
  if (test.sensor_asked) test.hops.push_back({.name = "sensor", .text = silent});
  if (test.firewall_asked) test.hops.push_back({.name = "enforcer", .text = silent});
  test.answer(SelfTestReply{std::move(test.hops)});
}

}  // namespace portsentry::monitor
