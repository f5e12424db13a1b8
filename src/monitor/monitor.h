// The brain: what each message means, told as lines, requests and records. Knows no descriptor: it
// takes messages and `now`, and acts through Effects, so that a test can drive a whole story with a
// clock of its own.
//
// One class, by subject: monitor.cc (channel A, time), monitor_bans.cc (what came of a request),
// monitor_table.cc (the kernel's table), monitor_clock.cc (a clock that was set), monitor_events.cc (a probe and what
// comes of it), monitor_commands.cc (the owner's commands and hosts.deny), monitor_sensors.cc
// (channel B), monitor_reload.cc, monitor_memory.cc (what outlives the process), monitor_names.cc,
// monitor_scout.cc (channel S: who is protected), monitor_control.cc (what portsentryctl asks),
// monitor_record.cc (what is written down for later questions), monitor_override.cc (arm and
// observe), monitor_self_test.cc, monitor_status.cc.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "common/control_messages.h"
#include "common/counters.h"
#include "common/local_view.h"
#include "common/messages.h"
#include "common/result.h"
#include "monitor/allow_list.h"
#include "monitor/ban_budget.h"
#include "monitor/bans.h"
#include "monitor/decide.h"
#include "monitor/events.h"
#include "monitor/evidence_book.h"
#include "monitor/explanation.h"
#include "monitor/hooks.h"
#include "monitor/ignore_list.h"
#include "monitor/line_queue.h"
#include "monitor/log_budget.h"
#include "monitor/log_lines.h"
#include "monitor/memory.h"
#include "monitor/now.h"
#include "monitor/offences.h"
#include "monitor/override.h"
#include "monitor/protected.h"
#include "monitor/reconcile.h"
#include "monitor/report.h"
#include "monitor/resolver_client.h"
#include "monitor/score_book.h"
#include "monitor/scouted.h"
#include "monitor/wrappers.h"

namespace portsentry::monitor {

// During a reload there are two sensors for a moment.
enum class SensorRole : std::uint8_t { current, successor };

// How the monitor acts on the world. Nothing here fails for the caller: what could not be written
// is counted by the implementation. Header-only, so that fakes link whatever their RTTI.
class Effects {
 public:
  Effects() = default;
  Effects(const Effects&) = delete;
  Effects& operator=(const Effects&) = delete;
  virtual ~Effects() = default;

  virtual bool to_enforcer(const MonitorToEnforcer& message) = 0;  // false: full, try again soon
  virtual bool to_resolver(const MonitorToResolver& message) = 0;  // false: not sent
  virtual bool to_sensor(SensorRole role, const MonitorToSensor& message) = 0;  // as above
  virtual void log(std::string_view line) = 0;      // without its newline
  virtual void history(std::string_view line) = 0;  // with it
  virtual void blocked_append(std::string_view line) = 0;
  virtual void blocked_rewrite(std::string_view whole) = 0;

  // The text of a file that came with the last ReloadFile of its kind; nothing: none did, or it
  // cannot be read.
  virtual std::optional<std::string> offered(ReloadedFile which) = 0;
  // The history, blocked or log file that was offered takes over; `configured`: it is a file and not
  // the stand-in for none. Where none was offered the old one stays.
  virtual void adopt_file(ReloadedFile which, bool configured) = 0;
  virtual void drop_offer() = 0;  // what was offered and not adopted is closed
  // The log goes where and in what words `config` says from now on.
  virtual void log_by(const Config& config) = 0;
  // The successor's channel takes the place of the current sensor's, which is closed.
  virtual void promote_successor() = 0;
  virtual void drop_successor() = 0;  // its channel is closed
  // What is to be known after a restart. It is on the disk within 100 ms, together with what else was
  // noted, and Monitor::on_committed() tells the number that this returns; a ban that a command is
  // asked for (BanBackend::asked) is on the disk before this returns, where the disk takes anything.
  // Numbers rise. While the disk refuses, nothing is forgotten and nothing is committed.
  virtual std::uint64_t note(const StateChange& change) = 0;
  // What was noted of events and is on the disk. An error: nothing is remembered here, or the file
  // cannot be read.
  virtual Result<EventPage> events(const EventQuery& query) = 0;
  virtual Result<std::vector<TopRow>> top(const TopQuery& query) = 0;
  // The process is to end with `status`, after this event.
  // `why` is in the log; whoever waits for a start in the background reads no log.
  virtual void end(int status, std::string_view why) = 0;

