#include "monitor/scouted.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>
#include <vector>

namespace portsentry::monitor {
namespace {

// In the order of the map, which is that of the bytes: whether all that is inside comes before.
// Also for the other family, of which a captured scout could have us walk by all that it may tell.
bool is_beyond(const Prefix& prefix, const Address& address) {
  std::array<std::byte, 16> bytes{};
  std::ranges::copy(address.bytes(), bytes.begin());
  const auto like = Address::from_bytes(Bytes(bytes).first(prefix.address().bytes().size()));
  return !like || !prefix.contains(*like);
}

}  // namespace

Scouted::Heard Scouted::hear(const ScoutToMonitor& message, Now now) {
  if (std::holds_alternative<SnapshotBegin>(message)) {
    if (coming_) return Heard::wrong;
    coming_.emplace();
    return Heard::more;
  }
  if (!coming_) return Heard::wrong;
  if (const auto* found = std::get_if<Found>(&message)) {
    if (coming_->size() >= kMaxFound) return Heard::wrong;
    const bool fresh =
        coming_->try_emplace({found->address, found->where}, Value{found->since, {}}).second;
    return fresh ? Heard::more : Heard::wrong;
  }
  files_ = std::get<SnapshotEnd>(message).files;
  const bool changed = complete(now);
  const bool first = !std::exchange(known_, true);
  return changed || first ? Heard::changed : Heard::same;
}

bool Scouted::complete(Now now) {
  std::map<Key, Value> next = std::move(*coming_);
  coming_.reset();
  std::vector<std::pair<Clock::time_point, Key>> ended;
  for (const auto& [key, value] : entries_) {
    if (kind_of(key.second) != FoundKind::session || next.contains(key)) continue;
    ended.emplace_back(value.until.value_or(now.steady + kAfterSession), key);
  }
  // The latest first, for only so many are kept.
  std::ranges::sort(ended, std::greater<>{}, &std::pair<Clock::time_point, Key>::first);
  if (ended.size() > kMostEnded) ended.erase(ended.begin() + kMostEnded, ended.end());
  for (const auto& [until, key] : ended)
    next.try_emplace(key, Value{entries_.at(key).since, until});
  // Also when only a session's beginning differs: cheap, and rare.
  const bool changed = !std::ranges::equal(next, entries_, [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.until.has_value() == b.second.until.has_value();
  });
  entries_ = std::move(next);
  find_first_due();
  return changed;
}

std::optional<Scouted::Entry> Scouted::first_inside(const Prefix& prefix, bool sessions) const {
  for (auto at = entries_.lower_bound({prefix.address(), FoundIn{}}); at != entries_.end(); ++at) {
    const auto& [address, where] = at->first;
    if (is_beyond(prefix, address)) break;
    // Both families share one order: what is not ours lies between two that are.
    if (address.is_v4() != prefix.address().is_v4()) continue;
    if (sessions || kind_of(where) != FoundKind::session)
      return Entry{address, where, at->second.since, at->second.until.has_value()};
  }
  return std::nullopt;
}

bool Scouted::session_inside(const Prefix& prefix) const {
  for (auto at = entries_.lower_bound({prefix.address(), FoundIn{}}); at != entries_.end(); ++at) {
    const auto& [address, where] = at->first;
    if (is_beyond(prefix, address)) break;
    if (address.is_v4() != prefix.address().is_v4()) continue;
    if (kind_of(where) == FoundKind::session) return true;
  }
  return false;
}

void Scouted::each(const std::function<void(const Entry&)>& visit) const {
  for (const auto& [key, value] : entries_)
    visit({key.first, key.second, value.since, value.until.has_value()});
}

bool Scouted::expire(Now now) {
  if (!first_due_ || *first_due_ > now.steady) return false;
  std::erase_if(entries_, [&](const auto& entry) {
    return entry.second.until && *entry.second.until <= now.steady;
  });
  find_first_due();
  return true;
}

void Scouted::find_first_due() {
  first_due_.reset();
  for (const auto& [key, value] : entries_) {
    if (value.until && (!first_due_ || *value.until < *first_due_)) first_due_ = value.until;
  }
}

}  // namespace portsentry::monitor
