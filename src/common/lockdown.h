// The steps by which a process gives up what it does not need. Each ends the process when it fails:
// there is no half-locked state, and no switch that turns one off.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/seccomp.h"

namespace portsentry {

// A directory or file that Landlock leaves reachable.
struct LandlockPath {
  std::string path;
  bool writable;
};

// Before exec, in the child, as root: supplementary groups cleared, gid and uid set (real,
// effective, saved), and only `keep` (libcap-ng CAP_ numbers) left in permitted, effective,
// inheritable, ambient and bounding set. For uid 0 the bounding set alone decides what an exec
// brings back.
void become(unsigned uid, unsigned gid, std::span<const int> keep);

// Nothing that this process executes gains a privilege by it (setuid, file capabilities). In the
// child before exec, and again wherever a later step depends on it. Never for command templates:
// setgid mailers need it off. restrict_files, drop_capabilities and seal imply it.
void no_new_privileges();

// Ends with this process: SIGKILL when `parent` dies. After the last credential change (such a
// change clears it, prctl(2)), and checks that `parent` is still the parent.
void die_with(int parent);

// Not dumpable (no core, /proc/self owned by root, no ptrace by the same user), no core file.
void undumpable();

// Landlock: nothing of the file system is reachable any more, except `paths`; no TCP connection can
// be made any more, except to `tcp_ports` of whatever host (kernels before 6.7 cannot restrict
// that).
void restrict_files(std::span<const LandlockPath> paths,
                    std::span<const std::uint16_t> tcp_ports = {});

// Drops every capability from every set (or all but `keep` from permitted and effective), sets
// no_new_privs, then tries to take capabilities and root back and ends the process if that works.
void drop_capabilities(std::span<const int> keep);

// Last: the seccomp filter.
void seal(const SyscallPolicy& policy);

}  // namespace portsentry
