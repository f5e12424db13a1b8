// The syntax of portsentry.conf: lines of KEY="value". Pure. Accepts what PortSentry 1.2 and 2.x
// accept, so that an old file needs no editing:
//
//   blanks (spaces, tabs) before the key, around '=' and after the value; blank lines; '#'
//   comments, also indented, also after a value; LF or CRLF, a last line without either; an empty
//   value ""; a blank in place of the '=', as 1.2 allowed (with a warning).
//
// A value reaches to the next double quote; there is no escape (1.2 and 2.x have none), and so no
// value with a double quote in it. Values hold no control byte except the tab. Where a key stands
// twice the last one counts, as in 2.x; 1.2 took the first, and a warning names both lines. What
// else 1.2 and 2.x read differently is told as the entry's quirks: whether that matters depends on
// the rest of the file.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "common/finding.h"

namespace portsentry {

inline constexpr std::size_t kMaxConfLine = 4096;  // bytes, without the line's end

// The longest line that 1.2 and 2.x read in one piece.
inline constexpr std::size_t kMaxOldConfLine = 1023;

// In what an entry's line meant something else, or nothing, to 1.2 or 2.x.
struct ConfQuirks {
  bool indented = false;   // blanks before the key: 1.2 did not find it, 2.x refused the file
  bool long_line = false;  // longer than kMaxOldConfLine: 1.2 cut it there, 2.x refused the file
  // A tab or a byte above 0x7f in the value: 1.2 ended it there.
  bool cut_value = false;
};

// Views into the text that was read: the text must outlive them.
struct ConfEntry {
  std::string_view key;  // letters, digits and '_'; never empty
  std::string_view value;
  unsigned line;  // 1-based
  ConfQuirks quirks;
};

struct ConfLexing {
  std::vector<ConfEntry> entries;  // each key once, in the order of first appearance
  std::vector<Finding> findings;
};

// What no value may hold: a byte below 0x20, the tab excepted, or DEL.
[[nodiscard]] bool has_control_byte(std::string_view value);

// `file` is the file's name, for messages. Never fails: what is wrong is a finding.
ConfLexing lex_conf(std::string_view text, std::string_view file);

}  // namespace portsentry
