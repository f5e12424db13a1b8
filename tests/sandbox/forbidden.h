// What no sealed process may do: one row per call, with arguments that are harmless should a broken
// filter let it through.
#pragma once

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <csignal>
#include <string_view>

namespace portsentry::sandbox {

struct ForbiddenCall {
  const char* name;
  long number;
  std::array<long, 6> arguments{};
  // The same call stands in some table, with a condition that these arguments break.
  bool allowed_with_other_arguments = false;
  // The processes whose job it is, and which may.
  std::string_view except = {};
  [[nodiscard]] constexpr bool is_for(std::string_view process) const {
    return !except.empty() && except.find(process) != std::string_view::npos;
  }
};

inline constexpr long kNowhere = -1;  // a descriptor that is none

inline constexpr auto kForbidden = std::to_array<ForbiddenCall>({
    // Becoming another program.
    {"execve", SYS_execve},
    {"execveat", SYS_execveat, {kNowhere}},
    {"mmap executable",
     SYS_mmap,
     {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0},
     true},
    {"mmap write and execute",
     SYS_mmap,
     {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0},
     true},
    {"mmap of a file", SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE, 0, 0}, true},
    {"mprotect executable", SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}, true},
    {"pkey_mprotect", SYS_pkey_mprotect, {0, 0, PROT_READ, -1}},
    {"memfd_create", SYS_memfd_create},
    {"personality", SYS_personality, {0xffffffff}},
// Making processes, reaching into others.
#ifdef SYS_fork
    {"fork", SYS_fork},
#endif
    {"clone", SYS_clone, {SIGCHLD}},
    {"clone3", SYS_clone3},
    {"unshare", SYS_unshare},
    {"setns", SYS_setns, {kNowhere}},
    {"ptrace", SYS_ptrace, {-1}},
    {"process_vm_readv", SYS_process_vm_readv, {-1}},
    {"process_vm_writev", SYS_process_vm_writev, {-1}},
    {"kill", SYS_kill, {0, 0}},
    {"tkill", SYS_tkill, {-1, 0}},
    {"pidfd_open", SYS_pidfd_open, {-1}},
    {"pidfd_getfd", SYS_pidfd_getfd, {kNowhere}},
    {"pidfd_send_signal", SYS_pidfd_send_signal, {kNowhere}},
    {"kcmp", SYS_kcmp, {-1}},
// Files.
#ifdef SYS_open
    {"open", SYS_open},
#endif
    {"openat", SYS_openat, {AT_FDCWD}, true, "resolver, scout"},
    {"openat to write", SYS_openat, {AT_FDCWD, 0, O_WRONLY}, true},
    {"openat to create", SYS_openat, {AT_FDCWD, 0, O_RDONLY | O_CREAT}, true},
    {"openat2", SYS_openat2, {kNowhere}},
    {"open_by_handle_at", SYS_open_by_handle_at, {kNowhere}},
    {"unlinkat", SYS_unlinkat, {kNowhere}},
    {"renameat2", SYS_renameat2, {kNowhere, 0, kNowhere}},
    {"linkat", SYS_linkat, {kNowhere, 0, kNowhere}},
    {"symlinkat", SYS_symlinkat, {0, kNowhere}},
    {"mkdirat", SYS_mkdirat, {kNowhere}},
    {"fchmod", SYS_fchmod, {kNowhere}},
    {"fchownat", SYS_fchownat, {kNowhere}},
    {"chdir", SYS_chdir},
    {"chroot", SYS_chroot},
    {"pivot_root", SYS_pivot_root},
    {"mount", SYS_mount},
    {"umount2", SYS_umount2},
    {"readlinkat", SYS_readlinkat, {kNowhere}},
    {"getdents64", SYS_getdents64, {kNowhere}, false, "scout"},
    {"pwrite64", SYS_pwrite64, {kNowhere}, true},
    {"pwritev", SYS_pwritev, {kNowhere}},
    {"writev", SYS_writev, {kNowhere}, false, "resolver"},
    {"sendfile", SYS_sendfile, {kNowhere, kNowhere}},
    {"splice", SYS_splice, {kNowhere, 0, kNowhere}},
    {"ioctl", SYS_ioctl, {kNowhere}, true},
    {"fcntl F_DUPFD", SYS_fcntl, {kNowhere, F_DUPFD, 0}, true},
    {"fcntl F_SETFL", SYS_fcntl, {kNowhere, F_SETFL, 0}, true},
    {"fcntl F_SETOWN", SYS_fcntl, {kNowhere, F_SETOWN, 0}, true},
    // New descriptors.
    {"socket", SYS_socket, {AF_INET, SOCK_STREAM}, true},
    {"socket of the Unix family", SYS_socket, {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}, true},
    {"socket for packets", SYS_socket, {AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC}, true},
    {"socket for netlink", SYS_socket, {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC}, true},
    {"raw socket", SYS_socket, {AF_INET, SOCK_RAW | SOCK_CLOEXEC}, true},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
    {"connect", SYS_connect, {kNowhere}, false, "resolver"},
    {"bind", SYS_bind, {kNowhere}},
    {"listen", SYS_listen, {kNowhere}},
    {"setsockopt", SYS_setsockopt, {kNowhere}, true},
    {"dup", SYS_dup, {kNowhere}},
    {"dup3 onto the log", SYS_dup3, {0, 1, 0}, true},
    {"pipe2", SYS_pipe2},
    {"eventfd2", SYS_eventfd2},
    {"epoll_create1", SYS_epoll_create1},
    {"epoll_ctl", SYS_epoll_ctl, {kNowhere}},
    {"accept", SYS_accept, {kNowhere}},
    {"inotify_init1", SYS_inotify_init1},
    {"userfaultfd", SYS_userfaultfd},
    {"io_uring_setup", SYS_io_uring_setup},
    {"io_uring_enter", SYS_io_uring_enter, {kNowhere}},
    {"bpf", SYS_bpf, {-1}},
    {"perf_event_open", SYS_perf_event_open},
    // Sending around the rows of the table.
    {"sendmmsg", SYS_sendmmsg, {kNowhere}},
    {"sendto on standard input", SYS_sendto, {0, 0, 0, 0, 8, 16}, true},
    {"sendmsg on standard input", SYS_sendmsg, {0}, true},
    // Rights.
    {"setuid", SYS_setuid, {-1}},
    {"setresuid", SYS_setresuid, {-1, -1, -1}},
    {"setresgid", SYS_setresgid, {-1, -1, -1}},
    {"setgroups", SYS_setgroups, {-1}},
    {"capset", SYS_capset},
    {"prctl", SYS_prctl, {PR_GET_DUMPABLE}},
    {"seccomp", SYS_seccomp, {-1}},
    {"keyctl", SYS_keyctl, {-1}},
    {"add_key", SYS_add_key},
    {"request_key", SYS_request_key},
    {"landlock_restrict_self", SYS_landlock_restrict_self, {kNowhere}},
    // The machine.
    {"init_module", SYS_init_module},
    {"finit_module", SYS_finit_module, {kNowhere}},
    {"delete_module", SYS_delete_module},
    {"kexec_load", SYS_kexec_load, {0, 0, 0, -1}},
    {"reboot", SYS_reboot},
    {"clock_settime", SYS_clock_settime, {-1}},
    {"settimeofday", SYS_settimeofday},
    {"syslog", SYS_syslog, {-1}},
    {"quotactl", SYS_quotactl},
    {"shmget", SYS_shmget},
    {"madvise MADV_HWPOISON", SYS_madvise, {0, 0, 100}, true},
    {"futex wait", SYS_futex, {0, 0}, true},
    {"futex requeue with priority", SYS_futex, {0, 12}, true},
});

}  // namespace portsentry::sandbox
