// A monitor, a clock that the test turns, and what came out: for tests that tell a story.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "known_view.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {

using namespace std::chrono_literals;

class FakeEffects final : public Effects {
 public:
  bool to_enforcer(const MonitorToEnforcer& message) override {
    if (full) return false;
    sent.push_back(message);
    lines_when_sent = lines.size();
    return true;
  }
  bool to_sensor(SensorRole role, const MonitorToSensor& message) override {
    if (sensor_full) return false;
    to_sensors.emplace_back(role, message);
    return true;
  }
  bool to_resolver(const MonitorToResolver& message) override {
    if (!resolver) return false;
    asked.push_back(std::get<Resolve>(message));
    return true;
  }
  std::uint64_t note(const StateChange& change) override {
    notes.push_back(change);
    if (const auto* put = std::get_if<PutBan>(&change))
      memory.insert_or_assign(put->ban.source, put->ban);
    if (const auto* erase = std::get_if<EraseBan>(&change)) memory.erase(erase->source);
    if (std::holds_alternative<BootRestored>(change)) restored += 1;
    return notes.size();
  }
  Result<EventPage> events(const EventQuery& query) override {
    if (!can_read) return Error{"state: the disk is gone"};
    return event_rows.empty() ? find_noted(query) : find_given(query);
  }
  // Pages of `event_rows`, whatever else is asked for.
  [[nodiscard]] EventPage find_given(const EventQuery& query) const {
    EventPage page;
    for (std::size_t i = query.cursor; i < event_rows.size() && page.rows.size() < query.limit; ++i)
      page.rows.push_back(event_rows[i]);
    page.more = query.cursor + page.rows.size() < event_rows.size();
    return page;
  }
  // As the store does it, from what was noted; an event's id is its note's number.
  [[nodiscard]] EventPage find_noted(const EventQuery& query) const {
    EventPage page;
    for (std::size_t i = 0; i < notes.size(); ++i) {
      const std::size_t id = query.newest_first ? notes.size() - i : i + 1;
      const auto* added = std::get_if<AddEvent>(&notes.at(id - 1));
      if (added == nullptr || added->event.at < query.since) continue;
      if (query.cursor != 0 && (query.newest_first ? id >= query.cursor : id <= query.cursor))
        continue;
      const auto& source = added->event.source;
      if (query.address && !(source && source->prefix().contains(*query.address))) continue;
      if (query.kind && added->event.kind != *query.kind) continue;
      if (page.rows.size() == query.limit) {
        page.more = true;
        break;
      }
      page.rows.push_back({id, added->event});
      page.cursor = id;
    }
    return page;
  }
  Result<std::vector<TopRow>> top(const TopQuery& query) override {
    if (!can_read) return Error{"state: the disk is gone"};
    tops.push_back(query);
    return std::vector<TopRow>{{"TCP 23", 7, 1, 2}};
  }
  void log(std::string_view line) override { lines.emplace_back(line); }
  void history(std::string_view line) override { history_text += line; }
  void blocked_append(std::string_view line) override { blocked_text += line; }
  void blocked_rewrite(std::string_view whole) override { blocked_text = whole; }
  std::optional<std::string> offered(ReloadedFile which) override {
    const auto found = files.find(which);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  }
  void adopt_file(ReloadedFile which, bool configured) override {
    adopted.emplace_back(which, configured);
  }
  void drop_offer() override { files.clear(); }
  void log_by(const Config& config) override { log_tag = config.log_tag; }
  void promote_successor() override { promoted += 1; }
  void drop_successor() override { dropped += 1; }
  void end(int status, std::string_view) override { ended = status; }
  [[nodiscard]] Losses losses() const override {
    return {.log_lines = 3, .events_lost = events_lost};
  }

  bool full = false;
  std::size_t lines_when_sent = 0;  // how many lines were written before the last request
  std::vector<MonitorToEnforcer> sent;
  std::vector<std::string> lines;
  std::string history_text;
  std::string blocked_text;
  bool sensor_full = false;
  std::vector<std::pair<SensorRole, MonitorToSensor>> to_sensors;
  std::map<ReloadedFile, std::string> files;
  std::vector<std::pair<ReloadedFile, bool>> adopted;
  std::string log_tag;
  int promoted = 0;
  int dropped = 0;
  std::optional<int> ended;
  bool resolver = true;
  std::vector<Resolve> asked;
  std::vector<EventPage::Row> event_rows;  // ids from 1, one after the other
  std::vector<StateChange> notes;          // in order; the first has number 1
  std::map<Source, StoredBan> memory;      // what the notes come to, of bans
  int restored = 0;
  bool can_read = true;  // of the disk
  std::uint64_t events_lost = 0;
  std::vector<TopQuery> tops;
};

