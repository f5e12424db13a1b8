#include "enforcer/prepare.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "common/config.h"
#include "common/lockdown.h"
#include "common/log.h"
#include "common/watch.h"
#include "enforcer/root_files.h"

namespace portsentry::enforcer {
namespace {

constexpr char kRunDirectory[] = "/run/portsentry";
constexpr char kControlSocket[] = "/run/portsentry/control.sock";
constexpr char kLibDirectory[] = "/var/lib/portsentry";
constexpr char kMonitorDirectory[] = "/var/lib/portsentry/monitor";

// The value, or the end of the process with the error's text.
template <class T>
T require(Result<T> result, int code) {
  if (!result) fatal(result.error().what, code);
  return std::move(result).value();
}

void require(const Result<void>& result, int code) {
  if (!result) fatal(result.error().what, code);
}

void require_privilege() {
  if (geteuid() != 0)
    fatal("must be started as root (its processes then give root up)", kExitPrivilege);
  if (capng_get_caps_process() != 0)
    fatal("cannot read this process's capabilities", kExitPrivilege);
  std::string missing;
  for (const int capability : launcher_capabilities()) {
    if (capng_have_capability(CAPNG_EFFECTIVE, static_cast<unsigned>(capability)) != 0) continue;
    std::string name = capng_capability_to_name(static_cast<unsigned>(capability));
    for (char& c : name)
      c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    missing += (missing.empty() ? "CAP_" : ", CAP_") + name;
  }
  if (!missing.empty())
    fatal("missing " + missing + " (in a container, add it to the capabilities)", kExitPrivilege);
}

// From here on this process has what launching takes and nothing else, in the bounding set too:
// what it executes can never have more.
void keep_launcher_capabilities() {
  capng_clear(CAPNG_SELECT_ALL);
  for (const int capability : launcher_capabilities()) {
    const auto types =
        static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
    if (capng_update(CAPNG_ADD, types, static_cast<unsigned>(capability)) != 0)
      fatal("capabilities: update failed");
  }
  if (capng_apply(CAPNG_SELECT_ALL) != 0) fatal("capabilities: cannot be reduced");
}

UniqueFd open_null() {
  UniqueFd fd(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!fd) fatal(Error::from_errno("open /dev/null", errno).what);
  return fd;
}

UniqueFd append_or_null(std::string_view key, const std::string& path) {
  if (path.empty()) return open_null();
  auto fd = open_append(path);
  if (!fd) fatal(std::string(key) + ": " + fd.error().what, kExitConfig);
  return std::move(*fd);
}

// The monitor may write to `written`: nothing that root reads may be that file, by whatever name.
void refuse_same_file(std::string_view key, const UniqueFd& written, const std::string& path) {
  struct stat one {};
  struct stat other {};
  if (fstat(written.get(), &one) != 0 || !S_ISREG(one.st_mode)) return;
  if (stat(path.c_str(), &other) != 0 || one.st_dev != other.st_dev || one.st_ino != other.st_ino)
    return;
  fatal(std::string(key) + " is the same file as " + path, kExitConfig);
}

void print(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings)
    complain(finding.print());
}

void print_errors(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings)
    if (finding.severity == Severity::error) complain(finding.print());
}

std::string read_ignore_file(const Config& config, bool strict) {
  if (config.ignore_file.empty()) return {};
  auto content = read_trusted(config.ignore_file, kMaxIgnoreFile, strict);
  if (!content) fatal("IGNORE_FILE: " + content.error().what, kExitConfig);
  return std::move(*content);
}

UniqueFd seal_text(const char* name, std::string_view text) {
  return require(sealed_copy(name, std::as_bytes(std::span(text))), kExitRuntime);
}

