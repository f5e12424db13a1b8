#include "enforcer/commands.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "common/log.h"
#include "enforcer/roles.h"

namespace portsentry::enforcer {
namespace {

constexpr char kShell[] = "/bin/sh";

std::optional<Template> parsed(const std::string& text) {
  if (text.empty()) return std::nullopt;
  auto made = Template::parse(text);
  if (!made) return std::nullopt;
  return std::move(*made);
}

bool is_program(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Result<Pipe> make_pipe(int flags) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), flags | O_CLOEXEC) != 0) return Error::from_errno("pipe2", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// For what a command prints that nobody shall see.
Result<Pipe> make_sink() {
  UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!null) return Error::from_errno("open /dev/null", errno);
  return Pipe{UniqueFd(), std::move(null)};
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& w : words)
    out.push_back(w.data());
  out.push_back(nullptr);
  return out;
}

constexpr int kStatus = 3;  // the child's end of exec_status

// Tells the launcher by which errno the child could not become the command. The text of a failure
// would have nobody to read it.
[[noreturn]] void give_up(int why) {
  static_cast<void>(!write(kStatus, &why, sizeof(why)));
  _exit(kExitRuntime);
}

// The child, from fork to exec. Unlike our own processes it keeps every privilege that the daemon
// was started with, and no_new_privs stays off: this is the administrator's command, and a setgid
// mailer must work. Nothing in it was written by anybody but the administrator, except typed values.
[[noreturn]] void become_command(const std::string& path, std::vector<std::string> argv, int output,
                                 int status, pid_t launcher) {
  // Its own session, so that a signal from a terminal stops the launcher alone; and its own group,
  // so that all of it can be killed.
  setsid();
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(signal, &standard, nullptr);  // fails for SIGKILL and SIGSTOP
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);

  // Out of the way of 0..3 first.
  const int far_status = fcntl(status, F_DUPFD_CLOEXEC, 16);
  const int far_output = fcntl(output, F_DUPFD_CLOEXEC, 16);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int far_null = null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, 16);
  if (far_status < 0 || dup3(far_status, kStatus, O_CLOEXEC) < 0) _exit(kExitRuntime);
  if (far_output < 0 || far_null < 0 || dup2(far_null, STDIN_FILENO) < 0 ||
      dup2(far_output, STDOUT_FILENO) < 0 || dup2(far_output, STDERR_FILENO) < 0 ||
      close_range(kStatus + 1, ~0U, 0) != 0)
    give_up(errno);
  umask(022);
  if (chdir("/") != 0) give_up(errno);
  // Without the launcher nobody would end it after its ten seconds. (A set-id program loses this at
  // exec, prctl(2); the service manager's own group then is what is left.)
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(errno);
  if (getppid() != launcher) _exit(kExitRuntime);

  std::string search = std::string("PATH=") + kCommandPath;
  std::string locale = "LC_ALL=C";
  const std::array<char*, 3> environment{search.data(), locale.data(), nullptr};
  execve(path.c_str(), pointers(argv).data(), environment.data());
  if (errno == ENOEXEC) {
    // A script without "#!", which system(3) ran too.
    argv.front() = path;
    argv.insert(argv.begin(), kShell);
    execve(kShell, pointers(argv).data(), environment.data());
  }
  give_up(errno);
}

// An errno that the child wrote before it gave up; 0 when it became the command.
int exec_error(const UniqueFd& status) {
  int why = 0;
  return read(status.get(), &why, sizeof(why)) == static_cast<ssize_t>(sizeof(why)) ? why : 0;
}

}  // namespace

Result<std::string> find_program(const std::string& program) {
  if (program.find('/') != std::string::npos) {
    if (is_program(program)) return program;
    return Error{"program " + program + " does not exist", ENOENT};
  }
  std::string_view rest = kCommandPath;
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    std::string path = std::string(directory) + "/" + program;
    if (is_program(path)) return path;
  }
  return Error{"program " + program + " does not exist", ENOENT};
}

Commands::Commands(const CommandTexts& texts, UniqueFd editor) : editor_(std::move(editor)) {
  use(texts);
}

void Commands::use(const CommandTexts& texts) {
  route_ = parsed(texts.kill_route);
  undo_ = parsed(texts.kill_route_remove);
  if (!undo_ && route_) undo_ = undo(*route_);
  run_cmd_ = parsed(texts.kill_run_cmd);
  external_ = parsed(texts.external_command);
  hosts_deny_line_ =
      hosts_deny_line_fault(texts.kill_hosts_deny).empty() ? texts.kill_hosts_deny : "";
}

Commands::Lane Commands::lane_of(CommandKind kind) {
  switch (kind) {
    case CommandKind::kill_route:
    case CommandKind::restore_route:
    case CommandKind::undo_route:
      return Lane::firewall;
    case CommandKind::external_command:
    case CommandKind::kill_run_cmd:
      return Lane::hooks;
    case CommandKind::hosts_deny_add:
    case CommandKind::hosts_deny_remove:
      return Lane::hosts_deny;
  }
  return Lane::hooks;
}

std::deque<CommandRequest>& Commands::queue(Lane lane) {
  return queues_.at(static_cast<std::size_t>(lane));
}

