#include "monitor/allow_list.h"

#include <algorithm>

namespace portsentry::monitor {
namespace {

// How long it still lasts: never longer than it was granted for.
std::optional<Clock::time_point> end_of(const Allowed& entry, Now now) {
  if (!entry.until) return std::nullopt;
  const std::time_t left = std::min(*entry.until - now.wall, *entry.until - entry.since);
  return now.steady + std::chrono::seconds(std::max<std::time_t>(left, 0));
}

}  // namespace

AllowList::Put AllowList::put(Allowed entry, Now now) {
  const Prefix prefix = entry.prefix;
  Family& held = family(prefix);
  const bool known = held.contains(prefix);
  if (!known && size() >= kMaxEntries) return Put::full;
  remove(prefix);
  const auto due = end_of(entry, now);
  held.insert_or_assign(prefix, Held{std::move(entry), due});
  if (due) due_.emplace(*due, prefix);
  return known ? Put::changed : Put::added;
}

bool AllowList::remove(const Prefix& prefix) {
  const auto known = family(prefix).extract(prefix);
  if (known.empty()) return false;
  if (known.mapped().due) due_.erase({*known.mapped().due, prefix});
  return true;
}

const Allowed* AllowList::overlap(const Prefix& prefix) const {
  const Family& held = family(prefix);
  if (held.empty()) return nullptr;
  for (unsigned length = 0; length <= prefix.length(); ++length) {
    const auto wider = Prefix::make(prefix.address(), length);
    if (const auto found = held.find(*wider); found != held.end()) return &found->second.entry;
  }
  // In address order, and at one address the shorter first: if anything lies inside, this does.
  const auto next = held.lower_bound(prefix);
  return next != held.end() && prefix.contains(next->first) ? &next->second.entry : nullptr;
}

void AllowList::clock_set(std::time_t shift, const std::function<void(const Allowed&)>& changed) {
  for (Family* held : {&v4_, &v6_}) {
    for (auto& [prefix, one] : *held) {
      if (!one.entry.until) continue;
      one.entry.since = std::max<std::time_t>(one.entry.since + shift, 0);
      one.entry.until = std::max(*one.entry.until + shift, one.entry.since);
      changed(one.entry);
    }
  }
}

std::vector<Allowed> AllowList::expire(Now now) {
  std::vector<Allowed> over;
  while (!due_.empty() && due_.begin()->first <= now.steady) {
    const Prefix prefix = due_.begin()->second;
    over.push_back(family(prefix).at(prefix).entry);
    remove(prefix);
  }
  return over;
}

std::optional<Clock::time_point> AllowList::next_due() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

void AllowList::each_after(const std::optional<Prefix>& after,
                           const std::function<bool(const Allowed&)>& visit) const {
  const bool skip_v4 = after && !after->address().is_v4();
  for (const Family* held : {&v4_, &v6_}) {
    if (skip_v4 && held == &v4_) continue;
    const bool from_after = after && held == &family(*after);
    for (auto entry = from_after ? held->upper_bound(*after) : held->begin(); entry != held->end();
         ++entry) {
      if (!visit(entry->second.entry)) return;
    }
  }
}

}  // namespace portsentry::monitor
