// portsentry-monitor: the brain, between the sensor that hears the network and the enforcer that
// may touch the firewall. Started by portsentryd as user portsentry, without any capability.
//
//   portsentry-monitor CONF_PATH IGNORE_PATH VIEW ADMIN [KEY=VALUE]...
//                        serve; the paths are names for messages, VIEW and ADMIN the numbers of the
//                        groups that may use the control socket ("-": there is none), the settings
//                        those of the command line
//   portsentry-monitor -t CONF_PATH IGNORE_PATH               judge the ignore list as it will be
//
// Descriptors at birth: 1 standard output, 2 diagnostics, 3 channel A, 4 configuration and 5 ignore
// list (sealed memfds), 6 history, 7 blocked file, 8 control socket (listening), 13 log file. What
// the others become is in descriptors.h.
#include <fcntl.h>
#include <malloc.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "build_paths.h"
#include "common/channel.h"
#include "common/config.h"
#include "common/lockdown.h"
#include "common/log.h"
#include "common/rtnetlink.h"
#include "common/unique_fd.h"
#include "monitor/descriptors.h"
#include "monitor/ignore_list.h"
#include "monitor/output.h"
#include "monitor/policy.h"
#include "monitor/server.h"
#include "monitor/store.h"

namespace portsentry::monitor {
namespace {

constexpr char kStateDirectory[] = "/var/lib/portsentry/monitor";

// At birth: there is nothing to fall back to.
std::string read_at_birth(Descriptor descriptor, std::size_t cap, std::string_view what) {
  auto text = read_sealed(descriptor, cap);
  if (!text) fatal(std::string(what) + ": " + text.error().what, kExitConfig);
  return std::move(*text);
}

// Every number that has a meaning, and no descriptor yet, gets /dev/null (descriptors.h).
void occupy_all() {
  for (int number = 0; number < kFirstUnnamed; ++number) {
    if (::fcntl(number, F_GETFD) < 0) put_at(kNull, static_cast<Descriptor>(number));
  }
}

void complain_about(const std::vector<Finding>& findings, bool warnings_too) {
  for (const Finding& finding : findings)
    if (warnings_too || finding.severity == Severity::error) complain(finding.print());
}

// Nothing is opened, and nothing kept, before the text is judged: it may be hostile.
int check(const std::string& ignore_path) {
  const std::string text = read_at_birth(kIgnore, kMaxIgnoreFile, "the ignore list");
  undumpable();
  restrict_files({});
  drop_capabilities({});
  seal(kPolicy);
  const IgnoreReading reading = read_ignore_list(text, ignore_path, std::time(nullptr));
  complain_about(reading.findings, true);
  return reading.ok() ? kExitOk : kExitConfig;
}

UniqueFd stop_signal() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  if (sigprocmask(SIG_BLOCK, &stop, nullptr) != 0) {
    fatal(Error::from_errno("sigprocmask", errno).what);
  }
  const UniqueFd any(signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
  UniqueFd fd(any ? ::dup3(any.get(), kStop, O_CLOEXEC) : -1);
  if (!fd) fatal(Error::from_errno("signalfd", errno).what);
  // A reader of our log that goes away, a terminal's Ctrl-C and its end are not for this process to
  // die of: the launcher decides, and its end is ours (PR_SET_PDEATHSIG).
  for (const int ignored : {SIGPIPE, SIGINT, SIGHUP}) {
    if (signal(ignored, SIG_IGN) == SIG_ERR) fatal(Error::from_errno("signal", errno).what);
  }
  return fd;
}

// Standard output is somebody's, and not closed behind a daemon.
bool has_output() {
  struct stat output {};
  struct stat null {};
  if (::fstat(kLog, &output) != 0 || ::fstat(kNull, &null) != 0) return false;
  return !S_ISCHR(output.st_mode) || output.st_rdev != null.st_rdev;
}

// It is the journal's stream: the launcher has handed down what the service manager said.
bool is_journals() {
  struct stat output {};
  const char* stream = std::getenv("JOURNAL_STREAM");  // NOLINT(concurrency-mt-unsafe): one thread
  return stream != nullptr && ::fstat(kLog, &output) == 0 &&
         is_journal(stream, output.st_dev, output.st_ino);
}

// Bans are made without it as well; they only are not known after a restart.
std::optional<Store> open_store() {
  const auto boot = current_boot_id();
  auto opened = boot ? Store::open(kStateDirectory, *boot) : Result<Store::Opened>(boot.error());
  if (!opened) {
    complain("nothing will be remembered across restarts, and bans count as unrecorded: " +
             opened.error().what);
    return std::nullopt;
  }
  if (!opened->finding.empty()) complain(opened->finding);
  return std::move(opened->store);
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

// For what must not happen in one instant; nobody gains by guessing it.
std::optional<std::uint64_t> random_seed() {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) != sizeof seed) fatal("getrandom");
  return seed;
}

// As root found it out: this process has no business in /etc/group.
std::optional<gid_t> group_of(std::string_view text) {
  gid_t group = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), group);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && group != 0 ? std::optional(group) : std::nullopt;
}

