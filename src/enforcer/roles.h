// Who becomes what. One row per process: its binary, its user, the capabilities it starts with and
// the descriptors it is born with. spawn() is the only place where a process of ours is made. (The
// owner's commands are no processes of ours, have no row, and are started in commands.cc.)
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry::enforcer {

enum class RoleId : std::uint8_t { enforcer, monitor, sensor, nft, resolver, hosts_deny, scout };

struct Role {
  RoleId id;
  std::string_view title;  // argv[0]
  std::string_view
      binary;             // beside this binary (build tree) or in libexec; nft: fixed system paths
  std::string_view user;  // "root" or an account of its own
  std::span<const int> capabilities;  // permitted, effective, ambient and bounding set at exec
  bool keeps_stdout;  // the monitor writes the log there; everybody else gets /dev/null
};

const Role& role(RoleId id);

// What the launcher itself may use: the union of what it hands out, and what handing out takes. Its
// bounding set stays as it was, because the owner's commands are root's commands.
std::span<const int> launcher_capabilities();

struct Account {
  unsigned uid = 0;
  unsigned gid = 0;
};
// The accounts of all roles must exist before anything is touched. Error names the missing one.
Result<Account> account_of(const Role& role);

// The groups whose members may use the control socket: to look, and to change something. Nothing:
// there is no such group on this machine, or it is root's.
struct ControlGroups {
  std::optional<unsigned> view;   // portsentry-view
  std::optional<unsigned> admin;  // portsentry-admin
  [[nodiscard]] bool any() const { return view || admin; }
};
ControlGroups control_groups();

// Opened once at start and executed by descriptor: a sensor that is started again after an upgrade
// is still the build that this monitor understands.
Result<UniqueFd> open_binary(const Role& role);

// RLIMIT_NOFILE of our processes, unless their plan says more.
inline constexpr std::size_t kFewDescriptors = 256;

// A descriptor of ours and the number it shall have in the child.
struct Inherited {
  int ours;
  int theirs;
};

struct SpawnPlan {
  const Role& role;
  Account account;
  int binary;                          // from open_binary
  std::vector<std::string> arguments;  // after argv[0]
  std::vector<Inherited> descriptors;  // besides 0, 1, 2; numbers from 3 upwards
  int input = -1;                      // becomes descriptor 0; /dev/null when -1
  std::size_t descriptor_limit = kFewDescriptors;
};

// fork, close, limit, become, exec. The child is its own session and dies with this process.
Result<pid_t> spawn(const SpawnPlan& plan);

// The same without becoming anybody: for -t, which any user may run.
Result<pid_t> spawn_check(const SpawnPlan& plan);

}  // namespace portsentry::enforcer
