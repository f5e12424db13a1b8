#include "common/templates.h"

#include <algorithm>
#include <array>
#include <utility>

namespace portsentry {
namespace {

constexpr std::array<std::string_view, 3> kTokens{kTargetToken, kPortToken, kModeToken};

// The token that `text` begins with; empty when it begins with none.
std::string_view token_at(std::string_view text) {
  for (const std::string_view token : kTokens)
    if (text.starts_with(token)) return token;
  return {};
}

constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// What only a shell can carry out when it stands first: keywords and built-ins (POSIX 2.9.1, 2.14,
// 2.4). A program of such a name beside them (/usr/bin/cd) would do something else.
constexpr auto kShellWords = std::to_array<std::string_view>(
    {"!",      ".",        ":",      "[[",    "break",  "case",   "cd",       "command", "continue",
     "do",     "eval",     "exec",   "exit",  "export", "for",    "function", "if",      "local",
     "read",   "readonly", "return", "set",   "shift",  "source", "times",    "trap",    "type",
     "ulimit", "umask",    "unset",  "until", "wait",   "while",  "{"});

bool is_shell_word(std::string_view word) {
  return std::find(kShellWords.begin(), kShellWords.end(), word) != kShellWords.end();
}

// NAME=..., which before a command is a variable for its environment.
bool is_assignment(std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  const std::string_view name = word.substr(0, equals);
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9');
         });
}

std::string quoted(char c) {
  return std::string("'") + c + "'";
}

// What sh would act on at this place outside quotes; empty when the character stands for itself.
// `word`: what the current word holds so far.
std::string meaning_to_shell(char c, std::string_view word) {
  constexpr std::string_view kAnywhere = "|&;<>()$`\\\"*?[\n";
  if (kAnywhere.find(c) != std::string_view::npos) return quoted(c);
  if (c == '#' && word.empty()) return "'#'";
  if (c == '~' && (word.empty() || word.back() == '=' || word.back() == ':')) return "'~'";
  return {};
}

// {a,b} and {1..3}: nothing to sh, two words to a bash that is installed as sh.
bool is_brace_list(std::string_view word) {
  const std::size_t open = word.find('{');
  if (open == std::string_view::npos) return false;
  const std::string_view inside = word.substr(open);
  return inside.find('}') != std::string_view::npos &&
         (inside.find(',') != std::string_view::npos ||
          inside.find("..") != std::string_view::npos);
}

struct Lexed {
  std::vector<std::string> words;
  std::string reason;  // for the shell
  bool open_quote = false;
};

// sh's reading of the text (POSIX 2.2, 2.3), for as long as it means what an argument vector means.
Lexed lex(std::string_view text) {
  Lexed lexed;
  std::string word;
  bool in_word = false;
  bool was_quoted = false;
  const auto end_word = [&] {
    if (!in_word) return true;
    if (!was_quoted && is_brace_list(word)) lexed.reason = "a list in braces";
    if (!was_quoted && lexed.words.empty()) {
      if (is_assignment(word)) lexed.reason = "the variable before the command";
      if (is_shell_word(word)) lexed.reason = "the shell's own word '" + word + "'";
    }
    lexed.words.push_back(std::exchange(word, {}));
    in_word = was_quoted = false;
    return lexed.reason.empty();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (const std::string_view token = token_at(text.substr(i)); !token.empty()) {
      word += token;
      i += token.size() - 1;
      in_word = true;
    } else if (c == '\'') {
      const std::size_t close = text.find('\'', i + 1);
      if (close == std::string_view::npos) {
        lexed.open_quote = true;
        return lexed;
      }
      word += text.substr(i + 1, close - i - 1);
      in_word = was_quoted = true;
      i = close;
    } else if (is_blank(c)) {
      if (!end_word()) return lexed;
    } else if (lexed.reason = meaning_to_shell(c, in_word ? word : std::string_view());
               !lexed.reason.empty()) {
      return lexed;
    } else {
      word += c;
      in_word = true;
    }
  }
  static_cast<void>(end_word());
  return lexed;
}

