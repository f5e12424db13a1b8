#include "enforcer/launcher.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>

#include "common/channel.h"
#include "common/log.h"
#include "enforcer/root_files.h"
#include "enforcer/ruleset.h"
#include "enforcer/trap_rules.h"

namespace portsentry::enforcer {
namespace {

// A clean stop takes a few milliseconds, and some hundred where there is much to remember. Whoever has not ended by then is killed.
constexpr std::chrono::milliseconds kPatience{800};
// The owner's commands may need longer: half a rule is worse than a stop that takes a moment.
constexpr std::chrono::milliseconds kCommandsPatience{1200};

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

LauncherEvent ended(LauncherEventKind kind, int status) {
  return {.kind = kind,
          .by_signal = WIFSIGNALED(status) ? 1U : 0U,
          .code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)};
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

// As the monitor takes it.
std::string group_text(const std::optional<unsigned>& group) {
  return group ? std::to_string(*group) : "-";
}

}  // namespace

Launcher::Launcher(Prepared prepared, Generation first, Background& background)
    : prepared_(std::move(prepared)),
      reload_(std::move(first),
              [this](std::uint32_t number, const Generation& before) {
                return read_generation(prepared_.source, number, &before);
              }),
      commands_(reload_.current().number, reload_.current().commands,
                std::move(prepared_.editor_binary)),
      background_(background) {}

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
    if (poll(polled.data(), polled.size(), patience()) < 0 && errno != EINTR)
      fatal(Error::from_errno("poll", errno).what);
    // Signals first: a child that died explains why its channel closed.
    if (polled[0].revents != 0) on_signal();
    if (!exit_code_ && polled[1].revents != 0) on_request();
    on_time();
    tell_commands();
    if (!exit_code_ && reload_.due()) begin_reload();
  }
  finish();
  // The only file that would be a lie from here on. Bans, state and the lock file stay.
  unlink(prepared_.control_path.c_str());
  return *exit_code_;
}

// How long poll(2) may wait, in milliseconds.
int Launcher::patience() const {
  std::optional<Time> until = commands_.deadline();
  if (children_.contains(RoleId::nft))
    until = std::min(until.value_or(nft_deadline_), nft_deadline_);
  if (!until) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*until - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
}

void Launcher::on_time() {
  const Time now = std::chrono::steady_clock::now();
  commands_.expire(now);
  if (!children_.contains(RoleId::nft) || now < nft_deadline_) return;
  // The kernel takes a ruleset whole or not at all, and the enforcer, told of the failure, tries
  // again.
  complain("nft did not end within ten seconds and is killed");
  kill_child(RoleId::nft, SIGKILL);
  nft_deadline_ += kNftPatience;
}

Result<void> Launcher::start() {
  auto link = Channel::make_pair();
  auto channel_a = Channel::make_pair();
  if (!link) return link.error();
  if (!channel_a) return channel_a.error();
  const Generation& g = reload_.current();

  // What the other half finds when it opens its eyes: before there is anybody who could ask for a ban.
  link_.emplace(std::move(link->first));
  tell_scope(g);
  tell_networks(g);
  const auto enforcer =
      spawn({.role = role(RoleId::enforcer),
             .account = {},
             .binary = prepared_.enforcer_binary.get(),
             .arguments = {"--enforcer", std::string(backend_word(g.backend)),
                           g.resolver ? "resolver" : "-"},
             .descriptors = {{channel_a->first.get(), 3}, {link->second.get(), 4}}});
  if (!enforcer) return enforcer.error();
  children_[RoleId::enforcer] = *enforcer;

  std::vector<std::string> arguments{prepared_.source.path, g.config.ignore_file,
                                     group_text(prepared_.control_groups.view),
                                     group_text(prepared_.control_groups.admin)};
  for (const ConfigOverride& setting : prepared_.source.overrides)
    arguments.push_back(setting.text());
  const auto monitor = spawn({.role = role(RoleId::monitor),
                              .account = prepared_.monitor_account,
                              .binary = prepared_.monitor_binary.get(),
                              .arguments = std::move(arguments),
                              .descriptors = {{channel_a->second.get(), 3},
                                              {g.config_text.get(), 4},
                                              {g.ignore_text.get(), 5},
                                              {g.outputs.history.get(), 6},
                                              {g.outputs.blocked.get(), 7},
                                              {prepared_.control.get(), 8},
                                              {g.outputs.log_file.get(), 13}}});
  if (!monitor) return monitor.error();
  children_[RoleId::monitor] = *monitor;

  // What only these two were started with leaves this process: a later sensor needs none of it.
  for (UniqueFd* done :
       {&prepared_.enforcer_binary, &prepared_.monitor_binary, &prepared_.control}) {
    done->reset();
  }
  reload_.forget_texts();
  if (!g.commands.kill_hosts_deny.empty())
    commands_.recover_hosts_deny(std::chrono::steady_clock::now());
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
        reload_.request();
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
    if (std::erase(retired_, pid) != 0) continue;
    if (commands_.ended(pid, status, std::chrono::steady_clock::now())) continue;
    if (successor_ == pid) {
      successor_.reset();
      reload_.over();
      tell(ended(LauncherEventKind::successor_ended, status));
      continue;
    }
    for (const auto& [id, known] : children_) {
      if (known != pid) continue;
      const RoleId gone = id;
      children_.erase(gone);
      child_ended(gone, status);
      break;
    }
  }
}

