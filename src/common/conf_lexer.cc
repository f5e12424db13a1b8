#include "common/conf_lexer.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace portsentry {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // what some editors put first

constexpr bool is_key_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

constexpr bool is_control(char c) {
  return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f;
}

std::string_view without_leading(std::string_view text, std::string_view chars) {
  return text.substr(std::min(text.find_first_not_of(chars), text.size()));
}

std::string_view without_trailing(std::string_view text, std::string_view chars) {
  return text.substr(0, text.find_last_not_of(chars) + 1);
}

// What somebody who forgot a quote, or wrote single ones, meant as the value.
std::string_view meant_value(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '#' && kBlanks.find(text[i - 1]) != std::string_view::npos) {
      text = text.substr(0, i);
      break;
    }
  }
  // With the bytes of the quotes that word processors set (U+2018 to U+201E).
  constexpr std::string_view kAround = " \t'\"\xe2\x80\x98\x99\x9a\x9c\x9d\x9e";
  return without_trailing(without_leading(text, kAround), kAround);
}

// The right spelling of a line. A value too long for one message is cut, visibly.
std::string spelling(std::string_view key, std::string_view value) {
  constexpr std::size_t kMaxShown = 100;
  const bool cut = value.size() > kMaxShown;
  return std::string(key) + "=\"" + printable(value.substr(0, kMaxShown)) + (cut ? "...\"" : "\"");
}

class Lexer {
 public:
  explicit Lexer(std::string_view file) : file_(file) {}

  ConfLexing lex(std::string_view text) {
    if (text.size() > kMaxConfFile) {
      error(0, {},
            "the file has " + std::to_string(text.size()) + " bytes, expected at most " +
                std::to_string(kMaxConfFile));
      return std::move(out_);
    }
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    for (unsigned line = 1; !text.empty(); ++line) {
      if (out_.findings.size() >= kMaxFindings) {
        error(line, {}, "too many findings: the rest of the file was not read");
        break;
      }
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view content = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (content.ends_with('\r')) content.remove_suffix(1);
      lex_line(content, line);
    }
    return std::move(out_);
  }

 private:
  void lex_line(std::string_view content, unsigned line) {
    if (content.size() > kMaxConfLine) {
      error(line, {}, "the line is longer than " + std::to_string(kMaxConfLine) + " bytes");
      return;
    }
    const ConfQuirks quirks{.indented = content.find_first_of(kBlanks) == 0,
                            .long_line = content.size() > kMaxOldConfLine};
    content = without_leading(content, kBlanks);
    if (content.empty() || content.front() == '#') return;

    const auto key_end = std::find_if_not(content.begin(), content.end(), is_key_char);
    const auto key = content.substr(0, static_cast<std::size_t>(key_end - content.begin()));
    std::string_view rest = without_leading(content.substr(key.size()), kBlanks);
    const bool equals = rest.starts_with('=');
    if (equals) rest = without_leading(rest.substr(1), kBlanks);
    if (key.empty() || (!equals && !rest.starts_with('"'))) {
      error(line, {}, "expected KEY=\"value\" or a # comment, found " + in_quotes(content));
      return;
    }
    // 1.2 took a blank for the '='; without even that nobody ever read such a line.
    if (!equals && content[key.size()] == '"') {
      error(line, key, "no '=' between key and value: write " + spelling(key, meant_value(rest)));
      return;
    }
    if (!rest.starts_with('"')) {
      error(line, key, "the value needs double quotes: write " + spelling(key, meant_value(rest)));
      return;
    }
    rest.remove_prefix(1);
    const std::size_t closing = rest.find('"');
    if (closing == std::string_view::npos) {
      error(line, key,
            "the closing double quote is missing: write " + spelling(key, meant_value(rest)));
      return;
    }
    if (!equals) {
      add(Severity::warning, line, key,
          "no '=' between key and value: read as if there were one, as in 1.2 (2.x refused the "
          "file)");
    }
    lex_value({key, rest.substr(0, closing), line, quirks},
              without_leading(rest.substr(closing + 1), kBlanks));
  }

  void lex_value(ConfEntry found, std::string_view after) {
    const auto [key, value, line, quirks] = found;
    if (has_control_byte(value)) {
      error(line, key, "the value holds a control byte: " + in_quotes(value));
      return;
    }
    constexpr auto cuts = [](char c) { return c < 0x20 || c > 0x7e; };
    found.quirks.cut_value = std::any_of(value.begin(), value.end(), cuts);
    if (!after.empty() && after.front() != '#') {
      add(Severity::warning, line, key,
          "what follows the value is ignored: " + in_quotes(without_trailing(after, kBlanks)) +
              (after.find('"') == std::string_view::npos
                   ? " (a comment begins with #)"
                   : " (a value cannot hold a double quote)"));
    }
    const auto [known, is_new] = index_.try_emplace(key, out_.entries.size());
    if (is_new) {
      out_.entries.push_back(found);
      return;
    }
    ConfEntry& entry = out_.entries.at(known->second);
    add(Severity::warning, line, key,
        "stands on line " + std::to_string(entry.line) + " and again on line " +
            std::to_string(line) +
            ": the last one counts, as in PortSentry 2 (1.2 took the first)");
    entry = found;
  }

  void error(unsigned line, std::string_view key, std::string text) {
    add(Severity::error, line, key, std::move(text));
  }

  void add(Severity severity, unsigned line, std::string_view key, std::string text) {
    out_.findings.push_back({.severity = severity,
                             .file = std::string(file_),
                             .line = line,
                             .key = std::string(key),
                             .text = std::move(text)});
  }

  std::string_view file_;
  ConfLexing out_;
  std::map<std::string_view, std::size_t> index_;  // key to its place in out_.entries
};

}  // namespace

bool has_control_byte(std::string_view value) {
  return std::any_of(value.begin(), value.end(), is_control);
}

ConfLexing lex_conf(std::string_view text, std::string_view file) {
  return Lexer(file).lex(text);
}

}  // namespace portsentry
