#include "enforcer/prepare.h"
#include "enforcer/template_check.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string_view>

#include "common/config.h"
#include "common/lockdown.h"
#include "common/log.h"
#include "enforcer/root_files.h"
#include "enforcer/trap_rules.h"

namespace portsentry::enforcer {
namespace {

// How long somebody who is being killed may hold on to our NFLOG group, and how often, in milliseconds,
// that is looked at.
constexpr std::chrono::seconds kPredecessorDies{2};
constexpr int kLookAgain = 20;

constexpr char kRunDirectory[] = "/run/portsentry";
constexpr char kControlSocket[] = "/run/portsentry/control.sock";
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

// From here on this process may use what launching takes and nothing else. Its bounding set stays:
// what the owner's commands need (iptables, a mailer, a script) is not for us to know, and an exec
// by root gives them what that set holds.
void keep_launcher_capabilities() {
  capng_clear(CAPNG_SELECT_CAPS);
  for (const int capability : launcher_capabilities()) {
    const auto types = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
    if (capng_update(CAPNG_ADD, types, static_cast<unsigned>(capability)) != 0)
      fatal("capabilities: update failed");
  }
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) fatal("capabilities: cannot be reduced");
}

void print(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings)
    complain(finding.print());
}

// Or the end of the process, with what is wrong and nothing beside it: warnings are no reason, and
// -t tells them.
Generation first_generation(const ConfigSource& source) {
  GenerationReading reading = read_generation(source, 1, nullptr);
  if (!reading.generation) {
    for (const Finding& finding : reading.findings)
      if (finding.severity == Severity::error) complain(finding.print());
    for (const Problem& problem : reading.problems)
      complain(problem.error.what);
    _exit(kExitConfig);
  }
  for (const std::string& warning : reading.warnings)
    complain("warning: " + warning);
  return std::move(*reading.generation);
}

UniqueFd seal_text(const char* name, std::string_view text) {
  return require(sealed_copy(name, std::as_bytes(std::span(text))), kExitRuntime);
}

// What the commands of a configuration are, and whether they can be run.
bool check_commands(const Config& config, const std::string& config_path) {
  bool good = true;
  for (const KeyedNote& keyed :
       describe({.kill_route = config.kill_route,
       .kill_route_remove = config.kill_route_remove,
       .kill_run_cmd = config.kill_run_cmd,
       .external_command = config.external_command,
       .kill_hosts_deny = config.kill_hosts_deny},
                [](const std::string& program) { return find_program(program).has_value(); })) {
    std::string_view severity = "note";
    switch (keyed.note.kind) {
      case TemplateNote::Kind::note:
        break;
      case TemplateNote::Kind::warning:
        severity = "warning";
        break;
      case TemplateNote::Kind::error:
        severity = "error";
        good = false;
        break;
    }
    complain(config_path + ": " + std::string(severity) + ": " + std::string(keyed.key) + ": " +
             keyed.note.text);
  }
  return good;
}

// The monitor reads the ignore list, also here, and inside its filter: one reading for both.
bool check_ignore_list(const Config& config, const std::string& text,
                       const std::string& config_path) {
  const auto ignore = read_trusted(config.ignore_file, kMaxIgnoreFile, false);
  if (!ignore) fatal("IGNORE_FILE: " + ignore.error().what, kExitConfig);
  const UniqueFd config_copy = seal_text("config", text);
  const UniqueFd ignore_copy = seal_text("ignore", *ignore);
  const UniqueFd binary = require(open_binary(role(RoleId::monitor)), kExitRuntime);
  const auto child = spawn_check({.role = role(RoleId::monitor),
                                  .account = {},
                                  .binary = binary.get(),
                                  .arguments = {"-t", config_path, config.ignore_file},
                                  .descriptors = {{config_copy.get(), 4}, {ignore_copy.get(), 5}}});
  int status = 0;
  if (!child || waitpid(*child, &status, 0) != *child) fatal("portsentry-monitor -t cannot be run");
  return WIFEXITED(status) && WEXITSTATUS(status) == kExitOk;
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
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  const auto options = parse_options(std::span(arguments).subspan(1));
  return options ? options->overrides : std::vector<ConfigOverride>();
}

