// The half of the root program that listens to the monitor and can make nothing: no process, no
// file, no socket. It judges every request by itself (guard.h), changes elements of our own sets
// (nft.h), keeps the table alive, and asks its other half for sensors, and for the owner's commands.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "common/channel.h"
#include "common/config.h"
#include "common/event_loop.h"
#include "common/local_view.h"
#include "common/messages.h"
#include "enforcer/exempt.h"
#include "enforcer/firewall.h"
#include "enforcer/launcher_link.h"
#include "enforcer/nft_audit.h"
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
    Firewall* firewall;                      // null: this kernel has no nf_tables
    Backend backend;                         // of the first generation, once armed
    bool resolver;                           // it wants names resolved
    std::function<const LocalView*()> view;  // null when this host's own view is unknown
    int table_events = -1;  // readable when nf_tables changed; -1 without nf_tables
    // NftEvents::our_table_touched; an overrun counts as touched.
    std::function<bool(unsigned expected)> table_touched;
    std::function<std::vector<Source>()> lifted;  // NftEvents::lifted
    NftAudit* audit = nullptr;                    // null where `firewall` is
    // The connections of a source to these ports; null where the kernel cannot tell.
    std::function<Result<std::vector<Session>>(const Source&, const PortSet&)> sessions;
  };

  explicit Enforcer(Parts parts)
      : parts_(std::move(parts)), configured_(parts_.backend), resolver_wanted_(parts_.resolver) {}

  // To be called when the channel or the link has something to say.
  void on_monitor();
  void on_launcher();
  // The view that parts.view() gives is another one now.
  void local_view_changed();
  // The last thing: nobody is held any more, whom nobody would judge.
  void farewell() {
    if (has_traps()) stop_traps();
  }

 private:
  // What the launcher runs for the monitor. Its ids there are ours, so that a monitor that uses one
  // of its own twice gets two answers and confuses nobody but itself.
  struct Run {
    std::uint64_t id;  // the monitor's; 0: it did not ask for this, and is not answered
    LauncherCommand command;
    Source source;
    std::optional<BanCause> cause;
    // An undo by an earlier generation's template: what follows, under the same id.
    LauncherCommand then = LauncherCommand::none;
    UniqueFd unread{};  // output for nobody: open until the end, so that a write does not kill it
  };

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
  void handle(const Arm& arm);
  void handle(const Audit& audit);
  void handle(const ListHeld&);
  void handle(const TestFirewall& test);
  void handle(const RequestReload&);
  void handle(const Exempt&);
  void handle(const Release&);

  // Bans.
  void restore_gathered();
  [[nodiscard]] Verdict judged(const Source& source, std::chrono::seconds duration) const;
  void place(std::uint64_t id, const Source& source, std::chrono::seconds duration,
             LauncherCommand command, const std::optional<BanCause>& cause, bool keep_sessions);
  Result<void> ban_natively(const Source& source, std::chrono::seconds duration, bool restoring,
                            bool keep_sessions);
  void run(std::uint64_t id, LauncherCommand command, const Source& source,
           const std::optional<BanCause>& cause);
  void undo_route(std::uint64_t id, const Source& source);
  void run_route(std::uint64_t id, LauncherCommand command, const Source& source,
                 const std::optional<BanCause>& cause);
  [[nodiscard]] bool has_room_for_a_run() const;
  void start_run(Run run, std::uint32_t generation);
  void command_output(const LauncherEvent& event, UniqueFd pipe);
  void command_done(const LauncherEvent& event);

  void load_table();
  void load_table_after(Clock::duration wait);
  void table_loaded(bool ok, std::int32_t code);
  void announce_table();
  void adopt_what_holds();
  void announce_when_restored();
  void follow_configuration();
  void leave_table();
  void load_rules_soon();
  void load_table_soon();
  void watch_table();
  bool look_at_table(unsigned expected);
  // Sensors.
  void start_sensor();
  void start_sensor_after(Clock::duration wait);
  void sensor_started(int channel);
  void sensor_ended(const LauncherEvent& event);
  void successor_started(int channel);
  void sensor_lost(const LauncherEvent& event);
  void successor_ended(const LauncherEvent& event);
  void successor_gone();

  void start_resolver();
  void resolver_ended();

  void start_scout();
  void scout_started(int channel);
  void scout_ended();
  void networks_told(Bytes bytes);

  // Holds.
  [[nodiscard]] bool wants_table() const;
  [[nodiscard]] bool has_traps() const;
  void write_exempt_soon();
  void write_exempt(bool table_is_new);
  void exempt();
  void keep_traps();
  void stop_holds();
  void stop_traps();

  // What holds, counted.
  void begin_audit();
  void watch_audit();
  void on_audit();
  void rest_after(Clock::duration worked);
  void audited(const Holding& holding);
  void audit_failed(const Error& error);

  // Scope and login ports.
  void scope_told(const LauncherEvent& event);
  void login_ports_told(const LauncherEvent& event);

  // A reload.
  [[noreturn]] static void out_of_turn(std::string_view verb);
  void reload_file(const LauncherEvent& event, int fd);
  void reload_offered(const LauncherEvent& event);
  void reload_failed(const LauncherEvent& event);
  void reload_committed(const LauncherEvent& event);
  void tell_followed();
  void reload_over();

  void tell(const EnforcerToMonitor& message, int passed = -1);
  void ask(LauncherOp op, std::uint32_t generation = 0);
  void ask(const LauncherRequest& request);

  // Where the monitor stands with the generation that was offered last.
  enum class Offer : std::uint8_t {
    none,        // nothing is under way
    offered,     // its answer is awaited
    accepted,    // a successor of the sensor starts
    committing,  // the launcher switches
  };

  Parts parts_;
  Phase phase_ = Phase::waiting;
  Backend configured_;               // by root's configuration
  bool armed_ = false;               // by the monitor
  Backend backend_ = Backend::none;  // what bans now: the one, if the other
  TokenBucket budget_{kBansPerSecond, kBanBurst};
  TokenBucket additions_{kBansPerSecond, kBanBurst};  // of their own: no ban waits for a line
  TokenBucket tests_{1, 10};
  TokenBucket reload_requests_{1, 1};
  std::uint32_t restored_ = 0;
  std::vector<Restore> gathered_;  // to be restored together; empty between turns
  bool one_by_one_ = false;        // until the next table: some of them hold already
  std::optional<EventLoop::Timer> restore_deadline_;

  bool loading_ = false;     // nft runs
  bool announced_ = false;   // the first TableCreated: from then on a loss is repaired, not fatal
  bool table_made_ = false;  // by this run: the kernel may hold bans of ours
  bool adopt_ = true;        // what the kernel holds already is news to the monitor
  bool announce_set_ = false;
  bool retry_set_ = false;
  bool rules_only_ = false;  // the table that is being loaded holds all bans already
  bool ready_told_ = false;
  Clock::time_point last_load_{};
  Backoff table_backoff_;

  std::map<std::uint64_t, Run> runs_;
  std::uint64_t last_run_ = 0;
  // Bans that a command has made, and the generation whose KILL_ROUTE that was.
  std::map<Source, std::uint32_t> routed_;
  std::uint32_t route_generation_ = 1;

  Backoff sensor_backoff_;
  bool served_ = false;       // the first sensor was asked for
  bool sensor_runs_ = false;  // and was not yet asked to be killed
  bool successor_runs_ = false;
  bool successor_takes_over_ = false;  // committing, and it lived when that was asked for
  Clock::time_point sensor_since_{};
  std::optional<EventLoop::Timer> sensor_due_;
  std::optional<LauncherEvent> predecessor_lost_;  // while its successor runs; not told yet
  Clock::time_point successor_since_{};

  Backoff resolver_backoff_;
  bool resolver_wanted_;
  bool resolver_runs_ = false;
  bool resolver_due_ = false;
  Clock::time_point resolver_since_{};

  Backoff scout_backoff_;
  Clock::time_point scout_since_{};
  std::vector<Prefix> networks_;  // PROTECT_NETWORKS

  BanScope scope_ = BanScope::inbound;
  std::uint64_t rules_ = 0;         // a hash of what the launcher would load
  std::uint64_t loaded_rules_ = 0;  // of what the kernel has
  bool traps_ = false;              // the rules have traps
  bool loaded_traps_ = false;

  std::vector<Prefix> exempt_coming_;               // parts of a list
  std::optional<std::vector<Prefix>> exempt_told_;  // the monitor's last whole list
  std::optional<ExemptLists> exempt_in_force_;
  Clock::time_point exempt_written_{};
  bool exempt_due_ = false;
  bool told_of_cut_ = false;
  std::optional<EventLoop::Timer> renewal_;
  PortSet login_ports_;

  std::vector<std::uint64_t> audits_;          // asked for, and not begun
  std::vector<std::uint64_t> audits_running_;  // to be answered by the count under way
  unsigned listings_ = 0;                      // as audits_
  bool listing_ = false;                       // as audits_running_
  unsigned audit_failures_ = 0;                // in a row
  bool audit_set_ = false;                     // a timer for the next try

  Offer offer_ = Offer::none;
  std::uint32_t offered_ = 0;  // the generation
  std::uint32_t crossed_ = 0;  // its successor was lost while its commit may have been on the way
  std::optional<EventLoop::Timer> offer_deadline_;
  std::uint32_t following_ = 0;  // the generation that is committed, whose rules are not yet loaded
};

// The enforcer process from its first instruction: checks that the launcher started it, opens its
// sockets, locks down, serves. Never returns before the end; returns the exit status.
int serve_enforcer(Backend backend, bool resolver);

}  // namespace portsentry::enforcer
