#include "common/lockdown.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include "common/log.h"
#include "common/unique_fd.h"

namespace portsentry {
namespace {

// A step that fails ends the process, saying which step and why.
void must(bool done, std::string_view step) {
  if (done) return;
  const int why = errno;  // before the string's memory can touch it
  fatal(Error::from_errno(std::string(step), why).what, kExitPrivilege);
}

void set_process(int option, unsigned long value, std::string_view step) {
  must(prctl(option, value, 0UL, 0UL, 0UL) == 0, step);
}

// ---- Capabilities: libcap-ng sets them, plain system calls read them back ----------------------

using CapabilityMask = std::uint64_t;

constexpr CapabilityMask bit(int capability) {
  return CapabilityMask{1} << capability;
}

CapabilityMask mask_of(std::span<const int> capabilities) {
  CapabilityMask mask = 0;
  for (const int capability : capabilities)
    mask |= bit(capability);
  return mask;
}

struct CapabilitySets {
  CapabilityMask effective = 0;
  CapabilityMask permitted = 0;
  CapabilityMask inheritable = 0;
  CapabilityMask bounding = 0;
  CapabilityMask ambient = 0;
  bool operator==(const CapabilitySets&) const = default;
};

// capget(2), version 3: two halves of 32 bits each.
struct RawSets {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> halves{};
};

RawSets raw_sets() {
  RawSets raw;
  must(syscall(SYS_capget, &raw.header, raw.halves.data()) == 0, "capget");
  return raw;
}

// True for the capabilities that the running kernel has; the numbers have no gaps.
bool kernel_knows(int capability) {
  return capability < 64 && prctl(PR_CAPBSET_READ, capability) >= 0;
}

CapabilitySets current_sets() {
  CapabilitySets sets;
  const RawSets raw = raw_sets();
  for (std::size_t i = 0; i < raw.halves.size(); ++i) {
    const auto& half = raw.halves.at(i);
    sets.effective |= CapabilityMask{half.effective} << (32 * i);
    sets.permitted |= CapabilityMask{half.permitted} << (32 * i);
    sets.inheritable |= CapabilityMask{half.inheritable} << (32 * i);
  }
  for (int capability = 0; kernel_knows(capability); ++capability) {
    if (prctl(PR_CAPBSET_READ, capability) == 1) sets.bounding |= bit(capability);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0UL, 0UL) == 1) {
      sets.ambient |= bit(capability);
    }
  }
  return sets;
}

void shrink_bounding_set(CapabilityMask keep) {
  for (int capability = 0; kernel_knows(capability); ++capability) {
    if ((keep & bit(capability)) != 0) continue;
    must(prctl(PR_CAPBSET_DROP, capability, 0UL, 0UL, 0UL) == 0, "capabilities: bounding set");
  }
}

void apply_capabilities(std::span<const int> keep, unsigned sets, capng_select_t which,
                        std::string_view step) {
  capng_clear(CAPNG_SELECT_ALL);
  for (const int capability : keep) {
    must(capng_update(CAPNG_ADD, static_cast<capng_type_t>(sets),
                      static_cast<unsigned>(capability)) == 0,
         step);
  }
  must(capng_apply(which) == 0, step);
}

// The way back up is tried, by every door that is left. A door that opens ends the process.
void prove_no_way_back(CapabilityMask keep) {
  for (int capability = 0; kernel_knows(capability); ++capability) {
    if ((keep & bit(capability)) != 0) continue;
    RawSets more = raw_sets();
    auto& half = more.halves.at(static_cast<std::size_t>(capability) / 32);
    half.permitted |= 1U << (capability % 32);
    half.effective |= 1U << (capability % 32);
    if (syscall(SYS_capset, &more.header, more.halves.data()) == 0) {
      fatal("capabilities: number " + std::to_string(capability) + " could be taken back",
            kExitPrivilege);
    }
  }
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  must(getresuid(&real, &effective, &saved) == 0, "getresuid");
  // The enforcer stays uid 0 for the files that it owns; its capabilities are its rights.
  if (real == 0 && effective == 0 && saved == 0) return;
  if (real == 0 || effective == 0 || saved == 0) {
    fatal("user ids: only some of them were given up", kExitPrivilege);
  }
  if (setresuid(0, 0, 0) == 0 || setuid(0) == 0 || seteuid(0) == 0) {
    fatal("user ids: root could be taken back", kExitPrivilege);
  }
  gid_t real_group = 0;
  gid_t effective_group = 0;
  gid_t saved_group = 0;
  must(getresgid(&real_group, &effective_group, &saved_group) == 0, "getresgid");
  if (real_group == 0 || effective_group == 0 || saved_group == 0 || setresgid(0, 0, 0) == 0 ||
      setgid(0) == 0 || setegid(0) == 0) {
    fatal("group ids: group root was kept or could be taken back", kExitPrivilege);
  }
}

