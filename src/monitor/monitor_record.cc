// What is written down of each probe and each ban for those who ask later (`why`, `history`, `report`),
// what a source has on its record, and the budgets of bans. Nothing here decides.
#include <algorithm>
#include <utility>

#include "monitor/log_words.h"
#include "monitor/monitor.h"

namespace portsentry::monitor {
namespace {

// Records that have decayed to nothing are looked for so often.
constexpr std::chrono::hours kForgetEvery{1};

// The decision in words, for an event and for `why`.
std::string words_of(const Decision& decision) {
  switch (decision.reason) {
    case Reason::ban:
      return "a ban was asked for";
    case Reason::ignored:
      return "ignored";
    case Reason::already_banned:
      return "banned already";
    case Reason::already_asked:
      return "a ban is asked for already";
    case Reason::refused_before:
      return "a ban of it was refused a moment ago";
    case Reason::observe:
      return "observe mode, would ban for " + words::duration(decision.duration);
    case Reason::command_only:
      return "KILL_RUN_CMD only";
    case Reason::protected_unknown:
      return "no ban: " + std::string(words::refusal(decision.reason));
    case Reason::over_budget:
      return "no ban: too many are asked for and not confirmed";
    case Reason::over_budget_proven:
    case Reason::over_budget_spread:
    case Reason::over_budget_single:
      return "no ban: the budget of " +
             std::string(kBanClassNames.at(static_cast<std::size_t>(decision.how))) +
             " evidence is spent";
    case Reason::not_unicast:
    case Reason::own_address:
    case Reason::next_hop:
    case Reason::resolver:
    case Reason::dhcp_server:
    case Reason::login_session:
    case Reason::protected_network:
    case Reason::container_network:
    case Reason::allowed:
    case Reason::count_:
      break;
  }
  return "never banned: " + std::string(words::refusal(decision.reason));
}

std::optional<EventKind> kind_of(Reason reason) {
  switch (reason) {
    case Reason::ignored:  // who is in IGNORE_FILE leaves no trace but a count
    case Reason::ban:      // its answer is the event
    case Reason::already_banned:
    case Reason::already_asked:
    case Reason::refused_before:
    case Reason::count_:
      return std::nullopt;
    case Reason::observe:
    case Reason::over_budget:
    case Reason::over_budget_proven:
    case Reason::over_budget_spread:
    case Reason::over_budget_single:
      return EventKind::would_ban;
    case Reason::not_unicast:
    case Reason::own_address:
    case Reason::next_hop:
    case Reason::resolver:
    case Reason::dhcp_server:
    case Reason::login_session:
    case Reason::protected_network:
    case Reason::container_network:
    case Reason::allowed:
    case Reason::protected_unknown:
    case Reason::command_only:
      break;
  }
  return EventKind::detected;
}

// With what the administrator said who made it.
std::string by_hand(const Bans::Ban& ban) {
  return ban.note.empty() ? "by hand" : "by hand: " + ban.note;
}

bool is_past_budget(Reason reason) {
  return reason == Reason::over_budget_proven || reason == Reason::over_budget_spread ||
         reason == Reason::over_budget_single;
}

}  // namespace

void Monitor::record(const Event& event) {
  note(AddEvent{event});
}

// ---- a probe ------------------------------------------------------------------------------------

void Monitor::record_detection(const Detection& detection, const Decision& decision, Now now) {
  if (decision.reason == Reason::ignored) return;
  if (is_past_budget(decision.reason)) over_budget(decision.how, now);
  const bool news = evidence_.saw(detection, decision, now.wall);
  const auto kind = kind_of(decision.reason);
  if (!news || !kind || !event_budget_.take(decision.how, now.steady)) return;
  Event event = event_of(*kind, detection, decision.target, words_of(decision), now.wall);
  if (*kind == EventKind::would_ban) event.until = now.wall + decision.duration.count();
  record(event);
}

void Monitor::over_budget(BanClass how, Now now) {
  if (!ban_budget_.refused(how, now.steady)) return;
  say(lines_.over_budget(how));
  record({.at = now.wall,
          .kind = EventKind::budget,
          .detail = std::string(kBanClassNames.at(static_cast<std::size_t>(how))) + ": spent"});
}

void Monitor::tell_recovered(Now now) {
  for (const BanBudget::Recovery& recovery : ban_budget_.recovered(now.steady)) {
    say(lines_.within_budget(recovery.how, recovery.refused));
    record({.at = now.wall,
            .kind = EventKind::budget,
            .detail = std::string(kBanClassNames.at(static_cast<std::size_t>(recovery.how))) +
                      ": recovered; " + std::to_string(recovery.refused) + " turned away"});
  }
}

// ---- a ban --------------------------------------------------------------------------------------

// Before anything else is made of the answer: what led to the ban is still known here.
void Monitor::record_outcome(const Bans::Answer& answer, const Outcome& outcome, Now now) {
  const auto found = asked_for_.find(answer.source);
  const Detection* probe = found == asked_for_.end() ? nullptr : &found->second;
  const auto event = [&](EventKind kind, std::string_view why) {
    if (probe != nullptr) return event_of(kind, *probe, answer.source, why, now.wall);
    Event plain{.at = now.wall, .kind = kind, .detail = std::string(why)};
    if (why.empty() && answer.ban.origin == Origin::hand) plain.detail = by_hand(answer.ban);
    plain.source = answer.source;
    plain.address = answer.ban.address;
    plain.cause = answer.ban.cause;
    return plain;
  };
  switch (answer.change) {
    case Bans::Change::enforced: {
      if (answer.ban.recorded) return;  // put back after a second try
      Event banned = event(EventKind::banned, "");
      banned.until = answer.ban.term.wall;
      record(banned);
      return count_offence(answer, now);
    }
    case Bans::Change::changed: {
      Event changed = event(EventKind::changed, "");
      changed.until = answer.ban.term.wall;
      record(changed);
      return count_offence(answer, now);
    }
    case Bans::Change::refused:
      return record(event(EventKind::refused, words::refusal(outcome.verdict, outcome.error)));
    case Bans::Change::later:
      if (answer.news && answer.ban.state != Bans::State::lifting)
        record(event(EventKind::refused, words::refusal(outcome.verdict, outcome.error)));
      return;
    case Bans::Change::lifted:
      return record_lift(answer, now);
    case Bans::Change::over:
    case Bans::Change::undo_failed:
      if (answer.ban.recorded)
        record_end(EventKind::expired, answer.source, answer.ban.of, "", now);
      return;
    case Bans::Change::put_back:
    case Bans::Change::renewed:
    case Bans::Change::cleared:
    case Bans::Change::stuck:
      return;
  }
}

void Monitor::record_lift(const Bans::Answer& answer, Now now) {
  const auto ended = [&](EventKind kind, std::string_view why) {
    record_end(kind, answer.source, answer.ban.of, why, now);
  };
  switch (answer.ban.pardon) {
    case Bans::Pardon::ignored:
      return ended(EventKind::lifted, "IGNORE_FILE names it now");
    case Bans::Pardon::allowed:
      return ended(EventKind::lifted, "allowed by portsentryctl");
    case Bans::Pardon::none:
    case Bans::Pardon::shielded:
      return ended(EventKind::lifted, "protected now");
    case Bans::Pardon::by_hand:
      return ended(EventKind::unbanned, "by hand");
    case Bans::Pardon::over:
      return ended(EventKind::expired, "");
  }
}

// A ban that proves who scanned goes on that source's record.
void Monitor::count_offence(const Bans::Answer& answer, Now now) {
  const Bans::Ban& ban = answer.ban;
  if (ban.of != BanClass::proven || ban.origin != Origin::scan || !ban.term.wall) return;
  const auto& offence =
      offences_.confirmed(answer.source, *ban.term.wall, now.wall, setup_.config.block_time_max);
  note(PutOffence{{answer.source, offence.count, offence.last_end}});
  if (!forget_offences_at_) forget_offences_at_ = now.steady + kForgetEvery;
}

// The quiet time of its record runs from here; not where forged packets may have led to the ban: else
// whoever forges one now and then would keep somebody's record from ever decaying.
void Monitor::record_end(EventKind kind, const Source& source, BanClass of, std::string_view detail,
                         Now now) {
  Event event{.at = now.wall, .kind = kind, .detail = std::string(detail)};
  event.source = source;
  record(event);
  if (of == BanClass::proven) move_offence(source, now.wall);
}

void Monitor::move_offence(const Source& source, std::time_t end) {
  const auto offence = offences_.ends(source, end);
  if (offence) note(PutOffence{{source, offence->count, offence->last_end}});
}

// ---- offences -----------------------------------------------------------------------------------

void Monitor::recall_offences(Now now) {
  for (const Offence& offence : setup_.remembered.offences)
    offences_.recall(offence.source, {.count = offence.count, .last_end = offence.last_end});
  std::vector<Offence>().swap(setup_.remembered.offences);
  if (offences_.size() > 0) forget_offences(now);
}

void Monitor::forget_offences(Now now) {
  for (const Source& source : offences_.sweep(now.wall, setup_.config.block_time_max))
    note(EraseOffence{source});
  forget_offences_at_ =
      offences_.size() > 0 ? std::optional(now.steady + kForgetEvery) : std::nullopt;
}

// ---- questions ----------------------------------------------------------------------------------

Explanation Monitor::evidence(const Address& address, Now now) const {
  Explanation told;
  if (const auto ban = bans_.seen_covering(address)) told.ban = *ban;
  if (const auto* known = evidence_.of(address)) {
    told.evidence = *known;
    told.reason = words_of(known->second.decision);
  }
  const Source subject = told.ban        ? told.ban->first
                         : told.evidence ? told.evidence->first
                                         : Source::of(address, true);
  told.offences = offences_.count(subject, now.wall, setup_.config.block_time_max);
  if (!told.ban || !Bans::holds(told.ban->second)) return told;
  const Bans::Ban& ban = told.ban->second;
  if (ban.origin == Origin::hand)
    told.reason += (told.reason.empty() ? "banned " : "; banned ") + by_hand(ban);
  told.undo = "\"portsentryctl unban " + told.ban->first.text() + "\"";
  if (!ban.term.permanent())
    told.undo += ", or its own end in " + words::duration(remaining(ban, now));
  return told;
}

Result<Report> Monitor::report(std::time_t since) {
  Report report;
  EventQuery query{.newest_first = true, .since = since, .limit = kMaxEventPage};
  for (std::size_t read = 0; read < kMaxReportEvents;) {
    const auto page = effects_.events(query);
    if (!page) return page.error();
    for (const EventPage::Row& row : page->rows) {
      report.add(row.event);
      query.cursor = row.id;
    }
    read += page->rows.size();
    if (!page->more || page->rows.empty()) break;
  }
  return report;
}

}  // namespace portsentry::monitor
