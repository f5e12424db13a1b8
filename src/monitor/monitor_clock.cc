// The wall clock may be set while we run. What people were promised is a length of time: bans and
// entries of the allow list keep what they have left of it, here and in the kernel, which count on a
// clock that nobody sets. Their ends are stored by the wall clock, so that the rows are written anew:
// else the next start would end them early, or late.
//
// Not moved: what counts quiet time since an end that is past, an ignore line's `until`, which is a
// date, and the time for confirming an arming, which a clock that jumps may only shorten.
#include "monitor/log_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// The wall clock is read in whole seconds, and small corrections are not worth a write; they add up.
constexpr std::time_t kNoStep = 5;

// Of so many bans the rows are written anew in one turn, and the next when these are on the disk.
constexpr std::size_t kRowsAtOnce = 4096;
constexpr std::chrono::milliseconds kRowsRest{250};

}  // namespace

void Monitor::look_at_clock(Now now) {
  if (!clock_ || phase_ == Phase::fresh) {  // the rows are read by the clock of that moment
    clock_ = now;
    return;
  }
  if (phase_ != Phase::serving) return;
  const auto passed = std::chrono::floor<std::chrono::seconds>(now.steady - clock_->steady).count();
  const std::time_t shift = now.wall - (clock_->wall + passed);
  if (shift >= -kNoStep && shift <= kNoStep) return;
  clock_ = now;

  bans_.clock_set(shift);
  const std::size_t kept = bans_.size() - bans_.permanent();
  rewritten_.reset();
  rewrite_some_rows(now);
  allowed_.clock_set(shift, [this](const Allowed& entry) { note(PutAllowed{entry}); });
  const std::chrono::seconds far(shift < 0 ? -shift : shift);
  say(lines_.notice("the clock went " + words::duration(far) + (shift < 0 ? " back" : " forward") +
                    " (it was set, or the machine slept): " + std::to_string(kept) +
                    (kept == 1 ? " ban keeps the time that it has left"
                               : " bans keep the time that they have left")));
  blocked_changed(now);
}

// The rows of all bans, a part at a time: the disk and everybody else have their turns in between.
void Monitor::rewrite_some_rows(Now now) {
  std::vector<Source> rows;
  std::size_t looked_at = 0;
  std::optional<Source> last;
  bans_.each_after(rewritten_, [&](const Source& source, const Bans::Ban& ban) {
    if (looked_at == kRowsAtOnce) return false;
    looked_at += 1;
    last = source;
    // Of the others a row is written with the answer to what is asked about them.
    const bool has_one = ban.recorded && Bans::holds(ban) && ban.state != Bans::State::restoring;
    if (has_one && !ban.term.permanent()) rows.push_back(source);
    return true;
  });
  for (const Source& source : rows) {
    const Bans::Ban ban = *bans_.find(source);
    remember(source, ban);
    if (ban.of == BanClass::proven) move_offence(source, *ban.term.wall);
  }
  rewritten_ = looked_at == kRowsAtOnce ? last : std::nullopt;
  rewrite_some_at_ = rewritten_ ? std::optional(now.steady + kRowsRest) : std::nullopt;
}

}  // namespace portsentry::monitor
