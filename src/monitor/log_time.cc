#include "monitor/log_time.h"

#include <array>
#include <string_view>

namespace portsentry::monitor {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

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

std::string month(const std::tm& t) {
  return std::string(kMonths.at(static_cast<std::size_t>(t.tm_mon)));
}

}  // namespace

std::string syslog_time(std::time_t when) {
  const std::tm t = local(when);
  return month(t) + " " + padded(t.tm_mday, ' ') + " " + clock_text(t);
}

std::string history_time(std::time_t when) {
  const std::tm t = local(when);
  return padded(t.tm_mon + 1) + "/" + padded(t.tm_mday) + "/" + std::to_string(t.tm_year + 1900) +
         " " + clock_text(t);
}

std::string blocked_time(std::time_t when) {
  const std::tm t = local(when);
  return month(t) + " " + padded(t.tm_mday) + " " + clock_text(t) + " " +
         std::to_string(t.tm_year + 1900);
}

std::string session_time(std::time_t when, std::time_t now) {
  const std::tm t = local(when);
  const std::tm today = local(now);
  std::string clock = padded(t.tm_hour) + ":" + padded(t.tm_min);
  if (t.tm_year == today.tm_year && t.tm_yday == today.tm_yday) return clock;
  return std::to_string(t.tm_year + 1900) + "-" + padded(t.tm_mon + 1) + "-" + padded(t.tm_mday) +
         " " + clock;
}

}  // namespace portsentry::monitor
