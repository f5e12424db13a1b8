#include "ctl/verbs.h"

#include <algorithm>
#include <array>

namespace portsentry::ctl {
namespace {

constexpr std::array kFlags{
    FlagRow{Flag::json, "--json", "", "one JSON object instead of text"},
    FlagRow{Flag::plain, "--plain", "", "one address a line and nothing else, for scripts"},
    FlagRow{Flag::only, "--only", "CLASS",
            "timed, permanent, hand, recovered, troubled or unverifiable ones"},
    FlagRow{Flag::time, "--for", "TIME", "how long: 90s, 30m, 12h, 7d, 2w"},
    FlagRow{Flag::permanent, "--permanent", "", "ban: without an end; unban, flush: those as well"},
    FlagRow{Flag::note, "--note", "TEXT", "why, to be shown again (at most 128 bytes)"},
    FlagRow{Flag::allow_for, "--allow-for", "TIME", "and do not ban it again for so long"},
    FlagRow{Flag::since, "--since", "WHEN", "1h, 7d, 2026-11-22 or \"2026-11-22 10:00\""},
    FlagRow{Flag::by, "--by", "WHAT", "source (default), port or kind"},
    FlagRow{Flag::limit, "--limit", "N", "at most so many lines (10; at most 64)"},
    FlagRow{Flag::confirm, "--confirm", "", "the same as the verb confirm"},
    FlagRow{Flag::confirm_within, "--confirm-within", "TIME",
            "back to observing after this time, unless confirmed"},
    FlagRow{Flag::file, "-f", "FILE", "a configuration other than the installed one"},
};

constexpr std::array kJson{Flag::json};
constexpr std::array kListFlags{Flag::only, Flag::plain, Flag::json};
constexpr std::array kBanFlags{Flag::time, Flag::permanent, Flag::note, Flag::json};
constexpr std::array kUnbanFlags{Flag::allow_for, Flag::permanent, Flag::json};
constexpr std::array kAllowFlags{Flag::time, Flag::note, Flag::json};
constexpr std::array kTopFlags{Flag::by, Flag::since, Flag::limit, Flag::json};
constexpr std::array kCheckFlags{Flag::file, Flag::json};
constexpr std::array kArmFlags{Flag::confirm_within, Flag::confirm, Flag::json};
constexpr std::array kFlushFlags{Flag::permanent, Flag::json};
constexpr std::array kSinceFlags{Flag::since, Flag::json};

constexpr std::array kVerbs{
    VerbRow{Verb::status, "status", "", Operand::none, kJson,
            "one screen: what the daemon sees and does",
            "Mode first, then bans, budgets, processes, and why detections led to no ban. Counters "
            "that\n"
            "are zero are left out, except with --json.\n"},
    VerbRow{Verb::list, "list", "", Operand::none, kListFlags,
            "every ban that is wanted, with its end",
            "Permanent bans come last, apart from the others.\n"
            "  portsentryctl list --only hand\n"
            "  portsentryctl list --plain | wc -l\n"},
    VerbRow{
        Verb::why, "why", "ADDR", Operand::host, kJson, "what a source did, and what was decided",
        "The probes with their times and ports, proven or forgeable, the decision and its reason,\n"
        "and the command that undoes it.\n"
        "  portsentryctl why 192.0.2.7\n"},
    VerbRow{
        Verb::ban, "ban", "ADDR|CIDR", Operand::prefix, kBanFlags, "ban a source by hand",
        "A host, or an IPv6 /64. Without --for as long as BLOCK_TIME says. Who is protected is\n"
        "refused, and a /64 that holds somebody who is (exit status 3).\n"
        "  portsentryctl ban 192.0.2.7 --for 12h --note \"ticket 4711\"\n"
        "  portsentryctl ban 2001:db8:7::/64 --permanent\n"},
    VerbRow{
        Verb::unban, "unban", "ADDR|CIDR|all", Operand::prefix_or_all, kUnbanFlags, "end bans",
        "Of one source, of all inside a network, or all. A permanent one stays unless it is named\n"
        "itself, or --permanent is given. Exit status 1 when none matched.\n"
        "  portsentryctl unban 192.0.2.7 --allow-for 1h\n"
        "  portsentryctl unban 198.51.100.0/24\n"
        "  portsentryctl unban all\n"},
    VerbRow{Verb::allow_list, "allow", "[list | add ADDR|CIDR | remove ADDR|CIDR]", Operand::allow,
            kAllowFlags, "never ban these, until a time or for good",
            "Kept in the daemon's database, beside the lines of portsentry.ignore. Adding one ends "
            "the\n"
            "bans inside it.\n"
            "  portsentryctl allow add 192.0.2.0/24 --for 1d --note \"penetration test\"\n"
            "  portsentryctl allow remove 192.0.2.0/24\n"},
    VerbRow{Verb::protected_set, "protected", "", Operand::none, kJson,
            "what is never banned here, each with its reason",
            "Own addresses, gateways, name servers, login sessions, PROTECT_NETWORKS and so on, as "
            "the\n"
            "daemon sees them now.\n"},
    VerbRow{Verb::top, "top", "", Operand::none, kTopFlags, "who probed most, or which ports",
            "Of the last day, unless --since says otherwise.\n"
            "  portsentryctl top --by port --since 7d\n"},
    VerbRow{
        Verb::watch, "watch", "", Operand::none, kJson, "events as they happen, until Ctrl-C",
        "With --json one object a line. A reader that is too slow misses events, and is told how\n"
        "many.\n"},
    VerbRow{Verb::reload, "reload", "", Operand::none, kJson, "read the configuration again",
            "What SIGHUP does, and the answer: mistakes leave everything as it was.\n"},
    VerbRow{Verb::check, "check", "", Operand::none, kCheckFlags,
            "test the configuration (portsentryd -t)",
            "Needs no running daemon. Exit status 1 when the file has mistakes.\n"
            "  portsentryctl check -f /root/new.conf\n"},
    VerbRow{
        Verb::arm, "arm", "", Operand::none, kArmFlags, "block from now on, whatever the file says",
        "Kept over restarts, until `observe` or `follow`. With --confirm-within the daemon goes\n"
        "back to observing at the end of that time, unless somebody who logged in after this "
        "command\n"
        "runs `portsentryctl confirm`: the proof that one can still get in.\n"
        "  portsentryctl arm --confirm-within 5m\n"},
    VerbRow{Verb::confirm, "confirm", "", Operand::none, kJson,
            "keep what `arm --confirm-within` began",
            "Only from a login session that began after `arm`: open a new one (ssh) and run it "
            "there, not\n"
            "inside a tmux or screen that was open before.\n"},
    VerbRow{Verb::observe, "observe", "", Operand::none, kJson, "block nothing from now on",
            "Kept over restarts, until `arm` or `follow`. What is banned stays so until its end; "
            "`flush`\n"
            "ends it now.\n"},
    VerbRow{Verb::follow, "follow", "", Operand::none, kJson,
            "back to what the configuration file says", "Ends what `arm` or `observe` began.\n"},
    VerbRow{Verb::selftest, "selftest", "", Operand::none, kJson,
            "one try through every process and the kernel",
            "A built-in frame through the sensor, and an element into a set that no rule reads. "
            "Each hop\n"
            "is reported; nobody is banned. Exit status 1 when a hop failed.\n"},
    VerbRow{Verb::flush, "flush", "", Operand::none, kFlushFlags, "end every ban at once",
            "In the kernel and in the database; permanent ones stay unless --permanent is given. "
            "Offence\n"
            "counts, history and the allow list stay.\n"},
    VerbRow{Verb::history, "history", "[ADDR]", Operand::maybe_host, kSinceFlags, "what happened",
            "Of the last day, unless --since says otherwise; of one source with ADDR.\n"
            "  portsentryctl history --since \"2026-11-22 10:00\" 192.0.2.7\n"},
    VerbRow{Verb::report, "report", "", Operand::none, kSinceFlags,
            "who was, or would have been, banned and why",
            "Of the last seven days, unless --since says otherwise. What to read in observe mode "
            "before\n"
            "`portsentryctl arm`.\n"},
};

constexpr std::string_view kExits =
    "Exit status: 0 ok, 1 nothing matched (check, selftest: a failure), 2 usage,\n"
    "3 refused by policy, 4 the daemon cannot be reached.\n"
    "\n"
    "While the daemon is down, what the kernel holds is shown by\n"
    "  nft list table inet portsentry\n";

std::string padded(std::string_view text, std::size_t width) {
  std::string out(text);
  out.append(width > out.size() ? width - out.size() : 0, ' ');
  return out;
}

std::string spelt(const FlagRow& row) {
  std::string out(row.name);
  if (!row.value.empty()) out.append(" ").append(row.value);
  return out;
}

}  // namespace

std::span<const FlagRow> flags() {
  return kFlags;
}

std::span<const VerbRow> verbs() {
  return kVerbs;
}

const FlagRow& row_of(Flag flag) {
  return *std::ranges::find(kFlags, flag, &FlagRow::flag);
}

const VerbRow* find_verb(std::string_view name) {
  const auto found = std::ranges::find(kVerbs, name, &VerbRow::name);
  return found == kVerbs.end() ? nullptr : &*found;
}

std::string usage() {
  std::string text =
      "usage: portsentryctl VERB [OPERAND] [FLAGS]\n"
      "       portsentryctl help VERB    (its flags and examples)\n"
      "       portsentryctl -h | -V\n"
      "\n";
  std::size_t width = 0;
  for (const VerbRow& verb : kVerbs) {
    width = std::max(width, verb.name.size());
  }
  for (const VerbRow& verb : kVerbs) {
    text += "  " + padded(verb.name, width + 2);
    text.append(verb.summary).append("\n");
  }
  text += "\nEvery verb takes --json. ";
  return text.append(kExits);
}

std::string usage(const VerbRow& verb) {
  std::string text = "usage: portsentryctl ";
  text += verb.name;
  if (!verb.operands.empty()) text.append(" ").append(verb.operands);
  std::size_t width = 0;
  for (const Flag flag : verb.flags) {
    text += " [" + spelt(row_of(flag)) + "]";
    width = std::max(width, spelt(row_of(flag)).size());
  }
  text.append("\n\n").append(verb.summary).append("\n").append(verb.details).append("\n");
  for (const Flag flag : verb.flags) {
    text += "  " + padded(spelt(row_of(flag)), width + 2);
    text.append(row_of(flag).help).append("\n");
  }
  text += "\n";
  return text.append(kExits);
}

}  // namespace portsentry::ctl
