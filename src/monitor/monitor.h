// The brain: what each message means, told as lines, requests and records. Knows no descriptor: it
// takes messages and `now`, and acts through Effects, so that a test can drive a whole story with a
// clock of its own.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "common/config.h"
#include "common/counters.h"
#include "common/local_view.h"
#include "common/messages.h"
#include "monitor/bans.h"
#include "monitor/decide.h"
#include "monitor/ignore_list.h"
#include "monitor/log_budget.h"
#include "monitor/log_lines.h"
#include "monitor/now.h"

namespace portsentry::monitor {

// How the monitor acts on the world. Nothing here fails for the caller: what could not be written
// is counted by the implementation. Header-only, so that fakes link whatever their RTTI.
class Effects {
 public:
  Effects() = default;
  Effects(const Effects&) = delete;
  Effects& operator=(const Effects&) = delete;
  virtual ~Effects() = default;

  virtual bool to_enforcer(const MonitorToEnforcer& message) = 0;  // false: full, try again soon
  virtual void log(std::string_view line) = 0;                     // without its newline
  virtual void history(std::string_view line) = 0;                 // with it
  virtual void blocked_append(std::string_view line) = 0;
  virtual void blocked_rewrite(std::string_view whole) = 0;

  struct Losses {
    std::uint64_t log_lines = 0;
    std::uint64_t history_writes = 0;
    std::uint64_t blocked_writes = 0;
  };
  [[nodiscard]] virtual Losses losses() const = 0;
};

class Monitor {
 public:
  struct Setup {
    const Config& config;
    const IgnoreList& ignored;
    const LocalView& local;  // live: read anew at each decision
    std::string conf_path;   // for messages
    std::string_view version;
  };

  // What `setup` and `effects` refer to must outlive the monitor.
  Monitor(Setup setup, Effects& effects)
      : setup_(std::move(setup)), effects_(effects), lines_(setup_.config) {}

  void start(Now now);  // the first line, then Accept
  void shut_down();     // the last line

  // False: this message is not legal now, or answers nothing that was asked. That peer is broken.
  [[nodiscard]] bool on_enforcer(const EnforcerToMonitor& message, Now now);
  [[nodiscard]] bool on_sensor(const SensorToMonitor& message, Now now);

  // What a new sensor is told first.
  [[nodiscard]] SensorConfig sensor_config() const;
  // Its channel closed. SensorLost will tell why; should none come, it lives on and is replaced.
  void sensor_hung_up(Now now);
  // It spoke what it must not, `what`: our end of its channel is closed, and it is to be replaced.
  void sensor_broken(std::string_view what, Now now);

  // Runs what is due; call when `wake_at` has come, and after every event.
  void tick(Now now);
  [[nodiscard]] std::optional<Clock::time_point> wake_at() const;

  [[nodiscard]] StatusReply status() const;

 private:
  // Where channel A stands; which message is legal when is a table in monitor.cc.
  enum class Phase : std::uint8_t { fresh, adopting, serving };
  enum class SensorPhase : std::uint8_t { none, configured, ready };
  static bool legal(const EnforcerToMonitor& message, Phase phase);

  bool on(const Outcome& outcome, Now now);
  bool on(const TableCreated& table, Now now);
  bool on(const Adopted& adopted, Now now);
  bool on(const AdoptedDone& done, Now now);
  bool on(const SensorChannel& channel, Now now);
  bool on(const SensorLost& lost, Now now);
  bool on(const TableLost& lost, Now now);
  bool on(const Lifted& lifted, Now now);
  bool on(const CommandOutput& output, Now now);
  bool on(const ReloadFile& file, Now now);
  bool on(const ReloadOffer& offer, Now now);
  bool on(const ReloadFailed& failed, Now now);
  bool on(const ResolverChannel& channel, Now now);
  bool on(const ResolverLost& lost, Now now);

  void detected(const Detection& detection, Now now);
  void tell_event(const Detection& detection, Now now);
  void log_all(const Text& text);
  void tell_refusal(const Detection& detection, std::string_view reason, Now now);
  void enforced(const Bans::Answer& answer, Now now);
  bool narrow_after_refusal(const Bans::Answer& answer, Now now);
  void sensor_gone();
  void tell_restored_when_done();
  void announce_when_ready();
  void log_limited(const Source& source, std::string_view line, Now now);
  void blocked_changed(Now now);
  void pump(Now now);

  Setup setup_;
  Effects& effects_;
  Lines lines_;
  Bans bans_;
  LogBudget budget_;

  Phase phase_ = Phase::fresh;
  Backend backend_ = Backend::none;
  bool table_lost_ = false;
  std::size_t adopted_ = 0;

  struct Restoring {
    std::size_t put_back = 0;
    std::size_t failed = 0;
  };
  std::optional<Restoring> restoring_;  // after the table was lost, until every Restore is answered

  SensorPhase sensor_phase_ = SensorPhase::none;
  bool announced_ = false;
  std::optional<Clock::time_point> sensor_must_end_by_;  // it hung up, and SensorLost is to come
  std::uint64_t sensor_restarts_ = 0;
  std::array<std::uint64_t, kSensorCounters> sensor_before_{};  // of the sensors before this one
  std::array<std::uint64_t, kSensorCounters> sensor_now_{};

  std::array<std::uint64_t, kReasons> decisions_{};
  std::uint64_t detections_ = 0;
  std::uint64_t bans_confirmed_ = 0;
  std::uint64_t refused_guard_ = 0;
  std::uint64_t refused_kernel_ = 0;
  std::uint64_t narrowed_ = 0;
  std::uint64_t expired_ = 0;
  std::uint64_t lifted_by_hand_ = 0;
  std::uint64_t given_up_ = 0;
  std::uint64_t tables_lost_ = 0;

  std::deque<MonitorToEnforcer> owed_;  // Accept, DropSensor: at most one of each
  std::optional<Clock::time_point> retry_send_;
  std::optional<Clock::time_point> rewrite_blocked_;
};

}  // namespace portsentry::monitor