  struct Losses {
    std::uint64_t log_lines = 0;
    std::uint64_t history_writes = 0;
    std::uint64_t blocked_writes = 0;
    std::uint64_t state_writes = 0;
    std::uint64_t command_outputs = 0;  // there was nobody free to read them
    // Of the control socket, see control.h.
    std::uint64_t control_strangers = 0;
    std::uint64_t control_no_seat = 0;
    std::uint64_t control_malformed = 0;
    std::uint64_t control_not_permitted = 0;
    std::uint64_t control_silent = 0;
    std::uint64_t events_missed = 0;
    std::uint64_t events_lost = 0;  // that waited for the disk for too long
  };
  [[nodiscard]] virtual Losses losses() const = 0;
};

// What `config` comes to for a sensor.
SensorConfig sensor_config_of(const Config& config);

class Monitor {
 public:
  struct Setup {
    Config config;
    IgnoreList ignored;
    const LocalView& local;  // live: read anew at each decision
    std::string conf_path;   // for messages
    std::string ignore_path;
    std::string_view version;
    // Reads a configuration of a later generation, with the settings of the command line.
    std::function<ConfigReading(std::string_view text)> read_config;
    // What an earlier run left; `new_boot`: the machine was booted since.
    Memory remembered = {};
    bool new_boot = false;
    // False: there is nowhere to remember anything, and nothing that is noted is ever committed.
    bool has_memory = true;
    // How many bans each of the kernel's sets has room for; another number is for tests.
    std::size_t set_size = Bans::kKernelSetSize;
    // For `status`: the processes whose numbers this one can know.
    std::optional<std::uint32_t> launcher = std::nullopt;
    std::optional<std::uint32_t> self = std::nullopt;
    // Spreads what would happen in one instant (bans.h). Nothing: it does not, for tests.
    std::optional<std::uint64_t> seed = std::nullopt;
  };

  // `effects`, and what `setup` refers to, must outlive the monitor.
  Monitor(Setup setup, Effects& effects)
      : setup_(std::move(setup)), effects_(effects), lines_(setup_.config), bans_(setup_.seed) {}

  void start(Now now);  // the first line, then Accept
  // An orderly stop begins: what the sensor knows is asked for, and noted. When stopped() turns true
  // (at once, or within a quarter of a second) the caller writes what was noted, has the last line
  // told, and ends.
  void stop(Now now);
  [[nodiscard]] bool stopped() const { return stopping_ && stopping_->over; }
  void shut_down();  // the last line

  // False: this message is not legal now, or answers nothing that was asked. That peer is broken.
  [[nodiscard]] bool on_enforcer(const EnforcerToMonitor& message, Now now);
  [[nodiscard]] bool on_resolver(const ResolverToMonitor& message, Now now);
  // Its channel is closed, by either end.
  void resolver_gone();
  [[nodiscard]] bool on_sensor(const SensorToMonitor& message, Now now,
                               SensorRole role = SensorRole::current);

  [[nodiscard]] bool on_scout(const ScoutToMonitor& message, Now now);
  // It spoke what it must not, `what`: its channel is closed, which ends it, and another follows.
  void scout_broken(std::string_view what, Now now);

  // Who is never banned, and why; for people to read (protected.h).
  [[nodiscard]] std::vector<ProtectedEntry> protected_entries(Now now) const;
  // Why nobody inside `prefix` is banned; nothing: somebody may be. Before the first snapshot of the
  // scout is there (protection_known()) this knows less than the truth, and nobody is to be banned.
  [[nodiscard]] std::optional<ProtectedEntry> protection_of(const Prefix& prefix, Now now) const;
  [[nodiscard]] bool protection_known() const { return scouted_.known(); }

