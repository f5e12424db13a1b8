#include <algorithm>
#include <string>

#include "common/config.h"
#include "common/watch.h"
#include "enforcer/migrate.h"
#include "fuzz.h"

namespace portsentry::enforcer {
namespace {

using fuzz::require;

void check(std::string_view text) {
  const ConfigReading before = read_config(text, "old");
  const Migration done = migrate_config(text, "old");
  require(before.ok() || !done.errors.empty(), "a file with mistakes is not migrated");
  if (!done.errors.empty()) {
    require(done.text.empty() && done.report.empty(), "what is not migrated has no other outcome");
    return;
  }
  const ConfigReading after = read_config(done.text, "new");
  require(after.passes_check(), "the new file passes the check");
  require(after.written_for_us, "the new file is portsentryd's");
  require(watch_orders(before.config) == watch_orders(after.config), "the same is watched");
  Config one = before.config;
  Config other = after.config;
  // Written down, the mode by default of a protocol without ports is "none".
  one.tcp_mode = other.tcp_mode = one.udp_mode = other.udp_mode = WatchMode::none;
  require(one == other, "every value is the same");
  for (const std::string& line : done.report) {
    require(std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }),
            "a line of the report is printable");
  }

  const Migration again = migrate_config(done.text, "new");
  require(again.errors.empty() && again.text == done.text, "the new file is left alone");
  for (const std::string& line : again.report)
    require(line.ends_with(": kept"), "of the new file every key is kept");
}

}  // namespace
}  // namespace portsentry::enforcer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  portsentry::enforcer::check(portsentry::fuzz::as_text(data, size));
  return 0;
}
