#include "monitor/command_text.h"

#include <algorithm>
#include <utility>

#include "common/finding.h"

namespace portsentry::monitor {

std::vector<std::string> CommandText::add(std::string_view bytes) {
  const std::size_t shown = std::min(bytes.size(), kShown - taken_);
  taken_ += shown;
  beyond_ += bytes.size() - shown;
  std::vector<std::string> lines;
  for (const char c : bytes.substr(0, shown)) {
    if (c != '\n') {
      line_ += c;
      continue;
    }
    if (line_.ends_with('\r')) line_.pop_back();
    if (!line_.empty()) lines.push_back(printable(std::exchange(line_, {})));
  }
  return lines;
}

std::vector<std::string> CommandText::end() {
  std::vector<std::string> lines;
  if (!line_.empty()) lines.push_back(printable(std::exchange(line_, {})));
  if (beyond_ > 0) lines.push_back("and " + std::to_string(beyond_) + " bytes more");
  return lines;
}

}  // namespace portsentry::monitor
