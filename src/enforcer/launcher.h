// The half of the root program that can make processes but hears nobody except its other half and
// the kernel. Parent of all; fork, exec, open; nothing else.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/channel.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "enforcer/background.h"
#include "enforcer/command_sets.h"
#include "enforcer/generation.h"
#include "enforcer/launcher_link.h"
#include "enforcer/reload.h"
#include "enforcer/roles.h"
#include "enforcer/trap_feed.h"

namespace portsentry::enforcer {

struct TrapFeed {
  UniqueFd socket;  // see trap_feed.h; handed to sensors, never read here
  std::uint16_t group = 0;
};

// Everything that was opened and checked before the first process is made, and that no reload
// changes.
struct Prepared {
  ConfigSource source;
  Account monitor_account;
  Account sensor_account;
  Account scout_account;
  UniqueFd enforcer_binary;
  UniqueFd monitor_binary;
  UniqueFd sensor_binary;
  UniqueFd resolver_binary;
  UniqueFd scout_binary;
  UniqueFd editor_binary;  // of hosts.deny
  UniqueFd control;        // listening
  TrapFeed feed;           // without a socket where there are no traps
  std::string control_path;
  ControlGroups control_groups;
};

class Launcher {
 public:
  // `background` outlives the launcher.
  Launcher(Prepared prepared, Generation first, Background& background);

  // Starts enforcer and monitor, serves the link and reaps until the end. Returns the exit code:
  // 0 after SIGTERM or SIGINT, 78 when the monitor refused the configuration, 1 when a process that
  // must not die died. When it returns, no child is left.
  int run();

 private:
  using Time = std::chrono::steady_clock::time_point;

  Result<void> start();
  void on_signal();
  void on_request();
  void obey(const LauncherRequest& request);
  [[nodiscard]] int patience() const;
  void on_time();
  void reap();
  void child_ended(RoleId id, int status);
  Result<pid_t> start_sensor(const Generation& g, LauncherEventKind started);
  void spawn_sensor();
  void spawn_resolver();
  void spawn_scout();
  void tell_networks(const Generation& g);
  void load_ruleset();
  void run_command(const LauncherRequest& request);
  void tell_commands();
  // A reload; its states are reload.h's.
  void begin_reload();
  void offer(const Generation& g);
  void tell_problem(const Problem& problem);
  void start_successor(std::uint32_t generation);
  void commit(std::uint32_t generation);
  void put_successor_in_force(bool sensor_is_old);
  void abandon(std::uint32_t generation);
  void end_successor();
  void tell_scope(const Generation& g);
  [[nodiscard]] bool has_traps(const Generation& g) const;
  [[nodiscard]] std::string rules_of(const Generation& g) const;

  void tell(const LauncherEvent& event, int passed = -1);
  void broken(const std::string& what);
  void fail(int code);
  void kill_child(RoleId id, int signal);
  void finish();
  void stop_traps();

  Prepared prepared_;
  Reload reload_;
  CommandSets commands_;
  Background& background_;
  UniqueFd signals_;
  std::optional<Channel> link_;  // to the enforcer half
  std::map<RoleId, pid_t> children_;
  std::optional<pid_t> successor_;  // of the sensor
  std::vector<pid_t> retired_;      // killed, and nobody is to be told
  Time nft_deadline_;
  bool stopping_ = false;
  bool enforcer_lost_ = false;  // it did not end by itself
  bool traps_loaded_ = false;
  std::optional<int> exit_code_;
};

}  // namespace portsentry::enforcer
