// One line of portsentry.ignore: from text to an address and its conditions, or to the sentence
// that says what is wrong with it. Pure. The language is described in ignore_list.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "monitor/ignore_list.h"

namespace portsentry::monitor {

struct IgnoreLine {
  std::optional<Prefix> prefix;  // nothing: the line is empty, or wrong
  IgnoreList::Conditions conditions;
  std::string error;    // "found 'x', expected y"; empty: none
  std::string warning;  // it was read, but not as everybody would expect
};

// `line` without its newline; a '\r' at its end belongs to that.
IgnoreLine read_ignore_line(std::string_view line);

}  // namespace portsentry::monitor