// ---- Landlock: landlock(7), linux/landlock.h ---------------------------------------------------

// Debian 12's header stops at ABI 2; the numbers of later ones are stable user-space API.
constexpr std::uint64_t kAccessTruncate = 1ULL << 14;     // ABI 3
constexpr std::uint64_t kAccessIoctlDevice = 1ULL << 15;  // ABI 5
constexpr std::uint64_t kNetBindTcp = 1ULL << 0;          // ABI 4
constexpr std::uint64_t kNetConnectTcp = 1ULL << 1;       // ABI 4
constexpr std::uint64_t kScopeAbstractUnix = 1ULL << 0;   // ABI 6
constexpr std::uint64_t kScopeSignal = 1ULL << 1;         // ABI 6

// struct landlock_ruleset_attr as of ABI 6; older kernels are given its beginning.
struct RulesetAttributes {
  std::uint64_t handled_files = 0;
  std::uint64_t handled_network = 0;
  std::uint64_t scoped = 0;
};
static_assert(sizeof(RulesetAttributes) == 24);

constexpr std::uint64_t kFileRightsAbi1 = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
constexpr std::uint64_t kReading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriting = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                                   LANDLOCK_ACCESS_FS_REMOVE_FILE | kAccessTruncate;
// What can be granted on something that is not a directory.
constexpr std::uint64_t kOnFiles =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kAccessTruncate;

// Everything that the running kernel can deny is denied.
RulesetAttributes all_rights(long abi) {
  RulesetAttributes all{.handled_files = kFileRightsAbi1};
  if (abi >= 2) all.handled_files |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) all.handled_files |= kAccessTruncate;
  if (abi >= 5) all.handled_files |= kAccessIoctlDevice;
  if (abi >= 4) all.handled_network = kNetBindTcp | kNetConnectTcp;
  if (abi >= 6) all.scoped = kScopeAbstractUnix | kScopeSignal;
  return all;
}

std::size_t attributes_size(long abi) {
  if (abi >= 6) return sizeof(RulesetAttributes);
  return abi >= 4 ? offsetof(RulesetAttributes, scoped)
                  : offsetof(RulesetAttributes, handled_network);
}

void grant(const UniqueFd& ruleset, const LandlockPath& path, std::uint64_t handled) {
  const std::string step = "landlock: " + path.path;
  const UniqueFd target(::open(path.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  must(static_cast<bool>(target), step);
  struct stat status {};
  must(fstat(target.get(), &status) == 0, step);
  if (S_ISLNK(status.st_mode)) fatal(step + ": is a link", kExitPrivilege);
  std::uint64_t rights = kReading | (path.writable ? kWriting : 0);
  if (!S_ISDIR(status.st_mode)) rights &= kOnFiles;
  landlock_path_beneath_attr rule{.allowed_access = rights & handled, .parent_fd = target.get()};
  must(syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) == 0,
       step);
}

// landlock_net_port_attr, its rule type and its right are ABI 4.
constexpr int kRuleNetPort = 2;
struct NetPortAttributes {
  std::uint64_t allowed = 0;
  std::uint64_t port = 0;
};

void grant_tcp(const UniqueFd& ruleset, std::uint16_t port) {
  const NetPortAttributes rule{.allowed = kNetConnectTcp, .port = port};
  must(syscall(SYS_landlock_add_rule, ruleset.get(), kRuleNetPort, &rule, 0U) == 0,
       "landlock: TCP port " + std::to_string(port));
}

}  // namespace

