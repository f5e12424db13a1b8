#include "enforcer/enforcer.h"

#include <poll.h>

#include <cstring>
#include <string>
#include <utility>

#include "common/log.h"
#include "common/wire.h"

namespace portsentry::enforcer {
namespace {

// How long the monitor may leave its channel full. It reads before it writes, so this is a stuck
// one.
constexpr int kStuckMilliseconds = 5000;

// How many of its messages are handled before launcher, timers and the kernel get their turn. Few:
// the kernel can take 15 ms to replace one ban.
constexpr int kBurst = 8;
constexpr int kRestoreBurst = 256;

}  // namespace

// ---- channel A ----------------------------------------------------------------------------------

void Enforcer::on_monitor() {
  // Restores are gathered, and cheap together.
  for (int i = 0; i < kBurst || (!gathered_.empty() && i < kRestoreBurst); ++i) {
    const auto received = parts_.monitor.receive();
    switch (received.got) {
      case Channel::Got::nothing:
        return restore_gathered();
      // The launcher sees the monitor's end and stops everything; there is nothing left to listen
      // to.
      case Channel::Got::closed:
        return parts_.loop.stop(kExitOk);
      case Channel::Got::malformed:
        fatal("the monitor sent a malformed message: stopping");
      case Channel::Got::message:
        break;
    }
    const auto message = decode_monitor_to_enforcer(received.bytes, received.fd ? 1 : 0);
    if (!message) fatal("the monitor sent an invalid message: stopping");
    if (!legal(*message, phase_)) {
      fatal("the monitor sent " + std::string(row_of(*message).verb) + " out of turn: stopping");
    }
    // In order: what was gathered came first.
    if (!std::holds_alternative<Restore>(*message)) restore_gathered();
    std::visit([this](const auto& m) { handle(m); }, *message);
  }
  restore_gathered();
}

void Enforcer::handle(const Accept& accept) {
  phase_ = Phase::preparing;
  armed_ = accept.armed;
  if (armed_) backend_ = configured_;
  if (wants_table()) return load_table();
  if (backend_ == Backend::nftables) fatal("this kernel has no nf_tables");
  announce_table();
}

void Enforcer::handle(const RestoreDone&) {
  if (restore_deadline_) parts_.loop.cancel(*restore_deadline_);
  restore_deadline_.reset();
  phase_ = Phase::serving;
  if (std::exchange(served_, true)) return;
  start_sensor();
  start_scout();
  if (resolver_wanted_) start_resolver();
}

// By this: to make somebody believe that it works, a moment earlier than it does. Once.
void Enforcer::handle(const Ready&) {
  if (std::exchange(ready_told_, true)) out_of_turn("Ready");
  ask(LauncherOp::ready);
}

void Enforcer::tell(const EnforcerToMonitor& message, int passed) {
  const auto bytes = encode(message);
  for (;;) {
    switch (parts_.monitor.send(bytes, passed)) {
      case Channel::Sent::ok:
        return;
      case Channel::Sent::closed:
        return parts_.loop.stop(kExitOk);
      case Channel::Sent::full:
        break;
    }
    pollfd polled{parts_.monitor.fd(), POLLOUT, 0};
    if (poll(&polled, 1, kStuckMilliseconds) == 0) fatal("the monitor does not read: stopping");
  }
}

// ---- the launcher -------------------------------------------------------------------------------

void Enforcer::ask(LauncherOp op, std::uint32_t generation) {
  LauncherRequest request{};
  request.op = op;
  request.generation = generation;
  ask(request);
}

void Enforcer::ask(const LauncherRequest& request) {
  if (parts_.launcher.send(std::as_bytes(std::span(&request, 1))) != Channel::Sent::ok) {
    fatal("the launcher does not listen: stopping");
  }
}

void Enforcer::on_launcher() {
  for (;;) {
    auto received = parts_.launcher.receive();
    if (received.got == Channel::Got::nothing) return;
    if (received.got == Channel::Got::closed) return parts_.loop.stop(kExitOk);
    if (received.got == Channel::Got::message &&
        received.bytes.size() == sizeof(LauncherNetworks)) {
      networks_told(received.bytes);
      continue;
    }
    LauncherEvent event{};
    if (received.got != Channel::Got::message || received.bytes.size() != sizeof(event)) {
      fatal("the launcher sent a malformed event: stopping");
    }
    std::memcpy(&event, received.bytes.data(), sizeof(event));
    switch (event.kind) {
      case LauncherEventKind::sensor_started:
        sensor_started(received.fd.get());
        continue;
      case LauncherEventKind::sensor_ended:
        sensor_ended(event);
        continue;
      case LauncherEventKind::ruleset_loaded:
        table_loaded(event.by_signal == 0 && event.code == 0, event.code);
        continue;
      case LauncherEventKind::command_output:
        command_output(event, std::move(received.fd));
        continue;
      case LauncherEventKind::command_done:
        command_done(event);
        continue;
      case LauncherEventKind::reload_file:
        reload_file(event, received.fd.get());
        continue;
      case LauncherEventKind::reload_offer:
        reload_offered(event);
        continue;
      case LauncherEventKind::reload_failed:
        reload_failed(event);
        continue;
      case LauncherEventKind::reload_committed:
        reload_committed(event);
        continue;
      case LauncherEventKind::successor_started:
        successor_started(received.fd.get());
        continue;
      case LauncherEventKind::successor_ended:
        successor_ended(event);
        continue;
      case LauncherEventKind::resolver_started:
        if (!received.fd) fatal("the launcher started a resolver without a channel: stopping");
        tell(ResolverChannel{}, received.fd.get());
        continue;
      case LauncherEventKind::resolver_ended:
        resolver_ended();
        continue;
      case LauncherEventKind::scope:
        scope_told(event);
        continue;
      case LauncherEventKind::login_ports:
        login_ports_told(event);
        continue;
      case LauncherEventKind::scout_started:
        scout_started(received.fd.get());
        continue;
      case LauncherEventKind::scout_ended:
        scout_ended();
        continue;
      case LauncherEventKind::networks:  // has another size
        break;
    }
    fatal("the launcher sent an unknown event: stopping");
  }
}

}  // namespace portsentry::enforcer
