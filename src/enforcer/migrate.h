// portsentryd --migrate FILE: the same configuration, written for portsentryd, and one line about
// each key of the old one.
//
// The new text goes to standard output and the report to standard error, so that
// "portsentryd --migrate old.conf > new.conf" leaves a file that can be used as it is. Comments, blank
// lines and the order stay. A file that portsentryd would not start with is not migrated: what is
// wrong in it is told, as by -t.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/finding.h"

namespace portsentry::enforcer {

struct Migration {
  std::vector<Finding> errors;      // if any, the rest is empty
  std::string text;                 // read_config() finds no error in it, and the same values
  std::vector<std::string> report;  // "FILE:LINE: KEY: kept", "... changed meaning: ..." and so on
};

// Pure. What is said of a key is one of
//   kept                      it means what it meant
//   changed meaning: WHY      it stays as it is, and portsentryd does something else about it
//   replaced by LINE: WHY     another line says the same, or says what the old one came to
//   unknown: ...              nobody reads it; it became a comment
//   added: ...                a key of portsentryd's own, with the value that it has by default
// Of its own output everything is kept, and the text stays the same to the byte.
Migration migrate_config(std::string_view text, std::string_view file);

// The exit status; kExitConfig for a file that cannot be read or has errors.
int migrate(const std::string& path);

}  // namespace portsentry::enforcer
