// The syntax of portsentry.conf: lines of KEY="value". Pure. Accepts what PortSentry 1.2 and 2.x
// accept, so that an old file needs no editing:
//
//   blanks (spaces, tabs) before the key, around '=' and after the value; blank lines; '#'
//   comments, also indented, also after a value; LF or CRLF, a last line without either; an empty
//   value "".
//
// A value reaches to the next double quote; there is no escape (1.2 and 2.x have none), and so no
// value with a double quote in it. Values hold no control bytes. Where a key stands twice the last
// one counts, as in 2.x; 1.2 took the first, and a warning names both lines.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "common/finding.h"

namespace portsentry {

inline constexpr std::size_t kMaxConfLine = 4096;  // bytes, without the line's end

// Views into the text that was read: the text must outlive them.
struct ConfEntry {
  std::string_view key;  // letters, digits and '_'; never empty
  std::string_view value;
  unsigned line;  // 1-based
};

struct ConfLexing {
  std::vector<ConfEntry> entries;  // each key once, in the order of first appearance
  std::vector<Finding> findings;
};

// `file` is the file's name, for messages. Never fails: what is wrong is a finding.
ConfLexing lex_conf(std::string_view text, std::string_view file);

}  // namespace portsentry
