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
  FakeEffects();
  ~FakeEffects() override;
  FakeEffects(const FakeEffects&) = delete;
  FakeEffects(FakeEffects&&) = delete;
  FakeEffects& operator=(const FakeEffects&) = delete;
  FakeEffects& operator=(FakeEffects&&) = delete;

  bool to_enforcer(const MonitorToEnforcer& message) override;
  bool to_sensor(SensorRole role, const MonitorToSensor& message) override;
  bool to_resolver(const MonitorToResolver& message) override;
  std::uint64_t note(const StateChange& change) override;
  Result<EventPage> events(const EventQuery& query) override;
  // Pages of `event_rows`, whatever else is asked for.
  [[nodiscard]] EventPage find_given(const EventQuery& query) const;
  // As the store does it, from what was noted; an event's id is its note's number.
  [[nodiscard]] EventPage find_noted(const EventQuery& query) const;
  Result<std::vector<TopRow>> top(const TopQuery& query) override;
  void log(std::string_view line) override;
  void history(std::string_view line) override;
  void blocked_append(std::string_view line) override;
  void blocked_rewrite(std::string_view whole) override;
  std::optional<std::string> offered(ReloadedFile which) override;
  void adopt_file(ReloadedFile which, bool configured) override;
  void drop_offer() override;
  void log_by(const Config& config) override;
  void promote_successor() override;
  void drop_successor() override;
  void end(int status, std::string_view) override;
  [[nodiscard]] Losses losses() const override;

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
  Story();
  ~Story() override;
  Now now() const;
  // Time passes: the monitor is woken as the loop would wake it, at the moments that it asked for.
  void wait(Clock::duration time);

  void start();
  bool hear(const EnforcerToMonitor& message);
  bool sense(const SensorToMonitor& message, SensorRole role = SensorRole::current);
  // The disk takes what was noted, at once, unless the test says that it does not.
  void commit();
  void make_table(bool enforcing = true);
  bool scout(const ScoutToMonitor& message);
  // A whole snapshot of the scout's.
  void scout_tells(const std::vector<Found>& found = {}, std::uint32_t files = 1);
  void serve(bool enforcing = true);
  void detect(const Detection& detection);
  template <class T>
  std::vector<T> sent() const {
    std::vector<T> found;
    for (const auto& message : effects_.sent) {
      if (const auto* m = std::get_if<T>(&message)) found.push_back(*m);
    }
    return found;
  }
  // The enforcer's answer to the last Ban.
  void answer(Verdict verdict, std::int32_t error = 0);
  void ban(std::string_view from);
  std::vector<Event> events(EventKind kind) const;
  template <class T>
  std::vector<T> noted() const {
    std::vector<T> found;
    for (const StateChange& change : effects_.notes) {
      if (const auto* note = std::get_if<T>(&change)) found.push_back(*note);
    }
    return found;
  }
  std::size_t count(std::string_view part) const;
  std::uint64_t counter(std::string_view name) const;
  const std::vector<std::string>& lines() const;

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