  // What a new sensor is told first.
  [[nodiscard]] SensorConfig sensor_config(SensorRole role = SensorRole::current) const;
  // Its channel closed. SensorLost will tell why; should none come, it lives on and is replaced.
  void sensor_hung_up(Now now, SensorRole role = SensorRole::current);
  // It spoke what it must not, `what`: our end of its channel is closed, and it is to be replaced.
  void sensor_broken(std::string_view what, Now now, SensorRole role = SensorRole::current);
  // False: the channel that came with a SensorChannel is not needed any more.
  [[nodiscard]] bool expects(SensorRole role) const {
    return (role == SensorRole::current ? sensor_ : successor_).phase == SensorPhase::configured;
  }
  // True while the current sensor must not be read: its successor has no room for what it tells.
  [[nodiscard]] bool holding_back() const { return relayed_.has_value(); }

  // Whose output a CommandOutput that was just accepted brings.
  [[nodiscard]] Source output_of() const { return output_of_; }
  // One printable line of it.
  void command_said(const Source& source, std::string_view line, Now now);

  // Everything that Effects::note() has numbered up to `sequence` is on the disk.
  void on_committed(std::uint64_t sequence, Now now);

  // ---- by hand: what an administrator asks for. Whether they may was judged before ---------------

  // What came of it. `policy`: it is never banned, or the request makes no sense. `busy`: too much is
  // under way, or it is just being ended: again later. `failed`: `text` says why, and what holds.
  struct ByHand {
    enum class Code : std::uint8_t { done, no_match, policy, busy, failed } code;
    std::string text;                // one line for people
    std::size_t bans = 0;            // how many were made, changed or ended
    std::size_t permanent_left = 0;  // of unban(): how many match and stay, being permanent
  };
  // Called once, in the call itself or later: when the kernel has confirmed it and the record of it
  // is on the disk, or when it is clear that this will not be.
  using Answered = std::function<void(const ByHand&)>;

  // A host, or an IPv6 /64. `duration` 1 s .. kMaxBan; nothing: permanent. A source that is banned
  // already gets the new time.
  void ban_by_hand(const Prefix& prefix, std::optional<std::chrono::seconds> duration,
                   std::string note, Answered then, Now now);
  // Every ban inside `prefix`, and the one that covers it where it is a host; nothing: all bans.
  // Those without expiry only with `permanent_too`, or where `prefix` is that very ban's.
  void unban(const std::optional<Prefix>& prefix, bool permanent_too, Answered then, Now now);

  // Whom never to ban may be somebody else now: what holds against them is lifted. Soon, and once
  // for many calls.
  void protection_changed(Now now);
  // ---- what portsentryctl asks for; whether it may is judged before ------------------------------

  // Bans are made whatever the file says; with `confirm_within` (1 s .. kMaxBan) for so long, unless
  // confirm() comes. An override is on the disk like everything that is noted, and outlives a restart.
  ModeChange arm(std::optional<std::chrono::seconds> confirm_within, Now now);
  // From a login session that began at `session_began`, wall clock.
  ModeChange confirm(std::time_t session_began, Now now);
  // None are made, whatever the file says.
  ModeChange observe(Now now);
  // The file alone counts again.
  ModeChange follow_file(Now now);
  struct Mode {
    BlockModes file;               // BLOCK_TCP and BLOCK_UDP as the file has them
    std::optional<Override> word;  // what stands above it
    bool armed;                    // bans are made, all considered
  };
  [[nodiscard]] Mode mode() const;

  // Everything that is known of `address`, and what was decided.
  [[nodiscard]] Explanation evidence(const Address& address, Now now) const;
  // Who was banned since `since`, or would have been, by source. Reads at most kMaxReportEvents
  // events. An error: they cannot be read.
  [[nodiscard]] Result<Report> report(std::time_t since);
  static constexpr std::size_t kMaxReportEvents = 50'000;
  [[nodiscard]] BanBudget::State budget(BanClass how, Now now) const {
    return ban_budget_.state(how, now.steady);
  }

