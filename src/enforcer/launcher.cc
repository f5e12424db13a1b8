#include "enforcer/launcher.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>

#include "common/channel.h"
#include "common/log.h"
#include "enforcer/root_files.h"
#include "enforcer/ruleset.h"

namespace portsentry::enforcer {
namespace {

// A clean stop takes a few milliseconds. Whoever has not ended by then is killed.
constexpr std::chrono::milliseconds kPatience{500};

constexpr std::chrono::seconds kNftPatience{10};

// How long, in milliseconds, a process that closed its channel may take to end.
constexpr int kLastWords = 200;

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    if (WTERMSIG(status) == SIGSYS) return "killed by its own filter (SIGSYS)";
    return "killed by signal " + std::to_string(WTERMSIG(status));
  }
  return "ended with status " + std::to_string(WEXITSTATUS(status));
}

UniqueFd open_signals() {
  sigset_t handled;
  sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD})
    sigaddset(&handled, signal);
  if (sigprocmask(SIG_BLOCK, &handled, nullptr) != 0)
    fatal(Error::from_errno("sigprocmask", errno).what);
  UniqueFd fd(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) fatal(Error::from_errno("signalfd", errno).what);
  return fd;
}

}  // namespace

int Launcher::run() {
  signals_ = open_signals();
  if (const auto started = start(); !started) {
    complain(started.error().what);
    fail(kExitRuntime);
  }
  while (!exit_code_) {
    // poll(2) skips the link's -1 once the other half is gone.
    std::array<pollfd, 2> polled{
        {{signals_.get(), POLLIN, 0}, {link_ ? link_->fd() : -1, POLLIN, 0}}};
    if (poll(polled.data(), polled.size(), patience_with_nft()) < 0 && errno != EINTR)
      fatal(Error::from_errno("poll", errno).what);
    // Signals first: a child that died explains why its channel closed.
    if (polled[0].revents != 0) on_signal();
    if (!exit_code_ && polled[1].revents != 0) on_request();
  }
  finish();
  // The only file that would be a lie from here on. Bans, state and the lock file stay.
  unlink(prepared_.control_path.c_str());
  return *exit_code_;
}

// How long poll(2) may wait. An nft that hangs is killed: the kernel takes a ruleset whole or not
// at all, and the enforcer, told of the failure, tries again.
int Launcher::patience_with_nft() {
  if (!children_.contains(RoleId::nft)) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(nft_deadline_ -
                                                                 std::chrono::steady_clock::now());
  if (left.count() > 0) return static_cast<int>(left.count());
  complain("nft did not end within ten seconds and is killed");
  kill_child(RoleId::nft, SIGKILL);
  nft_deadline_ += kNftPatience;
  return -1;
}

Result<void> Launcher::start() {
  auto link = Channel::make_pair();
  auto channel_a = Channel::make_pair();
  if (!link) return link.error();
  if (!channel_a) return channel_a.error();

  const auto enforcer =
      spawn({.role = role(RoleId::enforcer),
             .account = {},
             .binary = prepared_.enforcer_binary.get(),
             .arguments = {"--enforcer", prepared_.nft_binary ? "nftables" : "none"},
             .descriptors = {{channel_a->first.get(), 3}, {link->second.get(), 4}}});
  if (!enforcer) return enforcer.error();
  children_[RoleId::enforcer] = *enforcer;

  const auto monitor = spawn({.role = role(RoleId::monitor),
                              .account = prepared_.monitor_account,
                              .binary = prepared_.monitor_binary.get(),
                              .arguments = {prepared_.config_path, prepared_.ignore_path},
                              .descriptors = {{channel_a->second.get(), 3},
                                              {prepared_.config.get(), 4},
                                              {prepared_.ignore.get(), 5},
                                              {prepared_.history.get(), 6},
                                              {prepared_.blocked.get(), 7},
                                              {prepared_.control.get(), 8}}});
  if (!monitor) return monitor.error();
  children_[RoleId::monitor] = *monitor;

  // What only these two were started with leaves this process: a later sensor needs none of it.
  for (UniqueFd* done :
       {&prepared_.enforcer_binary, &prepared_.monitor_binary, &prepared_.config, &prepared_.ignore,
        &prepared_.control, &prepared_.history, &prepared_.blocked}) {
    done->reset();
  }
  link_.emplace(std::move(link->first));
  return {};
}

void Launcher::on_signal() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    switch (info.ssi_signo) {
      case SIGTERM:
      case SIGINT:
        if (!stopping_) {
          stopping_ = true;
          // The monitor writes its last line and goes; finish() takes the others with it.
          kill_child(RoleId::monitor, SIGTERM);
          exit_code_ = kExitOk;
        }
        break;
      case SIGHUP:
        complain("SIGHUP: this version cannot reload; restart it instead");
        break;
      case SIGCHLD:
        reap();
        break;
      default:
        break;
    }
  }
}

void Launcher::reap() {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    for (const auto& [id, known] : children_) {
      if (known != pid) continue;
      const RoleId ended = id;
      children_.erase(ended);
      child_ended(ended, status);
      break;
    }
  }
}

