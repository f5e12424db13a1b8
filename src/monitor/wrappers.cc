#include "monitor/wrappers.h"

#include <algorithm>

#include "monitor/bans.h"

namespace portsentry::monitor {

void Wrappers::want(const Source& source, const BanCause& cause, bool present) {
  const auto found = changes_.find(source);
  if (found == changes_.end()) {
    changes_.emplace(source, Change{.wanted = present, .cause = cause});
    queue_.push_back(source);
    return;
  }
  Change& change = found->second;
  if (change.wanted == present) return;
  change.wanted = present;
  change.cause = cause;
  change.failures = 0;
  change.pause = {};
  if (!change.due) return;  // queued, or in flight: its answer looks at what is wanted
  due_.erase({*change.due, source});
  change.due.reset();
  queue_.push_back(source);
}

bool Wrappers::pump(const std::function<bool(const MonitorToEnforcer&)>& send) {
  while (!queue_.empty() && in_flight_.size() < kMaxInFlight) {
    const Source source = queue_.front();
    Change& change = changes_.at(source);
    const Command command = change.wanted ? Command::hosts_deny_add : Command::hosts_deny_remove;
    if (!send(RunCommand{next_id_, command, source, change.cause})) return false;
    change.sent = change.wanted;
    change.id = next_id_;
    in_flight_.emplace(next_id_, source);
    next_id_ += 1;
    queue_.pop_front();
  }
  return true;
}

std::optional<Source> Wrappers::asked(std::uint64_t id) const {
  const auto flight = in_flight_.find(id);
  if (flight == in_flight_.end()) return std::nullopt;
  return flight->second;
}

std::optional<Wrappers::Answer> Wrappers::answer(const Outcome& outcome, Now now) {
  const auto flight = in_flight_.find(outcome.id);
  if (flight == in_flight_.end()) return std::nullopt;
  const Source source = flight->second;
  in_flight_.erase(flight);
  const auto entry = changes_.find(source);
  Change& change = entry->second;
  change.id = 0;
  Answer answer{.source = source,
                .added = change.sent,
                .done = outcome.verdict == Verdict::ok,
                .news = false,
                .gave_up = false};
  if (change.sent != change.wanted) {  // the wish changed meanwhile
    queue_.push_back(source);
    return answer;
  }
  if (answer.done) {
    changes_.erase(entry);
    return answer;
  }
  const bool counts = outcome.verdict != Verdict::over_budget;
  if (counts) change.failures += 1;
  answer.gave_up = by_nature(outcome.verdict) || change.failures >= kTries;
  answer.news = answer.gave_up || (counts && change.failures == 1);
  if (answer.gave_up) {
    changes_.erase(entry);
    return answer;
  }
  change.pause = std::clamp(change.pause * 2, kFirstPause, kLastPause);
  change.due = now.steady + change.pause;
  due_.emplace(*change.due, source);
  return answer;
}

void Wrappers::retry(Now now) {
  while (!due_.empty() && due_.begin()->first <= now.steady) {
    const Source source = due_.begin()->second;
    due_.erase(due_.begin());
    changes_.at(source).due.reset();
    queue_.push_back(source);
  }
}

std::optional<Clock::time_point> Wrappers::next_due() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

}  // namespace portsentry::monitor
