#include "scout/key_values.h"

namespace portsentry::scout {

void each_line(std::string_view text, const std::function<void(std::string_view line)>& line) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    line(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<std::map<std::string_view, std::string_view>> key_values(std::string_view text) {
  std::map<std::string_view, std::string_view> values;
  bool once = true;
  each_line(text, [&](std::string_view line) {
    line = trimmed(line);
    const std::size_t equals = line.find('=');
    if (line.empty() || line.front() == '#' || equals == std::string_view::npos) return;
    std::string_view value = line.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    once = values.emplace(line.substr(0, equals), value).second && once;
  });
  if (!once) return std::nullopt;
  return values;
}

}  // namespace portsentry::scout
