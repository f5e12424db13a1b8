// Answers of a daemon as the tests of the output share them.
#pragma once

#include <string_view>

#include "common/control_messages.h"
#include "ctl/table.h"

namespace portsentry::ctl {

inline constexpr std::time_t kNow =
    1'795'000'000;  // 2026-11-18 11:06:40 UTC, and the tests run there

inline constexpr Layout kPipe{};
inline constexpr Layout kWide{.width = 120, .colour = false, .ascii = false};
inline constexpr Layout kNarrow{.width = 40, .colour = false, .ascii = false};

inline Prefix prefix(std::string_view text) {
  return *Prefix::parse(text);
}
inline Source source(std::string_view text) {
  const Prefix whole = prefix(text);
  return *Source::from_prefix(whole.address(), whole.length());
}

// Bytes that a hostile daemon, or whoever wrote what it repeats, would like a terminal to see.
inline constexpr char kEvil[] = "a\x1b]0;x\x07\nb\x9b";

inline bool is_harmless(std::string_view text) {
  for (const char c : text) {
    if (c != '\n' && (static_cast<unsigned char>(c) < ' ' || c == '\x7f')) return false;
  }
  return text.find('\x9b') == std::string_view::npos;
}

inline BanShown timed_ban() {
  return {.source = source("192.0.2.7"),
          .state = BanStateShown::enforced,
          .origin = OriginShown::scan,
          .backend = Backend::nftables,
          .proof = Proof::handshake,
          .since = kNow - 60,
          .until = kNow + 1740,
          .offences = 2};
}
inline BanShown permanent_ban() {
  return {.source = source("2001:db8:7::/64"),
          .state = BanStateShown::enforced,
          .origin = OriginShown::hand,
          .backend = Backend::nftables,
          .since = kNow - 86400};
}
inline BanShown troubled_ban() {
  return {.source = source("198.51.100.9"),
          .state = BanStateShown::waiting,
          .origin = OriginShown::recovered,
          .backend = Backend::command,
          .since = kNow - 5,
          .until = kNow + 600,
          .offences = 0,
          .recorded = false,
          .trouble = "over budget"};
}

inline StatusReply busy_status() {
  return {
      .version = "0.1.0",
      .conf_path = "/etc/portsentry/portsentry.conf",
      .started = kNow - 11'520,
      .generation = 3,
      .active = true,
      .armed = true,
      .file_tcp = 0,
      .file_udp = 0,
      .override_mode = OverrideShown{.armed = true, .since = kNow - 60, .confirm_by = kNow + 240},
      .backend = Backend::nftables,
      .inbound_only = true,
      .enforced = 12,
      .pending = 1,
      .failed = 2,
      .unrecorded = 3,
      .unverifiable = 4,
      .permanent = 5,
      .allowed = 6,
      .drift = Drift::none,
      .compared = kNow - 12,
      .capacity_percent = 1,
      .budgets = {{.name = "proven", .left = 300, .burst = 300, .per_second = 30},
                  {.name = "single",
                   .left = 0,
                   .burst = 300,
                   .per_second = 30,
                   .tripped = true,
                   .turned_away = 1203}},
      .protected_entries = 7,
      .scout = ScoutShown::complete,
      .sensor_restarts = 1,
      .processes = {{.name = "monitor", .state = ProcessState::running, .pid = 4711},
                    {.name = "sensor", .state = ProcessState::down, .restarts = 1}},
      .alarms = {"the sensor died"}};
}

inline EventShown event(std::uint64_t id, std::string_view kind, std::string_view text) {
  return {.id = id,
          .at = kNow - 100 + static_cast<std::time_t>(id),
          .kind = std::string(kind),
          .subject = prefix("192.0.2.7"),
          .text = std::string(text)};
}

}  // namespace portsentry::ctl