  // Runs what is due; call when `wake_at` has come, and after every event.
  void tick(Now now);
  [[nodiscard]] std::optional<Clock::time_point> wake_at() const;

  static constexpr std::chrono::seconds kSelfTestPatience{5};

  // What a portsentryctl of the user `who` asks, who may. `answer` is called once: at once, or when
  // it is known how it ended.
  using Answer = std::function<void(ControlReply)>;
  void on_control(const ControlRequest& request, std::uint32_t who, Answer answer, Now now);

  [[nodiscard]] StatusReply status() const;
  // The same, and what only a clock can tell: budgets, who is protected, alarms.
  [[nodiscard]] StatusReply status(Now now) const;
  // Every counter, in a fixed order.
  [[nodiscard]] std::vector<NamedCount> counters() const;

 private:
  // Where channel A stands; which message is legal when is a table in monitor.cc.
  enum class Phase : std::uint8_t { fresh, adopting, serving };
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
  bool on(const ReloadFollowed& followed, Now now);
  bool on(const ResolverChannel& channel, Now now);
  bool on(const ResolverLost& lost, Now now);
  bool on(const Audited& audited, Now now);
  bool on(const ScoutChannel& channel, Now now);
  bool on(const ScoutLost& lost, Now now);

  // Bans.
  bool on_ban_outcome(const Outcome& outcome, Now now);
  void enforced(const Bans::Answer& answer, Now now);
  void acknowledged(const Source& source, std::uint64_t number, std::chrono::seconds left,
                    const std::optional<Detection>& probe, Now now);
  [[nodiscard]] std::string how_blocked(const Source& source, const Bans::Ban& ban,
                                        std::chrono::seconds left) const;
  void put_back_after_all(const Bans::Answer& answer, Now now);
  void changed(const Bans::Answer& answer);
  void not_yet(const Bans::Answer& answer, const Outcome& outcome, Now now);
  void lifted(const Source& source, const Bans::Ban& ban, Now now);
  void lift(const Source& source, Bans::Pardon why, Now now);
  bool narrow_after_refusal(const Bans::Answer& answer, Now now);
  void could_not_block(const Bans::Answer& answer, const Outcome& outcome, Now now);
  void ban_over(const Source& source, bool held, bool wrapped, Now now);
  bool lift_where_protected(const Source& source, Now now);
  void lift_protected(Now now);
  void lift_some_protected(Now now);
  [[nodiscard]] Bans::Pardon why_not_to_hold(const Source& source, Now now) const;
  void tell_backend_changed(Backend before);
  void tell_restored_when_done();
  void blocked_changed(Now now);

  // A probe.
  void detected(const Detection& detection, Now now);
  void ban(const Detection& detection, const Decision& decision, Now now);
  void already_banned(const Detection& detection, Now now);
  void proven_meanwhile(const Detection& detection);
  void proven_after_all(const Detection& detection, const std::pair<const Source, Bans::Ban>& known,
                        Now now);
  void tell_event(const Detection& detection, Now now);
  void tell_fate(const Detection& detection, Fate fate, std::string_view reason, Now now);
  void tell_refusal(const Detection& detection, std::string_view reason, Now now);

  // What is written down, and what a source has on its record.
  void record(const Event& event);
  void record_detection(const Detection& detection, const Decision& decision, Now now);
  void record_outcome(const Bans::Answer& answer, const Outcome& outcome, Now now);
  void record_lift(const Bans::Answer& answer, Now now);
  void count_offence(const Bans::Answer& answer, Now now);
  void record_end(EventKind kind, const Source& source, BanClass of, std::string_view detail,
                  Now now);
  void move_offence(const Source& source, std::time_t end);
  void over_budget(BanClass how, Now now);
  void tell_recovered(Now now);
  void recall_offences(Now now);
  void forget_offences(Now now);

  // The mode: the file's, and an administrator's word.
  [[nodiscard]] Config file_config() const;
  void use_modes();
  void recall_override(Now now);
  void set_override(std::optional<Override> word, EventKind kind, std::string_view detail, Now now);
  void tell_mode();
  void tell_armed(Now now);
  void revert(Now now);

