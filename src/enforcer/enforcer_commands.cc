#include "enforcer/enforcer.h"

#include <string>
#include <utility>

#include "common/log.h"
#include "enforcer/commands.h"
#include "enforcer/guard.h"

namespace portsentry::enforcer {
namespace {

// Somewhat more than a command may take: it ends with the command.
constexpr std::chrono::seconds kHoldForCommand{kCommandPatience + std::chrono::seconds(5)};

// How many commands may be with the launcher at a time. Its link holds some 270 messages, and each
// run is at most two of them: so neither half ever finds it full.
constexpr std::size_t kRunsAtATime = 100;

}  // namespace

// By this: the owner's own commands, about sources that the guard lets through, as often as the
// budgets here and in the launcher allow. Which command, and every word of it, is root's.
void Enforcer::handle(const RunCommand& wanted) {
  const auto judged = [&](LauncherCommand command) {
    const Verdict verdict = judge(wanted.source, std::chrono::seconds(1), parts_.view(), networks_);
    if (verdict != Verdict::ok) return tell(Outcome{wanted.id, verdict, 0});
    run(wanted.id, command, wanted.source, wanted.cause);
  };
  if (wanted.command == Command::hosts_deny_remove) {  // gives back, and so costs nothing
    return run(wanted.id, LauncherCommand::hosts_deny_remove, wanted.source, wanted.cause);
  }
  if (!additions_.spend(Clock::now())) return tell(Outcome{wanted.id, Verdict::over_budget, 0});
  switch (wanted.command) {
    case Command::external:  // tells somebody, and nobody is cut off by it
      return run(wanted.id, LauncherCommand::external, wanted.source, wanted.cause);
    case Command::run_cmd:
      return judged(LauncherCommand::run_cmd);
    case Command::hosts_deny_add:
      return judged(LauncherCommand::hosts_deny_add);
    case Command::hosts_deny_remove:
      return;
  }
}

bool Enforcer::has_room_for_a_run() const {
  return runs_.size() < kRunsAtATime;
}

void Enforcer::start_run(Run run, std::uint32_t generation) {
  if (!has_room_for_a_run()) {
    if (run.id != 0) tell(Outcome{run.id, Verdict::over_budget, 0});
    return;
  }
  // Until the command has cut it off.
  if (run.command == LauncherCommand::kill_route && run.cause && has_traps())
    static_cast<void>(parts_.firewall->hold(run.source, kHoldForCommand));
  last_run_ += 1;
  LauncherRequest request = run_request(last_run_, run.command, run.source, run.cause);
  request.generation = generation;
  runs_.emplace(last_run_, std::move(run));
  ask(request);
}

void Enforcer::run(std::uint64_t id, LauncherCommand command, const Source& source,
                   const std::optional<BanCause>& cause) {
  start_run({.id = id, .command = command, .source = source, .cause = cause}, 0);
}

void Enforcer::undo_route(std::uint64_t id, const Source& source) {
  const auto made = routed_.find(source);
  start_run({.id = id,
             .command = LauncherCommand::kill_route_remove,
             .source = source,
             .cause = std::nullopt},
            made != routed_.end() ? made->second : 0);
}

// A source that an earlier generation's KILL_ROUTE cut off is let go by what undoes that one first,
// and only then cut off again: the other way round could take the new rule away.
void Enforcer::run_route(std::uint64_t id, LauncherCommand command, const Source& source,
                         const std::optional<BanCause>& cause) {
  const auto made = routed_.find(source);
  // While the launcher switches, which of the two it will run is not known here.
  const bool same =
      made != routed_.end() && made->second == route_generation_ && offer_ != Offer::committing;
  if (made == routed_.end() || same) return run(id, command, source, cause);
  start_run({.id = id,
             .command = LauncherCommand::kill_route_remove,
             .source = source,
             .cause = cause,
             .then = command},
            made->second);
}

void Enforcer::command_output(const LauncherEvent& event, UniqueFd pipe) {
  const auto known = runs_.find(event.id);
  if (known == runs_.end() || !pipe) fatal("the launcher sent output of nothing: stopping");
  Run& run = known->second;
  if (run.id == 0 || run.then != LauncherCommand::none) {
    run.unread = std::move(pipe);
  } else {
    tell(portsentry::CommandOutput{run.id}, pipe.get());
  }
}

void Enforcer::command_done(const LauncherEvent& event) {
  const auto known = runs_.find(event.id);
  const auto verdict = verdict_of(event.which);
  if (known == runs_.end() || !verdict) fatal("the launcher ended what was not run: stopping");
  const Run run = std::move(known->second);
  runs_.erase(known);
  const bool undone = run.command == LauncherCommand::kill_route_remove;
  const bool made =
      run.command == LauncherCommand::kill_route || run.command == LauncherCommand::restore_route;
  if (run.then != LauncherCommand::none) {
    // Whatever became of it: a rule that cannot be taken back is no reason for no ban.
    routed_.erase(run.source);
    return this->run(run.id, run.then, run.source, run.cause);
  }
  // Cut off, or not: the command was judge of that.
  if (made && has_traps()) static_cast<void>(parts_.firewall->release(run.source));
  if (verdict == Verdict::ok) {
    if (undone) routed_.erase(run.source);
    if (made && routed_.size() < kRestoreLimit) routed_[run.source] = event.generation;
    // A ban that nftables held before a reload is held, or ended, by the command from here on: one
    // ban, one place that ends it. A source that is not in the set is no error.
    if ((made || undone) && table_made_ && backend_ == Backend::command)
      static_cast<void>(parts_.firewall->unban(run.source).has_value());
  }
  if (run.id != 0) tell(Outcome{run.id, *verdict, event.code});
}

}  // namespace portsentry::enforcer
