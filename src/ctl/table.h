// Text for a terminal, a pipe or a file: columns, records, and name-and-value sheets, as wide as there
// is room. Pure: values in, text out.
//
// What a cell holds came from the daemon, from a user's note, and at the far end of it from whoever
// scanned us: every cell passes shown() and so can neither end a line nor move a cursor. Only this file
// writes escape sequences, and only where Layout says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace portsentry::ctl {

// Where the text goes.
struct Layout {
  std::size_t width = 0;  // columns of the terminal; 0: not a terminal, and lines are never wrapped
  bool colour = false;
  // A terminal that may not know UTF-8, to which bytes above ASCII are control characters.
  bool ascii = false;
};

// What the environment and the terminal say. `columns`: of the terminal, 0 where it does not tell;
// `term`, `locale`: $TERM, and the first of $LC_ALL, $LC_CTYPE, $LANG that is not empty; `no_colour`:
// $NO_COLOR is set and not empty (no-color.org).
[[nodiscard]] Layout layout_for(bool terminal, std::size_t columns, std::string_view term,
                                std::string_view locale, bool no_colour);

// `text` as `layout` may be shown it: plain_text(), in ASCII with \xNN where that is asked for.
[[nodiscard]] std::string shown(std::string_view text, const Layout& layout);

enum class Tone : std::uint8_t { plain, strong, faint, good, warning, bad };

struct Cell {
  std::string text;
  Tone tone = Tone::plain;
};

struct Column {
  std::string_view title;
  bool right = false;  // numbers
};

// Rows under titles. Where they do not fit, the last column is wrapped; where that leaves it less
// than kLeastText, each row becomes a paragraph of its own.
class Table {
 public:
  static constexpr std::size_t kLeastText = 20;

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns.
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  // Every line with its newline and without blanks at its end; no titles where there is no row.
  [[nodiscard]] std::string text(const Layout& layout) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "NAME  VALUE" lines, values below each other. A value that does not fit is wrapped.
class Sheet {
 public:
  void add(std::string name, Cell value) { rows_.push_back({std::move(name), std::move(value)}); }
  [[nodiscard]] std::string text(const Layout& layout) const;

 private:
  struct Row {
    std::string name;
    Cell value;
  };
  std::vector<Row> rows_;
};

// One paragraph, wrapped at the layout's width.
[[nodiscard]] std::string paragraph(const Cell& text, const Layout& layout);

}  // namespace portsentry::ctl
