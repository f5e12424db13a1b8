#include "common/finding.h"

#include <algorithm>
#include <array>
#include <utility>

namespace portsentry {
namespace {

constexpr std::size_t kMaxQuoted = 60;       // of a file's text inside one message
constexpr std::size_t kMaxGuessedWord = 40;  // longer words are not misspelt keys

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Insertions, deletions and replacements that make `b` of `a` (Levenshtein 1966); case is free.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string Finding::print() const {
  std::string out = printable(file);
  if (line != 0) out.append(":").append(std::to_string(line));
  if (!out.empty()) out += ": ";
  out += severity == Severity::error ? "error: " : "warning: ";
  if (!key.empty()) out += printable(key) + ": ";
  out += printable(text);
  return out;
}

bool error_free(const std::vector<Finding>& findings) {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& f) { return f.severity == Severity::error; });
}

std::string printable(std::string_view text) {
  constexpr std::array<char, 16> kHex{'0', '1', '2', '3', '4', '5', '6', '7',
                                      '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c >= 0x20 && c <= 0x7e) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += kHex.at(byte >> 4U);
    out += kHex.at(byte & 0x0fU);
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  const bool cut = text.size() > kMaxQuoted;
  return std::string("'").append(printable(text.substr(0, kMaxQuoted))).append(cut ? "...'" : "'");
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& words) {
  std::string_view best;
  if (word.size() > kMaxGuessedWord) return best;
  std::size_t bar = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : words) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= bar) continue;
    best = candidate;
    bar = distance;
  }
  return best;
}

}  // namespace portsentry