std::size_t Commands::running_in(Lane lane) const {
  return static_cast<std::size_t>(std::count_if(children_.begin(), children_.end(),
                                                [&](const Child& c) { return c.lane == lane; }));
}

const std::optional<Template>& Commands::chosen(CommandKind kind) const {
  static constexpr std::optional<Template> kNone;
  switch (kind) {
    case CommandKind::kill_route:
    case CommandKind::restore_route:
      return route_;
    case CommandKind::undo_route:
      return undo_;
    case CommandKind::external_command:
      return external_;
    case CommandKind::kill_run_cmd:
      return run_cmd_;
    case CommandKind::hosts_deny_add:
    case CommandKind::hosts_deny_remove:
      break;
  }
  return kNone;
}

// Exactly ten in any sixty seconds, however they are spread.
bool Commands::hook_allowed(CommandKind kind, TimePoint now) {
  auto& recent = recent_hooks_.at(kind == CommandKind::external_command ? 0 : 1);
  while (!recent.empty() && now - recent.front() >= std::chrono::minutes(1))
    recent.pop_front();
  if (recent.size() >= kHooksAMinute) return false;
  recent.push_back(now);
  return true;
}

void Commands::finish(std::uint64_t id, Verdict verdict, std::int32_t error) {
  events_.finished.push_back({.id = id, .verdict = verdict, .error = error});
}

void Commands::start(const CommandRequest& request, TimePoint now) {
  const Lane lane = lane_of(request.kind);
  const bool configured = request.kind == CommandKind::hosts_deny_add ? !hosts_deny_line_.empty()
                          : request.kind == CommandKind::hosts_deny_remove
                              ? true  // an entry of ours may outlive its key
                              : chosen(request.kind).has_value();
  if (!configured) return finish(request.id, Verdict::no_command);
  if (queue(lane).size() >= kMaxQueued) return finish(request.id, Verdict::command_not_run);
  if (lane == Lane::hooks && !hook_allowed(request.kind, now))
    return finish(request.id, Verdict::over_budget);
  queue(lane).push_back(request);
  pump(now);
}

void Commands::recover_hosts_deny(TimePoint now) {
  recover_ = true;
  pump(now);
}

void Commands::pump(TimePoint now) {
  const auto has_room = [&](Lane lane, std::size_t width) {
    return !queue(lane).empty() && running_in(lane) < width;
  };
  const auto run_next = [&](Lane lane) {
    const CommandRequest next = queue(lane).front();
    queue(lane).pop_front();
    run_command(next, now);
  };
  while (has_room(Lane::firewall, 1))
    run_next(Lane::firewall);
  while (has_room(Lane::hooks, kMaxHooks))
    run_next(Lane::hooks);
  while ((recover_ || !queue(Lane::hosts_deny).empty()) && running_in(Lane::hosts_deny) == 0)
    run_editor(now);
}

void Commands::run_command(CommandRequest request, TimePoint now) {
  const std::optional<Template>& wanted =
      request.kind == CommandKind::restore_route ? undo_ : chosen(request.kind);
  const bool first_of_two = request.kind == CommandKind::restore_route;
  // A restored ban whose undo is unknown is simply made.
  const auto go_on = [&](Verdict verdict, std::int32_t error) {
    if (!first_of_two) return finish(request.id, verdict, error);
    request.kind = CommandKind::kill_route;
    run_command(request, now);
  };
  if (!wanted) return go_on(Verdict::no_command, 0);
  const auto command = request.values.source.is_v4() ? wanted : twin(*wanted);
  const auto argv = command ? command->argv(request.values) : std::nullopt;
  if (!argv) return go_on(Verdict::no_command, 0);
  auto output = first_of_two ? make_sink() : make_pipe(0);
  if (!output) return go_on(Verdict::command_not_run, output.error().code);
  auto child = launch(*argv, lane_of(request.kind), output->write_end, now);
  if (!child) return go_on(Verdict::command_not_run, child.error().code);
  if (first_of_two) {
    request.kind = CommandKind::kill_route;
    child->then = request;
  } else {
    child->ids.push_back(request.id);
    if (request.kind == CommandKind::undo_route) {
      const auto question = still_there(*command);
      child->still_there = question
                               ? question->argv(request.values).value_or(std::vector<std::string>())
                               : std::vector<std::string>();
    }
    // The reader must never wait, also when a grandchild keeps the other end for ever.
    fcntl(output->read_end.get(), F_SETFL, O_NONBLOCK);
    events_.outputs.push_back({.id = request.id, .pipe = std::move(output->read_end)});
  }
  children_.push_back(std::move(*child));
}

Result<Commands::Child> Commands::launch(const std::vector<std::string>& argv, Lane lane,
                                         const UniqueFd& output, TimePoint now) {
  const auto path = find_program(argv.front());
  if (!path) return path.error();
  auto status = make_pipe(O_NONBLOCK);
  if (!status) return status.error();
  const pid_t launcher = getpid();
  const pid_t pid = fork();
  if (pid < 0) return Error::from_errno("fork", errno);
  if (pid == 0) become_command(*path, argv, output.get(), status->write_end.get(), launcher);
  return Child{.pid = pid,
               .lane = lane,
               .deadline = now + kCommandPatience,
               .exec_status = std::move(status->read_end),
               .ids = {},
               .then = {},
               .still_there = {},
               .failed = {}};
}