  // Commands.
  bool run(Command command, const Source& source, const BanCause& cause, Now now);
  void first_answer(const Bans::Answer& answer, Now now);
  bool on_run_outcome(const Outcome& outcome, Now now);
  bool on_wrappers_outcome(const Outcome& outcome, Now now);
  void unwrap(const Source& source, Now now);

  // Sensors.
  enum class SensorPhase : std::uint8_t { none, configured, ready, handing_over, silent };
  using Counts = std::array<std::uint64_t, kSensorCounters>;
  struct Sensor {
    SensorPhase phase = SensorPhase::none;
    bool traps = false;    // it hears of probes by the kernel's traps
    bool dropped = false;  // another kind of sensor is wanted: what it still says is not heard
    Counts counts{};
    PortSets unbound;      // what it could not listen on
    std::size_t told = 0;  // of these, one by one
    std::size_t untold_tcp = 0;
    std::size_t untold_udp = 0;
  };
  [[nodiscard]] Sensor& sensor(SensorRole role) {
    return role == SensorRole::current ? sensor_ : successor_;
  }
  [[nodiscard]] const Sensor& sensor(SensorRole role) const {
    return role == SensorRole::current ? sensor_ : successor_;
  }
  bool hear(const SensorReady& ready, SensorRole role, Now now);
  bool hear(const Detection& detection, SensorRole role, Now now);
  bool hear(const SensorCounters& counters, SensorRole role, Now now);
  bool hear(const BindFailed& failed, SensorRole role, Now now);
  bool hear(const Evidence& evidence, SensorRole role, Now now);
  bool hear(const HandedOver& done, SensorRole role, Now now);
  bool hear(const SensorTested& tested, SensorRole role, Now now);
  bool hear(const Acquitted& acquitted, SensorRole role, Now now);

  // Holds.
  void follow_traps(bool traps, Now now);
  void follow_with_sensor(Now now);
  void tell_exempt(Now now);
  void judge_hold(const Detection& detection, Now now);
  void release(const Source& source, Now now);
  bool on_release_outcome(const Outcome& outcome);
  void sensor_gone();
  bool check_bound(const Sensor& sensor, const Config& config);
  void announce_when_ready(Now now);
  void hand_over(Now now);
  void relay(Now now);
  void stop_when_told(Now now);
  void tell_scores(Now now);

  // Reload.
  struct Generation {
    std::uint32_t number;
    Config config;
    IgnoreList ignored;
  };
  struct Reload {
    Generation next;
    bool new_watch = false;  // a sensor with other orders or another configuration
    // The successor must have said something by then. Nothing: no successor was asked for yet.
    std::optional<Clock::time_point> deadline;
    bool handing_over = false;  // the successor is ready and hears what the old one knows
  };
  void refuse(const ReloadOffer& offer, const std::vector<Finding>& findings, const Config& read,
              Now now);
  void await_successor(Now now);
  void reload_overdue(Now now);
  // It failed: `abandon` where root does not know that yet.
  void reload_over(std::string_view why, bool abandon, Now now);
  void commit(Now now);
  void reload_followed();
  void reload_unfollowed();
  void use(Generation next);

  // Names (RESOLVE_HOST), for people to read. `text` and `then` are called once, at once or within
  // two seconds, with a name or an empty one.
  using Named = std::function<Text(std::string_view host)>;
  void log_named(const Source& source, const Address& address, const Named& text, Now now);
  void with_name(const Address& address, LineQueue::Tell then, Now now);

  // The scout.
  [[nodiscard]] Shield shield() const;
  [[nodiscard]] MonitorToEnforcer with_sessions(MonitorToEnforcer message) const;
  void await_scout(Now now);
  void scout_told(Now now);
  void scout_tick(Now now);
  [[nodiscard]] std::optional<Clock::time_point> scout_due() const;

  // The wall clock against the one that bans are counted by.
  void look_at_clock(Now now);
  void rewrite_some_rows(Now now);

