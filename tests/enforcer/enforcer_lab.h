// The enforcer half with its real channels, and a firewall made of a map.
#pragma once

#include "enforcer/enforcer.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstring>
#include <map>

#include "common/wire.h"

namespace portsentry::enforcer {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline Source src(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return *Source::from_prefix(prefix->address(), prefix->length());
}

inline const BanCause kCause{Protocol::tcp, *Port::make(23)};

class FakeFirewall final : public Firewall {
 public:
  Result<void> ban(const Source& source, seconds duration, std::span<const Session> keep) override {
    if (refuse != 0) return Error{"refused", refuse};
    held[source] = duration;
    kept.assign(keep.begin(), keep.end());
    return {};
  }
  Result<void> restore(const Source& source, seconds remaining,
                       std::span<const Session> keep) override {
    restores += 1;
    return ban(source, remaining, keep);
  }
  Result<void> unban(const Source& source) override {
    held.erase(source);
    return {};
  }
  Result<void> restore_all(std::span<const Held> bans) override {
    together.push_back(bans.size());
    if (refuse_together) return Error{"some hold already", EEXIST};
    for (const Held& ban : bans) {
      if (const auto done = restore(ban.source, ban.remaining, {}); !done) return done;
    }
    return {};
  }
  Result<std::vector<Held>> list() override {
    std::vector<Held> all;
    for (const auto& [source, remaining] : held)
      all.push_back({source, remaining});
    return all;
  }
  bool table_exists() override { return table; }
  Result<void> selftest() override {
    if (refuse != 0) return Error{"refused", refuse};
    selftests += 1;
    return {};
  }

  Result<void> exempt(std::span<const Prefix> networks, std::span<const Prefix> link) override {
    exempted = std::vector<Prefix>(networks.begin(), networks.end());
    on_link.assign(link.begin(), link.end());
    exempts += 1;
    if (refuse != 0) return Error{"refused", refuse};
    return {};
  }
  Result<void> keep_traps(seconds duration, bool may_hold) override {
    traps_last = duration;
    if (may_hold) holds_last = duration;
    return {};
  }
  Result<void> stop_holds() override {
    holds_last = seconds(0);
    return {};
  }
  Result<void> stop_traps() override {
    traps_last = holds_last = seconds(0);
    stops += 1;
    return {};
  }
  Result<void> hold(const Source& source, seconds duration) override {
    traps_hold[source] = duration;
    return {};
  }
  Result<void> release(const Source& source) override {
    if (refuse != 0) return Error{"refused", refuse};
    released.push_back(source);
    traps_hold.erase(source);
    return {};
  }

  std::optional<std::vector<Prefix>> exempted;
  std::vector<Prefix> on_link;
  std::vector<Source> released;
  std::map<Source, seconds> traps_hold;
  seconds traps_last{0};
  seconds holds_last{0};
  int exempts = 0;
  int stops = 0;
  std::map<Source, seconds> held;
  std::vector<Session> kept;  // by the last ban
  bool table = true;
  int restores = 0;
  std::vector<std::size_t> together;  // how many each restore_all() had
  bool refuse_together = false;
  int selftests = 0;
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

  void start(Backend backend = Backend::nftables, bool resolver = false) {
    enforcer_.emplace(Enforcer::Parts{
        .loop = loop_,
        .monitor = *enforcer_a_,
        .launcher = *enforcer_link_,
        .firewall = has_nf_tables_ ? &firewall_ : nullptr,
        .backend = backend,
        .resolver = resolver,
        .view = [this] { return view_; },
        .table_events = has_nf_tables_ ? events_.get() : -1,
        .table_touched = [this](unsigned expected) { return touched_ > expected; },
        .lifted = [this] { return std::exchange(lifted_, {}); },
        .audit = audit_,
        .sessions = [this](const Source& of, const PortSet& ports) -> Result<std::vector<Session>> {
          asked_sessions_of_.push_back(of);
          asked_ports_ = ports;
          if (sessions_error_ != 0) return Error{"sessions", sessions_error_};
          return sessions_;
        }});
  }

