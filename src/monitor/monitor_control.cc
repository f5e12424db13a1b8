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

// As much of a page as fits a message, and at least one entry: none of them is half as large.
template <class Page, class Entries>
Page fitting(Page page, Entries Page::*entries) {
  while ((page.*entries).size() > 1 && !fits(page)) {
    (page.*entries).pop_back();
    page.more = true;
  }
  return page;
}

}  // namespace

void Monitor::on_control(const ControlRequest& request, std::uint32_t who, Answer answer, Now now) {
  if (const std::string command = command_of(request); !command.empty())
    say(lines_.notice("portsentryctl: user " + std::to_string(who) + ": " + command));
  std::visit(overloaded{
                 [&](const StatusRequest&) { answer(status()); },
                 [&](const CountersAsk& ask) { answer(tell_counters(ask)); },
                 [&](const ListAsk&) { answer(not_supported()); },
                 [&](const WhyAsk&) { answer(not_supported()); },
                 [&](const BanAsk&) { answer(not_supported()); },
                 [&](const UnbanAsk&) { answer(not_supported()); },
                 [&](const AllowListAsk&) { answer(not_supported()); },
                 [&](const AllowAddAsk&) { answer(not_supported()); },
                 [&](const AllowRemoveAsk&) { answer(not_supported()); },
                 [&](const ProtectedAsk&) { answer(not_supported()); },
                 [&](const TopAsk& ask) { answer(tell_top(ask)); },
                 [&](const WatchAsk&) { answer(not_supported()); },
                 [&](const ReloadAsk&) { ask_reload(std::move(answer), now); },
                 [&](const ArmAsk&) { answer(not_supported()); },
                 [&](const ConfirmAsk&) { answer(not_supported()); },
                 [&](const ObserveAsk&) { answer(not_supported()); },
                 [&](const FollowFileAsk&) { answer(not_supported()); },
                 [&](const SelfTestAsk&) { ask_self_test(std::move(answer), now); },
                 [&](const FlushAsk&) { answer(not_supported()); },
                 [&](const HistoryAsk& ask) { answer(tell_history(ask)); },
                 [&](const ReportAsk&) { answer(not_supported()); },
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
      if (page.events.size() == kMaxEntries) {
        page.more = true;
        return fitting(std::move(page), &HistoryPage::events);
      }
      page.events.push_back(std::move(event));
    }
    page.more = found->more;
    if (!network || !found->more || found->rows.empty())
      return fitting(std::move(page), &HistoryPage::events);
    query.cursor = found->rows.back().id;
  }
  if (page.events.empty()) {
    return Refused{RefusedCode::failed, "none of the newest " +
                                            std::to_string(kMaxTurned * kMaxEventPage) +
                                            " events is about that network; ask for one address"};
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

// Root hears one a second at most and says nothing of the others: whoever asks in between waits for
// the same one.
void Monitor::ask_reload(Answer answer, Now now) {
  if (phase_ != Phase::serving) {
    return answer(Refused{RefusedCode::busy, "the daemon is just starting"});
  }
  if (reload_ || offered_) return answer(Refused{RefusedCode::busy, "a reload is under way"});
  reload_waiters_.push_back(std::move(answer));
  if (reload_answer_by_) return;
  reload_answer_by_ = now.steady + kReloadPatience;
  owe(RequestReload{}, now);
}

void Monitor::reload_ended(const ControlReply& reply) {
  reload_answer_by_.reset();
  for (const Answer& answer : std::exchange(reload_waiters_, {}))
    answer(reply);
}

// ---- time ---------------------------------------------------------------------------------------

void Monitor::control_tick(Now now) {
  if (reload_answer_by_ && *reload_answer_by_ <= now.steady) {
    reload_ended(Refused{RefusedCode::busy, "nothing came of it yet; see the log"});
  }
  if (self_test_ && self_test_->began + kSelfTestPatience <= now.steady) self_test_over();
}

std::optional<Clock::time_point> Monitor::control_due() const {
  std::optional<Clock::time_point> due = reload_answer_by_;
  if (self_test_ && (!due || self_test_->began + kSelfTestPatience < *due))
    due = self_test_->began + kSelfTestPatience;
  return due;
}

}  // namespace portsentry::monitor