// A quote that no other quoting could have closed: sh would refuse the text.
bool has_open_quote(std::string_view text) {
  if (text.find_first_of("\"\\`#") != std::string_view::npos) return false;  // for sh to say
  return std::count(text.begin(), text.end(), '\'') % 2 != 0;
}

// A word as it stands in a template, so that parse() gives the same word again.
std::string shown_word(const std::string& word, bool first) {
  std::string bare;
  for (std::size_t i = 0; i < word.size();) {
    const std::string_view token = token_at(std::string_view(word).substr(i));
    if (token.empty()) bare += word[i];
    i += std::max<std::size_t>(token.size(), 1);
  }
  const auto safe = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_./:=,+@%^").find(c) != std::string_view::npos;
  };
  const bool as_it_is = !word.empty() && std::all_of(bare.begin(), bare.end(), safe) &&
                        !(first && (is_assignment(word) || is_shell_word(word)));
  return as_it_is ? word : "'" + word + "'";
}

}  // namespace

bool has_token(std::string_view text, std::string_view token) {
  return text.find(token) != std::string_view::npos;
}

std::string substitute(std::string_view text, std::string_view target,
                       const CommandValues& values) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view token = token_at(text.substr(i));
    if (token.empty()) {
      out += text[i++];
      continue;
    }
    if (token == kTargetToken) out += target;
    if (token == kPortToken) out += values.port ? std::to_string(values.port->number()) : "-";
    if (token == kModeToken) out += values.mode ? values.mode->text() : "-";
    i += token.size();
  }
  return out;
}

Result<Template> Template::parse(std::string_view text) {
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back()))
    text.remove_suffix(1);
  if (text.empty()) return Error{"is empty"};
  if (text.size() > kMaxTemplate)
    return Error{"is longer than " + std::to_string(kMaxTemplate) + " bytes"};
  if (std::any_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
      }))
    return Error{"holds a control character"};
  Lexed lexed = lex(text);
  if (lexed.open_quote || has_open_quote(text))
    return Error{"has a single quote that is never closed"};
  Template made;
  made.text_ = std::string(text);
  made.reason_ = std::move(lexed.reason);
  if (!made.needs_shell()) {
    if (lexed.words.front().empty()) return Error{"begins with an empty word"};
    if (std::any_of(kTokens.begin(), kTokens.end(),
                    [&](auto token) { return has_token(lexed.words.front(), token); }))
      return Error{"has a value where the program's name must stand"};
    made.words_ = std::move(lexed.words);
  }
  return made;
}

Template Template::from_words(std::vector<std::string> words) {
  Template made;
  for (const std::string& w : words)
    made.text_ += (made.text_.empty() ? "" : " ") + shown_word(w, made.text_.empty());
  made.words_ = std::move(words);
  return made;
}

bool Template::has_target() const {
  return has_token(text_, kTargetToken);
}

bool Template::needs_probe() const {
  return has_token(text_, kPortToken) || has_token(text_, kModeToken);
}

std::string Template::program() const {
  if (!needs_shell()) return words_.front();
  std::string first = text_.substr(0, text_.find_first_of(" \t|&;<>()"));
  if (first.empty() || first.find_first_of("$`\\\"'*?[~#={}") != std::string::npos ||
      is_shell_word(first))
    return {};
  return first;
}

std::optional<std::vector<std::string>> Template::argv(const CommandValues& values) const {
  const auto missing = [&](std::string_view token, bool there) {
    return !there && has_token(text_, token);
  };
  if (missing(kPortToken, values.port.has_value()) || missing(kModeToken, values.mode.has_value()))
    return std::nullopt;
  const std::string target = values.source.text();
  if (needs_shell())
    return std::vector<std::string>{"/bin/sh", "-c", substitute(text_, target, values)};
  std::vector<std::string> argv;
  for (const std::string& w : words_)
    argv.push_back(substitute(w, target, values));
  return argv;
}

std::string Template::shown(const CommandValues& values) const {
  return substitute(text_, values.source.text(), values);
}

}  // namespace portsentry
