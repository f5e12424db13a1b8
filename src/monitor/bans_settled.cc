// Bans: how one comes to rest, and what is done to those that are.
#include <algorithm>
#include <utility>

#include "common/ban_digest.h"
#include "monitor/bans.h"

namespace portsentry::monitor {
namespace {

constexpr Clock::time_point kNever = Clock::time_point::max();

// Asked for one by one and turned away, by the enforcer's budget, they wait with all that is known
// of a request.
constexpr std::size_t kMostWaiting = 2048;

}  // namespace

// Which of the kernel's sets.
std::uint8_t Bans::set_of(const Source& source, bool permanent) {
  const unsigned kind = source.is_v4() ? 0 : source.prefix().is_host() ? 1 : 2;
  return static_cast<std::uint8_t>(permanent ? kind + 3 : kind);
}

// What has no room in a record is not at rest: a note, a wish, a request under way, a command's doing.
std::optional<SettledBan> Bans::at_rest(const Source& source, const Ban& ban) const {
  const bool enforced = ban.state == State::enforced && ban.by == Backend::nftables;
  const bool restoring =
      ban.state == State::restoring && ban.by != Backend::command && !ban.repair && !asks_settled_;
  if (!enforced && !restoring) return std::nullopt;
  const bool busy = ban.id != 0 || ban.wish || ban.pardon != Pardon::none || ban.held_back ||
                    ban.clear_first || ban.last_no != Verdict::ok || !ban.recorded ||
                    !ban.acknowledged || ban.row == Backend::command || !ban.note.empty();
  if (busy) return std::nullopt;
  SettledBan settled{.state = enforced ? SettledBan::State::enforced : SettledBan::State::restoring,
                     .address = ban.address,
                     .cause = ban.cause,
                     .until = ban.term.until,
                     .wall = ban.term.wall,
                     .since = ban.since,
                     .kernel_until = ban.kernel_until,
                     .told_already = ban.told_already,
                     .origin = ban.origin,
                     .proof = ban.proof,
                     .of = ban.of,
                     .offences = ban.offences,
                     .acknowledged = true,
                     .wrapped = ban.wrapped,
                     .in_kernel = ban.by == Backend::nftables,
                     .has_row = ban.row == Backend::nftables,
                     .unseen = ban.unseen};
  return SettledBans::fits(source, settled) ? std::optional(settled) : std::nullopt;
}

Bans::Ban Bans::shown(const Source& source, const SettledBan& settled) const {
  const bool enforced = settled.state == SettledBan::State::enforced;
  Ban ban{.state = enforced        ? State::enforced
                   : asks_settled_ ? State::asked
                                   : State::restoring,
          .address = settled.address,
          .cause = settled.cause,
          .term = {settled.until, settled.wall},
          .since = settled.since,
          .origin = settled.origin,
          .proof = settled.proof,
          .of = settled.of,
          .offences = settled.offences,
          .acknowledged = settled.acknowledged,
          .recorded = true,
          .wrapped = settled.wrapped,
          .by = settled.in_kernel ? Backend::nftables : Backend::none,
          .row = settled.has_row ? Backend::nftables : Backend::none,
          .repair = !enforced && asks_settled_,
          .kernel_until = settled.kernel_until,
          .unseen = settled.unseen,
          .told_already = settled.told_already};
  if (enforced) ban.counted_in = set_of(source, ban.term.permanent());
  return ban;
}

Bans::Entry Bans::unsettle(const Source& source, const SettledBan& settled) {
  const Entry entry = bans_.emplace(source, shown(source, settled)).first;
  Ban& ban = entry->second;
  ban.number = ++made_;
  if (ban.state == State::enforced) {
    enforced_until_due(entry);
  } else {
    set_due(entry, ban.term.until);
  }
  ban.unseen = settled.unseen;
  if (ban.state == State::asked) queue(entry);
  return entry;
}

Bans::Entry Bans::warm(const Source& source) {
  Entry entry = bans_.find(source);
  if (entry == bans_.end()) {
    const auto settled = settled_.take(source);
    if (!settled) return entry;
    entry = unsettle(source, *settled);
  }
  touched_.push_back(source);
  return entry;
}

std::optional<std::pair<Source, Bans::Ban>> Bans::seen_covering(const Address& address) const {
  for (const bool host : {true, false}) {
    const Source source = Source::of(address, host);
    if (const auto found = bans_.find(source); found != bans_.end()) return *found;
    if (const auto settled = settled_.find(source))
      return std::pair(source, shown(source, *settled));
  }
  return std::nullopt;
}

void Bans::settle() {
  for (const Source& source : touched_) {
    const Entry entry = bans_.find(source);
    if (entry == bans_.end()) continue;
    const auto settled = at_rest(source, entry->second);
    if (!settled) continue;
    set_due(entry, kNever);
    settled_.put(source, *settled);
    bans_.erase(entry);
  }
  touched_.clear();
}

// What the sums say of one that nftables holds: it is one of these, or is not any more.
void Bans::count_settled(const Source& source, const SettledBan& ban, bool more) {
  const std::size_t one = more ? 1 : std::size_t{0} - 1;
  counts_.at(static_cast<std::size_t>(State::enforced)) += one;
  by_set_.at(set_of(source, ban.until == kNever)) += one;
  native_.elements += one;
  native_.digest += more ? digest_of(source) : std::uint64_t{0} - digest_of(source);
  native_changes_ += 1;
}

// All that should hold, and does not as far as is known. Returns how many these are.
std::size_t Bans::restore_settled(Now now) {
  auto& restoring = counts_.at(static_cast<std::size_t>(State::restoring));
  if (std::exchange(asks_settled_, false)) {
    counts_.at(static_cast<std::size_t>(State::asked)) -= settled_.to_restore();
    restoring += settled_.to_restore();
  }
  settled_.change_each([&](const Source& source, SettledBan& ban) {
    ban.unseen = false;
    if (ban.state != SettledBan::State::enforced) return true;
    count_settled(source, ban, false);
    restoring += 1;
    ban.state = SettledBan::State::restoring;
    if (ban.until != kNever) ban.kernel_until = now.steady;
    return true;
  });
  return settled_.to_restore();
}

// As many as can be asked for now.
void Bans::draw_settled(std::size_t most) {
  if (settled_.to_restore() == 0) {
    asks_settled_ = false;
    return;
  }
  if (in_flight_.size() >= most) return;
  if (asks_settled_ && (count(State::waiting) > kMostWaiting || !asks_.front().empty())) return;
  if (!asks_settled_ && !restores_.empty()) return;
  for (const Source& source : settled_.restoring(most - in_flight_.size())) {
    const Entry entry = warm(source);  // which asks for it, where the window is over
    if (!asks_settled_) restores_.push_back(entry->first);
  }
}

}  // namespace portsentry::monitor