void Launcher::child_ended(RoleId id, int status) {
  const LauncherEvent event{.kind = id == RoleId::nft ? LauncherEventKind::ruleset_loaded
                                                      : LauncherEventKind::sensor_ended,
                            .by_signal = WIFSIGNALED(status) ? 1U : 0U,
                            .code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)};
  switch (id) {
    case RoleId::sensor:
    case RoleId::nft:
      return tell(event);  // the monitor logs the one, the enforcer acts on the other
    case RoleId::resolver:
      return;  // log lines go without names
    case RoleId::monitor:
    case RoleId::enforcer:
    case RoleId::hosts_deny:  // never among these children
      break;
  }
  if (stopping_) return;
  if (id == RoleId::enforcer && WIFEXITED(status) && WEXITSTATUS(status) == kExitOk &&
      children_.contains(RoleId::monitor)) {
    // It saw the monitor's channel close: the monitor is ending, and its own status says why. One
    // that only closed its channel is helped along. (glibc 2.36's pidfd_open cannot be linked from
    // C++.)
    const UniqueFd monitor(
        static_cast<int>(syscall(SYS_pidfd_open, children_.at(RoleId::monitor), 0)));
    pollfd ended{monitor.get(), POLLIN, 0};
    if (monitor && poll(&ended, 1, kLastWords) == 1) return;
    return kill_child(RoleId::monitor, SIGKILL);
  }
  // 77 and 78: the child has said itself what is missing or wrong, and starting again would not
  // help.
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kExitRuntime;
  if (code == kExitPrivilege || code == kExitConfig) return fail(code);
  complain(std::string(role(id).title) + " " + how_it_ended(status) +
           ": stopping; bans in the kernel stay");
  fail(kExitRuntime);
}

void Launcher::on_request() {
  const auto received = link_->receive();
  if (received.got == Channel::Got::nothing) return;
  if (received.got == Channel::Got::closed) {
    // The other half is gone; why, the next SIGCHLD says.
    link_.reset();
    return;
  }
  LauncherRequest request{};
  if (received.got == Channel::Got::malformed || received.fd ||
      received.bytes.size() != sizeof(request)) {
    complain("the enforcer half sent a malformed request: stopping");
    return fail(kExitRuntime);
  }
  std::memcpy(&request, received.bytes.data(), sizeof(request));
  switch (request.op) {
    case LauncherOp::spawn_sensor:
      return spawn_sensor();
    case LauncherOp::kill_sensor:
      return kill_child(RoleId::sensor, SIGKILL);
    case LauncherOp::load_ruleset:
      return load_ruleset();
    case LauncherOp::ready:
      return background_.ready();
    case LauncherOp::run:
    case LauncherOp::reload_accept:
    case LauncherOp::reload_commit:
    case LauncherOp::reload_abandon:
    case LauncherOp::spawn_resolver:
      break;
  }
  complain("the enforcer half sent an unknown request: stopping");
  fail(kExitRuntime);
}

void Launcher::spawn_sensor() {
  if (children_.contains(RoleId::sensor)) {
    complain("the enforcer half asked for a second sensor: stopping");
    return fail(kExitRuntime);
  }
  auto channel_b = Channel::make_pair();
  if (!channel_b) return tell({.kind = LauncherEventKind::sensor_ended, .code = kExitRuntime});
  const auto sensor =
      spawn({.role = role(RoleId::sensor),
             .account = prepared_.sensor_account,
             .binary = prepared_.sensor_binary.get(),
             .arguments = {},
             .descriptors = {{channel_b->second.get(), 3}, {prepared_.ports.get(), 4}}});
  if (!sensor) {
    complain(sensor.error().what);
    return tell({.kind = LauncherEventKind::sensor_ended, .code = kExitRuntime});
  }
  children_[RoleId::sensor] = *sensor;
  // Both ends leave this process here: root keeps no way to read what a sensor writes.
  tell({.kind = LauncherEventKind::sensor_started, .code = 0}, channel_b->first.get());
}

void Launcher::load_ruleset() {
  const auto refuse = [this](const Error& error) {
    complain(error.what);
    tell({.kind = LauncherEventKind::ruleset_loaded, .code = kExitRuntime});
  };
  if (!prepared_.nft_binary || children_.contains(RoleId::nft))
    return refuse(Error{"nft cannot be run now"});
  const auto text = sealed_copy("ruleset", std::as_bytes(std::span(kRuleset)));
  if (!text) return refuse(text.error());
  if (lseek(text->get(), 0, SEEK_SET) != 0) return refuse(Error::from_errno("lseek", errno));
  const auto nft = spawn({.role = role(RoleId::nft),
                          .account = {},
                          .binary = prepared_.nft_binary.get(),
                          .arguments = {"-f", "-"},
                          .descriptors = {},
                          .input = text->get()});
  if (!nft) return refuse(nft.error());
  children_[RoleId::nft] = *nft;
  nft_deadline_ = std::chrono::steady_clock::now() + kNftPatience;
}

void Launcher::tell(const LauncherEvent& event, int passed) {
  if (!link_) return;
  const auto sent = link_->send(std::as_bytes(std::span(&event, 1)), passed);
  if (sent == Channel::Sent::full) {
    complain("the enforcer half does not read: stopping");
    fail(kExitRuntime);
  }
}

void Launcher::fail(int code) {
  if (!exit_code_) exit_code_ = code;
}

void Launcher::kill_child(RoleId id, int signal) {
  const auto child = children_.find(id);
  if (child != children_.end()) kill(child->second, signal);
}

void Launcher::finish() {
  // After a failure nobody is waited for. After SIGTERM the monitor ends first, by itself; its end
  // closes channels A and B, which ends enforcer and sensor.
  if (!stopping_) {
    for (const auto& [id, pid] : children_)
      kill(pid, SIGKILL);
  }
  const bool was_stopping = stopping_;
  stopping_ = true;  // from here on a child's end is no news
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!children_.empty()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      if (was_stopping) complain("somebody did not stop in time and is killed");
      for (const auto& [id, pid] : children_)
        kill(pid, SIGKILL);
      for (const auto& [id, pid] : children_)
        waitpid(pid, nullptr, 0);
      children_.clear();
      break;
    }
    pollfd polled{signals_.get(), POLLIN, 0};
    poll(&polled, 1, static_cast<int>(left.count()));
    on_signal();
  }
}

}  // namespace portsentry::enforcer
