// Bans that an administrator makes and ends. Asked for like any other, judged like any other, and
// answered when all of it is confirmed and on the disk.
#include <algorithm>
#include <utility>

#include "monitor/log_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

constexpr std::size_t kMaxJobs = 1024;
// What is not confirmed and on the disk by then is answered as it is; it goes on all the same.
constexpr std::chrono::seconds kAnswerWithin{20};

Monitor::ByHand refused(Monitor::ByHand::Code code, std::string text) {
  return {.code = code, .text = std::move(text), .bans = 0};
}

}  // namespace

// Whom nobody's request gets banned, and why.
std::optional<std::string> Monitor::never_banned(const Prefix& prefix, Now now) const {
  // Of a network it is one host that stands in the way: the others can be banned without it.
  const std::string rest =
      prefix.is_host() ? "" : "; its other hosts can be banned one by one, by their addresses";
  const std::string no = prefix.text() + " is not banned: ";
  if (setup_.ignored.intersects(prefix, now.wall))
    return no +
           (prefix.is_host() ? "the ignore file names it"
                             : "the ignore file names it, or some of it") +
           rest;
  if (const auto entry = protection_of(prefix, now)) {
    if (entry->prefix.contains(prefix)) return no + entry->reason;
    return no + "it holds " + entry->prefix.text() + " (" + entry->reason + ")" + rest;
  }
  return std::nullopt;
}

// False: no, and `then` was told.
bool Monitor::begin_by_hand(Answered& then) {
  if (phase_ == Phase::serving && hand_jobs_.size() < kMaxJobs) return true;
  then(refused(ByHand::Code::busy, phase_ == Phase::serving ? "too many requests are under way"
                                                            : "the daemon is just starting"));
  return false;
}

void Monitor::ban_by_hand(const Prefix& prefix, std::optional<std::chrono::seconds> duration,
                          std::string note, Answered then, Now now) {
  if (!begin_by_hand(then)) return;
  const auto source = Source::from_prefix(prefix.address(), prefix.length());
  if (!source) {
    return then(
        refused(ByHand::Code::policy,
                prefix.text() + ": a host can be banned, or an IPv6 /64; no other network"));
  }
  if (duration && (*duration < std::chrono::seconds(1) || *duration > kMaxBan))
    return then(
        refused(ByHand::Code::policy, "a ban lasts between a second and a year, or for good"));
  if (const auto why = never_banned(prefix, now)) return then(refused(ByHand::Code::policy, *why));
  if (!scouted_.known())
    return then(refused(ByHand::Code::busy, "whom never to ban is not known yet"));
  if (backend_ == Backend::none) {
    return then(refused(ByHand::Code::policy,
                        "nothing makes bans: the daemon observes, or has no firewall"));
  }
  const Bans::Wanted wanted{.address = prefix.address(),
                            .cause = {Protocol::tcp, *Port::make(1)},
                            .duration = duration,
                            .of = BanClass::proven,
                            .origin = Origin::hand,
                            .note = std::move(note)};
  const auto changed = bans_.change(*source, wanted, now);
  if (changed == Bans::Changed::busy)
    return then(
        refused(ByHand::Code::busy, "the ban of " + prefix.text() + " is just being ended"));
  if (changed == Bans::Changed::unknown) {
    if (bans_.size() >= Bans::kMaxBans)
      return then(refused(ByHand::Code::busy, "there are a million bans already"));
    bans_.ask(*source, wanted, now);
  }
  const std::uint64_t job = next_hand_job_++;
  hand_jobs_.emplace(
      job, HandJob{.open = 1, .then = std::move(then), .deadline = now.steady + kAnswerWithin});
  hand_waits_.emplace(*source, HandWait{job, true});
  if (changed == Bans::Changed::done) {
    remember(*source, *bans_.find(*source));
    by_hand_settled(*source, false);
  }
  pump(now);
}

