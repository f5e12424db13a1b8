#include "ctl/table.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "common/finding.h"
#include "common/text.h"

namespace portsentry::ctl {
namespace {

constexpr std::size_t kGap = 2;
// Far above any text of channel C: a bound, not a rule.
constexpr std::size_t kMaxCell = 4096;

// Columns on the screen: characters, of which one that is two wide counts as one. A line that is off by
// that is not worth the tables of wcwidth(3).
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

// The bytes of the first `count` characters.
std::size_t bytes_of(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  while (at < text.size()) {
    if ((static_cast<unsigned char>(text[at]) & 0xc0U) != 0x80U && count-- == 0) break;
    ++at;
  }
  return at;
}

// At blanks where there is one, inside a word where there is none. At least one line.
std::vector<std::string_view> wrapped(std::string_view text, std::size_t width) {
  if (width == 0 || width_of(text) <= width) return {text};
  std::vector<std::string_view> lines;
  while (width_of(text) > width) {
    const std::size_t most = bytes_of(text, width);
    // A blank right after the last column is a good place, too.
    const std::size_t blank = text.substr(0, most + 1).rfind(' ');
    const bool between = blank != std::string_view::npos && blank != 0;
    lines.push_back(text.substr(0, between ? blank : most));
    text.remove_prefix(between ? blank + 1 : most);
  }
  if (!text.empty()) lines.push_back(text);
  return lines;
}

std::string_view sequence(Tone tone) {
  switch (tone) {
    case Tone::plain:
      break;
    case Tone::strong:
      return "\x1b[1m";
    case Tone::faint:
      return "\x1b[2m";
    case Tone::good:
      return "\x1b[32m";
    case Tone::warning:
      return "\x1b[33m";
    case Tone::bad:
      return "\x1b[31m";
  }
  return "";
}

// `safe` has passed shown().
std::string toned(std::string_view safe, Tone tone, const Layout& layout) {
  const std::string_view begin = layout.colour && !safe.empty() ? sequence(tone) : "";
  std::string out(begin);
  out += safe;
  if (!begin.empty()) out += "\x1b[0m";
  return out;
}

void end_line(std::string& out) {
  while (out.ends_with(' '))
    out.pop_back();
  out += '\n';
}

// NAME in `names` columns, then the value, wrapped below itself.
void put_pair(std::string& out, std::string_view name, std::size_t names, const Cell& value,
              const Layout& layout) {
  const std::string safe = shown(value.text, layout);
  const std::size_t indent = names + kGap;
  // A terminal that is narrower than that wraps by itself.
  const bool room = layout.width > indent + 8;
  bool first = true;
  for (const std::string_view line : wrapped(safe, room ? layout.width - indent : 0)) {
    out += first ? toned(name, Tone::faint, layout) : "";
    out.append(indent - (first ? width_of(name) : 0), ' ');
    out += toned(line, value.tone, layout);
    end_line(out);
    first = false;
  }
}

}  // namespace

Layout layout_for(bool terminal, std::size_t columns, std::string_view term,
                  std::string_view locale, bool no_colour) {
  if (!terminal) return {};
  std::string lower(locale);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto holds = [&](std::string_view word) { return lower.find(word) != std::string::npos; };
  return {.width = columns == 0 ? 80 : std::max<std::size_t>(columns, 20),
          .colour = !no_colour && !term.empty() && term != "dumb",
          .ascii = !holds("utf-8") && !holds("utf8")};
}

std::string shown(std::string_view text, const Layout& layout) {
  const std::string plain = plain_text(text, kMaxCell);
  return layout.ascii ? printable(plain) : plain;
}

std::string Table::text(const Layout& layout) const {
  if (rows_.empty()) return {};
  std::vector<std::vector<Cell>> rows;
  for (const auto& row : rows_) {
    if (row.size() != columns_.size()) std::abort();  // a bug of ours
    rows.emplace_back();
    for (const Cell& cell : row) {
      rows.back().push_back({shown(cell.text, layout), cell.tone});
    }
  }
  std::vector<std::size_t> widths;
  std::size_t names = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = columns_[i].title.size();
    names = std::max(names, widest);
    for (const auto& row : rows) {
      widest = std::max(widest, width_of(row[i].text));
    }
    widths.push_back(widest);
  }
  const std::size_t last = widths.size() - 1;
  const std::size_t before =
      std::accumulate(widths.begin(), widths.end() - 1, std::size_t{0}) + kGap * last;

  std::string out;
  if (layout.width != 0 && before + widths[last] > layout.width) {
    if (columns_[last].right || before + kLeastText > layout.width) {
      for (const auto& row : rows) {
        if (!out.empty()) out += '\n';
        for (std::size_t i = 0; i <= last; ++i) {
          if (!row[i].text.empty()) put_pair(out, columns_[i].title, names, row[i], layout);
        }
      }
      return out;
    }
    widths[last] = layout.width - before;
  }
  const auto put = [&](std::size_t i, std::string_view text, Tone tone) {
    const std::size_t width = width_of(text);
    const std::size_t fill = widths[i] > width ? widths[i] - width : 0;
    if (columns_[i].right) out.append(fill, ' ');
    out += toned(text, tone, layout);
    if (i == last) return;
    out.append((columns_[i].right ? 0 : fill) + kGap, ' ');
  };
  for (std::size_t i = 0; i <= last; ++i)
    put(i, columns_[i].title, Tone::strong);
  end_line(out);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < last; ++i)
      put(i, row[i].text, row[i].tone);
    bool first = true;
    for (const std::string_view line : wrapped(row[last].text, widths[last])) {
      if (!first) out.append(before, ' ');
      first = false;
      put(last, line, row[last].tone);
      end_line(out);
    }
  }
  return out;
}

std::string Sheet::text(const Layout& layout) const {
  std::size_t names = 0;
  for (const Row& row : rows_) {
    names = std::max(names, width_of(row.name));
  }
  std::string out;
  for (const Row& row : rows_) {
    put_pair(out, shown(row.name, layout), names, row.value, layout);
  }
  return out;
}

std::string paragraph(const Cell& text, const Layout& layout) {
  std::string out;
  const std::string safe = shown(text.text, layout);
  for (const std::string_view line : wrapped(safe, layout.width)) {
    out += toned(line, text.tone, layout);
    end_line(out);
  }
  return out;
}

}  // namespace portsentry::ctl