  // What outlives this process.
  void note(const StateChange& change);
  void recall(Now now);
  void recalled(Now now);
  void ask_for_lines_again(Now now);
  // `then` is called when all that was noted so far is on the disk. `may_drop`: not if too much waits.
  void after_commit(std::function<void(Now)> then, bool may_drop);
  void remember(const Source& source, const Bans::Ban& ban);
  void remember(const Source& source, const Bans::Ban& ban, BanBackend by);
  void remember_asked(const MonitorToEnforcer& message);
  void not_made(const Bans::Answer& answer, Verdict verdict, Now now);
  void remember_line(const Source& source, Now now);
  void forget(const Source& source);

  [[nodiscard]] std::vector<ProcessShown> processes() const;

  // Answers to portsentryctl: the value, or why there is none.
  [[nodiscard]] ControlReply tell_counters(const CountersAsk& ask) const;
  [[nodiscard]] ControlReply tell_bans(const ListAsk& ask) const;
  [[nodiscard]] ControlReply tell_why(const WhyAsk& ask, Now now);
  // What the disk has of its probes, where nothing else is known any more. False: nothing.
  [[nodiscard]] bool recall_why(WhyReply& reply);
  [[nodiscard]] ControlReply tell_report(const ReportAsk& ask);
  [[nodiscard]] ControlReply tell_allowed(const AllowListAsk& ask) const;
  [[nodiscard]] ControlReply tell_protected(const ProtectedAsk& ask, Now now) const;
  [[nodiscard]] ControlReply tell_history(const HistoryAsk& ask);
  [[nodiscard]] ControlReply tell_top(const TopAsk& ask);
  [[nodiscard]] std::optional<OverrideShown> override_shown() const;
  [[nodiscard]] std::vector<std::string> alarms(Now now) const;
  // These are answered when it is known how it ended.
  void tell_change(const ModeChange& change, const Answer& answer);
  void ask_ban(const BanAsk& ask, Answer answer, Now now);
  void ask_unban(const UnbanAsk& ask, Answer answer, Now now);
  void ask_flush(const FlushAsk& ask, Answer answer, Now now);
  void ask_allow(const AllowAddAsk& ask, Answer answer, Now now);
  void ask_disallow(const AllowRemoveAsk& ask, Answer answer, Now now);
  void ask_reload(Answer answer, Now now);
  void send_reload(Now now);
  void reload_ended(const ControlReply& reply);
  void ask_self_test(Answer answer, Now now);
  bool on_test_outcome(const Outcome& outcome, Now now);
  void sensor_test_over();
  void self_test_over();
  void control_tick(Now now);
  [[nodiscard]] std::optional<Clock::time_point> control_due() const;

  // What the kernel holds, compared with what it should.
  void reconcile(Now now);
  [[nodiscard]] std::optional<Clock::time_point> reconcile_due() const;
  [[nodiscard]] bool comparable() const;
  [[nodiscard]] Drift drift() const;
  // What the first of those waits for is on the disk: nobody will say so once more.
  [[nodiscard]] bool waits_for_nothing() const;
  [[nodiscard]] std::size_t bans_unrecorded() const;
  void listed(Now now);
  void watch_capacity();
  [[nodiscard]] std::size_t capacity_percent() const;

  // By hand.
  struct HandJob {
    std::size_t open = 0;  // sources whose answer is still to come
    ByHand result{.code = ByHand::Code::done, .text = {}, .bans = 0};
    Answered then;
    Clock::time_point deadline;
  };
  bool begin_by_hand(Answered& then);
  void by_hand_answered(const Bans::Answer& answer, const Outcome& outcome, Now now);
  // Its job is done, or (`failed`) not, and why.
  void by_hand_settled(const Source& source, bool ended,
                       const std::optional<ByHand>& failed = std::nullopt);
  void end_job(std::uint64_t job);
  void by_hand_overdue(Now now);
  [[nodiscard]] std::optional<Clock::time_point> by_hand_due() const;
  [[nodiscard]] std::optional<std::string> never_banned(const Prefix& prefix, Now now) const;