bool Commands::ask_whether_gone(const Child& child, const CommandFinished& failed, TimePoint now) {
  if (child.still_there.empty()) return false;
  const auto nowhere = make_sink();
  auto asking = nowhere ? launch(child.still_there, child.lane, nowhere->write_end, now)
                        : Result<Child>(nowhere.error());
  if (!asking) return false;
  asking->failed = failed;
  children_.push_back(std::move(*asking));
  return true;
}

void Commands::run_editor(TimePoint now) {
  recover_ = false;
  HostsDenyBatch batch{.line = hosts_deny_line_, .changes = {}};
  std::vector<std::uint64_t> ids;
  auto& waiting = queue(Lane::hosts_deny);
  while (!waiting.empty() && batch.changes.size() < kMaxHostsDenyBatch) {
    const CommandRequest request = waiting.front();
    waiting.pop_front();
    const bool add = request.kind == CommandKind::hosts_deny_add;
    // The key may have gone with a reload while this waited.
    if (add && hosts_deny_line_.empty()) {
      finish(request.id, Verdict::no_command);
      continue;
    }
    batch.changes.push_back({.op = add ? HostsDenyChange::Op::add : HostsDenyChange::Op::remove,
                             .values = request.values});
    ids.push_back(request.id);
  }
  const auto memory = hosts_deny_batch(batch);
  const auto editor = memory ? spawn({.role = role(RoleId::hosts_deny),
                                      .account = {},
                                      .binary = editor_.get(),
                                      .arguments = {"--hosts-deny"},
                                      .descriptors = {{memory->get(), 3}}})
                             : Result<pid_t>(memory.error());
  if (!editor) {
    complain(editor.error().what);
    for (const std::uint64_t id : ids)
      finish(id, Verdict::command_not_run, editor.error().code);
    return;
  }
  children_.push_back({.pid = *editor,
                       .lane = Lane::hosts_deny,
                       .deadline = now + kCommandPatience,
                       .exec_status = {},
                       .ids = std::move(ids),
                       .then = {},
                       .still_there = {},
                       .failed = {}});
}

bool Commands::ended(pid_t pid, int status, TimePoint now) {
  const auto found = std::find_if(children_.begin(), children_.end(),
                                  [&](const Child& c) { return c.pid == pid; });
  if (found == children_.end()) return false;
  const Child child = std::move(*found);
  children_.erase(found);

  Verdict verdict = Verdict::ok;
  std::int32_t error = 0;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  if (const int why = child.exec_status ? exec_error(child.exec_status) : 0; why != 0) {
    verdict = Verdict::command_not_run;
    error = why;
  } else if (child.timed_out) {
    verdict = Verdict::command_timed_out;
  } else if (WIFSIGNALED(status)) {
    verdict = Verdict::command_killed;
    error = WTERMSIG(status);
  } else if (child.lane == Lane::hosts_deny && code > kEditorErrno) {
    verdict = Verdict::command_not_run;
    error = code - kEditorErrno;
  } else if (code != 0) {
    verdict = Verdict::command_failed;
    error = code;
  }
  if (child.failed) {
    const bool gone = verdict == Verdict::command_failed && error == 1;
    events_.finished.push_back(gone ? CommandFinished{child.failed->id, Verdict::ok, 0}
                                    : *child.failed);
  } else if (verdict == Verdict::command_failed && child.ids.size() == 1 &&
             ask_whether_gone(child, {child.ids.front(), verdict, error}, now)) {
    return true;  // it keeps the lane until the answer
  } else {
    for (const std::uint64_t id : child.ids)
      finish(id, verdict, error);
  }
  // Its second half keeps the lane: nothing of the same source may come between.
  if (child.then) run_command(*child.then, now);
  pump(now);
  return true;
}

std::optional<Commands::TimePoint> Commands::deadline() const {
  std::optional<TimePoint> first;
  for (const Child& child : children_) {
    if (!child.timed_out && (!first || child.deadline < *first)) first = child.deadline;
  }
  return first;
}

void Commands::expire(TimePoint now) {
  for (Child& child : children_) {
    if (child.timed_out || child.deadline > now) continue;
    child.timed_out = true;
    // Its own session and group, both of the child's number, which is not reused before we reap it.
    // The plain kill is for the instant before its setsid().
    kill(-child.pid, SIGKILL);
    kill(child.pid, SIGKILL);
  }
}

CommandEvents Commands::take() {
  return std::exchange(events_, {});
}

void Commands::drop_waiting_routes() {
  queue(Lane::firewall).clear();
}

void Commands::kill_all() {
  for (auto& waiting : queues_)
    waiting.clear();
  recover_ = false;
  for (Child& child : children_) {
    child.then.reset();
    kill(-child.pid, SIGKILL);
    kill(child.pid, SIGKILL);
  }
}

}  // namespace portsentry::enforcer
