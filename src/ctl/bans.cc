#include "ctl/bans.h"

#include <utility>

#include "ctl/json.h"
#include "ctl/time_text.h"
#include "ctl/words.h"

namespace portsentry::ctl {
namespace {

Tone tone_of(const BanShown& ban) {
  switch (ban.state) {
    case BanStateShown::enforced:
      return ban.recorded ? Tone::good : Tone::warning;
    case BanStateShown::pending:
    case BanStateShown::waiting:
    case BanStateShown::lifting:
      return Tone::warning;
    case BanStateShown::refused:
    case BanStateShown::not_undone:
      break;
  }
  return Tone::bad;
}

// What is not as it should be; empty where all is well.
std::string trouble_of(const BanShown& ban) {
  std::string text = ban.trouble;
  const auto add = [&text](std::string_view what) {
    if (!text.empty()) text += "; ";
    text += what;
  };
  if (!ban.recorded) add("not on the disk yet");
  if (ban.backend == Backend::command) add("unverifiable: made by a command");
  return text;
}

std::string proof_of(const std::optional<Proof>& proof) {
  return proof ? std::string(word(*proof)) : "-";
}

std::string table_of(const std::vector<BanShown>& bans, bool permanent, std::time_t now,
                     const Layout& layout) {
  std::vector<Column> columns{{"SOURCE"}, {"STATE"}};
  if (!permanent) columns.push_back({"LEFT", true});
  for (const Column& column : {Column{"SINCE"}, Column{"ORIGIN"}, Column{"PROOF"},
                               Column{"OFFENCES", true}, Column{"REMARK"}}) {
    columns.push_back(column);
  }
  Table table(std::move(columns));
  for (const BanShown& ban : bans) {
    if (ban.until.has_value() == permanent) continue;
    std::vector<Cell> row{{ban.source.text()}, {std::string(word(ban.state)), tone_of(ban)}};
    if (ban.until) row.push_back({left_text(*ban.until, now)});
    row.push_back({moment_text(ban.since)});
    row.push_back({std::string(word(ban.origin))});
    row.push_back({proof_of(ban.proof)});
    row.push_back({std::to_string(ban.offences)});
    row.push_back({trouble_of(ban)});
    table.add(std::move(row));
  }
  return table.text(layout);
}

Json ban_object(const BanShown& ban) {
  Json json;
  json.add("source", ban.source.text())
      .add("state", word(ban.state))
      .add("origin", word(ban.origin));
  json.add("backend", word(ban.backend));
  std::optional<std::string_view> proof;
  if (ban.proof) proof = word(*ban.proof);
  json.add("proof", proof).add("since", ban.since).add("until", ban.until);
  json.add("permanent", !ban.until).add("offences", ban.offences).add("recorded", ban.recorded);
  return std::move(json.add("trouble", ban.trouble));
}

std::string ban_line(const BanShown& ban, std::time_t now) {
  std::string text(word(ban.state));
  text += ban.until
              ? ", " + left_text(*ban.until, now) + " left (until " + moment_text(*ban.until) + ")"
              : ", permanent";
  text.append(", by ").append(ban.origin == OriginShown::scan ? "a scan" : word(ban.origin));
  text += ", since " + moment_text(ban.since);
  if (const std::string trouble = trouble_of(ban); !trouble.empty()) text += "; " + trouble;
  return text;
}

std::string_view explained(std::string_view scan_class) {
  if (scan_class == "proven") return " (it was really there)";
  if (scan_class == "spread") return " (many trap ports)";
  if (scan_class == "single") return " (a few packets, which anybody can forge)";
  return "";
}

std::string_view explained(Proof proof) {
  switch (proof) {
    case Proof::forgeable:
      return "forgeable: packets that anybody can send in its name";
    case Proof::handshake:
      return "proven: a completed handshake";
    case Proof::established:
      return "proven: it held a connection to a local service meanwhile";
  }
  return "";
}

}  // namespace

std::string list_text(const std::vector<BanShown>& bans, std::time_t now, const Layout& layout) {
  std::string text = table_of(bans, false, now, layout);
  const std::string permanent = table_of(bans, true, now, layout);
  if (!permanent.empty()) {
    if (!text.empty()) text += "\n";
    text += paragraph({"Permanent:", Tone::strong}, layout) + permanent;
  }
  return text.empty() ? "nothing is banned\n" : text;
}

std::string list_plain(const std::vector<BanShown>& bans) {
  std::string text;
  for (const BanShown& ban : bans)
    text += ban.source.text() + "\n";
  return text;
}

std::string list_json(const std::vector<BanShown>& bans) {
  return Json::answer("list").list("bans", bans, ban_object).line();
}

std::string why_text(const WhyReply& why, std::time_t now, const Layout& layout) {
  Sheet sheet;
  sheet.add("address", {why.address.text(), Tone::strong});
  if (why.source && why.source->text() != why.address.text()) {
    sheet.add("source", {why.source->text() + " (held responsible as a whole)"});
  }
  sheet.add("ban", why.ban ? Cell{ban_line(*why.ban, now), tone_of(*why.ban)} : Cell{"none"});
  if (!why.decision.empty() || !why.reason.empty()) {
    std::string text = why.decision;
    if (!why.reason.empty()) text += (text.empty() ? "" : ": ") + why.reason;
    sheet.add("decision", {text});
  }
  if (!why.shield.empty()) sheet.add("shield", {why.shield});
  if (!why.scan_class.empty()) {
    sheet.add("class", {why.scan_class + std::string(explained(why.scan_class))});
  }
  if (why.proof) sheet.add("proof", {std::string(explained(*why.proof))});
  if (why.first) sheet.add("first seen", {moment_text(*why.first)});
  if (why.last) sheet.add("last seen", {moment_text(*why.last)});
  if (why.distinct_ports != 0)
    sheet.add("ports", {std::to_string(why.distinct_ports) + " distinct"});
  sheet.add("offences", {std::to_string(why.offences) + " before"});
  if (!why.undo.empty()) sheet.add("undo", {why.undo});

  Table probes({{"TIME"}, {"PROTOCOL"}, {"PORT", true}, {"KIND"}, {"FLAGS"}});
  for (const TouchShown& touch : why.touches) {
    const bool tcp = touch.protocol == Protocol::tcp;
    probes.add({{moment_text(touch.at)},
                {std::string(word(touch.protocol))},
                {std::to_string(touch.port.number())},
                {touch.kind ? std::string(word(*touch.kind)) : "-"},
                {touch.flags && tcp ? flags_text(*touch.flags) : "-"}});
  }
  std::string text = sheet.text(layout);
  if (!probes.empty()) text += "\n" + probes.text(layout);
  return text;
}

std::string why_json(const WhyReply& why) {
  Json json = Json::answer("why");
  json.add("address", why.address.text());
  std::optional<std::string> source;
  if (why.source) source = why.source->text();
  std::optional<Json> ban;
  if (why.ban) ban = ban_object(*why.ban);
  std::optional<std::string_view> proof;
  if (why.proof) proof = word(*why.proof);
  json.add("source", source).add("ban", ban).add("class", why.scan_class).add("proof", proof);
  json.add("proven", why.proof && *why.proof != Proof::forgeable);
  json.add("first", why.first).add("last", why.last).add("distinct_ports", why.distinct_ports);
  json.add("offences", why.offences).add("decision", why.decision).add("reason", why.reason);
  json.add("shield", why.shield).add("undo", why.undo);
  json.list("touches", why.touches, [](const TouchShown& touch) {
    Json one;
    std::optional<std::string_view> kind;
    if (touch.kind) kind = word(*touch.kind);
    std::optional<std::string> flags;
    if (touch.flags) flags = flags_text(*touch.flags);
    one.add("at", touch.at).add("protocol", word(touch.protocol)).add("port", touch.port.number());
    one.add("kind", kind).add("flags", flags);
    return one;
  });
  return json.line();
}

std::string ban_text(const BanDone& done, std::time_t now, const Layout& layout) {
  std::string text = done.source.text() + (done.changed ? " stays banned" : " is banned");
  text += done.until ? " for " + left_text(*done.until, now) + ", until " + moment_text(*done.until)
                     : " without an end";
  if (!done.text.empty()) text += " (" + done.text + ")";
  return paragraph({text}, layout);
}

std::string ban_json(const BanDone& done) {
  Json json = Json::answer("ban");
  json.add("source", done.source.text()).add("until", done.until).add("permanent", !done.until);
  return json.add("changed", done.changed).add("text", done.text).line();
}

std::string unban_text(const UnbanDone& done, const Layout& layout) {
  std::string text = counted(done.ended, "ban") + " ended";
  if (done.permanent_left != 0) {
    text += "; " + counted(done.permanent_left, "permanent ban") +
            (done.permanent_left == 1 ? " stays" : " stay") + " (--permanent ends those too)";
  }
  if (done.allowed) text += "; it will not be banned again meanwhile";
  std::string out = paragraph({text}, layout);
  if (done.failed != 0) {
    out += paragraph({counted(done.failed, "ban") + " could not be undone: see portsentryctl list "
                                                    "--only troubled",
                      Tone::bad},
                     layout);
  }
  return out;
}

std::string unban_json(std::string_view verb, const UnbanDone& done) {
  Json json = Json::answer(verb);
  json.add("ended", done.ended).add("failed", done.failed);
  return json.add("permanent_left", done.permanent_left).add("allowed", done.allowed).line();
}

}  // namespace portsentry::ctl