  void say(std::string_view line);
  void log_limited(const Source& source, std::string_view line, Now now);
  void log_limited(const Source& source, const Text& text, Now now);
  void log_all(const Text& text);
  void owe(MonitorToEnforcer message, Now now);
  void pump(Now now);

  Setup setup_;
  Effects& effects_;
  Lines lines_;
  Bans bans_;
  LogBudget budget_;
  BanBudget ban_budget_;
  OffenceBook offences_;
  EvidenceBook evidence_;
  EventBudget event_budget_;
  Hooks hooks_;
  Wrappers wrappers_;
  LineQueue queue_;
  ResolverClient resolver_;
  Scouted scouted_;
  struct ScoutOverdue {
    std::optional<Clock::time_point> at;  // when the first snapshot should have been there
    bool told = false;                    // and was not
  };
  ScoutOverdue scout_overdue_;
  bool told_nothing_to_read_ = false;

  std::time_t started_ = 0;
  std::optional<Now> clock_;  // both clocks, when they were last set against one another
  Phase phase_ = Phase::fresh;
  Backend backend_ = Backend::none;
  bool table_lost_ = false;
  bool traps_ = false;                              // the table has them
  std::optional<std::vector<Prefix>> exempt_told_;  // whom they never hold, as root knows it
  std::set<std::uint64_t> releases_;                // not answered yet
  std::size_t adopted_ = 0;
  struct Restoring {
    enum class Why : std::uint8_t { lost, moved, start } why;  // moved: to another backend
    std::size_t put_back = 0;
    std::size_t failed = 0;
  };
  std::optional<Restoring> restoring_;  // until every Restore is answered

  std::size_t recovered_ = 0;
  std::vector<Source> lines_left_;  // rows at the start that stand for a line in hosts.deny alone
  std::set<Source> quiet_lines_;    // asked for again at the start: no news
  std::uint64_t noted_ = 0;         // the last number that Effects::note() gave
  struct Awaiting {
    std::uint64_t sequence;
    std::function<void(Now)> then;
  };
  std::deque<Awaiting> awaiting_;  // in the order of their numbers
  std::uint64_t committed_ = 0;    // what on_committed() was told last
  std::size_t untold_ = 0;         // for which there was no room in it
  std::optional<Clock::time_point> lift_protected_at_;
  std::optional<Clock::time_point> lift_some_at_;  // the rest of them, behind
  std::optional<Source> lift_after_;
  std::optional<Clock::time_point> rewrite_some_at_;  // the rows behind the one of
  std::optional<Source> rewritten_;

  Reconcile reconcile_;
  struct Listing {
    std::size_t recovered = 0;
    std::size_t corrected = 0;
  };
  std::optional<Listing> listing_;  // ListHeld was sent, and its AdoptedDone is to come
  bool reconciling_ = false;
  std::optional<std::time_t> compared_;  // when the kernel was last found to hold what it should
  bool capacity_told_ = false;

  std::map<std::uint64_t, HandJob> hand_jobs_;
  struct HandWait {
    std::uint64_t job;
    bool ban;  // it waits for a ban, else for an end
  };
  std::multimap<Source, HandWait> hand_waits_;
  std::uint64_t next_hand_job_ = 1;
  BlockModes file_modes_;         // setup_.config has the modes that are in force
  std::optional<Override> word_;  // above the file's
  std::optional<Clock::time_point> reverts_at_;
  bool told_armed_ = true;  // what the enforcer was told last
  std::optional<Clock::time_point> forget_offences_at_;

  // What led to a ban that is asked for and not answered yet.
  std::map<Source, Detection> asked_for_;

  // Hooks that were asked for and not answered, and how they read. Few: Hooks allows no more.
  struct Run {
    Command command;
    Source source;
    std::string text;
  };
  std::map<std::uint64_t, Run> runs_;
  // So that an Outcome tells whose it is: bans count from 1, Wrappers from 2^63.
  std::uint64_t next_run_ = std::uint64_t{1} << 62U;
  Source output_of_ = Source::of(Address::v4(0, 0, 0, 0), true);

