#include "monitor/history.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace portsentry::monitor {
namespace {

std::tm local(std::time_t when) {
  std::tm parts{};
  localtime_r(&when, &parts);
  return parts;
}

std::string padded(int number, char pad = '0') {
  std::string text = std::to_string(number);
  if (text.size() < 2) text.insert(text.begin(), pad);
  return text;
}

std::string clock_text(const std::tm& t) {
  return padded(t.tm_hour) + ":" + padded(t.tm_min) + ":" + padded(t.tm_sec);
}

// English in every locale: tools parse it.
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace

std::string history_line(std::time_t when, const Address& address, const BanCause& cause) {
  const std::tm t = local(when);
  return std::to_string(when) + " - " + padded(t.tm_mon + 1) + "/" + padded(t.tm_mday) + "/" +
         std::to_string(t.tm_year + 1900) + " " + clock_text(t) + " Host: " + address.text() + "/" +
         address.text() + " Port: " + std::to_string(cause.port.number()) + " " +
         std::string(name(cause.protocol)) + " Blocked\n";
}

std::string blocked_line(const Source& source, std::time_t since) {
  const std::tm t = local(since);
  return source.text() +
         " - Blocked: " + std::string(kMonths.at(static_cast<std::size_t>(t.tm_mon))) + " " +
         padded(t.tm_mday) + " " + clock_text(t) + " " + std::to_string(t.tm_year + 1900) + "\n";
}

std::string blocked_view(const Bans& bans) {
  std::vector<std::pair<std::time_t, Source>> held;
  bans.each_held(
      [&](const Source& source, const Bans::Ban& ban) { held.emplace_back(ban.since, source); });
  std::sort(held.begin(), held.end());
  std::string text;
  for (const auto& [since, source] : held)
    text += blocked_line(source, since);
  return text;
}

}  // namespace portsentry::monitor
