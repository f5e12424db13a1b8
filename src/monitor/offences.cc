#include "monitor/offences.h"

#include <algorithm>

namespace portsentry::monitor {
namespace {

// Halvings that leave nothing of any count.
constexpr std::uint64_t kAllHalvings = 32;

// Full `quiet`s between the two, for any two instants: the difference of two time_t need not be one.
std::uint64_t quiets_between(std::time_t from, std::time_t to, std::chrono::seconds quiet) {
  if (to <= from) return 0;
  const std::uint64_t passed = static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
  return passed / static_cast<std::uint64_t>(std::max<std::int64_t>(quiet.count(), 1));
}

}  // namespace

BanClass class_of(Proof proof, std::uint32_t distinct_ports) {
  switch (proof) {
    case Proof::handshake:
    case Proof::established:
      return BanClass::proven;
    case Proof::forgeable:
      break;
  }
  return distinct_ports >= kSpreadPorts ? BanClass::spread : BanClass::single;
}

std::chrono::seconds escalated(std::chrono::seconds base, std::chrono::seconds most,
                               std::uint32_t offences) {
  base = std::max(base, std::chrono::seconds(1));
  most = std::max(base, most);
  std::chrono::seconds duration = base;
  // At most 31 rounds: `duration` is at least 1 and grows fourfold.
  for (; offences > 0 && duration < most; --offences) {
    duration = duration > most / kEscalation ? most : duration * kEscalation;
  }
  return duration;
}

std::chrono::seconds ban_duration(BanClass how, std::uint32_t offences, const Config& config) {
  switch (how) {
    case BanClass::proven:
      return escalated(config.block_time, config.block_time_max, offences);
    case BanClass::spread:
    case BanClass::single:
      break;
  }
  return std::max(config.block_time_forgeable, std::chrono::seconds(1));
}

std::uint32_t decayed(std::uint32_t count, std::time_t last_end, std::time_t now,
                      std::chrono::seconds quiet) {
  const std::uint64_t halvings = quiets_between(last_end, now, quiet);
  return halvings >= kAllHalvings ? 0 : count >> halvings;
}

void OffenceBook::recall(const Source& source, const Record& record) {
  if (record.count > 0) put(source, record);
}

std::uint32_t OffenceBook::count(const Source& source, std::time_t now,
                                 std::chrono::seconds quiet) const {
  const auto found = records_.find(source);
  if (found == records_.end()) return 0;
  return decayed(found->second.count, found->second.last_end, now, quiet);
}

const OffenceBook::Record& OffenceBook::confirmed(const Source& source, std::time_t until,
                                                  std::time_t now, std::chrono::seconds quiet) {
  const std::uint32_t before = count(source, now, quiet);
  put(source, {.count = before == UINT32_MAX ? before : before + 1, .last_end = until});
  return records_.at(source);
}

std::optional<OffenceBook::Record> OffenceBook::ends(const Source& source, std::time_t end) {
  const auto found = records_.find(source);
  if (found == records_.end()) return std::nullopt;
  const Record record{.count = found->second.count, .last_end = end};
  put(source, record);
  return record;
}

std::vector<Source> OffenceBook::sweep(std::time_t now, std::chrono::seconds quiet,
                                       std::size_t limit) {
  std::vector<Source> gone;
  for (auto next = by_end_.begin(); next != by_end_.end() && gone.size() < limit;) {
    const auto& [end, source] = *next;
    // From here on all ended so lately that even a single offence still counts. A larger count may
    // outlive smaller ones behind it; it is looked at again each time, and there are few of them.
    const bool too_many = records_.size() > kMaxOffences;
    if (!too_many && quiets_between(end, now, quiet) == 0) break;
    if (!too_many && decayed(records_.at(source).count, end, now, quiet) > 0) {
      ++next;
      continue;
    }
    gone.push_back(source);
    records_.erase(source);
    next = by_end_.erase(next);
  }
  return gone;
}

void OffenceBook::put(const Source& source, const Record& record) {
  if (const auto found = records_.find(source); found != records_.end()) {
    by_end_.erase({found->second.last_end, source});
  }
  records_.insert_or_assign(source, record);
  by_end_.emplace(record.last_end, source);
}

}  // namespace portsentry::monitor