void Monitor::unban(const std::optional<Prefix>& prefix, bool permanent_too, Answered then,
                    Now now) {
  if (!begin_by_hand(then)) return;
  std::vector<Source> wanted;
  std::size_t permanent = 0;
  const auto consider = [&](const Source& source, const Bans::Ban& ban, bool named) {
    if (ban.term.permanent() && !permanent_too && !named) {
      permanent += 1;
    } else {
      wanted.push_back(source);
    }
  };
  if (prefix && prefix->is_host()) {
    if (const auto* known = bans_.covering(prefix->address()))
      consider(known->first, known->second, known->first.prefix() == *prefix);
  } else {
    bans_.each_after(std::nullopt, [&](const Source& source, const Bans::Ban& ban) {
      if (!prefix || prefix->contains(source.prefix()))
        consider(source, ban, prefix && source.prefix() == *prefix);
      return true;
    });
  }
  if (wanted.empty()) {
    return then(refused(ByHand::Code::no_match,
                        permanent > 0 ? "only permanent bans match; --permanent ends those too"
                                      : "no ban matches"));
  }
  const std::uint64_t job = next_hand_job_++;
  const auto [asked, is_new] =
      hand_jobs_.emplace(job, HandJob{.open = wanted.size(),
                                      .then = std::move(then),
                                      .deadline = now.steady + kAnswerWithin});
  asked->second.result.permanent_left = permanent;
  for (const Source& source : wanted)
    hand_waits_.emplace(source, HandWait{job, false});
  for (const Source& source : wanted) {
    lift(source, Bans::Pardon::by_hand, now);
    if (bans_.find(source) == nullptr) by_hand_settled(source, true);
  }
  pump(now);
}

// What an Outcome means for who waits for it.
void Monitor::by_hand_answered(const Bans::Answer& answer, const Outcome& outcome, Now now) {
  if (!hand_waits_.contains(answer.source)) return;
  const auto failed = [&](ByHand::Code code) {
    by_hand_settled(answer.source, false,
                    refused(code, answer.source.text() + ": " +
                                      words::refusal(outcome.verdict, outcome.error)));
  };
  switch (answer.change) {
    case Bans::Change::enforced:
    case Bans::Change::put_back:
    case Bans::Change::changed:
    case Bans::Change::renewed:
      // A later wish may still be on its way.
      if (answer.ban.wish || answer.ban.state == Bans::State::lifting) return;
      return by_hand_settled(answer.source, false);
    case Bans::Change::lifted:
    case Bans::Change::over:
    case Bans::Change::undo_failed:
      return by_hand_settled(answer.source, true);
    case Bans::Change::refused:
      return failed(ByHand::Code::policy);
    case Bans::Change::stuck:
      return failed(ByHand::Code::failed);
    case Bans::Change::later: {
      if (outcome.verdict == Verdict::over_budget) return;  // soon
      failed(ByHand::Code::failed);
      // Nobody was promised this one, and who asked has heard no.
      const Bans::Ban* ban = bans_.find(answer.source);
      if (ban != nullptr && ban->origin == Origin::hand && !ban->recorded)
        lift(answer.source, Bans::Pardon::over, now);
      return;
    }
    case Bans::Change::cleared:
      return;
  }
}

void Monitor::by_hand_settled(const Source& source, bool ended,
                              const std::optional<ByHand>& failed) {
  const auto [first, last] = hand_waits_.equal_range(source);
  std::vector<std::uint64_t> done;
  for (auto wait = first; wait != last;) {
    const auto here = wait++;
    if (!failed && !ended && !here->second.ban) continue;  // it waits for the end
    HandJob& job = hand_jobs_.at(here->second.job);
    if (failed) {
      job.result.code = failed->code;
      job.result.text = failed->text;
    } else if (here->second.ban && ended) {
      job.result.code = ByHand::Code::failed;
      job.result.text = "the ban of " + source.text() + " was ended meanwhile";
    } else {
      job.result.bans += 1;
    }
    job.open -= 1;
    if (job.open == 0) done.push_back(here->second.job);
    hand_waits_.erase(here);
  }
  for (const std::uint64_t job : done)
    after_commit([this, job](Now) { end_job(job); }, false);
}

void Monitor::end_job(std::uint64_t id) {
  auto job = hand_jobs_.extract(id);
  if (job.empty()) return;
  job.mapped().then(job.mapped().result);
}

void Monitor::by_hand_overdue(Now now) {
  for (auto entry = hand_jobs_.begin();
       entry != hand_jobs_.end() && entry->second.deadline <= now.steady;) {
    const std::uint64_t id = entry->first;
    HandJob& job = entry->second;
    ++entry;
    job.result.code = ByHand::Code::failed;
    job.result.text = job.open > 0
                          ? std::to_string(job.open) + " of it not confirmed yet; it is tried on"
                          : "it is done, and could not be recorded on the disk yet";
    std::erase_if(hand_waits_, [id](const auto& wait) { return wait.second.job == id; });
    end_job(id);
  }
}

std::optional<Clock::time_point> Monitor::by_hand_due() const {
  if (hand_jobs_.empty()) return std::nullopt;
  return hand_jobs_.begin()->second.deadline;
}

}  // namespace portsentry::monitor
