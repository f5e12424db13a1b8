#include "monitor/history.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "monitor/log_time.h"

namespace portsentry::monitor {

std::string history_line(std::time_t when, const Address& address, const BanCause& cause,
                         std::string_view host) {
  const std::string text = address.text();
  return std::to_string(when) + " - " + history_time(when) +
         " Host: " + (host.empty() ? text : std::string(host)) + "/" + text +
         " Port: " + std::to_string(cause.port.number()) + " " + std::string(name(cause.protocol)) +
         " Blocked\n";
}

std::string blocked_line(const Source& source, std::time_t since) {
  return source.text() + " - Blocked: " + blocked_time(since) + "\n";
}

std::string blocked_view(const Bans& bans) {
  std::vector<std::pair<std::time_t, Source>> held;
  bans.each_held([&](const Source& source, const Bans::Ban& ban) {
    if (ban.pardon != Bans::Pardon::none && ban.state == Bans::State::lifting) return;
    if (!ban.acknowledged) return;  // its line comes once the disk has it
    held.emplace_back(ban.since, source);
  });
  std::sort(held.begin(), held.end());
  std::string text;
  for (const auto& [since, source] : held)
    text += blocked_line(source, since);
  return text;
}

}  // namespace portsentry::monitor
