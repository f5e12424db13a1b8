#include "ctl/history.h"

#include <algorithm>
#include <utility>

#include "ctl/json.h"
#include "ctl/time_text.h"
#include "ctl/words.h"

namespace portsentry::ctl {
namespace {

std::string subject_of(const EventShown& event) {
  return event.subject ? event.subject->text() : "-";
}

// The database writes "would-ban"; here every word is spelt like the keys and the other words of JSON.
std::string snake(std::string word) {
  std::ranges::replace(word, '-', '_');
  return word;
}

// What people look for first in a long list.
Tone tone_of(std::string_view kind) {
  if (kind == "banned" || kind == "changed" || kind == "recovered") return Tone::good;
  if (kind == "refused" || kind == "budget" || kind == "drift") return Tone::bad;
  if (kind == "would_ban" || kind == "lifted" || kind == "observed" || kind == "armed") {
    return Tone::warning;
  }
  return Tone::plain;
}

Json event_object(const EventShown& event) {
  Json json;
  std::optional<std::string> subject;
  if (event.subject) subject = event.subject->text();
  json.add("id", event.id).add("at", event.at).add("kind", snake(event.kind));
  json.add("subject", subject).add("text", event.text);
  return std::move(json.add("until", event.until));
}

std::string_view column_of(TopBy by) {
  switch (by) {
    case TopBy::source:
      return "SOURCE";
    case TopBy::port:
      return "PORT";
    case TopBy::kind:
      return "KIND";
    case TopBy::network:
      return "NETWORK";
  }
  return "";
}

}  // namespace

std::string history_text(std::vector<EventShown> events, const Layout& layout) {
  std::ranges::reverse(events);
  Table table({{"TIME"}, {"EVENT"}, {"SUBJECT"}, {"TEXT"}});
  for (const EventShown& event : events) {
    table.add({{moment_text(event.at)},
               {snake(event.kind), tone_of(snake(event.kind))},
               {subject_of(event)},
               {event.text}});
  }
  return table.empty() ? "nothing happened in that time\n" : table.text(layout);
}

std::string history_json(std::vector<EventShown> events) {
  std::ranges::reverse(events);
  return Json::answer("history").list("events", events, event_object).line();
}

std::string report_text(const std::vector<ReportRow>& rows, std::time_t since,
                        const Layout& layout) {
  Table table({{"SOURCE"},
               {"OUTCOME"},
               {"CLASS"},
               {"TIMES", true},
               {"PORTS", true},
               {"BAN", true},
               {"FIRST"},
               {"LAST"},
               {"WHY"}});
  std::uint64_t would = 0;
  std::uint64_t banned = 0;
  for (const ReportRow& row : rows) {
    const std::string outcome = snake(row.outcome);
    would += outcome == "would_ban" ? 1 : 0;
    banned += outcome == "banned" ? 1 : 0;
    table.add({{row.source.text()},
               {outcome, tone_of(outcome)},
               {row.scan_class.empty() ? "-" : row.scan_class},
               {std::to_string(row.times)},
               {std::to_string(row.distinct_ports)},
               {row.ban_time ? duration_text(*row.ban_time) : "-"},
               {moment_text(row.first)},
               {moment_text(row.last)},
               {row.text}});
  }
  std::string text = table.text(layout);
  if (!text.empty()) text += "\n";
  return text + paragraph({"Since " + moment_text(since) + ": " + counted(banned, "source") +
                           " banned, " + std::to_string(would) + " would have been, " +
                           std::to_string(rows.size() - banned - would) + " not."},
                          layout);
}

std::string report_json(const std::vector<ReportRow>& rows, std::time_t since) {
  Json json = Json::answer("report");
  json.add("since", since);
  json.list("rows", rows, [](const ReportRow& row) {
    Json one;
    std::optional<std::int64_t> ban_time;
    if (row.ban_time) ban_time = row.ban_time->count();
    one.add("source", row.source.text())
        .add("outcome", snake(row.outcome))
        .add("class", row.scan_class);
    one.add("times", row.times).add("first", row.first).add("last", row.last);
    one.add("distinct_ports", row.distinct_ports).add("ban_seconds", ban_time);
    one.add("text", row.text);
    return one;
  });
  return json.line();
}

std::string top_text(const TopReply& top, TopBy by, const Layout& layout) {
  Table table({{column_of(by)}, {"COUNT", true}, {"LAST"}});
  for (const TopShown& row : top.rows)
    table.add({{row.name}, {std::to_string(row.count)}, {moment_text(row.last)}});
  return table.empty() ? "nothing was counted in that time\n" : table.text(layout);
}

std::string top_json(const TopReply& top, TopBy by, std::time_t since) {
  Json json = Json::answer("top");
  json.add("by", word(by)).add("since", since);
  json.list("rows", top.rows, [](const TopShown& row) {
    Json one;
    one.add("name", row.name).add("count", row.count).add("last", row.last);
    return one;
  });
  return json.line();
}

std::string watch_text(const EventShown& event, const Layout& layout) {
  const std::string kind = snake(event.kind);
  std::string text = moment_text(event.at) + "  " + kind + "  " + subject_of(event);
  if (!event.text.empty()) text += "  " + event.text;
  return paragraph({text, tone_of(kind)}, layout);
}

std::string watch_json(const EventShown& event) {
  return Json::answer("watch").add("event", event_object(event)).line();
}

std::string missed_text(std::uint64_t count, const Layout& layout) {
  return paragraph({counted(count, "event") + " came too fast to be shown here (see portsentryctl "
                                              "history)",
                    Tone::warning},
                   layout);
}

std::string missed_json(std::uint64_t count) {
  return Json::answer("watch").add("missed", count).line();
}

}  // namespace portsentry::ctl
