#include "story.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace portsentry::monitor {

FakeEffects::FakeEffects() = default;
FakeEffects::~FakeEffects() = default;
Story::~Story() = default;

bool FakeEffects::to_enforcer(const MonitorToEnforcer& message) {
  if (full) return false;
  sent.push_back(message);
  lines_when_sent = lines.size();
  return true;
}

bool FakeEffects::to_sensor(SensorRole role, const MonitorToSensor& message) {
  if (sensor_full) return false;
  to_sensors.emplace_back(role, message);
  return true;
}

bool FakeEffects::to_resolver(const MonitorToResolver& message) {
  if (!resolver) return false;
  asked.push_back(std::get<Resolve>(message));
  return true;
}

std::uint64_t FakeEffects::note(const StateChange& change) {
  notes.push_back(change);
  if (const auto* put = std::get_if<PutBan>(&change))
    memory.insert_or_assign(put->ban.source, put->ban);
  if (const auto* erase = std::get_if<EraseBan>(&change)) memory.erase(erase->source);
  if (std::holds_alternative<BootRestored>(change)) restored += 1;
  return notes.size();
}

Result<EventPage> FakeEffects::events(const EventQuery& query) {
  if (!can_read) return Error{"state: the disk is gone"};
  return event_rows.empty() ? find_noted(query) : find_given(query);
}

EventPage FakeEffects::find_given(const EventQuery& query) const {
  EventPage page;
  for (std::size_t i = query.cursor; i < event_rows.size() && page.rows.size() < query.limit; ++i)
    page.rows.push_back(event_rows[i]);
  page.more = query.cursor + page.rows.size() < event_rows.size();
  return page;
}

EventPage FakeEffects::find_noted(const EventQuery& query) const {
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

Result<std::vector<TopRow>> FakeEffects::top(const TopQuery& query) {
  if (!can_read) return Error{"state: the disk is gone"};
  tops.push_back(query);
  return std::vector<TopRow>{{"TCP 23", 7, 1, 2}};
}

void FakeEffects::log(std::string_view line) {
  lines.emplace_back(line);
}

void FakeEffects::history(std::string_view line) {
  history_text += line;
}

void FakeEffects::blocked_append(std::string_view line) {
  blocked_text += line;
}

void FakeEffects::blocked_rewrite(std::string_view whole) {
  blocked_text = whole;
}

std::optional<std::string> FakeEffects::offered(ReloadedFile which) {
  const auto found = files.find(which);
  return found == files.end() ? std::nullopt : std::optional(found->second);
}

void FakeEffects::adopt_file(ReloadedFile which, bool configured) {
  adopted.emplace_back(which, configured);
}

void FakeEffects::drop_offer() {
  files.clear();
}

void FakeEffects::log_by(const Config& config) {
  log_tag = config.log_tag;
}

void FakeEffects::promote_successor() {
  promoted += 1;
}

void FakeEffects::drop_successor() {
  dropped += 1;
}

void FakeEffects::end(int status, std::string_view) {
  ended = status;
}

Effects::Losses FakeEffects::losses() const {
  return {.log_lines = 3, .events_lost = events_lost};
}

Story::Story() {
  setenv("TZ", "UTC", 1);
  tzset();
  config_.block_tcp = config_.block_udp = BlockMode::ban;
  // One time for all: which class gets which is offences_test.cc's.
  config_.block_time_forgeable = config_.block_time;
  config_.ports.tcp.add(*Port::make(23));
  config_.ports.udp.add(*Port::make(161));
}

Now Story::now() const {
  return {Clock::time_point(10h) + passed_,
          1756178490 + clock_set_by_ +
              std::chrono::duration_cast<std::chrono::seconds>(passed_).count()};
}

void Story::wait(Clock::duration time) {
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

void Story::start() {
  monitor_.emplace(
      Monitor::Setup{
          .config = config_,
          .ignored = ignored_,
          .local = known_.view(),
          .conf_path = "/etc/portsentry/portsentry.conf",
          .ignore_path = "/etc/portsentry/portsentry.ignore",
          .version = "9.9",
          .read_config = [](std::string_view text) { return read_config(text, "portsentry.conf"); },
          .remembered = remembered_,
          .new_boot = new_boot_,
          .set_size = set_size_},
      effects_);
  monitor_->start(now());
  if (scouted_) scout_tells();
}

bool Story::hear(const EnforcerToMonitor& message) {
  const bool legal = monitor_->on_enforcer(message, now());
  commit();
  return legal;
}

bool Story::sense(const SensorToMonitor& message, SensorRole role) {
  const bool legal = monitor_->on_sensor(message, now(), role);
  commit();
  return legal;
}

void Story::commit() {
  if (disk_) monitor_->on_committed(effects_.notes.size(), now());
}

void Story::make_table(bool enforcing) {
  ASSERT_TRUE(
      hear(TableCreated{.backend = enforcing ? Backend::nftables : Backend::none, .again = false}));
  ASSERT_TRUE(hear(AdoptedDone{}));
}

bool Story::scout(const ScoutToMonitor& message) {
  return monitor_->on_scout(message, now());
}

void Story::scout_tells(const std::vector<Found>& found, std::uint32_t files) {
  ASSERT_TRUE(scout(SnapshotBegin{}));
  for (const Found& one : found)
    ASSERT_TRUE(scout(one));
  ASSERT_TRUE(scout(SnapshotEnd{files}));
}

void Story::serve(bool enforcing) {
  start();
  make_table(enforcing);
  ASSERT_TRUE(hear(SensorChannel{.successor = false}));
  ASSERT_TRUE(sense(SensorReady{}));
  effects_.lines.clear();
  effects_.sent.clear();
}

void Story::detect(const Detection& detection) {
  ASSERT_TRUE(sense(detection));
}

void Story::answer(Verdict verdict, std::int32_t error) {
  ASSERT_FALSE(sent<Ban>().empty());
  ASSERT_TRUE(hear(Outcome{sent<Ban>().back().id, verdict, error}));
}

void Story::ban(std::string_view from) {
  detect(probe(from));
  answer(Verdict::ok);
}

std::vector<Event> Story::events(EventKind kind) const {
  std::vector<Event> found;
  for (const StateChange& change : effects_.notes) {
    const auto* added = std::get_if<AddEvent>(&change);
    if (added != nullptr && added->event.kind == kind) found.push_back(added->event);
  }
  return found;
}

std::size_t Story::count(std::string_view part) const {
  return static_cast<std::size_t>(
      std::count_if(effects_.lines.begin(), effects_.lines.end(),
                    [&](const std::string& line) { return line.find(part) != std::string::npos; }));
}

std::uint64_t Story::counter(std::string_view name) const {
  for (const NamedCount& c : monitor_->counters()) {
    if (c.name == name) return c.value;
  }
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

const std::vector<std::string>& Story::lines() const {
  return effects_.lines;
}

}  // namespace portsentry::monitor
