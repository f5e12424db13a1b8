// What a command printed, as lines for the log. Pure. The bytes are the command's, and so perhaps
// an attacker's: a line leaves here as printable ASCII (finding.h), and only kShown bytes of one
// command are looked at; the rest is read, so that it does not block, and counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace portsentry::monitor {

class CommandText {
 public:
  static constexpr std::size_t kShown = 1024;

  // The lines that became whole; empty ones are left out.
  std::vector<std::string> add(std::string_view bytes);
  // It will print no more: its last line where that had no newline, and how much was not shown.
  std::vector<std::string> end();

 private:
  std::string line_;
  std::size_t taken_ = 0;
  std::uint64_t beyond_ = 0;
};

}  // namespace portsentry::monitor
