#include "enforcer/roles.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "build_paths.h"
#include "common/lockdown.h"
#include "common/log.h"

namespace portsentry::enforcer {
namespace {

constexpr std::array kEnforcerCapabilities{CAP_NET_ADMIN};
constexpr std::array kSensorCapabilities{CAP_NET_RAW, CAP_NET_BIND_SERVICE};
constexpr std::array kNftCapabilities{CAP_NET_ADMIN};
constexpr std::array kLauncherCapabilities{
    CAP_SETUID,    CAP_SETGID,
    CAP_SETPCAP,                          // give a child its user and take its capabilities
    CAP_KILL,                             // stop children of another user
    CAP_NET_ADMIN,                        // to hand to enforcer and nft
    CAP_NET_RAW,   CAP_NET_BIND_SERVICE,  // to hand to the sensor
};

constexpr std::array kRoles{
    Role{RoleId::enforcer, "portsentryd: enforcer", "portsentryd", "root", kEnforcerCapabilities,
         false},
    Role{RoleId::monitor, "portsentry-monitor", "portsentry-monitor", "portsentry", {}, true},
    Role{RoleId::sensor, "portsentry-sensor", "portsentry-sensor", "portsentry-sensor",
         kSensorCapabilities, false},
    Role{RoleId::nft, "nft", "nft", "root", kNftCapabilities, false},
    Role{RoleId::resolver,
         "portsentry-resolver",
         "portsentry-resolver",
         "portsentry-resolver",
         {},
         false},
    Role{RoleId::hosts_deny, "portsentryd: hosts.deny", "portsentryd", "root", {}, false},
    Role{RoleId::scout, "portsentry-scout", "portsentry-scout", "portsentry-scout", {}, false},
};
static_assert(kRoles[static_cast<std::size_t>(RoleId::nft)].id == RoleId::nft &&
              kRoles[static_cast<std::size_t>(RoleId::resolver)].id == RoleId::resolver &&
              kRoles[static_cast<std::size_t>(RoleId::hosts_deny)].id == RoleId::hosts_deny &&
              kRoles[static_cast<std::size_t>(RoleId::scout)].id == RoleId::scout &&
              kRoles[static_cast<std::size_t>(RoleId::sensor)].id == RoleId::sensor);

// A fixed search list, not $PATH: which program root runs is not for the environment to say.
constexpr std::array kNftPaths{"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"};

// Children pass their descriptors through this range while the low numbers are being filled.
constexpr int kStaging = 64;

Result<std::string> own_directory() {
  std::array<char, 4096> path{};
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0 || size == static_cast<ssize_t>(path.size()))
    return Error::from_errno("readlink /proc/self/exe", errno);
  const std::string_view whole(path.data(), static_cast<std::size_t>(size));
  return std::string(whole.substr(0, whole.rfind('/')));
}

UniqueFd open_executable(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      (status.st_mode & 0111) == 0)
    fd.reset();
  return fd;
}

void limit(int resource, rlim_t value) {
  const rlimit limits{.rlim_cur = value, .rlim_max = value};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &limits) != 0)
    fatal(Error::from_errno("setrlimit", errno).what);
}