  // To where bans are taken, as every start goes.
  void start_serving(Backend backend = Backend::nftables, bool resolver = false) {
    start(backend, resolver);
    say(Accept{});
    if (backend == Backend::nftables)
      launched({.kind = LauncherEventKind::ruleset_loaded, .by_signal = 0, .code = 0});
    say(RestoreDone{});
    drain();
  }
  void sensor_starts(LauncherEventKind kind = LauncherEventKind::sensor_started) {
    const UniqueFd channel(eventfd(0, EFD_CLOEXEC));
    launched({.kind = kind}, channel.get());
  }
  // An offer, accepted, whose successor is up.
  void start_successor(std::uint32_t generation) {
    launched({.kind = LauncherEventKind::reload_offer, .code = 1, .generation = generation});
    say(ReloadAccept{generation});
    sensor_starts(LauncherEventKind::successor_started);
    drain();
  }
  void committed(std::uint32_t generation, Backend backend, bool resolver = false,
                 std::uint32_t route = 1) {
    launched({.kind = LauncherEventKind::reload_committed,
              .code = resolver ? 1 : 0,
              .which = static_cast<std::uint32_t>(backend),
              .id = route,
              .generation = generation});
  }
  void reload_to(std::uint32_t generation, Backend backend, bool resolver = false,
                 std::uint32_t route = 1) {
    launched({.kind = LauncherEventKind::reload_offer, .generation = generation});
    say(ReloadCommit{generation});
    drain();
    committed(generation, backend, resolver, route);
  }
  void command_ends(std::uint64_t id, Verdict verdict, std::int32_t error = 0,
                    std::uint32_t route = 1) {
    launched({.kind = LauncherEventKind::command_done,
              .code = error,
              .which = static_cast<std::uint32_t>(verdict),
              .id = id,
              .generation = route});
  }
  void banned_by_command(std::string_view source) {
    say(Ban{99, src(source), seconds(60), kCause});
    command_ends(requested()->id, Verdict::ok);
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
  // The next message to the monitor; that root has followed a reload is heard by who asks for it.
  template <class T>
  std::optional<T> heard() {
    auto message = next_message();
    while (message && !std::is_same_v<T, ReloadFollowed> &&
           std::holds_alternative<ReloadFollowed>(*message)) {
      message = next_message();
    }
    if (!message || !std::holds_alternative<T>(*message)) return std::nullopt;
    return std::get<T>(*message);
  }
  std::optional<EnforcerToMonitor> next_message() {
    auto received = monitor_->receive();
    return decode_enforcer_to_monitor(received.bytes, received.fd ? 1 : 0);
  }
  std::optional<LauncherRequest> requested() {
    const auto received = launcher_->receive();
    LauncherRequest request{};
    if (received.bytes.size() != sizeof(request)) return std::nullopt;
    std::memcpy(&request, received.bytes.data(), sizeof(request));
    return request;
  }
  // The scout's start comes with the first sensor's, and is told apart from the rest.
  std::optional<LauncherOp> asked() {
    auto request = requested();
    while (request && request->op == LauncherOp::spawn_scout) {
      scouts_ += 1;
      request = requested();
    }
    return request ? std::optional(request->op) : std::nullopt;
  }
  bool silent() {
    auto received = monitor_->receive();
    while (received.got == Channel::Got::message) {
      const auto message = decode_enforcer_to_monitor(received.bytes, received.fd ? 1 : 0);
      if (!message || !std::holds_alternative<ReloadFollowed>(*message)) return false;
      received = monitor_->receive();
    }
    return received.got == Channel::Got::nothing;
  }
  void drain() {
    while (monitor_->receive().got == Channel::Got::message) {
    }
    while (launcher_->receive().got == Channel::Got::message) {
    }
  }
  // Lets timers run for this long. Once: the loop has stopped then.
  void let_pass(milliseconds time) {
    loop_.after(time, [this] { loop_.stop(0); });
    loop_.run();
  }

  EventLoop loop_;
  std::optional<Channel> enforcer_a_, monitor_, enforcer_link_, launcher_;
  bool has_nf_tables_ = true;
  UniqueFd events_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  unsigned touched_ = 0;
  std::vector<Source> lifted_;
  FakeFirewall firewall_;
  NftAudit* audit_ = nullptr;
  std::vector<Session> sessions_;
  int sessions_error_ = 0;
  std::vector<Source> asked_sessions_of_;
  PortSet asked_ports_;
  int scouts_ = 0;  // starts of one that were asked for
  LocalView empty_view_;
  const LocalView* view_ = &empty_view_;
  std::optional<Enforcer> enforcer_;
};

}  // namespace portsentry::enforcer
