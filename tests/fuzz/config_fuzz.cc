#include <algorithm>
#include <string>

#include "common/config.h"
#include "common/messages.h"
#include "fuzz.h"

namespace portsentry {
namespace {

using fuzz::require;

bool is_path_or_empty(const std::string& path) {
  return path.empty() ||
         (path.front() == '/' && path.back() != '/' && path.find('\0') == std::string::npos);
}

void check_findings(const ConfigReading& reading, std::string_view text) {
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  // Each stage stops at its cap; what follows the cap is its own notice and the few cross-checks.
  require(reading.findings.size() <= 2 * kMaxFindings + 20, "findings are bounded");
  for (const Finding& finding : reading.findings) {
    require(finding.line <= lines, "a finding's line is in the file");
    require(!finding.text.empty(), "a finding says something");
    const std::string printed = finding.print();
    require(
        std::all_of(printed.begin(), printed.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }),
        "a printed finding is printable");
  }
}

void check_config(const Config& config) {
  require(!config.ports.tcp.empty() || !config.ports.udp.empty(), "something is watched");
  require(config.scan_trigger >= 1 && config.scan_trigger <= kMaxTrigger, "trigger in range");
  require(config.max_sources >= 16 && config.max_sources <= kMaxSources, "sources in range");
  for (const auto duration : {config.scan_window, config.block_time}) {
    require(duration >= std::chrono::seconds(1) && duration <= kMaxBan, "duration in range");
  }
  for (const std::string* path :
       {&config.ignore_file, &config.history_file, &config.blocked_file}) {
    require(is_path_or_empty(*path), "a path is a full path");
  }
  require(config.interfaces.size() <= kMaxInterfaces, "interfaces are bounded");
  for (const std::string& name : config.interfaces) {
    require(!name.empty() && name.size() <= kInterfaceNameSize && name != "lo" &&
                name.find_first_of("/: \t") == std::string::npos,
            "an interface name is one");
  }
  require(!config.armed() ||
              (config.firewall != Firewall::none && config.firewall != Firewall::command),
          "an armed daemon has a firewall");
}

}  // namespace
}  // namespace portsentry

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  const std::string_view text = fuzz::as_text(data, size);
  const ConfigReading reading = read_config(text, "fuzz.conf");
  check_findings(reading, text);
  if (reading.ok()) check_config(reading.config);
  return 0;
}
