// What can be typed: every verb, its operands and flags, and the sentences that explain them. One
// table, which the parser, --help, the nearest spelling and the tests of the completions know.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace portsentry::ctl {

enum class Verb : std::uint8_t {
  status,
  list,
  why,
  ban,
  unban,
  allow_list,
  allow_add,
  allow_remove,
  protected_set,
  top,
  watch,
  reload,
  check,
  arm,
  confirm,
  observe,
  follow,
  selftest,
  flush,
  history,
  report,
  help,
  version,
};

enum class Flag : std::uint8_t {
  json,
  plain,
  only,
  time,  // --for
  permanent,
  note,
  allow_for,
  since,
  by,
  limit,
  confirm,
  confirm_within,
  file,
};

// What stands behind the verb.
enum class Operand : std::uint8_t {
  none,
  host,           // one address; a source as `list` shows it (an IPv6 /64) stands for itself
  maybe_host,     // or nothing
  prefix,         // ADDR or CIDR
  prefix_or_all,  // or the word "all"
  allow,          // nothing or "list"; "add" or "remove" and a prefix
};

struct FlagRow {
  Flag flag;
  std::string_view name;   // "--for"
  std::string_view value;  // "TIME"; empty where it takes none
  std::string_view help;
};

struct VerbRow {
  Verb verb;
  std::string_view name;
  std::string_view operands;  // as the synopsis writes them
  Operand operand;
  std::span<const Flag> flags;
  std::string_view summary;  // at most 60 characters
  std::string_view details;  // lines for `help VERB`
};

[[nodiscard]] std::span<const FlagRow> flags();
[[nodiscard]] std::span<const VerbRow> verbs();

// Every flag has its row.
[[nodiscard]] const FlagRow& row_of(Flag flag);
// Nothing where no verb is called so; `help` and `version` have no row.
[[nodiscard]] const VerbRow* find_verb(std::string_view name);

// All verbs, a line each; and one verb with its flags and examples.
[[nodiscard]] std::string usage();
[[nodiscard]] std::string usage(const VerbRow& verb);

}  // namespace portsentry::ctl
