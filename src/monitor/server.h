// The glue: descriptors to messages, messages to the monitor, the monitor's wishes to descriptors,
// and its next wish for time to a timer. What is opened was opened before the process was sealed;
// here descriptors only arrive, and are moved to the numbers that the filter knows.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "common/channel.h"
#include "common/event_loop.h"
#include "common/rtnetlink.h"
#include "common/unique_fd.h"
#include "monitor/command_text.h"
#include "monitor/control.h"
#include "monitor/descriptors.h"
#include "monitor/monitor.h"
#include "monitor/output.h"
#include "monitor/store.h"

namespace portsentry::monitor {

// `descriptor` (kNull, or one that arrived) gets the number `place` as well. Ends the process where
// the kernel refuses: the policy has a row for each place.
void put_at(int descriptor, Descriptor place);

// The whole of a sealed memfd, from its beginning: the offset is shared with root's copy of it.
Result<std::string> read_sealed(int descriptor, std::size_t cap);

class Server final : public Effects {
 public:
  // How the process stands in the world, found out before it was sealed.
  struct Standing {
    pid_t pid;  // the daemon's, as people know it
    std::string host;
    bool foreground;             // standard output is somebody's
    bool journal;                // it is the journal's
    std::optional<Store> store;  // nothing: it could not be opened, which was told
    ControlGroups control_groups = {};
  };
  // `setup.local` is `rtnetlink`'s view. What is passed by reference must outlive the server.
  Server(Channel& enforcer, Rtnetlink& rtnetlink, UniqueFd stop, Monitor::Setup setup,
         Standing standing);

  int run();

  bool to_enforcer(const MonitorToEnforcer& message) override;
  bool to_resolver(const MonitorToResolver& message) override;
  bool to_sensor(SensorRole role, const MonitorToSensor& message) override;
  void log(std::string_view line) override;
  void history(std::string_view line) override;
  void blocked_append(std::string_view line) override;
  void blocked_rewrite(std::string_view whole) override;
  std::optional<std::string> offered(ReloadedFile which) override;
  void adopt_file(ReloadedFile which, bool configured) override;
  void drop_offer() override { offered_.clear(); }
  void log_by(const Config& config) override;
  void promote_successor() override;
  void drop_successor() override { leave_sensor(SensorRole::successor); }
  std::uint64_t note(const StateChange& change) override;
  Result<EventPage> events(const EventQuery& query) override;
  Result<std::vector<TopRow>> top(const TopQuery& query) override;
  void end(int status, std::string_view why) override;
  [[nodiscard]] Losses losses() const override;

 private:
  int serve();
  void hear_enforcer();
  void take(const EnforcerToMonitor& message, UniqueFd descriptor);
  void meet_sensor(SensorRole role, const UniqueFd& channel);
  void leave_sensor(SensorRole role);
  void watch_sensor(SensorRole role);
  void hear_sensor(SensorRole role);
  void distrust_sensor(SensorRole role, std::string_view what);
  [[nodiscard]] std::optional<Channel>& sensor(SensorRole role) {
    return role == SensorRole::current ? sensor_ : successor_;
  }
  void meet_resolver(const UniqueFd& channel);
  void leave_resolver();
  void hear_resolver();
  void meet_scout(const UniqueFd& channel);
  void leave_scout();
  void hear_scout();
  void distrust_scout(std::string_view what);
  void write_soon();
  void write_after(Clock::duration pause);
  void write_state();
  void tell_committed();
  void trim_now_and_then();
  void tick_now_and_then();
  void meet_output(const UniqueFd& pipe);
  void read_output(std::size_t slot);
  void end_output(std::size_t slot);
  void tell(const std::optional<Error>& error, std::string_view key);
  void rearm();
  void stop();

  EventLoop loop_;
  Channel& enforcer_;
  Rtnetlink& rtnetlink_;
  UniqueFd stop_;
  Standing standing_;
  std::string_view label_;  // before lines of our own
  Sinks log_;
  RecordFile history_;
  RecordFile blocked_;
  std::map<ReloadedFile, UniqueFd> offered_;
  std::optional<Channel> sensor_;
  std::optional<Channel> successor_;
  std::optional<Channel> resolver_;
  std::optional<Channel> scout_;
  bool held_back_ = false;  // the current sensor is not read for now

  struct Output {
    Source source;
    CommandText text;
    EventLoop::Timer deadline;
  };
  std::array<std::optional<Output>, kOutputs> outputs_;
  std::uint64_t outputs_unread_ = 0;
  bool writing_soon_ = false;
  bool stopped_ = false;
  std::uint64_t noted_ = 0;      // where there is no store to count
  std::uint64_t committed_ = 0;  // as the monitor was told
  // Events that the disk does not have yet. As many as the store keeps waiting while the disk refuses.
  static constexpr std::size_t kMaxUnwatched = 4096;
  std::deque<std::pair<std::uint64_t, EventShown>> unwatched_;
  std::uint64_t state_failures_ = 0;
  bool state_failing_ = false;

  Monitor monitor_;
  Control control_;
  std::optional<EventLoop::Timer> timer_;
  std::optional<Clock::time_point> armed_for_;
  std::optional<EventLoop::Timer> ticking_;
  std::optional<Clock::time_point> ticks_at_;
};

}  // namespace portsentry::monitor
