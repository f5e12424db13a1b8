// The half of the root program that listens to the monitor and can make nothing: no process, no
// file, no socket. It judges every request by itself (guard.h), changes elements of our own sets
// (nft.h), keeps the table alive, and asks its other half for sensors.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "common/channel.h"
#include "common/event_loop.h"
#include "common/local_view.h"
#include "common/messages.h"
#include "enforcer/firewall.h"
#include "enforcer/launcher_link.h"
#include "enforcer/token_bucket.h"
#include "enforcer/verbs.h"

namespace portsentry::enforcer {

// How long the next start of what just failed waits: 0.1 s, doubling to 30 s; what lived for a
// minute starts the count again. Pure.
class Backoff {
 public:
  std::chrono::milliseconds next(Clock::duration lived);

 private:
  std::chrono::milliseconds wait_{0};
};

class Enforcer {
 public:
  struct Parts {
    EventLoop& loop;
    Channel& monitor;                        // channel A
    Channel& launcher;                       // the struct link
    Firewall* firewall;                      // null: FIREWALL="none" or observe mode
    std::function<const LocalView*()> view;  // null when this host's own view is unknown
    int table_events = -1;  // readable when nf_tables changed; -1 without a firewall
    // NftEvents::our_table_touched; an overrun counts as touched.
    std::function<bool(unsigned expected)> table_touched;
    std::function<std::vector<Source>()> lifted;  // NftEvents::lifted
  };

  explicit Enforcer(Parts parts) : parts_(std::move(parts)) {}

  // To be called when the channel or the link has something to say.
  void on_monitor();
  void on_launcher();

 private:
  void handle(const Accept&);
  void handle(const Ban& ban);
  void handle(const Unban& unban);
  void handle(const Restore& restore);
  void handle(const RestoreDone&);
  void handle(const DropSensor&);
  void handle(const RunCommand& run);
  void handle(const Ready&);
  void handle(const ReloadAccept& answer);
  void handle(const ReloadRefuse& answer);
  void handle(const ReloadCommit& answer);
  void handle(const ReloadAbandon& answer);

  void load_table();
  void load_table_after(Clock::duration wait);
  void table_loaded(bool ok, std::int32_t code);
  void announce_table();
  void watch_table();
  bool look_at_table(unsigned expected);
  void start_sensor();
  void sensor_started(int channel);
  void sensor_ended(const LauncherEvent& event);
  [[nodiscard]] Outcome place(std::uint64_t id, const Source& source,
                              std::chrono::seconds duration);
  void tell(const EnforcerToMonitor& message, int passed = -1);
  void ask(LauncherOp op);

  Parts parts_;
  Phase phase_ = Phase::waiting;
  TokenBucket budget_{kBansPerSecond, kBanBurst};
  std::uint32_t restored_ = 0;
  std::optional<EventLoop::Timer> restore_deadline_;
  bool loading_ = false;    // nft runs
  bool made_once_ = false;  // the first table is made: from then on a loss is repaired, not fatal
  bool retry_set_ = false;
  bool ready_ = false;  // the monitor has said that everything stands
  Clock::time_point last_load_{};
  Backoff table_backoff_;
  Backoff sensor_backoff_;
  bool sensor_runs_ = false;  // and was not yet asked to be killed
  Clock::time_point sensor_since_{};
};

// The enforcer process from its first instruction: checks that the launcher started it, opens its
// sockets, locks down, serves. Never returns before the end; returns the exit status.
int serve_enforcer(bool with_firewall);

}  // namespace portsentry::enforcer
