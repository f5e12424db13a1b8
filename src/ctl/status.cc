#include "ctl/status.h"

#include <utility>

#include "ctl/json.h"
#include "ctl/time_text.h"
#include "ctl/words.h"

namespace portsentry::ctl {
namespace {

std::string file_text(const StatusReply& status) {
  return "BLOCK_TCP=\"" + std::to_string(status.file_tcp) + "\" BLOCK_UDP=\"" +
         std::to_string(status.file_udp) + "\"";
}

Cell mode_of(const StatusReply& status, std::time_t now) {
  Cell mode = mode_cell(status.armed, status.override_mode, now);
  mode.text +=
      (status.override_mode ? "; the file says " : ", as the file says: ") + file_text(status);
  return mode;
}

Cell bans_of(const StatusReply& status) {
  Cell cell{.text = std::to_string(status.enforced) + " enforced, " +
                    std::to_string(status.pending) + " pending, " + std::to_string(status.failed) +
                    " failed"};
  const auto add = [&](std::uint64_t count, std::string_view what) {
    if (count != 0) cell.text.append(", " + std::to_string(count) + " ").append(what);
  };
  add(status.permanent, "permanent");
  add(status.unverifiable, "unverifiable (made by a command)");
  add(status.unrecorded, "not on the disk yet");
  if (status.failed != 0 || status.unrecorded != 0) cell.tone = Tone::warning;
  return cell;
}

Cell drift_of(const StatusReply& status, std::time_t now) {
  const std::string when =
      status.compared
          ? " (compared " + duration_text(std::chrono::seconds(now - *status.compared)) + " ago)"
          : " (not compared yet)";
  switch (status.drift) {
    case Drift::unknown:
      return {.text = "unknown" + when};
    case Drift::none:
      return {.text = "none: the kernel holds what is wanted" + when, .tone = Tone::good};
    case Drift::drifting:
      return {.text = "the kernel does not hold what is wanted" + when, .tone = Tone::bad};
  }
  return {};
}

Cell scope_of(const StatusReply& status) {
  std::string text(word(status.backend));
  if (status.backend != Backend::none) {
    text += status.inbound_only ? ", scope inbound (replies to our own connections pass)"
                                : ", scope all (nothing passes)";
    if (status.holds) text += "; sources are held until judged";
  }
  return {.text = text};
}

Cell budgets_of(const BudgetShown& budget) {
  Cell cell{.text = std::to_string(budget.left) + " of " + std::to_string(budget.burst) +
                    " left, " + std::to_string(budget.per_second) + " a second"};
  if (budget.turned_away != 0) {
    cell.text += ", " + std::to_string(budget.turned_away) + " turned away";
  }
  if (budget.tripped) {
    cell.text += "; SPENT: alerts only";
    cell.tone = Tone::bad;
  }
  return cell;
}

Cell protected_of(const StatusReply& status) {
  std::string text = std::to_string(status.protected_entries);
  switch (status.scout) {
    case ScoutShown::unknown:
      return {.text = text + ", not complete yet: nobody is banned before that", .tone = Tone::bad};
    case ScoutShown::complete:
      return {.text = text};
    case ScoutShown::stale:
      return {.text = text + ", as the scout saw it last; it is being started again",
              .tone = Tone::warning};
  }
  return {};
}

Tone tone_of(ProcessState state) {
  switch (state) {
    case ProcessState::running:
      return Tone::good;
    case ProcessState::starting:
      return Tone::warning;
    case ProcessState::down:
      return Tone::bad;
    case ProcessState::not_wanted:
      break;
  }
  return Tone::faint;
}

// What is known of it. Each of ours but the launcher locks itself up before its first word, and ends
// where a step of that fails: one that has spoken is locked up. The resolver speaks only when asked.
std::string_view sandbox_word(const ProcessShown& process) {
  if (process.name == "launcher") return "none";
  if (process.state != ProcessState::running || process.name == "resolver") return "unknown";
  return "on";
}
std::string_view sandbox_text(const ProcessShown& process) {
  if (process.name == "launcher") return "none: root, it starts the others";
  switch (process.state) {
    case ProcessState::running:
      return process.name == "resolver" ? "not reported" : "on";
    case ProcessState::starting:
      return "not reported yet";
    case ProcessState::down:
    case ProcessState::not_wanted:
      break;
  }
  return "-";
}

Json override_json(const OverrideShown& shown) {
  Json json;
  json.add("armed", shown.armed).add("since", shown.since).add("confirm_by", shown.confirm_by);
  return json;
}

}  // namespace

Cell mode_cell(bool armed, const std::optional<OverrideShown>& override_mode, std::time_t now) {
  Cell mode{.text = armed ? "armed" : "observing: nothing is blocked",
            .tone = armed ? Tone::good : Tone::warning};
  if (!override_mode) return mode;
  mode.text += override_mode->armed ? ", by `arm` of " : ", by `observe` of ";
  mode.text += moment_text(override_mode->since);
  if (override_mode->confirm_by) {
    mode.text +=
        ", for " + left_text(*override_mode->confirm_by, now) + " more unless it is confirmed";
    mode.tone = Tone::warning;
  }
  return mode;
}

std::string status_text(const StatusReply& status, const std::vector<NamedCount>& counters,
                        std::time_t now, const Layout& layout) {
  Sheet sheet;
  sheet.add("mode", mode_of(status, now));
  for (const std::string& alarm : status.alarms)
    sheet.add("ALARM", {alarm, Tone::bad});
  sheet.add("detection",
            status.active ? Cell{"active", Tone::good} : Cell{"not active", Tone::bad});
  sheet.add("firewall", scope_of(status));
  sheet.add("bans", bans_of(status));
  sheet.add("drift", drift_of(status, now));
  sheet.add("capacity", {std::to_string(status.capacity_percent) + " % of the fullest set",
                         status.capacity_percent >= 80 ? Tone::bad : Tone::plain});
  sheet.add("protected", protected_of(status));
  sheet.add("allowed", {std::to_string(status.allowed)});
  for (const BudgetShown& budget : status.budgets)
    sheet.add("budget " + budget.name, budgets_of(budget));
  sheet.add("daemon",
            {status.version + ", up " + duration_text(std::chrono::seconds(now - status.started)) +
             ", configuration " + std::to_string(status.generation) + " of " + status.conf_path});

  Table processes({{"PROCESS"}, {"STATE"}, {"PID", true}, {"RESTARTS", true}, {"SANDBOX"}});
  for (const ProcessShown& process : status.processes) {
    processes.add({{process.name},
                   {std::string(word(process.state)), tone_of(process.state)},
                   {process.pid ? std::to_string(*process.pid) : "-"},
                   {std::to_string(process.restarts)},
                   {std::string(sandbox_text(process))}});
  }
  Sheet counts;
  for (const NamedCount& counter : counters) {
    if (counter.value != 0) counts.add(counter.name, {std::to_string(counter.value)});
  }
  std::string text = sheet.text(layout);
  if (!processes.empty()) text += "\n" + processes.text(layout);
  const std::string rest = counts.text(layout);
  if (!rest.empty()) text += "\n" + rest;
  return text;
}

std::string status_json(const StatusReply& status, const std::vector<NamedCount>& counters) {
  Json json = Json::answer("status");
  json.add("active", status.active).add("armed", status.armed).add("observing", !status.armed);
  std::optional<Json> override_mode;
  if (status.override_mode) override_mode = override_json(*status.override_mode);
  json.add("override", override_mode);
  json.add("file", Json().add("block_tcp", status.file_tcp).add("block_udp", status.file_udp));
  json.add("firewall", word(status.backend)).add("scope", status.inbound_only ? "inbound" : "all");
  json.add("holds", status.holds);
  json.add("enforced", status.enforced).add("pending", status.pending).add("failed", status.failed);
  json.add("unrecorded", status.unrecorded).add("unverifiable", status.unverifiable);
  json.add("permanent", status.permanent).add("allowed", status.allowed);
  json.add("drift", word(status.drift)).add("compared", status.compared);
  json.add("capacity_percent", status.capacity_percent);
  json.list("budgets", status.budgets, [](const BudgetShown& b) {
    Json one;
    one.add("name", b.name).add("left", b.left).add("burst", b.burst);
    one.add("per_second", b.per_second).add("tripped", b.tripped).add("turned_away", b.turned_away);
    return one;
  });
  json.add("protected", status.protected_entries).add("scout", word(status.scout));
  json.add("sensor_restarts", status.sensor_restarts);
  json.list("processes", status.processes, [](const ProcessShown& p) {
    Json one;
    one.add("name", p.name)
        .add("state", word(p.state))
        .add("pid", p.pid)
        .add("restarts", p.restarts)
        .add("sandbox", sandbox_word(p));
    return one;
  });
  json.list("alarms", status.alarms,
            [](const std::string& alarm) -> std::string_view { return alarm; });
  json.add("daemon_version", status.version).add("started", status.started);
  json.add("generation", status.generation).add("conf", status.conf_path);
  Json counts;
  for (const NamedCount& counter : counters)
    counts.add(counter.name, counter.value);
  return json.add("counters", counts).line();
}

}  // namespace portsentry::ctl
