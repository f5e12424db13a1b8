// What outlives this process: every ban has a row, and what is told of a ban waits until its row is
// on the disk. At the start the rows say what should hold, and the kernel what does.
#include <algorithm>
#include <utility>

#include "monitor/history.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// What waits for the disk to be told, at most: some minutes of bans. Beyond it they are counted.
constexpr std::size_t kMaxAwaiting = 16'384;
// Lines of hosts.deny that are asked for again at a start: those that were still queued when the
// last run ended are among the youngest, as the queue is short. It is longer only where bans begin and
// end faster than root makes edits (a hundred a second): who is killed then loses the older ones of
// those lines, which add to a ban that holds. None stays behind: each row is asked to take its line
// back, and none is made before its row.
constexpr std::size_t kLinesAgain = 256;

// A row that stands for nothing but a line in hosts.deny, to be taken back.
bool is_line_only(const StoredBan& row) {
  return row.backend == BanBackend::nftables && row.until && *row.until <= row.since;
}

std::string bans_in_words(std::size_t bans) {
  return std::to_string(bans) + (bans == 1 ? " ban" : " bans");
}

}  // namespace

// ---- rows ---------------------------------------------------------------------------------------

void Monitor::note(const StateChange& change) {
  noted_ = effects_.note(change);
}

void Monitor::remember(const Source& source, const Bans::Ban& ban) {
  const bool by_command = ban.by == Backend::command;
  remember(source, ban, by_command ? BanBackend::command : BanBackend::nftables);
  bans_.has_row(source, ban.by);
}

// On the disk before the command can run: a rule that outlives everybody who knew of it would never
// be undone, and stand twice once the source scans again.
void Monitor::remember_asked(const MonitorToEnforcer& message) {
  if (backend_ != Backend::command) return;
  const auto* ban = std::get_if<portsentry::Ban>(&message);
  const auto* restore = std::get_if<Restore>(&message);
  if (ban == nullptr && restore == nullptr) return;
  const Source& source = ban != nullptr ? ban->source : restore->source;
  if (const Bans::Ban* known = bans_.find(source)) {
    remember(source, *known, BanBackend::asked);
    bans_.has_row(source, Backend::none);
  }
}

void Monitor::remember(const Source& source, const Bans::Ban& ban, BanBackend by) {
  const std::time_t since = std::max<std::time_t>(ban.since, 0);
  note(PutBan{
      {.source = source,
       .address = ban.address,
       .cause = ban.cause,
       .backend = by,
       .origin = ban.origin,
       .proof = ban.proof,
       .since = since,
       .until = ban.term.wall ? std::optional(std::max(since, *ban.term.wall)) : std::nullopt,
       .offences = std::max<std::uint32_t>(ban.offences, 1),  // this one counted
       .note = ban.note}});
}

// What once held is to hold, and its row stays; what never did has none. A command that was killed
// may have made it.
void Monitor::not_made(const Bans::Answer& answer, Verdict verdict, Now now) {
  if (verdict == Verdict::command_killed || verdict == Verdict::command_timed_out) return;
  if (answer.ban.recorded) return;
  if (answer.ban.wrapped) return remember_line(answer.source, now);
  if (answer.ban.sent_to == Backend::command) forget(answer.source);
}

// All that is left, or that there ever was, is a line in hosts.deny.
void Monitor::remember_line(const Source& source, Now now) {
  const Bans::Ban line{.address = source.prefix().address(),
                       .cause = {Protocol::tcp, *Port::make(1)},
                       .term = {now.steady, now.wall},
                       .since = now.wall};
  remember(source, line, BanBackend::nftables);
}

void Monitor::forget(const Source& source) {
  note(EraseBan{source});
}

// ---- what waits for the disk --------------------------------------------------------------------

void Monitor::after_commit(std::function<void(Now)> then, bool may_drop) {
  if (may_drop && awaiting_.size() >= kMaxAwaiting) {
    untold_ += 1;
    return;
  }
  awaiting_.push_back({noted_, std::move(then)});
}

std::size_t Monitor::bans_unrecorded() const {
  return awaiting_.size() + untold_;
}

