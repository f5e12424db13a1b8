#include "ctl/arguments.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "common/config_values.h"
#include "common/finding.h"
#include "common/text.h"
#include "ctl/time_text.h"

namespace portsentry::ctl {
namespace {

Error mistake(std::string what) {
  return Error{.what = std::move(what)};
}

// With the word that was probably meant. One or two letters are near to too much.
Error unknown(std::string_view what, std::string_view word,
              const std::vector<std::string_view>& words) {
  std::string text = "no " + std::string(what) + " is called " + in_quotes(word);
  const std::string_view guess = word.size() > 2 ? nearest(word, words) : std::string_view();
  if (!guess.empty()) text += "; did you mean " + in_quotes(guess) + "?";
  return mistake(std::move(text));
}

template <class Value, std::size_t N>
Result<Value> one_of(std::string_view what, std::string_view word,
                     const std::array<std::pair<std::string_view, Value>, N>& table) {
  std::vector<std::string_view> words;
  for (const auto& [name, value] : table) {
    if (name == word) return value;
    words.push_back(name);
  }
  return unknown(what, word, words);
}

constexpr std::array<std::pair<std::string_view, TopBy>, 3> kBy{
    {{"source", TopBy::source}, {"port", TopBy::port}, {"kind", TopBy::kind}}};
constexpr std::array<std::pair<std::string_view, ListFilter>, 6> kOnly{
    {{"timed", ListFilter::timed},
     {"permanent", ListFilter::permanent},
     {"hand", ListFilter::by_hand},
     {"recovered", ListFilter::recovered},
     {"troubled", ListFilter::not_enforced},
     {"unverifiable", ListFilter::unverifiable}}};

Result<Prefix> prefix(std::string_view word) {
  if (const auto found = Prefix::parse(word)) return *found;
  return mistake(in_quotes(word) + " is no address: expected one like 192.0.2.7, 2001:db8::7 or " +
                 "192.0.2.0/24 (names are not looked up)");
}

// One address, or a source as `list` shows it: a /64 stands for all of it.
Result<Prefix> host(std::string_view word) {
  auto found = prefix(word);
  if (!found || found->is_host()) return found;
  if (!found->address().is_v4() && found->length() == 64) return found;
  return mistake(in_quotes(word) + " is a network: expected one address, or an IPv6 /64");
}

class Parser {
 public:
  Parser(std::span<const std::string_view> rest, const VerbRow& row, std::int64_t now)
      : rest_(rest), row_(row), now_(now) {
    command_.verb = row.verb;
  }

  Result<Command> parse() {
    while (!rest_.empty()) {
      const std::string_view word = take();
      if (word == "-h" || word == "--help") {
        return Command{.verb = Verb::help, .help = &row_};
      }
      const bool flag = !only_operands_ && word.size() > 1 && word.starts_with('-');
      if (flag && word == "--") {
        only_operands_ = true;
        continue;
      }
      const Result<void> taken = flag ? take_flag(word) : take_operand(word);
      if (!taken) return taken.error();
    }
    if (const auto whole = complete(); !whole) return whole.error();
    return command_;
  }

 private:
  std::string_view take() {
    const std::string_view word = rest_.front();
    rest_ = rest_.subspan(1);
    return word;
  }

  Result<void> take_flag(std::string_view word) {
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string_view::npos;
    const std::string_view name = word.substr(0, equals);
    std::vector<std::string_view> known;
    for (const Flag flag : row_.flags) {
      const FlagRow& row = row_of(flag);
      known.push_back(row.name);
      if (row.name != name) continue;
      if (std::ranges::find(seen_, flag) != seen_.end()) {
        return mistake(std::string(name) + " is given twice");
      }
      seen_.push_back(flag);
      if (row.value.empty()) {
        if (equals != std::string_view::npos) {
          return mistake(std::string(name) + " takes no value");
        }
        return set(flag, {});
      }
      if (equals != std::string_view::npos) return set(flag, word.substr(equals + 1));
      if (rest_.empty()) {
        return mistake(std::string(name) + " needs a value: " + std::string(row.help));
      }
      return set(flag, take());
    }
    return unknown("flag of " + std::string(row_.name), name, known);
  }

  Result<void> set(Flag flag, std::string_view value) {
    switch (flag) {
      case Flag::json:
        command_.json = true;
        return {};
      case Flag::plain:
        command_.plain = true;
        return {};
      case Flag::permanent:
        command_.permanent = true;
        return {};
      case Flag::confirm:
        command_.verb = Verb::confirm;
        return {};
      case Flag::only:
        return keep(command_.only, one_of("class of bans", value, kOnly));
      case Flag::by:
        return keep(command_.by, one_of("order of top", value, kBy));
      case Flag::time:
      case Flag::allow_for:
      case Flag::confirm_within: {
        const auto time = parse_duration(value);
        if (!time) return mistake(std::string(row_of(flag).name) + ": " + time.error().what);
        command_.time = *time;
        return {};
      }
      case Flag::since: {
        const auto since = parse_since(value, now_);
        if (!since) return mistake("--since: " + since.error().what);
        command_.since = *since;
        return {};
      }
      case Flag::limit: {
        const auto limit = parse_number(value, 1, kMaxEntries);
        if (!limit) return mistake("--limit: " + limit.error().what);
        command_.limit = *limit;
        return {};
      }
      case Flag::note:
        if (value.empty() || !is_plain_text(value, kMaxUserText)) {
          return mistake("--note: expected 1 to " + std::to_string(kMaxUserText) +
                         " bytes of plain text, on one line");
        }
        command_.note = value;
        return {};
      case Flag::file:
        if (value.empty()) return mistake("-f needs a file");
        command_.config = value;
        return {};
    }
    return {};
  }

