#include "monitor/command_words.h"

#include <array>
#include <string_view>
#include <utility>

namespace portsentry::monitor::words {
namespace {

// In one pass: a value is never searched for tokens again.
std::string substitute(std::string_view text, std::string_view target, const BanCause& cause,
                       WatchMode mode) {
  const std::string port = std::to_string(cause.port.number());
  const std::array<std::pair<std::string_view, std::string_view>, 3> tokens{
      {{"$TARGET$", target}, {"$PORT$", port}, {"$MODE$", mode_word(cause.protocol, mode)}}};
  std::string done;
  while (!text.empty()) {
    std::size_t skip = 0;
    for (const auto& [token, value] : tokens) {
      if (!text.starts_with(token)) continue;
      done += value;
      skip = token.size();
      break;
    }
    if (skip == 0) done += text[0];
    text.remove_prefix(skip == 0 ? 1 : skip);
  }
  return done;
}

std::string shown(std::string_view text, const Config& config, const Source& source,
                  const BanCause& cause) {
  return substitute(text, source.text(), cause, config.mode(cause.protocol));
}

}  // namespace

std::string kill_route(const Config& config, const Source& source, const BanCause& cause) {
  return shown(config.kill_route, config, source, cause);
}

std::string kill_run_cmd(const Config& config, const Source& source, const BanCause& cause) {
  return shown(config.kill_run_cmd, config, source, cause);
}

std::string external_command(const Config& config, const Source& source, const BanCause& cause) {
  return shown(config.external_command, config, source, cause);
}

std::string hosts_deny(const Config& config, const Source& source) {
  const std::string target =
      source.is_v4()
          ? source.text()
          : "[" + source.prefix().address().text() + "]" +
                (source.prefix().is_host() ? "" : "/" + std::to_string(source.prefix().length()));
  return substitute(config.kill_hosts_deny, target, {Protocol::tcp, *Port::make(1)},
                    config.tcp_mode);
}

}  // namespace portsentry::monitor::words
