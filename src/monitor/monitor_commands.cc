// The owner's commands and the line of hosts.deny: when they are asked for, and what came of them.
// None of it is a ban, and none is reported as one.
#include "monitor/command_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {

// A command that is not configured is not asked for; root judges it by its own reading again.
// True: it was asked for, and its Outcome will come.
bool Monitor::run(Command command, const Source& source, const BanCause& cause, Now now) {
  const bool external = command == Command::external;
  const Config& config = setup_.config;
  if ((external ? config.external_command : config.kill_run_cmd).empty()) return false;
  const auto kind = external ? Hooks::Kind::external : Hooks::Kind::run_cmd;
  switch (hooks_.may_run(kind, source, now)) {
    case Hooks::Answer::same_scan:
      tally_.commands_same_scan += 1;
      return false;
    case Hooks::Answer::over_budget:
      tally_.commands_over_budget += 1;
      return false;
    case Hooks::Answer::run:
      break;
  }
  const std::uint64_t id = next_run_++;
  runs_.emplace(id, Run{command, source,
                        external ? words::external_command(config, source, cause)
                                 : words::kill_run_cmd(config, source, cause)});
  owe(RunCommand{id, command, source, cause}, now);
  return true;
}

// The firewall has answered for the first time: what else the configuration wants for a source that
// is to be cut off is done now, also where the firewall failed. Not where the guard said no.
void Monitor::first_answer(const Bans::Answer& answer, Now now) {
  const auto probe = asked_for_.find(answer.source);
  if (probe == asked_for_.end()) return;
  asked_for_.erase(probe);
  const bool wanted =
      answer.change == Bans::Change::enforced || answer.change == Bans::Change::later;
  if (!wanted) return;
  const Config& config = setup_.config;
  if (!config.kill_hosts_deny.empty()) {
    bans_.wrapped(answer.source);
    // A line that no row tells of would stay for ever if the machine stopped now: acknowledged() asks
    // for that of a ban, and without one it waits for a row of its own.
    if (answer.change == Bans::Change::later) {
      remember_line(answer.source, now);
      after_commit(
          [this, source = answer.source, number = answer.ban.number](Now) {
            const Bans::Ban* ban = bans_.find(source);
            if (ban != nullptr && ban->number == number) wrappers_.want(source, ban->cause, true);
          },
          false);
    }
  }
  if (!config.kill_run_cmd_first) run(Command::run_cmd, answer.source, answer.ban.cause, now);
}

void Monitor::unwrap(const Source& source, Now now) {
  remember_line(source, now);
  wrappers_.want(source, {Protocol::tcp, *Port::make(1)}, false);
  pump(now);
}

bool Monitor::on_run_outcome(const Outcome& outcome, Now now) {
  const auto found = runs_.find(outcome.id);
  const Run run = found->second;
  runs_.erase(found);
  // With KILL_RUN_CMD_FIRST, a ban waits for this, however it ended.
  if (run.command == Command::run_cmd) bans_.release(run.source, now);
  if (outcome.verdict == Verdict::ok) {
    tally_.commands_ok += 1;
    log_limited(run.source, lines_.external_run(run.source, run.text), now);
  } else {
    tally_.commands_failed += 1;
    log_limited(run.source,
                lines_.command_failed(run.command, run.source, outcome.verdict, outcome.error),
                now);
  }
  return true;
}

bool Monitor::on_wrappers_outcome(const Outcome& outcome, Now now) {
  const auto answer = wrappers_.answer(outcome, now);
  if (!answer) return false;
  const Source& source = answer->source;
  const bool quiet = quiet_lines_.erase(source) > 0;
  if (answer->done) {
    if (quiet && answer->added) return true;
    (answer->added ? tally_.hosts_deny_added : tally_.hosts_deny_removed) += 1;
    if (answer->added) {
      log_limited(source,
                  lines_.blocked_by_wrappers(source, words::hosts_deny(setup_.config, source)),
                  now);
    }
    if (!answer->added && bans_.find(source) == nullptr) forget(source);
    return true;
  }
  // Without KILL_HOSTS_DENY root edits nothing: a line that an earlier configuration asked for stays.
  if (answer->gave_up) tally_.hosts_deny_failed += 1;
  if (answer->news) {
    const Command command = answer->added ? Command::hosts_deny_add : Command::hosts_deny_remove;
    log_limited(source, lines_.command_failed(command, source, outcome.verdict, outcome.error),
                now);
  }
  return true;
}

// Sent before the command's Outcome, so that the request is still open.
bool Monitor::on(const CommandOutput& output, Now) {
  if (const auto run = runs_.find(output.id); run != runs_.end()) {
    output_of_ = run->second.source;
  } else if (const auto ban = bans_.asked(output.id)) {
    output_of_ = ban->source;
  } else if (const auto wrapped = wrappers_.asked(output.id)) {
    output_of_ = *wrapped;
  } else {
    return false;
  }
  return true;
}

void Monitor::command_said(const Source& source, std::string_view line, Now now) {
  log_limited(source, lines_.command_said(source, line), now);
}

}  // namespace portsentry::monitor