// One story: a monitor, a clock that the test turns, and what came out.
class Story : public ::testing::Test {
 protected:
  Story() {
    setenv("TZ", "UTC", 1);
    tzset();
    config_.block_tcp = config_.block_udp = BlockMode::ban;
    // One time for all: which class gets which is offences_test.cc's.
    config_.block_time_forgeable = config_.block_time;
    config_.ports.tcp.add(*Port::make(23));
    config_.ports.udp.add(*Port::make(161));
  }
  Now now() const {
    return {Clock::time_point(10h) + passed_,
            1756178490 + clock_set_by_ +
                std::chrono::duration_cast<std::chrono::seconds>(passed_).count()};
  }
  // Time passes: the monitor is woken as the loop would wake it, at the moments that it asked for.
  void wait(Clock::duration time) {
    const Clock::duration until = passed_ + time;
    for (int i = 0; i < 10000; ++i) {
      const auto wake = monitor_->wake_at();
      if (!wake || *wake > Clock::time_point(10h) + until) break;
      passed_ = std::max(passed_, *wake - Clock::time_point(10h));
      monitor_->tick(now());
      commit();
    }
    passed_ = until;
  }

  void start() {
    monitor_.emplace(Monitor::Setup{.config = config_,
                                    .ignored = ignored_,
                                    .local = known_.view(),
                                    .conf_path = "/etc/portsentry/portsentry.conf",
                                    .ignore_path = "/etc/portsentry/portsentry.ignore",
                                    .version = "9.9",
                                    .read_config =
                                        [](std::string_view text) {
                                          return read_config(text, "portsentry.conf");
                                        },
                                    .remembered = remembered_,
                                    .new_boot = new_boot_,
                                    .set_size = set_size_},
                     effects_);
    monitor_->start(now());
    if (scouted_) scout_tells();
  }
  bool hear(const EnforcerToMonitor& message) {
    const bool legal = monitor_->on_enforcer(message, now());
    commit();
    return legal;
  }
  bool sense(const SensorToMonitor& message, SensorRole role = SensorRole::current) {
    const bool legal = monitor_->on_sensor(message, now(), role);
    commit();
    return legal;
  }
  // The disk takes what was noted, at once, unless the test says that it does not.
  void commit() {
    if (disk_) monitor_->on_committed(effects_.notes.size(), now());
  }
  void make_table(bool enforcing = true) {
    ASSERT_TRUE(hear(
        TableCreated{.backend = enforcing ? Backend::nftables : Backend::none, .again = false}));
    ASSERT_TRUE(hear(AdoptedDone{}));
  }
  bool scout(const ScoutToMonitor& message) { return monitor_->on_scout(message, now()); }
  // A whole snapshot of the scout's.
  void scout_tells(const std::vector<Found>& found = {}, std::uint32_t files = 1) {
    ASSERT_TRUE(scout(SnapshotBegin{}));
    for (const Found& one : found)
      ASSERT_TRUE(scout(one));
    ASSERT_TRUE(scout(SnapshotEnd{files}));
  }
  void serve(bool enforcing = true) {
    start();
    make_table(enforcing);
    ASSERT_TRUE(hear(SensorChannel{.successor = false}));
    ASSERT_TRUE(sense(SensorReady{}));
    effects_.lines.clear();
    effects_.sent.clear();
  }
  void detect(const Detection& detection) { ASSERT_TRUE(sense(detection)); }
  template <class T>
  std::vector<T> sent() const {
    std::vector<T> found;
    for (const auto& message : effects_.sent) {
      if (const auto* m = std::get_if<T>(&message)) found.push_back(*m);
    }
    return found;
  }
  // The enforcer's answer to the last Ban.
  void answer(Verdict verdict, std::int32_t error = 0) {
    ASSERT_FALSE(sent<Ban>().empty());
    ASSERT_TRUE(hear(Outcome{sent<Ban>().back().id, verdict, error}));
  }
  void ban(std::string_view from) {
    detect(probe(from));
    answer(Verdict::ok);
  }
  std::vector<Event> events(EventKind kind) const {
    std::vector<Event> found;
    for (const StateChange& change : effects_.notes) {
      const auto* added = std::get_if<AddEvent>(&change);
      if (added != nullptr && added->event.kind == kind) found.push_back(added->event);
    }
    return found;
  }
  template <class T>
  std::vector<T> noted() const {
    std::vector<T> found;
    for (const StateChange& change : effects_.notes) {
      if (const auto* note = std::get_if<T>(&change)) found.push_back(*note);
    }
    return found;
  }
  std::size_t count(std::string_view part) const {
    return static_cast<std::size_t>(std::count_if(
        effects_.lines.begin(), effects_.lines.end(),
        [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }
  std::uint64_t counter(std::string_view name) const {
    for (const NamedCount& c : monitor_->counters()) {
      if (c.name == name) return c.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
  const std::vector<std::string>& lines() const { return effects_.lines; }

  Config config_;
  IgnoreList ignored_;
  Memory remembered_;
  bool new_boot_ = false;
  std::size_t set_size_ = Bans::kKernelSetSize;
  bool scouted_ = true;  // a first snapshot, empty, comes with the start
  bool disk_ = true;
  KnownView known_;
  FakeEffects effects_;
  std::optional<Monitor> monitor_;
  Clock::duration passed_{};
  std::time_t clock_set_by_ = 0;  // how far somebody has set the wall clock
};

}  // namespace portsentry::monitor
