// The launcher's part in a reload: what it reads, offers, starts and ends. The states are reload.h's.
#include <csignal>
#include <functional>
#include <string>
#include <utility>

#include "common/log.h"
#include "enforcer/launcher.h"
#include "enforcer/trap_rules.h"

namespace portsentry::enforcer {

void Launcher::begin_reload() {
  const GenerationReading reading = reload_.begin();
  for (const std::string& warning : reading.warnings)
    complain(warning);
  for (const Problem& problem : reading.problems)
    tell_problem(problem);
  if (reload_.under_way()) offer(*reload_.offered());
}

void Launcher::tell_problem(const Problem& problem) {
  complain("reload: " + problem.error.what);
  tell({.kind = LauncherEventKind::reload_failed,
        .code = problem.error.code,
        .which = static_cast<std::uint32_t>(problem.which)});
}

void Launcher::offer(const Generation& g) {
  const auto file = [&](ReloadedFile which, const UniqueFd& fd) {
    tell({.kind = LauncherEventKind::reload_file,
          .which = static_cast<std::uint32_t>(which),
          .generation = g.number},
         fd.get());
  };
  file(ReloadedFile::config, g.config_text);
  file(ReloadedFile::ignore, g.ignore_text);
  file(ReloadedFile::history, g.outputs.history);
  file(ReloadedFile::blocked, g.outputs.blocked);
  file(ReloadedFile::log_file, g.outputs.log_file);
  tell({.kind = LauncherEventKind::reload_offer,
        .code = reload_.new_watch() ? 1 : 0,
        .generation = g.number});
  reload_.forget_texts();
}

void Launcher::start_successor(std::uint32_t generation) {
  Error why{"generation " + std::to_string(generation) + " cannot come into force"};
  if (!successor_ && reload_.accept(generation)) {
    const auto sensor = start_sensor(*reload_.offered(), LauncherEventKind::successor_started);
    if (sensor) {
      successor_ = *sensor;
      return;
    }
    why = sensor.error();
  }
  complain("reload: " + why.what);
  reload_.over();
  tell({.kind = LauncherEventKind::reload_failed,
        .code = why.code,
        .which = static_cast<std::uint32_t>(ReloadProblem::other),
        .generation = generation});
}

void Launcher::commit(std::uint32_t generation) {
  // One that was to be followed has handed over and is silent; and one that has other orders than
  // those in force must not go on.
  const bool sensor_is_old = reload_.accepted() || reload_.new_watch();
  if (!reload_.commit(generation)) {
    complain("reload: generation " + std::to_string(generation) + " cannot come into force");
    tell({.kind = LauncherEventKind::reload_failed,
          .which = static_cast<std::uint32_t>(ReloadProblem::other),
          .generation = generation});
    end_successor();
    reload_.over();
    return;
  }
  const Generation& g = reload_.current();
  commands_.use(g.number, g.commands);
  if (!g.resolver) kill_child(RoleId::resolver, SIGKILL);
  tell_scope(g);
  tell_networks(g);
  const bool other_group = prepared_.feed.socket && prepared_.feed.group != g.config.nflog_group;
  const bool without = !prepared_.feed.socket && g.backend != Backend::none &&
                       why_no_traps(g.config) == NoTraps::none;
  if (other_group || without)
    complain("warning: HOLD or NFLOG_GROUP has changed, which counts from the next start on");
  tell({.kind = LauncherEventKind::reload_committed,
        .code = g.resolver ? 1 : 0,
        .which = static_cast<std::uint32_t>(g.backend),
        .id = commands_.route_generation(),
        .generation = g.number});
  put_successor_in_force(sensor_is_old);
}

void Launcher::tell_scope(const Generation& g) {
  tell({.kind = LauncherEventKind::scope,
        .code = has_traps(g) ? 1 : 0,
        .which = static_cast<std::uint32_t>(g.config.ban_scope),
        .id = std::hash<std::string>()(rules_of(g))});
  for (const auto& [first, last] : g.config.login_ports.ranges()) {
    tell({.kind = LauncherEventKind::login_ports,
          .which = first.number() | static_cast<std::uint32_t>(last.number()) << 16});
  }
}

void Launcher::put_successor_in_force(bool sensor_is_old) {
  if (successor_) {
    if (const auto old = children_.find(RoleId::sensor); old != children_.end()) {
      kill(old->second, SIGKILL);
      retired_.push_back(old->second);
    }
    children_[RoleId::sensor] = *std::exchange(successor_, std::nullopt);
  } else if (sensor_is_old) {
    // It ends like any sensor that dies, and another follows, with the new orders. The enforcer
    // counts on hearing of an end, also where there is none left to come.
    if (children_.contains(RoleId::sensor)) return kill_child(RoleId::sensor, SIGKILL);
    tell({.kind = LauncherEventKind::sensor_ended, .code = kExitRuntime});
  }
}

void Launcher::abandon(std::uint32_t generation) {
  if (reload_.offered() == nullptr || reload_.offered()->number != generation) return;
  reload_.over();
  end_successor();
}

void Launcher::end_successor() {
  if (!successor_) return;
  kill(*successor_, SIGKILL);
  retired_.push_back(*successor_);
  successor_.reset();
}

}  // namespace portsentry::enforcer
