#include "scout/snapshot.h"

#include <algorithm>

#include "scout/lease.h"
#include "scout/resolv_conf.h"
#include "scout/session.h"

namespace portsentry::scout {
namespace {

constexpr std::size_t kMostOfServers = 1024;
constexpr std::size_t kMostOfSessions = 4096;
static_assert(kMostOfServers + kMostOfSessions <= kMaxFound);

}  // namespace

void Snapshot::add(FoundIn where, std::string_view content, std::time_t now) {
  files_ += 1;
  const Bytes bytes = std::as_bytes(std::span(content));
  switch (where) {
    case FoundIn::resolv_conf:
    case FoundIn::systemd_resolved:
    case FoundIn::network_manager:
      for (const Address& server : name_servers(content))
        add(server, where);
      return;
    case FoundIn::dhclient_lease:
      for (const Address& server : dhclient_servers(content, now))
        add(server, where);
      return;
    case FoundIn::networkd_lease:
    case FoundIn::network_manager_lease:
      if (const auto server = systemd_server(content)) add(*server, where);
      return;
    case FoundIn::dhcpcd_lease:
      if (const auto server = dhcp_message_server(bytes)) add(*server, where);
      return;
    case FoundIn::utmp:
      for (const Session& session : utmp_sessions(bytes))
        add(session.address, where, session.since);
      return;
    case FoundIn::logind:
      if (const auto session = logind_session(content))
        add(session->address, where, session->since);
      return;
  }
}

void Snapshot::add(const Address& address, FoundIn where, std::int64_t since) {
  const bool session = kind_of(where) == FoundKind::session;
  auto& into = session ? sessions_ : servers_;
  const auto known = into.find({address, where});
  if (known != into.end()) {
    known->second = std::min(known->second, since);
  } else if (into.size() < (session ? kMostOfSessions : kMostOfServers)) {
    into.emplace(std::pair(address, where), since);
  }
}

std::vector<Found> Snapshot::found() const {
  std::vector<Found> all;
  for (const auto* part : {&servers_, &sessions_}) {
    for (const auto& [key, since] : *part)
      all.push_back({key.first, key.second, since});
  }
  std::ranges::sort(all, {}, [](const Found& f) { return std::pair(f.address, f.where); });
  return all;
}

}  // namespace portsentry::scout