void Launcher::child_ended(RoleId id, int status) {
  switch (id) {
    // The monitor logs these, the enforcer has them started again.
    case RoleId::sensor:
      return tell(ended(LauncherEventKind::sensor_ended, status));
    case RoleId::resolver:
      return tell(ended(LauncherEventKind::resolver_ended, status));
    case RoleId::scout:
      return tell(ended(LauncherEventKind::scout_ended, status));
    case RoleId::nft:  // on this the enforcer acts
      return tell(ended(LauncherEventKind::ruleset_loaded, status));
    case RoleId::hosts_deny:  // Commands reaps it
    case RoleId::monitor:
    case RoleId::enforcer:
      break;
  }
  if (id == RoleId::enforcer && !(WIFEXITED(status) && WEXITSTATUS(status) == kExitOk))
    enforcer_lost_ = true;
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
    return broken("sent a malformed request");
  }
  std::memcpy(&request, received.bytes.data(), sizeof(request));
  obey(request);
}

void Launcher::obey(const LauncherRequest& request) {
  switch (request.op) {
    case LauncherOp::spawn_sensor:
      reload_.monitor_serves();
      return spawn_sensor();
    case LauncherOp::kill_sensor:
      return kill_child(RoleId::sensor, SIGKILL);
    case LauncherOp::load_ruleset:
      return load_ruleset();
    case LauncherOp::run:
      return run_command(request);
    case LauncherOp::ready:
      return background_.ready();
    case LauncherOp::reload_accept:
      return start_successor(request.generation);
    case LauncherOp::reload_commit:
      return commit(request.generation);
    case LauncherOp::reload_abandon:
      return abandon(request.generation);
    case LauncherOp::spawn_resolver:
      return spawn_resolver();
    case LauncherOp::request_reload:
      return reload_.request();
    case LauncherOp::spawn_scout:
      return spawn_scout();
  }
  broken("sent an unknown request");
}

// ---- processes ----------------------------------------------------------------------------------

// Both ends of channel B leave this process here: root keeps no way to read what a sensor writes.
Result<pid_t> Launcher::start_sensor(const Generation& g, LauncherEventKind started) {
  auto channel_b = Channel::make_pair();
  if (!channel_b) return channel_b.error();
  std::vector<Inherited> descriptors{{channel_b->second.get(), 3}, {g.orders_memory.get(), 4}};
  // Also while nobody is to be banned: somebody may arm the daemon.
  if (prepared_.feed.socket) descriptors.push_back({prepared_.feed.socket.get(), 5});
  auto sensor =
      spawn({.role = role(RoleId::sensor),
             .account = prepared_.sensor_account,
             .binary = prepared_.sensor_binary.get(),
             .arguments = {},
             .descriptors = std::move(descriptors),
             .descriptor_limit = std::max(kFewDescriptors, sensor_descriptors(g.orders))});
  if (sensor) tell({.kind = started}, channel_b->first.get());
  return sensor;
}

void Launcher::spawn_sensor() {
  if (children_.contains(RoleId::sensor)) return broken("asked for a second sensor");
  const auto sensor = start_sensor(reload_.current(), LauncherEventKind::sensor_started);
  if (!sensor) {
    complain(sensor.error().what);
    return tell({.kind = LauncherEventKind::sensor_ended, .code = kExitRuntime});
  }
  children_[RoleId::sensor] = *sensor;
}

void Launcher::spawn_resolver() {
  if (children_.contains(RoleId::resolver)) return broken("asked for a second resolver");
  const auto refuse = [this](const std::string& why) {
    if (!why.empty()) complain(why);
    tell({.kind = LauncherEventKind::resolver_ended, .code = kExitRuntime});
  };
  // A reload may have crossed the question.
  const auto& account = reload_.current().resolver;
  if (!account) return refuse({});
  auto channel_r = Channel::make_pair();
  if (!channel_r) return refuse(channel_r.error().what);
  const auto resolver = spawn({.role = role(RoleId::resolver),
                               .account = *account,
                               .binary = prepared_.resolver_binary.get(),
                               .arguments = {},
                               .descriptors = {{channel_r->second.get(), 3}}});
  if (!resolver) return refuse(resolver.error().what);
  children_[RoleId::resolver] = *resolver;
  tell({.kind = LauncherEventKind::resolver_started}, channel_r->first.get());
}

// A group that a reload has changed is bound at the next start: the sensors hold the one that is. Beside
// KILL_ROUTE where nft is there.
bool Launcher::has_traps(const Generation& g) const {
  return prepared_.feed.socket && why_no_traps(g.config) == NoTraps::none &&
         (g.backend == Backend::nftables || (g.backend == Backend::command && g.nft));
}

