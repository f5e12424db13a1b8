// What portsentryctl asks about bans, and about who is never banned.
#include <utility>

#include "common/text.h"
#include "common/wire.h"
#include "monitor/monitor.h"
#include "monitor/shown.h"

namespace portsentry::monitor {
namespace {

RefusedCode code_of(Monitor::ByHand::Code code) {
  switch (code) {
    case Monitor::ByHand::Code::no_match:
      return RefusedCode::no_match;
    case Monitor::ByHand::Code::policy:
      return RefusedCode::policy;
    case Monitor::ByHand::Code::busy:
      return RefusedCode::busy;
    case Monitor::ByHand::Code::done:
    case Monitor::ByHand::Code::failed:
      break;
  }
  return RefusedCode::failed;
}

ControlReply refused(const Monitor::ByHand& result) {
  return Refused{code_of(result.code), plain_text(result.text, kMaxText)};
}

bool is_wanted(const BanShown& ban, ListFilter filter) {
  switch (filter) {
    case ListFilter::all:
      return true;
    case ListFilter::timed:
      return ban.until.has_value();
    case ListFilter::permanent:
      return !ban.until;
    case ListFilter::by_hand:
      return ban.origin == OriginShown::hand;
    case ListFilter::recovered:
      return ban.origin == OriginShown::recovered;
    case ListFilter::not_enforced:
      return ban.state != BanStateShown::enforced;
    case ListFilter::unverifiable:
      return ban.backend == Backend::command;
  }
  return false;
}

}  // namespace

ControlReply Monitor::tell_bans(const ListAsk& ask) const {
  BanPage page;
  bans_.each_after(ask.after, [&](const Source& source, const Bans::Ban& ban) {
    BanShown told = shown(source, ban);
    if (!is_wanted(told, ask.filter)) return true;
    page.more = page.bans.size() == kMaxEntries;
    if (!page.more) page.bans.push_back(std::move(told));
    return !page.more;
  });
  return fitting(std::move(page), &BanPage::bans);
}

void Monitor::ask_ban(const BanAsk& ask, Answer answer, Now now) {
  if (const Allowed* entry = allowed_.overlap(ask.prefix)) {
    return answer(Refused{RefusedCode::policy,
                          plain_text(ask.prefix.text() + ": " + entry->prefix.text() +
                                         " is on the allow list; \"portsentryctl allow remove " +
                                         entry->prefix.text() + "\" first",
                                     kMaxText)});
  }
  const auto source = Source::from_prefix(ask.prefix.address(), ask.prefix.length());
  const auto* before = source ? bans_.find(*source) : nullptr;
  const bool held = before != nullptr && Bans::holds(*before);
  const auto duration =
      ask.permanent ? std::nullopt : std::optional(ask.duration.value_or(setup_.config.block_time));
  ban_by_hand(
      ask.prefix, duration, ask.note,
      [this, source, held, answer = std::move(answer)](const ByHand& result) {
        const auto* ban = source ? bans_.find(*source) : nullptr;
        if (result.code != ByHand::Code::done || ban == nullptr) return answer(refused(result));
        BanDone done{.source = *source, .changed = held, .text = plain_text(result.text, kMaxText)};
        if (ban->term.wall) done.until = moment(*ban->term.wall);
        answer(std::move(done));
      },
      now);
}

void Monitor::ask_unban(const UnbanAsk& ask, Answer answer, Now now) {
  // First allowed, so that its next probe does not come in between.
  bool allowed = false;
  if (ask.prefix && ask.allow_for) {
    Allowed entry{.prefix = *ask.prefix,
                  .until = now.wall + ask.allow_for->count(),
                  .since = now.wall,
                  .note = "by unban"};
    if (auto no = allow(std::move(entry), now)) return answer(std::move(*no));
    allowed = true;
  }
  unban(
      ask.prefix, ask.permanent_too,
      [this, allowed, answer = std::move(answer)](const ByHand& result) mutable {
        const bool nobody = result.code == ByHand::Code::no_match;
        if (result.code != ByHand::Code::done && !(nobody && allowed))
          return answer(refused(result));
        const UnbanDone done{.ended = result.bans,
                             .failed = 0,
                             .permanent_left = result.permanent_left,
                             .allowed = allowed};
        // Where nothing was to be ended, nothing has waited for the disk yet.
        after_commit([done, answer = std::move(answer)](Now) { answer(done); }, false);
      },
      now);
}

void Monitor::ask_flush(const FlushAsk& ask, Answer answer, Now now) {
  unban(
      std::nullopt, ask.permanent_too,
      [this, answer = std::move(answer)](const ByHand& result) {
        // Nothing to end is an end as well.
        if (result.code != ByHand::Code::done && result.code != ByHand::Code::no_match)
          return answer(refused(result));
        answer(UnbanDone{.ended = result.bans, .permanent_left = bans_.permanent()});
      },
      now);
}

// ---- who is allowed -----------------------------------------------------------------------------

void Monitor::recall_allowed(Now now) {
  for (const Allowed& entry : setup_.remembered.allowed)
    allowed_.put(entry, now);
  end_allowed(now);
}

void Monitor::end_allowed(Now now) {
  for (const Allowed& entry : allowed_.expire(now)) {
    note(EraseAllowed{entry.prefix});
    allow_event(EventKind::disallowed, entry.prefix, "its time is over", now);
  }
}

void Monitor::allow_event(EventKind kind, const Prefix& prefix, std::string_view why, Now now) {
  const std::string text =
      prefix.text() + (why.empty() ? std::string() : ": " + plain_text(why, kMaxText));
  note(AddEvent{Event{.at = now.wall,
                      .kind = kind,
                      .source = Source::from_prefix(prefix.address(), prefix.length()),
                      .detail = text}});
  say(lines_.notice(
      (kind == EventKind::allowed ? "allowed, and never banned: " : "not allowed any more: ") +
      text));
  tell_exempt(now);
}

// Nothing: it is. Else why not.
std::optional<ControlReply> Monitor::allow(Allowed entry, Now now) {
  const Prefix prefix = entry.prefix;
  if (prefix.length() == 0) {
    return Refused{RefusedCode::policy,
                   "that is everybody; to ban nobody is \"portsentryctl observe\""};
  }
  entry.note = plain_text(entry.note, kMaxUserText);
  const std::string why = entry.note;
  if (allowed_.put(entry, now) == AllowList::Put::full) {
    return Refused{RefusedCode::busy, "the allow list is full (" +
                                          std::to_string(AllowList::kMaxEntries) + " entries)"};
  }
  note(PutAllowed{std::move(entry)});
  allow_event(EventKind::allowed, prefix, why, now);
  protection_changed(now);
  return std::nullopt;
}

void Monitor::ask_allow(const AllowAddAsk& ask, Answer answer, Now now) {
  Allowed entry{
      .prefix = ask.prefix,
      .until = ask.duration ? std::optional(now.wall + ask.duration->count()) : std::nullopt,
      .since = now.wall,
      .note = ask.note};
  const AllowedShown told = shown(entry);
  if (auto no = allow(std::move(entry), now)) return answer(std::move(*no));
  // What holds against them ends with it, whoever made it. The answer waits for the disk in any case.
  unban(
      ask.prefix, true,
      [this, told, answer = std::move(answer)](const ByHand& result) mutable {
        if (result.code != ByHand::Code::done && result.code != ByHand::Code::no_match)
          return answer(refused(result));
        after_commit(
            [told, lifted = result.bans, answer = std::move(answer)](Now) {
              answer(AllowDone{told, lifted});
            },
            false);
      },
      now);
}

void Monitor::ask_disallow(const AllowRemoveAsk& ask, Answer answer, Now now) {
  if (!allowed_.remove(ask.prefix)) {
    return answer(
        Refused{RefusedCode::no_match, "no entry of the allow list is " + ask.prefix.text()});
  }
  note(EraseAllowed{ask.prefix});
  allow_event(EventKind::disallowed, ask.prefix, "", now);
  after_commit([text = ask.prefix.text() + " can be banned again",
                answer = std::move(answer)](Now) { answer(Done{text}); },
               false);
}

ControlReply Monitor::tell_allowed(const AllowListAsk& ask) const {
  AllowedPage page;
  allowed_.each_after(ask.after, [&](const Allowed& entry) {
    page.more = page.entries.size() == kMaxEntries;
    if (!page.more) page.entries.push_back(shown(entry));
    return !page.more;
  });
  return fitting(std::move(page), &AllowedPage::entries);
}

// ---- who is protected ---------------------------------------------------------------------------

ControlReply Monitor::tell_protected(const ProtectedAsk& ask, Now now) const {
  const std::vector<ProtectedEntry> all = protected_entries(now);
  ProtectedPage page;
  for (std::size_t i = ask.skip; i < all.size(); ++i) {
    if (page.entries.size() == kMaxEntries) {
      page.more = true;
      break;
    }
    page.entries.push_back({all.at(i).prefix, plain_text(all.at(i).reason, kMaxText)});
  }
  return fitting(std::move(page), &ProtectedPage::entries);
}

}  // namespace portsentry::monitor