void become(unsigned uid, unsigned gid, std::span<const int> keep) {
  const CapabilityMask kept = mask_of(keep);
  must(setgroups(0, nullptr) == 0, "supplementary groups");
  // Before the ids change: PR_CAPBSET_DROP needs CAP_SETPCAP.
  shrink_bounding_set(kept);
  must(setresgid(gid, gid, gid) == 0, "group ids");
  // Without it a change away from uid 0 would empty the permitted set (capabilities(7)).
  set_process(PR_SET_KEEPCAPS, 1, "keep capabilities");
  must(setresuid(uid, uid, uid) == 0, "user ids");
  constexpr unsigned kFourSets =
      CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT;
  apply_capabilities(keep, kFourSets, CAPNG_SELECT_CAPS, "capabilities");
  apply_capabilities(keep, kFourSets, CAPNG_SELECT_AMBIENT, "ambient capabilities");
  set_process(PR_SET_KEEPCAPS, 0, "keep capabilities");

  if (getgroups(0, nullptr) != 0) fatal("supplementary groups: some were kept", kExitPrivilege);
  if (current_sets() != CapabilitySets{kept, kept, kept, kept, kept}) {
    fatal("capabilities: not what was asked for", kExitPrivilege);
  }
  prove_no_way_back(kept);
}

void no_new_privileges() {
  set_process(PR_SET_NO_NEW_PRIVS, 1, "no_new_privs");
}

void die_with(int parent) {
  set_process(PR_SET_PDEATHSIG, SIGKILL, "parent death signal");
  // The parent may have died before the line above: then no signal will ever come.
  if (getppid() != parent) fatal("the process that started this one is gone");
}

void undumpable() {
  set_process(PR_SET_DUMPABLE, 0, "undumpable");
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  must(setrlimit(RLIMIT_CORE, &none) == 0, "core file limit");
  if (prctl(PR_GET_DUMPABLE) != 0) fatal("undumpable: the kernel ignored it", kExitPrivilege);
}

void restrict_files(std::span<const LandlockPath> paths, std::span<const std::uint16_t> tcp_ports) {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0},
                           LANDLOCK_CREATE_RULESET_VERSION);
  must(abi > 0, "landlock: not offered by this kernel (CONFIG_SECURITY_LANDLOCK, lsm=landlock)");

  const RulesetAttributes all = all_rights(abi);
  const UniqueFd ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &all, attributes_size(abi), 0U)));
  must(static_cast<bool>(ruleset), "landlock: ruleset");
  for (const LandlockPath& path : paths)
    grant(ruleset, path, all.handled_files);
  if (all.handled_network != 0) {
    for (const std::uint16_t port : tcp_ports)
      grant_tcp(ruleset, port);
  }
  no_new_privileges();
  must(syscall(SYS_landlock_restrict_self, ruleset.get(), 0U) == 0, "landlock: restrict");

  // No caller grants the root directory, so it must be out of reach now.
  const UniqueFd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root) fatal("landlock: the root directory can still be read", kExitPrivilege);
}

void drop_capabilities(std::span<const int> keep) {
  const CapabilityMask kept = mask_of(keep);
  const CapabilitySets before = current_sets();
  no_new_privileges();
  set_process(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, "ambient capabilities");
  // The bounding set can only shrink with CAP_SETPCAP, which the launcher's children do not have:
  // become() shrank it for them. What is left there is inert, for a reason each: a non-root user
  // gains nothing by exec under no_new_privs; uid 0 gains at most the bounding set, so that one may
  // not hold more than it came with. (Securebits would say the same again, and need CAP_SETPCAP
  // too.)
  if ((before.effective & bit(CAP_SETPCAP)) != 0) {
    shrink_bounding_set(0);
  } else if (geteuid() == 0 && (before.bounding & ~before.permitted) != 0) {
    fatal("capabilities: the bounding set holds more than was given to this process",
          kExitPrivilege);
  }
  apply_capabilities(keep, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAPNG_SELECT_CAPS, "capabilities");

  const CapabilitySets now = current_sets();
  if (now.effective != kept || now.permitted != kept || now.inheritable != 0 || now.ambient != 0) {
    fatal("capabilities: not what was asked for", kExitPrivilege);
  }
  prove_no_way_back(kept);
}

void seal(const SyscallPolicy& policy) {
  if (const auto installed = install(policy); !installed) {
    fatal(installed.error().what, kExitPrivilege);
  }
}

}  // namespace portsentry