// What was needed once, at a start with many bans or while they were listed, goes back to the system:
// by itself malloc keeps twice the largest block that it ever gave back.
void keep_little_memory() {
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

int serve(const std::string& conf_path, const std::string& ignore_path, ControlGroups groups,
          std::vector<ConfigOverride> overrides) {
  if (!Channel::is_one(kChannelA)) {
    fatal("this program is started by portsentryd, not by hand", kExitUsage);
  }
  keep_little_memory();
  std::string conf_text = read_at_birth(kConfig, kMaxConfFile, "the configuration");
  std::string ignore_text = read_at_birth(kIgnore, kMaxIgnoreFile, "the ignore list");
  put_at(kNull, kConfig);
  put_at(kNull, kIgnore);
  Channel enforcer{UniqueFd(kChannelA)};

  auto rtnetlink = Rtnetlink::open();
  if (!rtnetlink) fatal(rtnetlink.error().what);
  if (const auto moved = rtnetlink->move_to(kRtnetlink); !moved) fatal(moved.error().what);
  UniqueFd stop = stop_signal();
  const auto syslog = SyslogOutput::open();
  if (!syslog) fatal(syslog.error().what);
  put_at(syslog->get(), kSyslog);
  occupy_all();
  tzset();  // reads the time zone's file, once; localtime_r(3) does not look again
  std::optional<Store> store = open_store();
  Server::Standing standing{
      // Users look for the daemon by this number, in pidof(8) and in their logs.
      .pid = ::getppid(),       .host = host_name(),       .foreground = has_output(),
      .journal = is_journals(), .store = std::move(store), .control_groups = groups,
  };

  // The sandbox answers no such question.
  const auto self = static_cast<std::uint32_t>(::getpid());

  undumpable();
  // The directory is all that it can open. (A datagram to /dev/log opens nothing.)
  const std::array<LandlockPath, 1> reachable{{{kStateDirectory, true}}};
  restrict_files(reachable);
  drop_capabilities({});
  seal(kPolicy);

  ConfigReading conf = read_config(conf_text, conf_path, overrides);
  IgnoreReading ignore = read_ignore_list(ignore_text, ignore_path, std::time(nullptr));
  // A start that is refused is told why and nothing beside it; -t tells the warnings too.
  const bool accepted = conf.ok() && ignore.ok();
  complain_about(conf.findings, accepted);
  complain_about(ignore.findings, accepted);
  if (!accepted) return kExitConfig;
  std::string().swap(conf_text);
  std::string().swap(ignore_text);

  Store::Loaded remembered;
  const bool has_memory = standing.store.has_value();
  const bool new_boot = standing.store && standing.store->new_boot();
  if (standing.store) {
    if (auto loaded = standing.store->load()) {
      remembered = std::move(*loaded);
    } else {
      complain(loaded.error().what);
    }
    if (remembered.refused > 0) {
      complain("state: " + std::to_string(remembered.refused) +
               (remembered.refused == 1 ? " entry makes" : " entries make") +
               " no sense, and are left out");
    }
  }
  const auto launcher = static_cast<std::uint32_t>(standing.pid);
  return Server(enforcer, *rtnetlink, std::move(stop),
                {.config = std::move(conf.config),
                 .ignored = std::move(*ignore.list),
                 .local = rtnetlink->view(),
                 .conf_path = conf_path,
                 .ignore_path = ignore_path,
                 .version = kVersion,
                 .read_config =
                     [conf_path, overrides = std::move(overrides)](std::string_view text) {
                       return read_config(text, conf_path, overrides);
                     },
                 .remembered = std::move(remembered.memory),
                 .new_boot = new_boot,
                 .has_memory = has_memory,
                 .launcher = launcher,
                 .self = self,
                 .seed = random_seed()},
                std::move(standing))
      .run();
}

}  // namespace
}  // namespace portsentry::monitor

int main(int argc, char** argv) {
  portsentry::set_log_name("portsentry-monitor");
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == "-t") {
    return portsentry::monitor::check(arguments[2]);
  }
  std::vector<portsentry::ConfigOverride> overrides;
  for (std::size_t i = 4; i < arguments.size(); ++i) {
    auto setting = portsentry::ConfigOverride::parse(arguments[i]);
    if (setting) overrides.push_back(std::move(*setting));
  }
  if (arguments.size() < 4 || overrides.size() != arguments.size() - 4) {
    portsentry::fatal("this program is started by portsentryd, not by hand",
                      portsentry::kExitUsage);
  }
  return portsentry::monitor::serve(arguments[0], arguments[1],
                                    {.view = portsentry::monitor::group_of(arguments[2]),
                                     .change = portsentry::monitor::group_of(arguments[3])},
                                    std::move(overrides));
}
