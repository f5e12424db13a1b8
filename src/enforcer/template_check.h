// What -t says about the command keys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace portsentry::enforcer {

// What -t says about one key. Pure, except that `exists` answers whether a program is there.
struct TemplateNote {
  enum class Kind : std::uint8_t { note, warning, error } kind;
  std::string text;  // printed after the key
};
struct TemplateKeys {
  std::string_view kill_route;
  std::string_view kill_route_remove;
  std::string_view kill_run_cmd;
  std::string_view external_command;
  std::string_view kill_hosts_deny;
};
struct KeyedNote {
  std::string_view key;  // "KILL_ROUTE", ...
  TemplateNote note;
};
// `exists(program)`: find_program() of commands.h, or a table in tests.
using ProgramExists = bool (*)(const std::string& program);
[[nodiscard]] std::vector<KeyedNote> describe(const TemplateKeys& keys, ProgramExists exists);

}  // namespace portsentry::enforcer
