#include "scout/session.h"

#include <utmp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "scout/key_values.h"

namespace portsentry::scout {
namespace {

// login(1) and sshd(8) fill the first word for IPv4, all four for IPv6, in network order.
std::optional<Address> address_of(const utmp& record) {
  std::array<std::byte, sizeof record.ut_addr_v6> bytes{};
  std::memcpy(bytes.data(), &record.ut_addr_v6, bytes.size());
  const auto rest = Bytes(bytes).subspan(4);
  const bool v4 =
      std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{}; });
  return Address::from_bytes(v4 ? Bytes(bytes).first(4) : Bytes(bytes));
}

// systemd's classes of sessions that a user has after logging in; the others are of greeters, screen
// lockers, cron and the user's manager, or of one who is still on the way in.
bool is_users(std::string_view session_class) {
  constexpr std::array<std::string_view, 4> kClasses{"user", "user-early", "user-light",
                                                     "user-early-light"};
  return std::find(kClasses.begin(), kClasses.end(), session_class) != kClasses.end();
}

}  // namespace

std::vector<Session> utmp_sessions(Bytes records) {
  std::vector<Session> found;
  ByteReader reader(records);
  while (const auto raw = reader.take(sizeof(utmp))) {
    utmp record{};
    std::memcpy(&record, raw->data(), sizeof record);
    if (record.ut_type != USER_PROCESS || found.size() >= kMostSessions) continue;
    const auto address = address_of(record);
    if (!address || !address->is_routable_unicast()) continue;
    // 32 bits, signed by its type and unsigned by what it will hold after 2038.
    const auto since = static_cast<std::int64_t>(static_cast<std::uint32_t>(record.ut_tv.tv_sec));
    found.push_back({*address, since});
  }
  return found;
}

std::optional<Session> logind_session(std::string_view text) {
  const auto values = key_values(text);
  if (!values) return std::nullopt;
  const auto value = [&](std::string_view key) {
    const auto at = values->find(key);
    return at == values->end() ? std::string_view() : at->second;
  };
  if (value("REMOTE") != "1" || !is_users(value("CLASS"))) return std::nullopt;
  const std::string_view state = value("STATE");
  if (state != "active" && state != "online" && state != "opening") return std::nullopt;
  const auto address = Address::parse(value("REMOTE_HOST"));
  if (!address || !address->is_routable_unicast()) return std::nullopt;
  const std::string_view realtime = value("REALTIME");  // microseconds
  std::int64_t micros = 0;
  const auto [rest, error] =
      std::from_chars(realtime.data(), realtime.data() + realtime.size(), micros);
  const bool known =
      error == std::errc{} && rest == realtime.data() + realtime.size() && micros > 0;
  return Session{*address, known ? micros / 1'000'000 : 0};
}

}  // namespace portsentry::scout
