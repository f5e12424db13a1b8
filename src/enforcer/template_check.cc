#include "enforcer/template_check.h"

#include "common/templates.h"
#include "enforcer/hosts_deny.h"

namespace portsentry::enforcer {
namespace {

using Kind = TemplateNote::Kind;

constexpr std::string_view kNoTarget =
    "No target variable specified: without $TARGET$ it cannot know whom to block";

class Report {
 public:
  explicit Report(ProgramExists exists) : exists_(exists) {}

  void add(std::string_view key, Kind kind, std::string text) {
    notes_.push_back({.key = key, .note = {.kind = kind, .text = std::move(text)}});
  }

  // How the template is run. Nothing when it cannot be.
  std::optional<Template> command(std::string_view key, std::string_view text) {
    const auto parsed = Template::parse(text);
    if (!parsed) {
      add(key, Kind::error, parsed.error().what);
      return std::nullopt;
    }
    if (parsed->needs_shell())
      add(key, Kind::note,
          "run by /bin/sh -c because of " + parsed->shell_reason() + ": " + parsed->text());
    else
      add(key, Kind::note, "run directly: " + parsed->text());
    missing(key, *parsed, Kind::error);
    return *parsed;
  }

  bool missing(std::string_view key, const Template& command, Kind kind) {
    const std::string program = command.program();
    if (program.empty() || exists_(program)) return false;
    add(key, kind, "program " + program + " does not exist");
    return true;
  }

  void for_ipv6(std::string_view key, const Template& command) {
    const auto other = twin(command);
    if (!other) return add(key, Kind::warning, "not for IPv6 sources: it is for IPv4 only");
    if (other->text() == command.text() || missing(key, *other, Kind::warning)) return;
    add(key, Kind::note, "for IPv6 sources: " + other->text());
  }

  std::vector<KeyedNote> take() { return std::move(notes_); }

 private:
  ProgramExists exists_;
  std::vector<KeyedNote> notes_;
};

void describe_kill_route(Report& report, const TemplateKeys& keys) {
  constexpr std::string_view kKey = "KILL_ROUTE";
  const auto command = report.command(kKey, keys.kill_route);
  if (!command) return;
  if (!command->has_target()) return report.add(kKey, Kind::error, std::string(kNoTarget));
  report.for_ipv6(kKey, *command);
  if (command->needs_probe())
    report.add(kKey, Kind::warning,
               "uses $PORT$ or $MODE$: such a ban cannot be put back after a restart");
  if (!keys.kill_route_remove.empty()) return;
  if (const auto back = undo(*command))
    report.add(kKey, Kind::note, "undone by: " + back->text());
  else
    report.add(kKey, Kind::warning,
               "no undo is known, so that its bans never end: set KILL_ROUTE_REMOVE");
}

void describe_kill_route_remove(Report& report, const TemplateKeys& keys) {
  constexpr std::string_view kKey = "KILL_ROUTE_REMOVE";
  const auto command = report.command(kKey, keys.kill_route_remove);
  if (keys.kill_route.empty())
    report.add(kKey, Kind::warning, "has nothing to undo: KILL_ROUTE is not set");
  if (!command) return;
  if (!command->has_target()) return report.add(kKey, Kind::error, std::string(kNoTarget));
  if (command->needs_probe())
    return report.add(kKey, Kind::error,
                      "cannot use $PORT$ or $MODE$: a ban that ends is known by its source alone");
  report.for_ipv6(kKey, *command);
}

}  // namespace

std::vector<KeyedNote> describe(const TemplateKeys& keys, ProgramExists exists) {
  Report report(exists);
  if (!keys.kill_route.empty()) describe_kill_route(report, keys);
  if (!keys.kill_route_remove.empty()) describe_kill_route_remove(report, keys);
  if (!keys.kill_hosts_deny.empty()) {
    const std::string fault = hosts_deny_line_fault(keys.kill_hosts_deny);
    if (!fault.empty()) report.add("KILL_HOSTS_DENY", Kind::error, fault);
  }
  const auto hook = [&](std::string_view key, std::string_view text) {
    if (text.empty()) return;
    if (const auto command = report.command(key, text)) report.for_ipv6(key, *command);
  };
  hook("KILL_RUN_CMD", keys.kill_run_cmd);
  hook("EXTERNAL_COMMAND", keys.external_command);
  return report.take();
}

}  // namespace portsentry::enforcer