// Where the kernel can find probes and hold their sources: the way by which it tells of them.
TrapFeed open_feed(const Config& config) {
  if (backend_of(config) == Backend::none || why_no_traps(config) != NoTraps::none) return {};
  const auto group = static_cast<std::uint16_t>(config.nflog_group);
  // We may, so what is not permitted is to take another's.
  const auto taken = [](const Error& error) { return error.code == EPERM || error.code == EBUSY; };
  auto feed = open_trap_feed(group);
  // The sensor of a daemon that was killed a moment ago may be dying with it in its hands.
  const auto until = std::chrono::steady_clock::now() + kPredecessorDies;
  while (!feed && taken(feed.error()) && std::chrono::steady_clock::now() < until) {
    poll(nullptr, 0, kLookAgain);
    feed = open_trap_feed(group);
  }
  if (feed) return {.socket = std::move(*feed), .group = group};
  if (taken(feed.error())) {
    fatal("NFLOG_GROUP: group " + std::to_string(group) +
              " is another program's (ulogd2, or a second portsentryd); choose another number",
          kExitConfig);
  }
  complain("warning: nobody can be held before a ban (HOLD): " + feed.error().what);
  return {};
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
  if (!architecture_supported()) fatal("no system call policy was reviewed for this architecture");
  require_privilege();

  Ready ready;
  ready.lock = take_lock(options);

  Prepared& p = ready.prepared;
  p.source = {.path = options.config, .overrides = options.overrides};
  p.control_path = kControlSocket;
  p.monitor_account = require(account_of(role(RoleId::monitor)), kExitConfig);
  p.sensor_account = require(account_of(role(RoleId::sensor)), kExitConfig);
  p.scout_account = require(account_of(role(RoleId::scout)), kExitConfig);
  if (p.monitor_account.uid == p.sensor_account.uid) {
    fatal("portsentry and portsentry-sensor must be two users", kExitConfig);
  }
  if (p.scout_account.uid == p.monitor_account.uid || p.scout_account.uid == p.sensor_account.uid) {
    fatal("user portsentry-scout must not have another one's number", kExitConfig);
  }
  p.enforcer_binary = require(open_binary(role(RoleId::enforcer)), kExitRuntime);
  p.monitor_binary = require(open_binary(role(RoleId::monitor)), kExitRuntime);
  p.sensor_binary = require(open_binary(role(RoleId::sensor)), kExitRuntime);
  p.resolver_binary = require(open_binary(role(RoleId::resolver)), kExitRuntime);
  p.scout_binary = require(open_binary(role(RoleId::scout)), kExitRuntime);
  p.editor_binary = require(open_binary(role(RoleId::hosts_deny)), kExitRuntime);

  ready.first = first_generation(p.source);
  p.feed = open_feed(ready.first.config);
  require(make_directory(kMonitorDirectory, 0700, p.monitor_account.uid, p.monitor_account.gid),
          kExitRuntime);
  p.control_groups = control_groups();
  p.control = require(make_control_socket(kControlSocket, p.control_groups.any()), kExitRuntime);
  keep_launcher_capabilities();
  return ready;
}

int check(const Options& options) {
  const std::string& config_path = options.config;
  const auto text = read_trusted(config_path, kMaxConfFile, false);
  if (!text) fatal(text.error().what, kExitConfig);
  const ConfigReading reading = read_config(*text, config_path, options.overrides);
  print(reading.findings);
  const auto warn_of_owner = [](const std::string& path) {
    if (const std::string why = distrust(path); !why.empty())
      complain("warning: " + why + ": the daemon will refuse it");
  };
  warn_of_owner(config_path);
  bool good = reading.passes_check();
  good = check_commands(reading.config, config_path) && good;
  if (reading.ok() && reading.config.armed() && backend_of(reading.config) == Backend::nftables) {
    if (const auto nft = open_binary(role(RoleId::nft)); !nft) {
      complain(config_path + ": error: " + nft.error().what);
      good = false;
    }
  }
  // Of this user, and so not always that of the daemon; but whoever asks wants to know.
  if (const std::string why = too_many_ports(watch_orders(reading.config), descriptor_limit());
      !why.empty()) {
    complain(config_path + ": error: " + why);
    good = false;
  }
  if (reading.ok() && !reading.config.ignore_file.empty()) {
    warn_of_owner(reading.config.ignore_file);
    good = check_ignore_list(reading.config, *text, config_path) && good;
  }
  complain(config_path + (good ? ": ok" : ": has errors"));
  return good ? kExitOk : kExitConfig;
}

}  // namespace portsentry::enforcer
