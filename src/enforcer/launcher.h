// The half of the root program that can make processes but hears nobody except its other half and
// the kernel. Parent of all; fork, exec, open; nothing else.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>

#include "common/channel.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "enforcer/background.h"
#include "enforcer/launcher_link.h"
#include "enforcer/roles.h"

namespace portsentry::enforcer {

// Everything that was opened and checked before the first process is made.
struct Prepared {
  Account monitor_account;
  Account sensor_account;
  UniqueFd enforcer_binary;
  UniqueFd monitor_binary;
  UniqueFd sensor_binary;
  UniqueFd nft_binary;  // empty when no firewall is wanted
  UniqueFd config;      // sealed
  UniqueFd ignore;      // sealed
  UniqueFd ports;       // sealed PortSets
  UniqueFd history;     // append, or /dev/null
  UniqueFd blocked;     // append, or /dev/null
  UniqueFd control;     // listening
  std::string control_path;
  std::string config_path;
  std::string ignore_path;
};

class Launcher {
 public:
  // `background` outlives the launcher.
  Launcher(Prepared prepared, Background& background)
      : prepared_(std::move(prepared)), background_(background) {}

  // Starts enforcer and monitor, serves the link and reaps until the end. Returns the exit code:
  // 0 after SIGTERM or SIGINT, 78 when the monitor refused the configuration, 1 when a process that
  // must not die died. When it returns, no child is left.
  int run();

 private:
  Result<void> start();
  void on_signal();
  void on_request();
  void reap();
  void child_ended(RoleId id, int status);
  void spawn_sensor();
  void load_ruleset();
  int patience_with_nft();
  void tell(const LauncherEvent& event, int passed = -1);
  void fail(int code);
  void kill_child(RoleId id, int signal);
  void finish();

  Prepared prepared_;
  Background& background_;
  UniqueFd signals_;
  std::optional<Channel> link_;  // to the enforcer half
  std::map<RoleId, pid_t> children_;
  std::chrono::steady_clock::time_point nft_deadline_;
  bool stopping_ = false;
  std::optional<int> exit_code_;
};

}  // namespace portsentry::enforcer