// What the process of this number was started with; nothing where that cannot be known.
std::vector<ConfigOverride> modes_of(pid_t pid) {
  const UniqueFd fd(
      open(("/proc/" + std::to_string(pid) + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};
  const ssize_t size = fd ? read(fd.get(), text.data(), text.size()) : -1;
  if (size <= 0) return {};
  std::vector<std::string_view> arguments;
  std::string_view rest(text.data(), static_cast<std::size_t>(size));
  while (!rest.empty()) {
    const std::size_t end = rest.find('\0');
    arguments.push_back(rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  const auto options = parse_options(std::span(arguments).subspan(1));
  return options ? options->overrides : std::vector<ConfigOverride>();
}

// Two processes side by side, one for TCP and one for UDP, was 1.2's way: one of ours does both.
InstanceLock take_lock(const Options& options) {
  pid_t holder = 0;
  auto lock = lock_instance(kRunDirectory, holder);
  if (lock) return std::move(*lock);
  complain(lock.error().what);
  const std::string both = both_together(modes_of(holder), options.overrides);
  if (!both.empty()) complain("one daemon watches both: stop that one and run: " + both);
  _exit(kExitRuntime);
}

}  // namespace

void have_clean_descriptors() {
  // Standard descriptors exist from here on, in our children too (no O_CLOEXEC), so that no file
  // of theirs or ours becomes number 0, 1 or 2.
  while (true) {
    UniqueFd null(open("/dev/null", O_RDWR));
    if (!null) fatal(Error::from_errno("open /dev/null", errno).what);
    if (null.get() > 2) break;
    static_cast<void>(null.release());
  }
  // What a careless parent left open is not handed on.
  if (close_range(3, ~0U, 0) != 0) fatal(Error::from_errno("close_range", errno).what);
  umask(022);
}

Ready prepare(const Options& options) {
  const std::string& config_path = options.config;
  if (!architecture_supported()) fatal("no system call policy was reviewed for this architecture");
  require_privilege();

  Ready ready;
  ready.lock = take_lock(options);

  const std::string text = require(read_trusted(config_path, kMaxConfFile, true), kExitConfig);
  const ConfigReading reading = read_config(text, config_path);
  // What the monitor will say again about its own keys is left to it; errors stop everything here.
  if (!reading.ok()) {
    // The mistakes and nothing beside them: warnings are no reason, and -t tells them.
    print_errors(reading.findings);
    _exit(kExitConfig);
  }
  const Config& config = reading.config;

  Prepared& p = ready.prepared;
  p.config_path = config_path;
  p.control_path = kControlSocket;
  p.ignore_path = config.ignore_file;
  p.monitor_account = require(account_of(role(RoleId::monitor)), kExitConfig);
  p.sensor_account = require(account_of(role(RoleId::sensor)), kExitConfig);
  if (p.monitor_account.uid == p.sensor_account.uid) {
    fatal("portsentry and portsentry-sensor must be two users", kExitConfig);
  }
  p.enforcer_binary = require(open_binary(role(RoleId::enforcer)), kExitRuntime);
  p.monitor_binary = require(open_binary(role(RoleId::monitor)), kExitRuntime);
  p.sensor_binary = require(open_binary(role(RoleId::sensor)), kExitRuntime);
  // Observe mode touches no firewall, and so needs none.
  if (config.armed() && config.firewall != Firewall::none) {
    p.nft_binary = require(open_binary(role(RoleId::nft)), kExitConfig);
  }

  const std::string ignore = read_ignore_file(config, true);
  require(make_directory(kLibDirectory, 0755, 0, 0), kExitRuntime);
  require(make_directory(kMonitorDirectory, 0700, p.monitor_account.uid, p.monitor_account.gid),
          kExitRuntime);
  p.history = append_or_null("HISTORY_FILE", config.history_file);
  p.blocked = append_or_null("BLOCKED_FILE", config.blocked_file);
  for (const std::string& read : {config_path, config.ignore_file}) {
    refuse_same_file("HISTORY_FILE", p.history, read);
    refuse_same_file("BLOCKED_FILE", p.blocked, read);
  }
  refuse_same_file("BLOCKED_FILE", p.blocked, config.history_file);
  p.config = seal_text("config", text);
  p.ignore = seal_text("ignore", ignore);
  const WatchOrders orders = watch_orders(config);
  p.ports = require(sealed_copy("orders", std::as_bytes(std::span(&orders, 1))), kExitRuntime);
  p.control = require(make_control_socket(kControlSocket), kExitRuntime);
  keep_launcher_capabilities();
  return ready;
}

int check(const Options& options) {
  const std::string& config_path = options.config;
  const auto text = read_trusted(config_path, kMaxConfFile, false);
  if (!text) fatal(text.error().what, kExitConfig);
  const ConfigReading reading = read_config(*text, config_path);
  print(reading.findings);
  const auto warn_of_owner = [](const std::string& path) {
    if (const std::string why = distrust(path); !why.empty())
      complain("warning: " + why + ": the daemon will refuse it");
  };
  warn_of_owner(config_path);
  bool good = reading.passes_check();

  if (reading.ok() && !reading.config.ignore_file.empty()) {
    // The monitor reads the ignore list, also here, and inside its filter: one reading for both.
    const std::string ignore = read_ignore_file(reading.config, false);
    warn_of_owner(reading.config.ignore_file);
    const UniqueFd config_copy = seal_text("config", *text);
    const UniqueFd ignore_copy = seal_text("ignore", ignore);
    const UniqueFd binary = require(open_binary(role(RoleId::monitor)), kExitRuntime);
    const auto child =
        spawn_check({.role = role(RoleId::monitor),
                     .account = {},
                     .binary = binary.get(),
                     .arguments = {"-t", config_path, reading.config.ignore_file},
                     .descriptors = {{config_copy.get(), 4}, {ignore_copy.get(), 5}}});
    int status = 0;
    if (!child || waitpid(*child, &status, 0) != *child)
      fatal("portsentry-monitor -t cannot be run");
    good = good && WIFEXITED(status) && WEXITSTATUS(status) == kExitOk;
  }
  complain(config_path + (good ? ": ok" : ": has errors"));
  return good ? kExitOk : kExitConfig;
}

}  // namespace portsentry::enforcer
