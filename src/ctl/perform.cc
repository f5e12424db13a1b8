#include "ctl/perform.h"

#include <utility>
#include <vector>

#include "common/log.h"
#include "ctl/allow.h"
#include "ctl/bans.h"
#include "ctl/history.h"
#include "ctl/json.h"
#include "ctl/mode.h"
#include "ctl/protected.h"
#include "ctl/selftest.h"
#include "ctl/status.h"

namespace portsentry::ctl {
namespace {

using Ended = std::variant<int, Failure>;

constexpr std::time_t kDay = 86400;
constexpr std::time_t kWeek = 7 * kDay;

Failure endless() {
  return {.exit = kExitUnreachable,
          .code = "unreachable",
          .text = "the daemon's answer does not come to an end"};
}

// More than the sets of the kernel and the database can hold: a daemon that was captured must not fill
// the memory of whoever asks it.
constexpr std::size_t kMostEntries = 2'000'000;

// All pages of one answer. `request(entries)` asks for what comes after those; `entries_of` and `more`
// read a page. A page that says more and holds nothing would be asked for again for ever.
template <class Page, class Entry, class Request>
std::variant<std::vector<Entry>, Failure> pages(Client& client, std::vector<Entry> Page::*entries,
                                                Request request) {
  std::vector<Entry> all;
  for (;;) {
    auto answer = client.ask<Page>(request(all));
    if (auto* failure = std::get_if<Failure>(&answer)) return std::move(*failure);
    Page& page = std::get<Page>(answer);
    const bool empty = (page.*entries).empty();
    for (Entry& entry : page.*entries)
      all.push_back(std::move(entry));
    if (!page.more) return all;
    if (empty || all.size() > kMostEntries) return endless();
  }
}

class Performer {
 public:
  Performer(const Command& command, Client& client, const Surroundings& around)
      : command_(command), client_(client), around_(around) {}

  Ended status() {
    auto answer = client_.ask<StatusReply>(StatusRequest{});
    if (auto* failure = std::get_if<Failure>(&answer)) return std::move(*failure);
    auto counters = pages<CounterPage, NamedCount>(
        client_, &CounterPage::counters, [](const std::vector<NamedCount>& all) {
          return CountersAsk{.skip = static_cast<std::uint32_t>(all.size())};
        });
    if (auto* failure = std::get_if<Failure>(&counters)) return std::move(*failure);
    const auto& reply = std::get<StatusReply>(answer);
    const auto& counts = std::get<std::vector<NamedCount>>(counters);
    return say(command_.json ? status_json(reply, counts)
                             : status_text(reply, counts, around_.now, around_.layout));
  }

  Ended list() {
    return all_of<BanPage, BanShown>(
        &BanPage::bans,
        [this](const std::vector<BanShown>& all) {
          ListAsk ask{.filter = command_.only};
          if (!all.empty()) ask.after = all.back().source;
          return ask;
        },
        [this](const std::vector<BanShown>& all) {
          if (command_.plain) return list_plain(all);
          return command_.json ? list_json(all) : list_text(all, around_.now, around_.layout);
        });
  }

  Ended why() {
    return one<WhyReply>(WhyAsk{.address = command_.prefix->address()}, [this](const WhyReply& r) {
      return command_.json ? why_json(r) : why_text(r, around_.now, around_.layout);
    });
  }

  Ended ban() {
    const BanAsk ask{.prefix = *command_.prefix,
                     .duration = command_.time,
                     .permanent = command_.permanent,
                     .note = command_.note};
    return one<BanDone>(ask, [this](const BanDone& done) {
      return command_.json ? ban_json(done) : ban_text(done, around_.now, around_.layout);
    });
  }

  Ended unban(const ControlRequest& ask) {
    int exit = kExitOk;
    const Ended ended = one<UnbanDone>(ask, [&](const UnbanDone& done) {
      // What could not be undone still holds: that is not what was asked for.
      if (done.failed != 0 || (done.ended == 0 && command_.verb == Verb::unban)) {
        exit = kExitNoMatch;
      }
      return command_.json ? unban_json(name_of(command_.verb), done)
                           : unban_text(done, around_.layout);
    });
    return std::holds_alternative<Failure>(ended) ? ended : Ended(exit);
  }