std::string Launcher::rules_of(const Generation& g) const {
  return firewall_rules(g.config, has_traps(g) ? std::optional(prepared_.feed.group) : std::nullopt,
                        g.orders.ephemeral);
}

void Launcher::load_ruleset() {
  const auto refuse = [this](const Error& error) {
    complain(error.what);
    tell({.kind = LauncherEventKind::ruleset_loaded, .code = kExitRuntime});
  };
  const Generation& g = reload_.current();
  const bool wanted = g.backend == Backend::nftables || has_traps(g);
  if (!wanted || children_.contains(RoleId::nft)) return refuse(Error{"nft cannot be run now"});
  // Who observes need not have it, until somebody arms the daemon.
  auto found = g.nft ? Result<UniqueFd>(UniqueFd()) : open_binary(role(RoleId::nft));
  if (!found) return refuse(found.error());
  const std::string rules = rules_of(g);
  const auto text = sealed_copy("ruleset", std::as_bytes(std::span(rules)));
  if (!text) return refuse(text.error());
  if (lseek(text->get(), 0, SEEK_SET) != 0) return refuse(Error::from_errno("lseek", errno));
  const auto nft = spawn({.role = role(RoleId::nft),
                          .account = {},
                          .binary = g.nft ? g.nft.get() : found->get(),
                          .arguments = {"-f", "-"},
                          .descriptors = {},
                          .input = text->get()});
  if (!nft) return refuse(nft.error());
  children_[RoleId::nft] = *nft;
  traps_loaded_ = traps_loaded_ || has_traps(g);
  nft_deadline_ = std::chrono::steady_clock::now() + kNftPatience;
}

// ---- commands -----------------------------------------------------------------------------------

void Launcher::run_command(const LauncherRequest& request) {
  const auto command = command_of(
      request, [this](Protocol protocol) { return mode_of(reload_.current().config, protocol); });
  if (!command) return broken("asked for a command with impossible values");
  commands_.start(*command, request.generation, std::chrono::steady_clock::now());
}

void Launcher::tell_commands() {
  const CommandEvents events = commands_.take();
  for (const auto& output : events.outputs)
    tell({.kind = LauncherEventKind::command_output, .id = output.id}, output.pipe.get());
  for (const auto& done : events.finished) {
    tell({.kind = LauncherEventKind::command_done,
          .code = done.error,
          .which = static_cast<std::uint32_t>(done.verdict),
          .id = done.id,
          .generation = commands_.route_generation()});
  }
}

// ---- the end ------------------------------------------------------------------------------------

void Launcher::tell(const LauncherEvent& event, int passed) {
  if (!link_) return;
  const auto sent = link_->send(std::as_bytes(std::span(&event, 1)), passed);
  if (sent == Channel::Sent::full) {
    complain("the enforcer half does not read: stopping");
    fail(kExitRuntime);
  }
}

void Launcher::broken(const std::string& what) {
  complain("the enforcer half " + what + ": stopping");
  fail(kExitRuntime);
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
  const bool was_stopping = std::exchange(stopping_, true);  // a child's end is no news any more
  const Time begin = std::chrono::steady_clock::now();
  const auto kill_all = [this] {
    for (const auto& [id, pid] : children_)
      kill(pid, SIGKILL);
    end_successor();
  };
  if (!was_stopping) {
    kill_all();
    commands_.kill_all();
  }
  commands_.drop_waiting_routes();
  bool patient = true;
  while (!children_.empty() || successor_ || !retired_.empty() || commands_.running() > 0) {
    const Time now = std::chrono::steady_clock::now();
    if (patient && now >= begin + kPatience) {
      patient = false;
      if (was_stopping && !children_.empty())
        complain("somebody did not stop in time and is killed");
      kill_all();
    }
    commands_.expire(now);
    if (now >= begin + kCommandsPatience) commands_.kill_all();
    // Whoever was killed ends, as soon as the kernel has taken it apart.
    pollfd polled{signals_.get(), POLLIN, 0};
    poll(&polled, 1, 50);
    on_signal();
    static_cast<void>(commands_.take());
  }
  if (enforcer_lost_) stop_traps();
}

// In place of the enforcer half, which could not. They would end by themselves in three minutes.
void Launcher::stop_traps() {
  const Generation& g = reload_.current();
  if (!traps_loaded_ || !g.nft) return;
  const auto text = sealed_copy("rules", std::as_bytes(std::span(kStopTraps)));
  if (!text || lseek(text->get(), 0, SEEK_SET) != 0) return;
  const auto nft = spawn({.role = role(RoleId::nft),
                          .account = {},
                          .binary = g.nft.get(),
                          .arguments = {"-f", "-"},
                          .descriptors = {},
                          .input = text->get()});
  if (!nft) return;
  children_[RoleId::nft] = *nft;
  const Time begin = std::chrono::steady_clock::now();
  while (children_.contains(RoleId::nft)) {
    if (std::chrono::steady_clock::now() >= begin + kPatience) kill_child(RoleId::nft, SIGKILL);
    pollfd polled{signals_.get(), POLLIN, 0};
    poll(&polled, 1, 50);
    on_signal();
  }
}

}  // namespace portsentry::enforcer