  template <class Value>
  static Result<void> keep(Value& where, const Result<Value>& value) {
    if (!value) return value.error();
    where = *value;
    return {};
  }

  Result<void> keep_prefix(const Result<Prefix>& value) {
    if (!value) return value.error();
    command_.prefix = *value;
    return {};
  }

  Result<void> take_operand(std::string_view word) {
    if (row_.operand == Operand::none || command_.prefix || command_.all) {
      return mistake(std::string(row_.name) + ": " + in_quotes(word) + " is one word too many");
    }
    switch (row_.operand) {
      case Operand::none:
        break;
      case Operand::host:
      case Operand::maybe_host:
        return keep_prefix(host(word));
      case Operand::prefix_or_all:
        if (word == "all") {
          command_.all = true;
          return {};
        }
        return keep_prefix(prefix(word));
      case Operand::prefix:
        return keep_prefix(prefix(word));
      case Operand::allow:
        if (!has_action_) return take_action(word);
        if (command_.verb == Verb::allow_list) break;
        return keep_prefix(prefix(word));
    }
    return mistake(std::string(row_.name) + ": " + in_quotes(word) + " is one word too many");
  }

  Result<void> take_action(std::string_view word) {
    static constexpr std::array<std::pair<std::string_view, Verb>, 3> kActions{
        {{"list", Verb::allow_list}, {"add", Verb::allow_add}, {"remove", Verb::allow_remove}}};
    // "allow 192.0.2.7" could mean two things: it is asked rather than guessed.
    if (Prefix::parse(word)) {
      return mistake("allow: write \"allow add " + std::string(word) + "\" or \"allow remove " +
                     std::string(word) + "\"");
    }
    has_action_ = true;
    return keep(command_.verb, one_of("action of allow", word, kActions));
  }

  [[nodiscard]] bool saw(Flag flag) const { return std::ranges::find(seen_, flag) != seen_.end(); }

  [[nodiscard]] Result<void> complete() const {
    const bool adds = command_.verb == Verb::allow_add;
    const bool needs = row_.operand == Operand::host || row_.operand == Operand::prefix ||
                       row_.operand == Operand::prefix_or_all || adds ||
                       command_.verb == Verb::allow_remove;
    if (needs && !command_.prefix && !command_.all) {
      return mistake(std::string(row_.name) + " needs an address: portsentryctl " +
                     std::string(row_.name) + " " + std::string(row_.operands));
    }
    if (row_.operand == Operand::allow && !adds && (saw(Flag::time) || saw(Flag::note))) {
      return mistake("--for and --note go with \"allow add\"");
    }
    if (command_.verb == Verb::ban && command_.permanent && command_.time) {
      return mistake("--for and --permanent exclude each other");
    }
    if (command_.verb == Verb::unban && command_.all && command_.time) {
      return mistake("--allow-for goes with an address or a network, not with \"all\"");
    }
    if (command_.verb == Verb::confirm && saw(Flag::confirm_within)) {
      return mistake("--confirm and --confirm-within exclude each other");
    }
    if (command_.plain && command_.json) {
      return mistake("--plain and --json exclude each other");
    }
    return {};
  }

  std::span<const std::string_view> rest_;
  const VerbRow& row_;
  std::int64_t now_;
  Command command_;
  std::vector<Flag> seen_;
  bool only_operands_ = false;
  bool has_action_ = false;
};

const VerbRow* verb_called(std::string_view word, Error& error) {
  const VerbRow* row = find_verb(word);
  if (row != nullptr) return row;
  std::vector<std::string_view> names{"help"};
  for (const VerbRow& verb : verbs()) {
    names.push_back(verb.name);
  }
  error = unknown("verb", word, names);
  return nullptr;
}

}  // namespace

Result<Command> parse_arguments(std::span<const std::string_view> arguments, std::int64_t now) {
  if (arguments.empty()) return mistake("what is to be done? portsentryctl --help lists the verbs");
  const std::string_view first = arguments.front();
  const bool help = first == "help" || first == "-h" || first == "--help";
  const bool version = first == "-V" || first == "--version";
  const std::size_t most = help ? 2 : 1;
  if (help || version) {
    if (arguments.size() > most)
      return mistake(in_quotes(arguments[most]) + " is one word too many");
    if (version) return Command{.verb = Verb::version};
    if (arguments.size() == 1) return Command{.verb = Verb::help};
  }
  Error error;
  const VerbRow* row = verb_called(help ? arguments[1] : first, error);
  if (row == nullptr) return error;
  if (help) return Command{.verb = Verb::help, .help = row};
  return Parser(arguments.subspan(1), *row, now).parse();
}

}  // namespace portsentry::ctl
