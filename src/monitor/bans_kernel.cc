// Bans: what an earlier run left, what the kernel really holds, and where the two differ.
#include <algorithm>
#include <utility>

#include "monitor/bans.h"

namespace portsentry::monitor {
namespace {

constexpr Clock::time_point kNever = Clock::time_point::max();
// Whether an element with `remaining` left (0: without expiry) is what `ban` should be in the
// kernel.
bool fits(const Bans::Ban& ban, std::chrono::seconds remaining, Now now) {
  const bool endless = remaining == std::chrono::seconds(0);
  if (ban.term.permanent() || endless) return ban.term.permanent() && endless;
  const auto near = [&](Clock::time_point until) {
    const Clock::duration apart = now.steady + remaining - until;
    return apart <= Bans::kTolerance && -apart <= Bans::kTolerance;
  };
  if (near(ban.term.until)) return true;
  // A long ban is in the kernel for a part of its time only.
  if (ban.kernel_until != kNever) return near(ban.kernel_until);
  return ban.term.until - now.steady > Bans::kKernelTime && remaining >= Bans::kKernelTime / 2;
}

}  // namespace

bool Bans::recall(const StoredBan& row, Left left, Now now) {
  if (warm(row.source) != bans_.end() || size() >= kMaxBans) return false;
  Term term;
  if (row.until) {
    // A clock that was set back would make the ban longer than it was granted: up to its whole
    // length is believed.
    const std::time_t most = std::max<std::time_t>(*row.until - row.since, 0);
    const std::time_t rest = std::min(*row.until - now.wall, most);
    const Clock::time_point longest = kNever - std::chrono::hours(24 * 365);
    const auto room = std::chrono::floor<std::chrono::seconds>(longest - now.steady).count();
    // Far below zero is as over as zero, and would leave the clock's range.
    const auto believed = std::clamp<std::int64_t>(rest, -1, room);
    term = {now.steady + std::chrono::seconds(believed),
            rest == *row.until - now.wall ? *row.until : now.wall + rest};
  }
  if (left == Left::gone && term.until <= now.steady) return false;
  const Backend by = row.backend == BanBackend::nftables ? Backend::nftables : Backend::command;
  const bool holds = left == Left::command;
  const Entry entry =
      insert(row.source,
             Ban{.state = holds ? State::enforced : State::restoring,
                 .address = row.address,
                 .cause = row.cause,
                 .term = term,
                 .since = row.since,
                 .origin = row.origin,
                 .proof = row.proof,
                 .of = row.proof == Proof::forgeable ? BanClass::single : BanClass::proven,
                 .offences = row.offences,
                 .note = row.note,
                 .acknowledged = true,
                 .recorded = true,
                 .by = holds ? Backend::command : Backend::none},
             term.until);
  const bool same = row.backend != BanBackend::asked && term.wall == row.until;
  entry->second.row = same ? by : Backend::none;
  settle();
  if (!holds && bans_.contains(row.source)) restores_.push_back(row.source);
  return true;
}

Bans::Adoption Bans::adopt(const Source& source, std::chrono::seconds left,
                           std::chrono::seconds block_time, Now now) {
  const bool endless = left == std::chrono::seconds(0);
  const Clock::time_point until = endless ? kNever : now.steady + left;
  const Entry entry = warm(source);
  if (entry == bans_.end()) {
    if (size() >= kMaxBans || (listing_ && !endless && left <= kLastMoment))
      return Adoption::ignored;
    const auto age = endless || left > block_time ? std::chrono::seconds(0) : block_time - left;
    const Entry found =
        insert(source,
               Ban{.state = State::enforced,
                   .address = source.prefix().address(),
                   .cause = {Protocol::tcp, *Port::make(1)},
                   .term = Term::from(now, endless ? std::nullopt : std::optional(left)),
                   .since = std::max<std::time_t>(0, now.wall - age.count()),
                   .origin = Origin::recovered,
                   .acknowledged = true,
                   .recorded = true,
                   .by = Backend::nftables},
               kNever);
    found->second.kernel_until = until;
    enforced_until_due(found);
    return Adoption::recovered;
  }
  Ban& ban = entry->second;
  const bool was_unseen = ban.unseen;
  ban.unseen = false;
  if (ban.id != 0) return Adoption::ignored;
  if (ban.state == State::restoring && !(ban.by == Backend::command)) {
    ban.by = Backend::nftables;
    const bool as_it_should_be = fits(ban, left, now);
    ban.kernel_until = until;
    if (ban.term.until > now.steady && !as_it_should_be) return Adoption::corrected;
    if (ban.term.until <= now.steady) {
      ban.pardon = Pardon::over;
      begin_lift(entry);
      return Adoption::over;
    }
    enforced_until_due(entry);
    return Adoption::joined;
  }
  if (!was_unseen) return Adoption::ignored;
  if (fits(ban, left, now)) return Adoption::joined;
  ban.kernel_until = until;
  set_state(entry, State::changing);
  set_due(entry, ban.term.until);
  queue(entry);
  return Adoption::corrected;
}

std::size_t Bans::fullest_set() const {
  return *std::max_element(by_set_.begin(), by_set_.end());
}

void Bans::expect_all() {
  listing_ = true;
  for (auto& [source, ban] : bans_)
    ban.unseen = ban.state == State::enforced && ban.by == Backend::nftables;
  settled_.change_each([](const Source&, SettledBan& ban) {
    ban.unseen = ban.state == SettledBan::State::enforced;
    return ban.unseen;
  });
}

std::size_t Bans::listed(Now now) {
  listing_ = false;
  std::size_t missing = 0;
  for (auto entry = bans_.begin(); entry != bans_.end(); ++entry) {
    Ban& ban = entry->second;
    if (!std::exchange(ban.unseen, false)) continue;
    if (ban.term.until <= now.steady + kLastMoment) continue;  // it has ended, or will have
    ban.repair = true;
    set_state(entry, State::asked);
    queue(entry);
    missing += 1;
  }
  // They are asked for as there is room for requests (draw_settled()).
  const std::size_t before = missing;
  settled_.change_each([&](const Source& source, SettledBan& ban) {
    if (!std::exchange(ban.unseen, false)) return false;
    if (ban.until <= now.steady + kLastMoment) return true;
    count_settled(source, ban, false);
    ban.state = SettledBan::State::restoring;
    missing += 1;
    return true;
  });
  if (missing == before) return missing;
  asks_settled_ = true;
  counts_.at(static_cast<std::size_t>(State::asked)) += missing - before;
  return missing;
}

}  // namespace portsentry::monitor
