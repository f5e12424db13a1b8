#include "scout/lease.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <string>

#include "scout/key_values.h"

namespace portsentry::scout {
namespace {

std::optional<Address> routable(std::optional<Address> address) {
  return address && address->is_routable_unicast() ? address : std::nullopt;
}

// "KEYWORD VALUE;" without its keyword, blanks and semicolon; nothing unless it is that.
std::optional<std::string_view> statement(std::string_view line, std::string_view keyword) {
  if (!line.starts_with(keyword)) return std::nullopt;
  line.remove_prefix(keyword.size());
  if (line.empty() || (line.front() != ' ' && line.front() != '\t')) return std::nullopt;
  const std::size_t end = line.find(';');
  if (end == std::string_view::npos) return std::nullopt;
  return trimmed(line.substr(0, end));
}

// Takes a decimal number and one byte of `separators` after it, or the end of `text`.
std::optional<int> take_number(std::string_view& text, std::string_view separators) {
  int value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  if (text.empty()) return value;
  if (separators.find(text.front()) == std::string_view::npos) return std::nullopt;
  text.remove_prefix(1);
  return value;
}

// "2 2026/11/24 03:12:11" (UTC, with the day of the week), "epoch 1795400000", "never". Nothing: for
// ever, or not understood.
std::optional<std::time_t> expiry(std::string_view text) {
  if (text.starts_with("epoch ")) {
    text.remove_prefix(6);
    std::int64_t seconds = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
    return seconds;
  }
  std::tm date{};
  const auto week_day = take_number(text, " ");
  const auto year = take_number(text, "/");
  const auto month = take_number(text, "/");
  const auto day = take_number(text, " ");
  const auto hour = take_number(text, ":");
  const auto minute = take_number(text, ":");
  const auto second = take_number(text, "");
  if (!week_day || !year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (*year < 1970 || *year > 9999 || *month < 1 || *month > 12 || *day < 1 || *day > 31 ||
      *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  date.tm_year = *year - 1900;
  date.tm_mon = *month - 1;
  date.tm_mday = *day;
  date.tm_hour = *hour;
  date.tm_min = *minute;
  date.tm_sec = *second;
  return timegm(&date);  // arithmetic alone: no time zone is read
}

struct Lease {
  std::optional<Address> server;
  std::optional<std::time_t> until;
};

}  // namespace

std::vector<Address> dhclient_servers(std::string_view text, std::time_t now) {
  std::map<std::string, Lease> last;  // by interface, as it is written
  bool inside = false;
  std::string interface;
  Lease lease;
  each_line(text, [&](std::string_view line) {
    line = trimmed(line);
    if (line.starts_with("lease") && line.ends_with("{")) {
      inside = trimmed(line.substr(5, line.size() - 6)).empty();
      interface.clear();
      lease = {};
      return;
    }
    if (!inside) return;
    if (line == "}") {
      inside = false;
      if (last.size() < kMostServers || last.contains(interface)) last[interface] = lease;
      return;
    }
    if (const auto name = statement(line, "interface")) interface = *name;
    if (const auto address = statement(line, "option dhcp-server-identifier"))
      lease.server = routable(Address::parse(*address));
    if (const auto when = statement(line, "expire")) lease.until = expiry(*when);
  });
  std::vector<Address> servers;
  for (const auto& [name, known] : last) {
    if (!known.server || (known.until && *known.until <= now)) continue;
    if (std::find(servers.begin(), servers.end(), *known.server) == servers.end())
      servers.push_back(*known.server);
  }
  return servers;
}

std::optional<Address> systemd_server(std::string_view text) {
  const auto values = key_values(text);
  if (!values) return std::nullopt;
  const auto found = values->find("SERVER_ADDRESS");
  if (found == values->end()) return std::nullopt;
  return routable(Address::parse(found->second));
}

std::optional<Address> dhcp_message_server(Bytes message) {
  // RFC 2131 2: 236 bytes of fixed fields, op first; RFC 2132 2: the cookie, then options.
  constexpr std::size_t kFixed = 236;
  constexpr std::uint8_t kBootReply = 2;
  constexpr std::uint32_t kCookie = 0x63825363;
  constexpr std::uint8_t kPad = 0;
  constexpr std::uint8_t kServerIdentifier = 54;
  constexpr std::uint8_t kEnd = 255;
  ByteReader reader(message);
  const auto op = reader.u8();
  if (!op || *op != kBootReply || !reader.skip(kFixed - 1) || reader.u32() != kCookie)
    return std::nullopt;
  for (;;) {
    const auto option = reader.u8();
    if (!option || *option == kEnd) return std::nullopt;
    if (*option == kPad) continue;
    const auto length = reader.u8();
    const auto value = length ? reader.take(*length) : std::nullopt;
    if (!value) return std::nullopt;
    if (*option == kServerIdentifier)
      return value->size() == 4 ? routable(Address::from_bytes(*value)) : std::nullopt;
  }
}

}  // namespace portsentry::scout
