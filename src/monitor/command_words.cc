#include "monitor/command_words.h"

#include <optional>
#include <string_view>

#include "common/templates.h"

namespace portsentry::monitor::words {
namespace {

CommandValues values(const Config& config, const Source& source, const BanCause& cause) {
  return {.source = source,
          .port = cause.port,
          .mode = ModeWord{cause.protocol, config.mode(cause.protocol)}};
}

std::string shown(std::string_view text, const Config& config, const Source& source,
                  const BanCause& cause) {
  return substitute(text, source.text(), values(config, source, cause));
}

}  // namespace

std::string kill_route(const Config& config, const Source& source, const BanCause& cause) {
  const auto written = Template::parse(config.kill_route);
  // An IPv6 source meets the twin: ip6tables where iptables is written.
  const auto run = written && !source.is_v4() ? twin(*written) : std::nullopt;
  return shown(run ? run->text() : config.kill_route, config, source, cause);
}

std::string kill_run_cmd(const Config& config, const Source& source, const BanCause& cause) {
  return shown(config.kill_run_cmd, config, source, cause);
}

std::string external_command(const Config& config, const Source& source, const BanCause& cause) {
  return shown(config.external_command, config, source, cause);
}

std::string hosts_deny(const Config& config, const Source& source) {
  const Prefix& prefix = source.prefix();
  std::string target = source.text();
  if (!source.is_v4()) {
    target = "[" + prefix.address().text() + "]";
    if (!prefix.is_host()) target += "/" + std::to_string(prefix.length());
  }
  return substitute(config.kill_hosts_deny, target, {.source = source, .port = {}, .mode = {}});
}

}  // namespace portsentry::monitor::words
