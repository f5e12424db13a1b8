// What portsentryctl asks. Who may ask what was settled before (control.h); here is what it means.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "common/text.h"
#include "common/wire.h"
#include "monitor/monitor.h"
#include "monitor/shown.h"

namespace portsentry::monitor {
namespace {

constexpr std::size_t kCountersPerPage = 48;
// How many of the store's pages are looked through for one of ours: some ten milliseconds.
constexpr std::size_t kMaxTurned = 50;
constexpr std::size_t kMaxTopName = 40;  // so that kMaxEntries of them fit
// The longest reload: a successor's patience, twice, and what root needs.
constexpr std::chrono::seconds kReloadPatience{20};
constexpr std::chrono::milliseconds kBetweenReloads{1200};
static_assert(kCountersPerPage <= kMaxEntries);

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;  // clang 14 does not deduce it by itself

ControlReply not_supported() {
  return Refused{RefusedCode::not_supported, "this daemon cannot do that"};
}

}  // namespace

void Monitor::on_control(const ControlRequest& request, std::uint32_t who, Answer answer, Now now) {
  look_at_clock(now);
  if (const std::string command = command_of(request); !command.empty())
    say(lines_.notice("portsentryctl: user " + std::to_string(who) + ": " + command));
  std::visit(
      overloaded{
          [&](const StatusRequest&) { answer(status(now)); },
          [&](const CountersAsk& ask) { answer(tell_counters(ask)); },
          [&](const ListAsk& ask) { answer(tell_bans(ask)); },
          [&](const WhyAsk& ask) { answer(tell_why(ask, now)); },
          [&](const BanAsk& ask) { ask_ban(ask, std::move(answer), now); },
          [&](const UnbanAsk& ask) { ask_unban(ask, std::move(answer), now); },
          [&](const AllowListAsk& ask) { answer(tell_allowed(ask)); },
          [&](const AllowAddAsk& ask) { ask_allow(ask, std::move(answer), now); },
          [&](const AllowRemoveAsk& ask) { ask_disallow(ask, std::move(answer), now); },
          [&](const ProtectedAsk& ask) { answer(tell_protected(ask, now)); },
          [&](const TopAsk& ask) { answer(tell_top(ask)); },
          [&](const WatchAsk&) { answer(not_supported()); },
          [&](const ReloadAsk&) { ask_reload(std::move(answer), now); },
          [&](const ArmAsk& ask) { tell_change(arm(ask.confirm_within, now), answer); },
          [&](const ConfirmAsk& ask) { tell_change(confirm(ask.session_began, now), answer); },
          [&](const ObserveAsk&) { tell_change(observe(now), answer); },
          [&](const FollowFileAsk&) { tell_change(follow_file(now), answer); },
          [&](const SelfTestAsk&) { ask_self_test(std::move(answer), now); },
          [&](const FlushAsk& ask) { ask_flush(ask, std::move(answer), now); },
          [&](const HistoryAsk& ask) { answer(tell_history(ask)); },
          [&](const ReportAsk& ask) { answer(tell_report(ask)); },
      },
      request);
}

ControlReply Monitor::tell_counters(const CountersAsk& ask) const {
  const std::vector<NamedCount> all = counters();
  CounterPage page;
  for (std::size_t i = ask.skip; i < all.size(); ++i) {
    if (page.counters.size() == kCountersPerPage) {
      page.more = true;
      break;
    }
    page.counters.push_back(all.at(i));
  }
  return page;
}

// ---- what happened ------------------------------------------------------------------------------

ControlReply Monitor::tell_history(const HistoryAsk& ask) {
  const bool network = ask.inside && !ask.inside->is_host();
  EventQuery query{
      .cursor = ask.before,
      .newest_first = true,
      .since = ask.since,
      .address = ask.inside && !network ? std::optional(ask.inside->address()) : std::nullopt,
      .limit = network ? kMaxEventPage : kMaxEntries};
  HistoryPage page;
  for (std::size_t turned = 0; turned < kMaxTurned; ++turned) {
    const auto found = effects_.events(query);
    if (!found) return Refused{RefusedCode::failed, plain_text(found.error().what, kMaxText)};
    for (const EventPage::Row& row : found->rows) {
      EventShown event = shown(row.event, row.id);
      if (network && !(event.subject && ask.inside->contains(*event.subject))) continue;
      page.more = page.events.size() == kMaxEntries;
      if (page.more) break;
      page.events.push_back(std::move(event));
    }
    if (page.more || !found->more) return fitting(std::move(page), &HistoryPage::events);
    query.cursor = found->cursor;
  }
  page.more = true;
  if (page.events.empty()) {
    return Refused{RefusedCode::failed, "none of the newest " +
                                            std::to_string(kMaxTurned * kMaxEventPage) +
                                            " events is about that"};
  }
  return fitting(std::move(page), &HistoryPage::events);
}

ControlReply Monitor::tell_top(const TopAsk& ask) {
  TopQuery query{.since = ask.since, .limit = ask.limit};
  switch (ask.by) {
    case TopBy::source:
      query.by = TopQuery::By::source;
      break;
    case TopBy::port:
      query.by = TopQuery::By::port;
      break;
    case TopBy::kind:
      query.by = TopQuery::By::kind;
      break;
    case TopBy::network:
      return Refused{RefusedCode::not_supported, "events are not counted by network"};
  }
  const auto found = effects_.top(query);
  if (!found) return Refused{RefusedCode::failed, plain_text(found.error().what, kMaxText)};
  TopReply reply;
  for (const TopRow& row : *found)
    reply.rows.push_back({plain_text(row.key, kMaxTopName), row.count, row.last});
  return reply;
}

// ---- reload -------------------------------------------------------------------------------------

// Root hears one a second at most and says nothing of the others: who asks while one is under way waits
// for that one, and who asks too soon after the last is not passed on before its time.
void Monitor::ask_reload(Answer answer, Now now) {
  if (phase_ != Phase::serving) {
    return answer(Refused{RefusedCode::busy, "the daemon is just starting"});
  }
  if (reload_ || offered_) return answer(Refused{RefusedCode::busy, "a reload is under way"});
  reload_waiters_.push_back(std::move(answer));
  if (reload_answer_by_) return;
  reload_answer_by_ = now.steady + kReloadPatience;
  reload_send_at_ = std::max(now.steady, next_reload_);
  send_reload(now);
}

void Monitor::send_reload(Now now) {
  if (!reload_send_at_ || *reload_send_at_ > now.steady) return;
  reload_send_at_.reset();
  next_reload_ = now.steady + kBetweenReloads;
  owe(RequestReload{}, now);
}

void Monitor::reload_ended(const ControlReply& reply) {
  reload_answer_by_.reset();
  reload_send_at_.reset();
  for (const Answer& answer : std::exchange(reload_waiters_, {}))
    answer(reply);
}

// ---- time ---------------------------------------------------------------------------------------

void Monitor::control_tick(Now now) {
  send_reload(now);
  if (reload_answer_by_ && *reload_answer_by_ <= now.steady) {
    reload_ended(Refused{RefusedCode::busy, "nothing came of it yet; see the log"});
  }
  if (self_test_ && self_test_->began + kSelfTestPatience <= now.steady) self_test_over();
  end_allowed(now);
}

std::optional<Clock::time_point> Monitor::control_due() const {
  std::optional<Clock::time_point> due = reload_send_at_ ? reload_send_at_ : reload_answer_by_;
  if (const auto next = allowed_.next_due(); next && (!due || *next < *due)) due = next;
  if (self_test_ && (!due || self_test_->began + kSelfTestPatience < *due))
    due = self_test_->began + kSelfTestPatience;
  return due;
}

}  // namespace portsentry::monitor