// The child, from fork to exec. Never returns.
[[noreturn]] void become_role(const SpawnPlan& plan, pid_t launcher, bool change_user) {
  // A terminal's Ctrl-C must reach the launcher alone, which stops the others in order.
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);

  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) fatal(Error::from_errno("open /dev/null", errno).what);
  std::vector<Inherited> wanted = plan.descriptors;
  wanted.push_back({plan.input >= 0 ? plan.input : null.get(), 0});
  if (!plan.role.keeps_stdout) wanted.push_back({null.get(), 1});
  // Up first and then down, so that no source is overwritten before it was copied.
  for (Inherited& w : wanted) {
    w.ours = fcntl(w.ours, F_DUPFD_CLOEXEC, kStaging);
    if (w.ours < 0) fatal(Error::from_errno("fcntl(F_DUPFD_CLOEXEC)", errno).what);
  }
  const int binary = fcntl(plan.binary, F_DUPFD_CLOEXEC, kStaging);
  if (binary < 0) fatal(Error::from_errno("fcntl(F_DUPFD_CLOEXEC)", errno).what);
  if (close_range(3, kStaging - 1, 0) != 0) fatal(Error::from_errno("close_range", errno).what);
  for (const Inherited& w : wanted) {
    if (dup2(w.ours, w.theirs) < 0) fatal(Error::from_errno("dup2", errno).what);
  }
  // Whatever else is open, known to us or not, ends at exec.
  if (close_range(kStaging, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
    fatal(Error::from_errno("close_range", errno).what);

  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, plan.descriptor_limit);
  umask(077);
  if (chdir("/") != 0) fatal(Error::from_errno("chdir /", errno).what);

  if (change_user) become(plan.account.uid, plan.account.gid, plan.role.capabilities);
  no_new_privileges();
  die_with(launcher);

  const std::string title(plan.role.title);
  std::vector<char*> argv{const_cast<char*>(title.c_str())};  // NOLINT: execve's signature
  for (const std::string& a : plan.arguments)
    argv.push_back(const_cast<char*>(a.c_str()));  // NOLINT
  argv.push_back(nullptr);
  std::string locale = "LC_ALL=C";
  std::vector<char*> environment{locale.data()};
  // Tells the monitor whether its standard output is the journal. A number of root's own, and not
  // read by anybody else.
  std::string journal = "JOURNAL_STREAM=";
  const char* stream = getenv("JOURNAL_STREAM");  // NOLINT(concurrency-mt-unsafe): one thread
  if (plan.role.keeps_stdout && stream != nullptr) {
    journal += stream;
    environment.push_back(journal.data());
  }
  environment.push_back(nullptr);
  execveat(binary, "", argv.data(), environment.data(), AT_EMPTY_PATH);
  fatal(Error::from_errno("exec " + std::string(plan.role.binary), errno).what);
}

}  // namespace

const Role& role(RoleId id) {
  return kRoles.at(static_cast<std::size_t>(id));
}

std::span<const int> launcher_capabilities() {
  return kLauncherCapabilities;
}

Result<Account> account_of(const Role& role) {
  if (role.user == "root") return Account{0, 0};
  const std::string name(role.user);
  errno = 0;
  const passwd* entry = getpwnam(name.c_str());  // NOLINT(concurrency-mt-unsafe): one thread
  if (entry == nullptr) {
    return Error{"user " + name +
                 " does not exist; create it with: useradd --system --no-create-home " +
                 "--home-dir /nonexistent --shell /usr/sbin/nologin " + name};
  }
  if (entry->pw_uid == 0 || entry->pw_gid == 0)
    return Error{"user " + name + " must not be root, nor in group root"};
  return Account{entry->pw_uid, entry->pw_gid};
}

ControlGroups control_groups() {
  const auto number = [](const char* name) -> std::optional<unsigned> {
    const group* entry = getgrnam(name);  // NOLINT(concurrency-mt-unsafe): one thread
    if (entry == nullptr || entry->gr_gid == 0) return std::nullopt;
    return entry->gr_gid;
  };
  return {.view = number("portsentry-view"), .admin = number("portsentry-admin")};
}

Result<UniqueFd> open_binary(const Role& role) {
  if (role.id == RoleId::nft) {
    for (const char* path : kNftPaths) {
      if (UniqueFd fd = open_executable(path)) return fd;
    }
    return Error{
        "nft is not installed (looked for /usr/sbin/nft, /sbin/nft, /usr/bin/nft): install "
        "nftables, or set "
        "FIREWALL=\"none\""};
  }
  if (role.id == RoleId::enforcer || role.id == RoleId::hosts_deny) {
    UniqueFd fd(open("/proc/self/exe", O_PATH | O_CLOEXEC));
    if (!fd) return Error::from_errno("open /proc/self/exe", errno);
    return fd;
  }
  const auto directory = own_directory();
  if (!directory) return directory.error();
  const std::string beside = *directory + "/" + std::string(role.binary);
  if (UniqueFd fd = open_executable(beside)) return fd;
  const std::string installed = std::string(kLibexecDir) + "/" + std::string(role.binary);
  if (UniqueFd fd = open_executable(installed)) return fd;
  return Error{std::string(role.binary) + " not found (looked for " + beside + " and " + installed +
               ")"};
}

namespace {

Result<pid_t> fork_and_become(const SpawnPlan& plan, bool change_user) {
  const pid_t launcher = getpid();
  const pid_t child = fork();
  if (child < 0) return Error::from_errno("fork", errno);
  if (child == 0) become_role(plan, launcher, change_user);
  return child;
}

}  // namespace

Result<pid_t> spawn(const SpawnPlan& plan) {
  return fork_and_become(plan, true);
}

Result<pid_t> spawn_check(const SpawnPlan& plan) {
  return fork_and_become(plan, false);
}

}  // namespace portsentry::enforcer
