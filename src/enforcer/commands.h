// The owner's command templates, run as short-lived children of the launcher. Single-threaded, for
// a poll loop: nothing here waits.
//
// Three lanes, so that none can hold up another:
//   firewall    KILL_ROUTE and its undo: one at a time, in the order asked for. An Unban can so
//               never overtake its Ban, and iptables (legacy) never meets its own lock held by us.
//   hosts.deny  one editor at a time; whatever was asked meanwhile goes into its next batch.
//   hooks       EXTERNAL_COMMAND and KILL_RUN_CMD: kMaxHooks at once, ten of each kind a minute.
// Together at most eight children, and one for each KILL_ROUTE that a reload has replaced and whose
// bans are being undone (command_sets.h); a legacy iptables that meets the lock of such an undo fails
// with its status 4, and is tried again. Each lane has a queue of kMaxQueued; beyond it a request is
// refused (command_not_run with error 0): nothing is forgotten silently.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "common/templates.h"
#include "common/unique_fd.h"
#include "enforcer/hosts_deny.h"

namespace portsentry::enforcer {

enum class CommandKind : std::uint8_t {
  kill_route,     // a ban that is new
  restore_route,  // a ban of an earlier run: the undo goes first and its result is ignored, so that
                  // a rule that outlived us neither stands twice nor makes this one fail
  undo_route,     // KILL_ROUTE_REMOVE, or what undo() derived
  external_command,
  kill_run_cmd,
  hosts_deny_add,
  hosts_deny_remove,
};

struct CommandRequest {
  std::uint64_t id;
  CommandKind kind;
  CommandValues values;
};

// The templates of one generation of the configuration; "" means not set.
struct CommandTexts {
  std::string kill_route;
  std::string kill_route_remove;
  std::string kill_run_cmd;
  std::string external_command;
  std::string kill_hosts_deny;
};

// What the launcher passes on, in this order: any number of outputs, then one end per request.
struct CommandOutput {
  std::uint64_t id;
  UniqueFd pipe;  // read end, non-blocking; the monitor reads it, root never does
};
struct CommandFinished {
  std::uint64_t id;
  Verdict verdict;     // ok, command_* or no_command; over_budget: a hook above its ten a minute
  std::int32_t error;  // exit status, signal, errno; 0 where there is none
};
struct CommandEvents {
  std::vector<CommandOutput> outputs;
  std::vector<CommandFinished> finished;
};

inline constexpr std::size_t kMaxHooks = 6;  // with one firewall command and one editor: eight
inline constexpr std::size_t kMaxQueued = 256;
inline constexpr std::size_t kHooksAMinute = 10;  // of each of the two kinds
inline constexpr std::chrono::seconds kCommandPatience{10};

class Commands {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `editor`: this program (open_binary(role(RoleId::hosts_deny))), kept for as long as this lives.
  // `texts` were checked (describe() said no error); one that does not parse counts as not set.
  Commands(const CommandTexts& texts, UniqueFd editor);
  ~Commands() { kill_all(); }
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  // A committed reload. What runs goes on; what is queued runs by the new texts.
  void use(const CommandTexts& texts);

  // Runs the request now or later. Its CommandFinished comes from take(), perhaps at once.
  void start(const CommandRequest& request, TimePoint now);
  // Once at start, when KILL_HOSTS_DENY is set: an editor that was killed half-way in an earlier run
  // is finished or undone now and not at the next ban. Yields no CommandFinished.
  void recover_hosts_deny(TimePoint now);

  // A child was reaped. False: none of ours.
  bool ended(pid_t pid, int status, TimePoint now);

  // When expire() wants to be called; nothing while no child runs.
  [[nodiscard]] std::optional<TimePoint> deadline() const;
  // Kills the process groups whose time is over.
  void expire(TimePoint now);

  // What happened since the last call: after start(), ended() and expire().
  [[nodiscard]] CommandEvents take();

  // Firewall commands that have not begun are dropped: nobody is left who would know of their rules.
  void drop_waiting_routes();
  // SIGKILL to every process group; what is queued is dropped. The pids are still to be reaped
  // (ended() takes them).
  void kill_all();
  [[nodiscard]] std::size_t running() const { return children_.size(); }

 private:
  enum class Lane : std::uint8_t { firewall, hosts_deny, hooks };
  struct Child {
    pid_t pid;
    Lane lane;
    TimePoint deadline;
    bool timed_out = false;
    UniqueFd unread;                     // the output of one whose result is ignored
    UniqueFd exec_status;                // read end: an errno when exec failed
    std::vector<std::uint64_t> ids;      // one, or an editor's batch; empty for an ignored result
    std::optional<CommandRequest> then;  // what runs when this ended, whatever its result
    // Of an undo: what to ask when it failed, and what had failed when this is the asking. An
    // administrator may have removed the rule by hand: what is gone has been undone.
    std::vector<std::string> still_there;
    std::optional<CommandFinished> failed;
  };

  static Lane lane_of(CommandKind kind);
  [[nodiscard]] std::deque<CommandRequest>& queue(Lane lane);
  [[nodiscard]] std::size_t running_in(Lane lane) const;
  [[nodiscard]] const std::optional<Template>& chosen(CommandKind kind) const;
  [[nodiscard]] bool hook_allowed(CommandKind kind, TimePoint now);
  void finish(std::uint64_t id, Verdict verdict, std::int32_t error = 0);
  void pump(TimePoint now);
  void run_command(CommandRequest request, TimePoint now);
  // Error: it could not be started, by the errno.
  Result<Child> launch(const std::vector<std::string>& argv, Lane lane, const UniqueFd& output,
                       TimePoint now);
  [[nodiscard]] bool ask_whether_gone(const Child& child, const CommandFinished& failed,
                                      TimePoint now);
  void run_editor(TimePoint now);

  std::optional<Template> route_;
  std::optional<Template> undo_;
  std::optional<Template> run_cmd_;
  std::optional<Template> external_;
  std::string hosts_deny_line_;
  UniqueFd editor_;

  std::array<std::deque<CommandRequest>, 3> queues_;
  std::array<std::deque<TimePoint>, 2> recent_hooks_;  // of each kind, at most kHooksAMinute
  bool recover_ = false;
  std::vector<Child> children_;
  CommandEvents events_;
};

// Where a program without a '/' is looked for, and the PATH of every command.
inline constexpr char kCommandPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// The executable file that `program` names, by its path or in kCommandPath. Error: it is none.
Result<std::string> find_program(const std::string& program);

}  // namespace portsentry::enforcer