  Sensor sensor_;
  Sensor successor_;
  Counts sensor_before_{};  // of the sensors before this one
  bool announced_ = false;
  std::optional<Clock::time_point> sensor_must_end_by_;  // it hung up, and SensorLost is to come
  std::optional<Evidence> relayed_;                      // for which the successor had no room
  PortSets told_unbound_;

  // Across restarts: what a sensor told when we were stopped, and what is to be told to the next.
  struct Stopping {
    Clock::time_point until;
    bool hearing = false;
    bool over = false;
    ScoreBook scores = {};
  };
  std::optional<Stopping> stopping_;
  std::vector<Evidence> to_tell_;
  std::optional<Clock::time_point> tell_again_;

  std::uint32_t generation_ = 1;
  std::optional<std::uint32_t> offered_;  // whose files are coming in
  std::optional<Reload> reload_;
  // The last commit, until root has followed.
  struct Following {
    Generation before;
    bool armed_before;
    bool new_watch;
    Clock::time_point until;
  };
  std::optional<Following> following_;

  struct Tally {
    std::uint64_t detections = 0;
    std::uint64_t confirmed = 0;
    std::uint64_t refused_guard = 0;
    std::uint64_t refused_kernel = 0;  // or by a command
    std::uint64_t narrowed = 0;
    std::uint64_t expired = 0;
    std::uint64_t lifted_by_hand = 0;
    std::uint64_t given_up = 0;
    std::uint64_t undo_failed = 0;
    std::uint64_t tables_lost = 0;
    std::uint64_t holds_banned = 0;
    std::uint64_t holds_released = 0;
    std::uint64_t holds_left = 0;  // they end by themselves
    std::uint64_t sensor_restarts = 0;
    std::uint64_t commands_ok = 0;
    std::uint64_t commands_failed = 0;
    std::uint64_t commands_same_scan = 0;
    std::uint64_t commands_over_budget = 0;
    std::uint64_t hosts_deny_added = 0;
    std::uint64_t hosts_deny_removed = 0;
    std::uint64_t hosts_deny_failed = 0;
    std::uint64_t reloads_refused = 0;
    std::uint64_t missing = 0;  // in the kernel, and made again
    std::uint64_t drifts = 0;
    std::uint64_t bind_failures = 0;
  };
  Tally tally_;
  std::array<std::uint64_t, kReasons> decisions_{};

  // Who is allowed.
  void recall_allowed(Now now);
  void end_allowed(Now now);
  void allow_event(EventKind kind, const Prefix& prefix, std::string_view why, Now now);
  [[nodiscard]] std::optional<ControlReply> allow(Allowed entry, Now now);
  AllowList allowed_;

  // What is being turned over by a `report`.
  std::optional<Report> report_;
  std::time_t report_since_ = 0;

  // Who waits for a reload to end, and until when.
  std::vector<Answer> reload_waiters_;
  std::optional<Clock::time_point> reload_answer_by_;
  std::optional<Clock::time_point> reload_send_at_;  // it was asked for, and root is not told yet
  Clock::time_point next_reload_;                    // root would not hear one before this

  struct SelfTest {
    Answer answer;
    Clock::time_point began;
    std::vector<HopShown> hops;
    bool sensor_asked = false;    // and not answered
    bool firewall_asked = false;  // and not answered
  };
  std::optional<SelfTest> self_test_;
  bool scout_there_ = false;
  bool scout_spoke_ = false;  // the one that is there
  std::uint64_t scout_restarts_ = 0;
  std::uint64_t next_test_ = 1;
  // What was sent and is not answered, though nobody may be waiting any more; 0: nothing.
  std::uint64_t sensor_test_ = 0;
  std::uint64_t firewall_test_ = 0;

  std::deque<MonitorToEnforcer> owed_;  // in order, before the bans' own queue
  std::optional<Clock::time_point> retry_send_;
  std::optional<Clock::time_point> rewrite_blocked_;
};

}  // namespace portsentry::monitor