bool Monitor::waits_for_nothing() const {
  return !awaiting_.empty() && awaiting_.front().sequence <= committed_;
}

void Monitor::on_committed(std::uint64_t sequence, Now now) {
  committed_ = sequence;
  while (!awaiting_.empty() && awaiting_.front().sequence <= sequence) {
    const Awaiting done = std::move(awaiting_.front());
    awaiting_.pop_front();
    done.then(now);
  }
  if (awaiting_.empty() && untold_ > 0) {
    say(lines_.notice(bans_in_words(std::exchange(untold_, 0)) +
                      " more were recorded late, and are not told one by one"));
  }
  pump(now);
}

// ---- the start ----------------------------------------------------------------------------------

// Before the kernel tells what it holds.
void Monitor::recall(Now now) {
  std::size_t left_behind = 0;
  const bool with_lines = !setup_.config.kill_hosts_deny.empty();
  for (const StoredBan& stored : setup_.remembered.bans) {
    const Source& source = stored.source;
    if (is_line_only(stored)) {  // it ended while nobody was there to take its line back
      lines_left_.push_back(source);
      continue;
    }
    // What a command did before a boot is gone. Where nftables bans now, it takes over, and the
    // command's rule, whose undo root may not know any more, is told.
    // What was asked for and not heard of is made again, which undoes first; or undone.
    auto left = Bans::Left::kernel;
    if (stored.backend != BanBackend::nftables) {
      const bool unheard =
          stored.backend == BanBackend::asked && (!stored.until || *stored.until > now.wall);
      const bool again = setup_.new_boot || backend_ == Backend::nftables || unheard;
      left = again ? Bans::Left::gone : Bans::Left::command;
      if (!setup_.new_boot && backend_ == Backend::nftables) left_behind += 1;
    }
    if (!bans_.recall(stored, left, now)) {
      lines_left_.push_back(source);
      continue;
    }
    if (with_lines) bans_.wrapped(source);
    const bool holds_on = !stored.until || *stored.until > now.wall;
    if (left == Bans::Left::command && holds_on) adopted_ += 1;
  }
  if (with_lines) ask_for_lines_again(now);
  std::vector<StoredBan>().swap(setup_.remembered.bans);  // a million rows are a lot of memory
  if (left_behind > 0) {
    say(lines_.error("KILL_ROUTE of an earlier run is in force for " + std::to_string(left_behind) +
                     (left_behind == 1 ? " source" : " sources") +
                     ", and FIREWALL does not use it now: that stays until it is undone by hand"));
  }
}

// A line that is there already is not made twice, and not told.
void Monitor::ask_for_lines_again(Now now) {
  std::vector<std::pair<std::time_t, std::size_t>> youngest;
  const auto& rows = setup_.remembered.bans;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool holds = !rows[i].until || (*rows[i].until > now.wall && !is_line_only(rows[i]));
    if (holds) youngest.emplace_back(-rows[i].since, i);
  }
  const std::size_t most = std::min(youngest.size(), kLinesAgain);
  std::partial_sort(youngest.begin(), youngest.begin() + static_cast<std::ptrdiff_t>(most),
                    youngest.end());
  for (std::size_t i = 0; i < most; ++i) {
    const StoredBan& row = rows[youngest[i].second];
    quiet_lines_.insert(row.source);
    wrappers_.want(row.source, row.cause, true);
  }
}

// After it has told.
void Monitor::recalled(Now now) {
  if (adopted_ > 0) say(lines_.adopted(adopted_));
  if (recovered_ > 0) {
    say(lines_.notice("recovered " + bans_in_words(recovered_) +
                      " that the kernel holds and no record tells of"));
  }
  const bool with_lines = !setup_.config.kill_hosts_deny.empty();
  for (const Source& source : std::exchange(lines_left_, {}))
    ban_over(source, false, with_lines, now);
  if (bans_.being_restored() == 0) {
    note(BootRestored{});
  } else if (backend_ != Backend::none) {
    restoring_ = Restoring{.why = Restoring::Why::start};
  }
  lift_protected(now);
}

}  // namespace portsentry::monitor
