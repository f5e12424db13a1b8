// The command line, one argument a line.
#include "enforcer/options.h"

#include <algorithm>
#include <set>
#include <string>

#include "fuzz.h"

namespace portsentry::enforcer {
namespace {

using fuzz::require;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return lines;
}

// Errors name what was typed, and are told on a terminal.
void check_error(const std::string& what) {
  require(!what.empty(), "a refusal says why");
}

void check_options(const Options& options) {
  require(!options.config.empty(), "there is always a file");
  std::set<std::string> keys;
  for (const ConfigOverride& o : options.overrides) {
    require(keys.insert(o.key).second, "each key is set once");
  }
  require(keys.contains("TCP_MODE") == keys.contains("UDP_MODE"), "modes are set together");
  const std::string words = mode_words(options.overrides);
  require(both_together(options.overrides, options.overrides).empty(),
          "two daemons of the same words are not one");
  if (words.empty()) return;
  std::vector<std::string_view> typed;
  for (std::string_view rest = words; !rest.empty();) {
    const std::size_t end = rest.find(' ');
    typed.push_back(rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  const auto again = parse_options(typed);
  require(again && mode_words(again->overrides) == words, "words mean what they were made from");
}

}  // namespace
}  // namespace portsentry::enforcer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry::enforcer;
  const auto arguments = lines_of(portsentry::fuzz::as_text(data, size));
  const auto options = parse_options(arguments);
  if (options) {
    check_options(*options);
  } else {
    check_error(options.error().what);
  }
  return 0;
}