  Ended allow_list() {
    return all_of<AllowedPage, AllowedShown>(
        &AllowedPage::entries,
        [](const std::vector<AllowedShown>& all) {
          AllowListAsk ask;
          if (!all.empty()) ask.after = all.back().prefix;
          return ask;
        },
        [this](const std::vector<AllowedShown>& all) {
          return command_.json ? allow_list_json(all)
                               : allow_list_text(all, around_.now, around_.layout);
        });
  }

  Ended allow_add() {
    const AllowAddAsk ask{
        .prefix = *command_.prefix, .duration = command_.time, .note = command_.note};
    return one<AllowDone>(ask, [this](const AllowDone& done) {
      return command_.json ? allow_add_json(done)
                           : allow_add_text(done, around_.now, around_.layout);
    });
  }

  Ended allow_remove() {
    return one<Done>(AllowRemoveAsk{.prefix = *command_.prefix}, [this](const Done&) {
      return command_.json ? allow_remove_json(*command_.prefix)
                           : allow_remove_text(*command_.prefix, around_.layout);
    });
  }

  Ended protected_set() {
    return all_of<ProtectedPage, ProtectedShown>(
        &ProtectedPage::entries,
        [](const std::vector<ProtectedShown>& all) {
          return ProtectedAsk{.skip = static_cast<std::uint32_t>(all.size())};
        },
        [this](const std::vector<ProtectedShown>& all) {
          return command_.json ? protected_json(all) : protected_text(all, around_.layout);
        });
  }

  Ended top() {
    const std::time_t since = since_or(kDay);
    const TopAsk ask{.by = command_.by, .since = since, .limit = command_.limit};
    return one<TopReply>(ask, [this, since](const TopReply& top) {
      return command_.json ? top_json(top, command_.by, since)
                           : top_text(top, command_.by, around_.layout);
    });
  }

  Ended history() {
    const std::time_t since = since_or(kDay);
    int exit = kExitOk;
    const Ended ended = all_of<HistoryPage, EventShown>(
        &HistoryPage::events,
        [this, since](const std::vector<EventShown>& all) {
          return HistoryAsk{
              .since = since, .before = all.empty() ? 0 : all.back().id, .inside = command_.prefix};
        },
        [&](const std::vector<EventShown>& all) {
          if (all.empty() && command_.prefix) exit = kExitNoMatch;
          return command_.json ? history_json(all) : history_text(all, around_.layout);
        });
    return std::holds_alternative<Failure>(ended) ? ended : Ended(exit);
  }

  Ended report() {
    const std::time_t since = since_or(kWeek);
    return all_of<ReportPage, ReportRow>(
        &ReportPage::rows,
        [since](const std::vector<ReportRow>& all) {
          ReportAsk ask{.since = since};
          if (!all.empty()) ask.after = all.back().source;
          return ask;
        },
        [this, since](const std::vector<ReportRow>& all) {
          return command_.json ? report_json(all, since) : report_text(all, since, around_.layout);
        });
  }

  Ended watch() {
    const auto begun = client_.ask<Watching>(WatchAsk{});
    if (const auto* failure = std::get_if<Failure>(&begun)) return *failure;
    for (;;) {
      const Client::Answer news = client_.next();
      if (const auto* failure = std::get_if<Failure>(&news)) return *failure;
      const auto& reply = std::get<ControlReply>(news);
      bool read = true;
      if (const auto* watched = std::get_if<Watched>(&reply)) {
        read = around_.print(command_.json ? watch_json(watched->event)
                                           : watch_text(watched->event, around_.layout));
      } else if (const auto* missed = std::get_if<Missed>(&reply)) {
        read = around_.print(command_.json ? missed_json(missed->count)
                                           : missed_text(missed->count, around_.layout));
      }
      if (!read) return kExitOk;
    }
  }

  Ended reload() {
    return one<ReloadDone>(ReloadAsk{}, [this](const ReloadDone& done) {
      return command_.json ? reload_json(done) : reload_text(done, around_.layout);
    });
  }

