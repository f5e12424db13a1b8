// The command templates of portsentry.conf (KILL_ROUTE, KILL_ROUTE_REMOVE, KILL_RUN_CMD,
// EXTERNAL_COMMAND): their text, read once into what will be executed. Pure.
//
// Root executes them; the monitor only tells people how they read with their values in place.
//
// A template without shell syntax becomes an argument vector and is executed directly; any other is
// handed to /bin/sh -c, as PortSentry's system(3) did with all of them. -t says which, and why.
//
// Why nothing is ever quoted: $TARGET$ is the text of an Address or a Prefix (0-9 a-f . : /),
// $PORT$ a number, $MODE$ one of six words. No byte of those means anything to sh, to an argument
// vector (none is a blank or a quote; none begins with '-'), or to hosts.deny. They are types, so
// that no other text can get here (templates_test.cc tries every value's bytes).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/net_types.h"
#include "common/result.h"

namespace portsentry {

// How the probed port is watched, by the words of PortSentry 1.2 (net_types.h); it becomes $MODE$.
struct ModeWord {
  Protocol protocol;
  WatchMode mode;  // not `none`: nothing is probed that is not watched
  [[nodiscard]] std::string_view text() const { return mode_word(protocol, mode); }
};

// What a command may be told about a scan, and all of it.
struct CommandValues {
  // $TARGET$: "192.0.2.1", "2001:db8::1", and where the source is an IPv6 network "2001:db8::/64".
  Source source;
  // $PORT$ and $MODE$: what the triggering probe touched. Missing where a ban is restored or ended.
  std::optional<Port> port;
  std::optional<ModeWord> mode;
};

inline constexpr std::size_t kMaxTemplate = 4096;  // bytes, a line of the configuration

class Template {
 public:
  // `text`: the value of a key. Errors: empty, longer than kMaxTemplate, a control byte, a single
  // quote that is never closed. Double quotes cannot occur in a value; here they mean the shell.
  static Result<Template> parse(std::string_view text);
  // From words, none of which needs a shell: what undo() and twin() derive.
  static Template from_words(std::vector<std::string> words);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool needs_shell() const { return !reason_.empty(); }
  // What in the text makes it one for the shell: "'<'", "a glob", ...; empty when plain.
  [[nodiscard]] const std::string& shell_reason() const { return reason_; }
  // The words of a plain template, quotes removed, tokens still in them; empty for the shell.
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }

  [[nodiscard]] bool has_target() const;   // $TARGET$ is in it
  [[nodiscard]] bool needs_probe() const;  // $PORT$ or $MODE$ is in it

  // The first word: what is executed, or what the shell will be asked for first. Empty when that
  // cannot be told (a shell text that begins with a keyword, a variable, a parenthesis).
  [[nodiscard]] std::string program() const;

  // What to execute: {"/bin/sh", "-c", TEXT} or the words. Nothing when the template names a probe
  // and `values` has none.
  [[nodiscard]] std::optional<std::vector<std::string>> argv(const CommandValues& values) const;
  // The whole text with its values in place, for log lines. "-" where a value is missing.
  [[nodiscard]] std::string shown(const CommandValues& values) const;

 private:
  std::string text_;
  std::string reason_;
  std::vector<std::string> words_;
};

// `text` with every $TARGET$, $PORT$ and $MODE$ replaced, in one pass from left to right: a value
// is never searched for tokens again. `target` is what stands for $TARGET$ (hosts.deny: brackets).
[[nodiscard]] std::string substitute(std::string_view text, std::string_view target,
                                     const CommandValues& values);
[[nodiscard]] bool has_token(std::string_view text, std::string_view token);

inline constexpr std::string_view kTargetToken = "$TARGET$";
inline constexpr std::string_view kPortToken = "$PORT$";
inline constexpr std::string_view kModeToken = "$MODE$";

// The command that takes back what `done` did, where `done` is an idiom that we know:
//   iptables -I|-A CHAIN [NUMBER]   ->  -D CHAIN          (ip6tables, and -nft, -legacy, too)
//   route add                       ->  route del         ip route|rule add -> del
//   ipset add SET ENTRY             ->  ipset del SET ENTRY
//   nft add element ... { $TARGET$ }->  nft delete element ... { $TARGET$ }
//   ufw [insert N] deny|reject ...  ->  ufw delete deny|reject ...
//   firewall-cmd --add-X            ->  --remove-X
// Nothing for any other, for shell texts, and for one that depends on $PORT$ or $MODE$: a ban that
// ends is known by its source alone.
[[nodiscard]] std::optional<Template> undo(const Template& done);

// The command that asks whether what `undoing` takes back is still there: status 0 is yes, 1 no.
//   iptables -D CHAIN ...       ->  -C CHAIN ...
//   ipset del SET ENTRY         ->  ipset test SET ENTRY
//   nft delete element ...      ->  nft get element ...
// Nothing for others: their tools have no such question.
[[nodiscard]] std::optional<Template> still_there(const Template& undoing);

// The same command for an IPv6 source. iptables becomes ip6tables (its icmp reject types theirs),
// `route add` becomes `route -A inet6 add`. A command that is not known to be for IPv4 only is
// returned as it is: its exit status will tell. Nothing: it is for IPv4 only and has no twin.
[[nodiscard]] std::optional<Template> twin(const Template& command);

}  // namespace portsentry
