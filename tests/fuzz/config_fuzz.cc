#include <algorithm>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/messages.h"
#include "common/watch.h"
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
  require(reading.findings.size() <= 2 * kMaxFindings + 40, "findings are bounded");
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
  const WatchOrders orders = watch_orders(config);
  require(!orders.capture.empty() || !orders.bind.empty(), "something is watched");
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    require(orders.capture.of(protocol).empty() || orders.bind.of(protocol).empty(),
            "one protocol is watched in one way");
    require(config.block(protocol) != BlockMode::command_only || !config.kill_run_cmd.empty(),
            "who runs commands only has one");
  }
  require(orders.banner_text() == config.port_banner, "a banner is sent whole");
  require(!config.log_tag.empty() && config.log_tag.size() <= 32, "a tag is a short word");
  require(config.scan_trigger >= 1 && config.scan_trigger <= kMaxTrigger, "trigger in range");
  require(config.max_sources >= 16 && config.max_sources <= kMaxSources, "sources in range");
  for (const auto duration : {config.scan_window, config.block_time}) {
    require(duration >= std::chrono::seconds(1) && duration <= kMaxBan, "duration in range");
  }
  for (const std::string* path :
       {&config.ignore_file, &config.history_file, &config.blocked_file, &config.log_file}) {
    require(is_path_or_empty(*path), "a path is a full path");
  }
  require(config.interfaces.size() <= kMaxInterfaces, "interfaces are bounded");
  for (const std::string& name : config.interfaces) {
    require(!name.empty() && name.size() <= kInterfaceNameSize && name != "lo" &&
                name.find_first_of("/: \t") == std::string::npos,
            "an interface name is one");
  }
  const Firewall backend = config.backend();
  require(backend != Firewall::automatic, "a firewall is decided on");
  require(backend != Firewall::command || !config.kill_route.empty(), "a command can be run");
  require(!config.armed() || backend != Firewall::none, "an armed daemon has a firewall");
}

// Lines below this one are settings of the command line.
constexpr std::string_view kOverrides = "\n@@\n";

std::vector<ConfigOverride> split_overrides(std::string_view& text) {
  std::vector<ConfigOverride> overrides;
  const std::size_t at = text.rfind(kOverrides);
  if (at == std::string_view::npos) return overrides;
  std::string_view rest = text.substr(at + kOverrides.size());
  text = text.substr(0, at);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const auto given = ConfigOverride::parse(rest.substr(0, end));
    if (given) {
      require(given->text() == rest.substr(0, end), "an override survives its way");
      overrides.push_back(*given);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return overrides;
}

}  // namespace
}  // namespace portsentry

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  std::string_view text = fuzz::as_text(data, size);
  const std::vector<ConfigOverride> overrides = split_overrides(text);
  const ConfigReading reading = read_config(text, "fuzz.conf", overrides);
  check_findings(reading, text);
  if (reading.ok()) check_config(reading.config);
  return 0;
}