  Ended confirm() {
    const auto began = around_.session();
    if (!began) {
      return Failure{
          .exit = kExitRefused, .code = "no_session", .text = std::string(no_session_advice())};
    }
    return mode(ConfirmAsk{.session_began = *began});
  }

  Ended mode(const ControlRequest& ask) {
    return one<ModeDone>(ask, [this](const ModeDone& done) {
      return command_.json ? mode_json(name_of(command_.verb), done)
                           : mode_text(done, around_.now, around_.layout);
    });
  }

  Ended selftest() {
    int exit = kExitOk;
    const Ended ended = one<SelfTestReply>(SelfTestAsk{}, [&](const SelfTestReply& reply) {
      if (!all_passed(reply)) exit = kExitNoMatch;
      return command_.json ? selftest_json(reply) : selftest_text(reply, around_.layout);
    });
    return std::holds_alternative<Failure>(ended) ? ended : Ended(exit);
  }

 private:
  [[nodiscard]] std::time_t since_or(std::time_t ago) const {
    return command_.since.value_or(around_.now > ago ? around_.now - ago : 0);
  }

  Ended say(const std::string& text) {
    around_.print(text);
    return kExitOk;
  }

  template <class Reply, class Text>
  Ended one(const ControlRequest& ask, Text text) {
    auto answer = client_.ask<Reply>(ask);
    if (auto* failure = std::get_if<Failure>(&answer)) return std::move(*failure);
    return say(text(std::get<Reply>(answer)));
  }

  template <class Page, class Entry, class Request, class Text>
  Ended all_of(std::vector<Entry> Page::*entries, Request request, Text text) {
    auto all = pages<Page, Entry>(client_, entries, request);
    if (auto* failure = std::get_if<Failure>(&all)) return std::move(*failure);
    return say(text(std::get<std::vector<Entry>>(all)));
  }

  const Command& command_;
  Client& client_;
  const Surroundings& around_;
};

}  // namespace

std::variant<int, Failure> perform(const Command& command, Client& client,
                                   const Surroundings& around) {
  Performer performer(command, client, around);
  switch (command.verb) {
    case Verb::status:
      return performer.status();
    case Verb::list:
      return performer.list();
    case Verb::why:
      return performer.why();
    case Verb::ban:
      return performer.ban();
    case Verb::unban:
      return performer.unban(UnbanAsk{
          .prefix = command.prefix, .allow_for = command.time, .permanent_too = command.permanent});
    case Verb::flush:
      return performer.unban(FlushAsk{.permanent_too = command.permanent});
    case Verb::allow_list:
      return performer.allow_list();
    case Verb::allow_add:
      return performer.allow_add();
    case Verb::allow_remove:
      return performer.allow_remove();
    case Verb::protected_set:
      return performer.protected_set();
    case Verb::top:
      return performer.top();
    case Verb::watch:
      return performer.watch();
    case Verb::reload:
      return performer.reload();
    case Verb::arm:
      return performer.mode(ArmAsk{.confirm_within = command.time});
    case Verb::confirm:
      return performer.confirm();
    case Verb::observe:
      return performer.mode(ObserveAsk{});
    case Verb::follow:
      return performer.mode(FollowFileAsk{});
    case Verb::selftest:
      return performer.selftest();
    case Verb::history:
      return performer.history();
    case Verb::report:
      return performer.report();
    case Verb::check:
    case Verb::help:
    case Verb::version:
      break;
  }
  return kExitUsage;
}

std::string_view name_of(Verb verb) {
  if (verb == Verb::allow_list) return "allow list";
  if (verb == Verb::allow_add) return "allow add";
  if (verb == Verb::allow_remove) return "allow remove";
  for (const VerbRow& row : verbs()) {
    if (row.verb == verb) return row.name;
  }
  return "";
}

std::string failure_json(Verb verb, const Failure& failure) {
  Json error;
  error.add("code", failure.code).add("text", failure.text).add("exit", failure.exit);
  return Json::answer(name_of(verb)).add("error", error).line();
}

}  // namespace portsentry::ctl
