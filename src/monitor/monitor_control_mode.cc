// What portsentryctl asks about decisions: why, report, arm and observe.
#include <algorithm>
#include <chrono>
#include <utility>

#include "common/text.h"
#include "common/wire.h"
#include "monitor/events.h"
#include "monitor/monitor.h"
#include "monitor/shown.h"

namespace portsentry::monitor {
namespace {

std::string_view word_of(BanClass how) {
  switch (how) {
    case BanClass::proven:
      return "proven";
    case BanClass::spread:
      return "spread";
    case BanClass::single:
      break;
  }
  return "single";
}

}  // namespace

// ---- the mode -----------------------------------------------------------------------------------

std::optional<OverrideShown> Monitor::override_shown() const {
  const auto word = mode().word;
  if (!word) return std::nullopt;
  OverrideShown told{.armed = word->mode == Override::Mode::arm, .since = moment(word->since)};
  if (word->confirm_by) told.confirm_by = moment(*word->confirm_by);
  return told;
}

// Who asked hears of it when it is on the disk: an override outlives a restart.
void Monitor::tell_change(const ModeChange& change, const Answer& answer) {
  if (change.code == ModeChange::Code::refused)
    return answer(Refused{RefusedCode::policy, plain_text(change.text, kMaxText)});
  after_commit(
      [this, answer](Now) {
        answer(ModeDone{.armed = mode().armed, .override_mode = override_shown()});
      },
      false);
}

// ---- why, and what would have been --------------------------------------------------------------

ControlReply Monitor::tell_why(const WhyAsk& ask, Now now) {
  const Explanation known = evidence(ask.address, now);
  WhyReply reply{.address = ask.address,
                 .offences = known.offences,
                 .reason = plain_text(known.reason, kMaxText),
                 .undo = plain_text(known.undo, kMaxText)};
  const Prefix host = Prefix::host(ask.address);
  if (const auto entry = protection_of(host, now)) {
    reply.shield = plain_text("protected: " + entry->reason, kMaxText);
  } else if (const Allowed* allowed = allowed_.overlap(host)) {
    reply.shield = plain_text("on the allow list: " + allowed->prefix.text(), kMaxText);
  } else if (const auto* ignored = setup_.ignored.find_overlap(host, now.wall)) {
    reply.shield = plain_text("in the ignore file: " + ignored->prefix.text(), kMaxText);
  }
  const bool recorded = !known.evidence && recall_why(reply);
  if (!known.anything() && !recorded && reply.shield.empty()) {
    return Refused{RefusedCode::no_match, "nothing is known about " + ask.address.text()};
  }
  if (known.ban) {
    reply.ban = shown(known.ban->first, known.ban->second);
    reply.source = known.ban->first;
  }
  if (known.evidence) {
    const auto& [source, entry] = *known.evidence;
    reply.source = source;
    reply.scan_class = word_of(entry.how);
    reply.proof = entry.proof;
    reply.first = moment(entry.first);
    reply.last = moment(entry.last);
    reply.distinct_ports = entry.distinct_ports;
    reply.decision = kReasonNames.at(static_cast<std::size_t>(entry.decision.reason));
    for (const SeenProbe& probe : entry.probes) {
      TouchShown touch{.at = moment(probe.at), .protocol = probe.protocol, .port = probe.port};
      if (probe.packet) {
        touch.kind = probe.packet->kind;
        if (probe.protocol == Protocol::tcp) touch.flags = probe.packet->flags;
      }
      reply.touches.push_back(touch);
    }
  }
  return reply;
}

// After a restart, or when newer sources took its place in memory.
bool Monitor::recall_why(WhyReply& reply) {
  constexpr std::size_t kMaxTouchesShown = 32;
  const auto page =
      effects_.events({.newest_first = true, .address = reply.address, .limit = kMaxEntries});
  if (!page) return false;
  for (const EventPage::Row& row : page->rows) {
    const Event& event = row.event;
    if (!event.scan || !event.cause || !event.source) continue;
    const auto at = moment(event.at);
    if (!reply.last) {  // the newest counts
      const auto how = class_of(event.proof.value_or(Proof::forgeable), event.ports);
      reply.source = event.source;
      reply.scan_class = word_of(how);
      reply.proof = event.proof;
      reply.last = at;
      reply.distinct_ports = event.ports;
      if (reply.reason.empty()) {
        reply.reason = plain_text(
            "as it was recorded, " + std::string(name(event.kind)) + ": " + event.detail, kMaxText);
      }
    }
    reply.first = at;
    std::vector<TouchedPort> ports = read_touched(event.detail);
    if (ports.empty()) ports.push_back({event.cause->protocol, event.cause->port});
    for (std::size_t i = 0; i < ports.size(); ++i) {
      const bool known = std::ranges::any_of(reply.touches, [&](const TouchShown& touch) {
        return touch.protocol == ports.at(i).protocol && touch.port == ports.at(i).port;
      });
      if (known || reply.touches.size() == kMaxTouchesShown) continue;
      reply.touches.push_back({.at = at,
                               .protocol = ports.at(i).protocol,
                               .port = ports.at(i).port,
                               .kind = i == 0 ? event.scan : std::nullopt});
    }
  }
  return reply.last.has_value();
}

ControlReply Monitor::tell_report(const ReportAsk& ask) {
  // A report is one reading of the events, turned over page by page; whoever asks for the first page
  // begins a new one.
  if (!ask.after || !report_ || report_since_ != ask.since) {
    auto read = report(ask.since);
    if (!read) return Refused{RefusedCode::failed, plain_text(read.error().what, kMaxText)};
    report_ = std::move(*read);
    report_since_ = ask.since;
  }
  ReportPage page;
  for (Report::Row& row : report_->rows(kMaxEntries + 1, ask.after)) {
    if (page.rows.size() == kMaxEntries) {
      page.more = true;
      break;
    }
    page.rows.push_back({.source = row.source,
                         .outcome = std::string(name(row.outcome)),
                         .scan_class = std::string(word_of(row.how)),
                         .times = row.times,
                         .first = moment(row.first),
                         .last = moment(row.last),
                         .distinct_ports = row.distinct_ports,
                         .ban_time = row.ban_time
                                         ? std::optional(std::clamp(
                                               *row.ban_time, std::chrono::seconds(0), kMaxBan))
                                         : std::nullopt,
                         .text = plain_text(row.detail, kMaxText)});
  }
  page = fitting(std::move(page), &ReportPage::rows);
  if (!page.more) report_.reset();
  return page;
}

}  // namespace portsentry::monitor
