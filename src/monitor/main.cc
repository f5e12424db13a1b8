// portsentry-monitor: the brain, between the sensor that hears the network and the enforcer that
// may touch the firewall. Started by portsentryd as user portsentry, without any capability.
//
//   portsentry-monitor CONF_PATH IGNORE_PATH       serve; the paths are names for messages
//   portsentry-monitor -t CONF_PATH IGNORE_PATH    judge the ignore list as it will be, and end
//
// Descriptors at birth: 1 log, 2 diagnostics, 3 channel A, 4 configuration and 5 ignore list
// (sealed memfds), 6 history, 7 blocked file, 8 control socket (listening). From here: 9 rtnetlink,
// 10 channel B, 11 signalfd; policy.cc knows these numbers.
#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "build_paths.h"
#include "common/channel.h"
#include "common/config.h"
#include "common/event_loop.h"
#include "common/lockdown.h"
#include "common/log.h"
#include "common/rtnetlink.h"
#include "common/unique_fd.h"
#include "common/wire.h"
#include "monitor/control.h"
#include "monitor/ignore_list.h"
#include "monitor/monitor.h"
#include "monitor/output.h"
#include "monitor/policy.h"

namespace portsentry::monitor {
namespace {

enum Descriptor : int {
  kNull = 0,
  kLog = 1,
  kChannelA = 3,
  kConfig = 4,
  kIgnore = 5,
  kHistory = 6,
  kBlocked = 7,
  kControl = 8,
  kRtnetlink = 9,
  kChannelB = 10,
  kStop = 11,
};

constexpr char kStateDirectory[] = "/var/lib/portsentry/monitor";
// How many messages of one peer are handled before the others get their turn.
constexpr int kBurst = 64;

Now now() {
  return {Clock::now(), std::time(nullptr)};
}

// The whole of a memfd, from its beginning: the offset is shared with root's copy of it.
std::string read_sealed(int fd, std::size_t cap, std::string_view what) {
  std::string text(cap + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got =
        ::pread(fd, text.data() + size, text.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fatal(Error::from_errno("read " + std::string(what), errno).what);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > cap) fatal(std::string(what) + " is too large", kExitConfig);
  text.resize(size);
  return text;
}

// Number 10 is never free: without a sensor /dev/null keeps it, or the next control connection
// would be given it, and lose it to the next sensor.
void occupy_channel_b(int fd) {
  if (::dup3(fd, kChannelB, O_CLOEXEC) < 0) fatal(Error::from_errno("channel B: dup3", errno).what);
}

void complain_about(const std::vector<Finding>& findings, bool warnings_too) {
  for (const Finding& finding : findings)
    if (warnings_too || finding.severity == Severity::error) complain(finding.print());
}

// Nothing is opened, and nothing kept, before the text is judged: it may be hostile.
int check(const std::string& ignore_path) {
  const std::string text = read_sealed(kIgnore, kMaxIgnoreFile, "the ignore list");
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

// The monitor's effects, on real descriptors.
class Descriptors final : public Effects {
 public:
  Descriptors(Channel& enforcer, UniqueFd history, UniqueFd blocked)
      : enforcer_(enforcer), history_(std::move(history)), blocked_(std::move(blocked)) {}

  bool to_enforcer(const MonitorToEnforcer& message) override {
    switch (enforcer_.send(encode(message))) {
      case Channel::Sent::ok:
        return true;
      case Channel::Sent::full:
        return false;
      case Channel::Sent::closed:
        break;
    }
    fatal("channel A: the enforcer is gone");
  }
  void log(std::string_view line) override { log_.write(line, std::time(nullptr)); }
  void history(std::string_view line) override { tell(history_.append(line), "HISTORY_FILE"); }
  void blocked_append(std::string_view line) override {
    tell(blocked_.append(line), "BLOCKED_FILE");
  }
  void blocked_rewrite(std::string_view whole) override {
    tell(blocked_.rewrite(whole), "BLOCKED_FILE");
  }
  [[nodiscard]] Losses losses() const override {
    return {log_.lost(), history_.failures(), blocked_.failures()};
  }

 private:
  void tell(const std::optional<Error>& error, std::string_view key) {
    if (!error) return;
    log("adminalert: ERROR: " + std::string(key) + ": " + error->what +
        "; further failures are only counted");
  }

  Channel& enforcer_;
  Sinks log_{{.to = {.standard_output = true, .syslog = false}, .standard_output = kLog},
             RecordFile(UniqueFd())};
  RecordFile history_;
  RecordFile blocked_;
};

// The glue: descriptors to messages, messages to the monitor, its next wish for time to a timer.
class Server {
 public:
  Server(Channel& enforcer, Monitor& monitor, Rtnetlink& rtnetlink, UniqueFd stop)
      : enforcer_(enforcer),
        monitor_(monitor),
        rtnetlink_(rtnetlink),
        stop_(std::move(stop)),
        control_(UniqueFd(kControl), loop_,
                 [this](const ControlRequest&) -> ControlReply { return monitor_.status(); }) {}

  int run() {
    loop_.watch(stop_.get(), [this](short) {
      monitor_.shut_down();
      loop_.stop(kExitOk);
    });
    loop_.watch(enforcer_.fd(), [this](short) { hear_enforcer(); });
    loop_.watch(rtnetlink_.fd(), [this](short) {
      if (const auto fresh = rtnetlink_.refresh(); !fresh) fatal(fresh.error().what);
    });
    monitor_.start(now());
    rearm();
    return loop_.run();
  }

 private:
  void hear_enforcer() {
    for (int i = 0; i < kBurst; ++i) {
      const Channel::Received received = enforcer_.receive();
      switch (received.got) {
        case Channel::Got::nothing:
          return rearm();
        case Channel::Got::closed:
          fatal("channel A: the enforcer is gone");
        case Channel::Got::malformed:
          fatal("channel A: malformed message from the enforcer");
        case Channel::Got::message:
          break;
      }
      const auto message = decode_enforcer_to_monitor(received.bytes, received.fd ? 1 : 0);
      if (!message) fatal("channel A: message from the enforcer with impossible values");
      if (!monitor_.on_enforcer(*message, now())) {
        fatal("channel A: message from the enforcer out of its phase");
      }
      if (received.fd) meet_sensor(received.fd);
    }
    rearm();
  }

  // `channel` is moved to the number that the filter knows; the one that it came with is closed.
  void meet_sensor(const UniqueFd& channel) {
    leave_sensor();
    occupy_channel_b(channel.get());
    sensor_.emplace(UniqueFd(kChannelB));
    // A new channel has room; a sensor that is gone already is reported by its SensorLost.
    static_cast<void>(sensor_->send(encode(MonitorToSensor(monitor_.sensor_config()))));
    loop_.watch(kChannelB, [this](short) { hear_sensor(); });
  }

  void leave_sensor() {
    if (!sensor_) return;
    loop_.unwatch(kChannelB);
    sensor_.reset();
    occupy_channel_b(kNull);
  }

  void hear_sensor() {
    for (int i = 0; sensor_ && i < kBurst; ++i) {
      const Channel::Received received = sensor_->receive();
      switch (received.got) {
        case Channel::Got::nothing:
          return rearm();
        case Channel::Got::closed:
          leave_sensor();
          monitor_.sensor_hung_up(now());
          return rearm();
        case Channel::Got::malformed:
          return distrust_sensor("malformed message");
        case Channel::Got::message:
          break;
      }
      const auto message = decode_sensor_to_monitor(received.bytes, received.fd ? 1 : 0);
      if (!message) return distrust_sensor("message with impossible values");
      if (!monitor_.on_sensor(*message, now())) return distrust_sensor("message out of its phase");
    }
    rearm();
  }

  void distrust_sensor(std::string_view what) {
    leave_sensor();
    monitor_.sensor_broken(what, now());
    rearm();
  }

  // After every event: the monitor says when it must be woken, and nothing else wakes it.
  void rearm() {
    const auto wake = monitor_.wake_at();
    if (wake == armed_for_) return;
    if (timer_) loop_.cancel(*timer_);
    timer_.reset();
    armed_for_ = wake;
    if (!wake) return;
    timer_ = loop_.after(*wake - Clock::now(), [this] {
      timer_.reset();
      armed_for_.reset();
      monitor_.tick(now());
      rearm();
    });
  }

  EventLoop loop_;
  Channel& enforcer_;
  Monitor& monitor_;
  Rtnetlink& rtnetlink_;
  UniqueFd stop_;
  Control control_;
  std::optional<Channel> sensor_;
  std::optional<EventLoop::Timer> timer_;
  std::optional<Clock::time_point> armed_for_;
};

int serve(const std::string& conf_path, const std::string& ignore_path) {
  if (!Channel::is_one(kChannelA)) {
    fatal("this program is started by portsentryd, not by hand", kExitUsage);
  }
  const std::string conf_text = read_sealed(kConfig, kMaxConfFile, "the configuration");
  const std::string ignore_text = read_sealed(kIgnore, kMaxIgnoreFile, "the ignore list");
  ::close(kConfig);
  ::close(kIgnore);
  Channel enforcer{UniqueFd(kChannelA)};

  auto rtnetlink = Rtnetlink::open();
  if (!rtnetlink) fatal(rtnetlink.error().what);
  if (const auto moved = rtnetlink->move_to(kRtnetlink); !moved) fatal(moved.error().what);
  occupy_channel_b(kNull);
  UniqueFd stop = stop_signal();
  tzset();  // reads the time zone's file, once; localtime_r(3) does not look again

  undumpable();
  const std::array<LandlockPath, 1> reachable{{{kStateDirectory, true}}};
  restrict_files(reachable);
  drop_capabilities({});
  seal(kPolicy);

  const ConfigReading conf = read_config(conf_text, conf_path);
  const IgnoreReading ignore = read_ignore_list(ignore_text, ignore_path, std::time(nullptr));
  // A start that is refused is told why and nothing beside it; -t tells the warnings too.
  const bool accepted = conf.ok() && ignore.ok();
  complain_about(conf.findings, accepted);
  complain_about(ignore.findings, accepted);
  if (!accepted) return kExitConfig;

  const auto opened = [](const std::string& path, int fd) {
    return path.empty() ? UniqueFd() : UniqueFd(fd);
  };
  Descriptors effects(enforcer, opened(conf.config.history_file, kHistory),
                      opened(conf.config.blocked_file, kBlocked));
  Monitor monitor({.config = conf.config,
                   .ignored = *ignore.list,
                   .local = rtnetlink->view(),
                   .conf_path = conf_path,
                   .version = kVersion},
                  effects);
  return Server(enforcer, monitor, *rtnetlink, std::move(stop)).run();
}

}  // namespace
}  // namespace portsentry::monitor

int main(int argc, char** argv) {
  portsentry::set_log_name("portsentry-monitor");
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == "-t") {
    return portsentry::monitor::check(arguments[2]);
  }
  if (arguments.size() != 2) {
    portsentry::fatal("this program is started by portsentryd, not by hand",
                      portsentry::kExitUsage);
  }
  return portsentry::monitor::serve(arguments[0], arguments[1]);
}
