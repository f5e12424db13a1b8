#include "monitor/protected.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "monitor/log_time.h"

namespace portsentry::monitor {
namespace {

// What Address::is_routable_unicast() says no to, in words.
struct Reserved {
  std::string_view network;
  std::string_view what;
};
constexpr std::array<Reserved, 9> kReserved{{
    {"0.0.0.0/8", "unspecified"},
    {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved, and broadcast"},
    {"::/128", "unspecified"},
    {"::1/128", "loopback"},
    {"fe80::/10", "link-local"},
    {"ff00::/8", "multicast"},
}};

Protection protection_of(FoundKind kind) {
  switch (kind) {
    case FoundKind::resolver:
      return Protection::resolver;
    case FoundKind::dhcp_server:
      return Protection::dhcp_server;
    case FoundKind::session:
      break;
  }
  return Protection::login_session;
}

// Both contain each other's part: whichever is wider.
bool overlap(const Prefix& a, const Prefix& b) {
  return a.contains(b) || b.contains(a);
}

const Prefix* network_around(const Prefix& prefix, const Shield& shield) {
  const auto found = std::ranges::find_if(
      shield.networks, [&](const Prefix& network) { return overlap(network, prefix); });
  return found == shield.networks.end() ? nullptr : &*found;
}

std::string_view place(FoundIn where) {
  switch (where) {
    case FoundIn::resolv_conf:
      return "resolver, /etc/resolv.conf";
    case FoundIn::systemd_resolved:
      return "resolver, systemd-resolved's";
    case FoundIn::network_manager:
      return "resolver, NetworkManager's";
    case FoundIn::dhclient_lease:
      return "DHCP server, lease of dhclient";
    case FoundIn::networkd_lease:
      return "DHCP server, lease of systemd-networkd";
    case FoundIn::network_manager_lease:
      return "DHCP server, lease of NetworkManager";
    case FoundIn::dhcpcd_lease:
      return "DHCP server, lease of dhcpcd";
    case FoundIn::utmp:
    case FoundIn::logind:
      break;
  }
  return "login session of a user";
}

std::string reason_of(const Scouted::Entry& entry, Now now) {
  if (entry.ended) return "login session of a user, ended within the last hour";
  std::string text(place(entry.where));
  if (kind_of(entry.where) == FoundKind::session && entry.since > 0)
    text += " since " + session_time(entry.since, now.wall);
  return text;
}

std::string container_reason(const LocalView& local, std::uint32_t interface) {
  std::string text = "containers or virtual machines of this host";
  const auto name = local.interface_name(interface);
  const auto plain = [](char c) { return c > ' ' && c < 0x7f; };
  if (name && std::ranges::all_of(*name, plain)) text += ", " + *name;
  return text;
}

constexpr std::string_view kOwn = "an address of this host";
constexpr std::string_view kNextHop = "a next hop of this host's routes";

}  // namespace

Protection protection(const Prefix& prefix, const Shield& shield) {
  if (!prefix.address().is_routable_unicast()) return Protection::not_unicast;
  if (shield.local.own_inside(prefix)) return Protection::own_address;
  if (shield.local.next_hop_inside(prefix)) return Protection::next_hop;
  if (const auto found = shield.scouted.first_inside(prefix, shield.sessions))
    return protection_of(kind_of(found->where));
  if (network_around(prefix, shield) != nullptr) return Protection::protected_network;
  if (shield.local.container_inside(prefix)) return Protection::container_network;
  return Protection::none;
}

std::optional<ProtectedEntry> protection_inside(const Prefix& prefix, const Shield& shield,
                                                Now now) {
  const Protection why = protection(prefix, shield);
  const auto entry = [&](const Prefix& of, std::string_view reason) {
    return ProtectedEntry{of, why, std::string(reason)};
  };
  switch (why) {
    case Protection::none:
      return std::nullopt;
    case Protection::not_unicast:
      return entry(prefix, "link-local or reserved, never banned");
    case Protection::own_address:
      return entry(Prefix::host(*shield.local.own_inside(prefix)), kOwn);
    case Protection::next_hop:
      return entry(Prefix::host(*shield.local.next_hop_inside(prefix)), kNextHop);
    case Protection::resolver:
    case Protection::dhcp_server:
    case Protection::login_session: {
      const auto found = shield.scouted.first_inside(prefix, shield.sessions);
      return entry(Prefix::host(found->address), reason_of(*found, now));
    }
    case Protection::protected_network:
      return entry(*network_around(prefix, shield), "PROTECT_NETWORKS");
    case Protection::container_network: {
      std::optional<ProtectedEntry> around;
      shield.local.each_container_network([&](const Prefix& network, std::uint32_t interface) {
        if (!around && overlap(network, prefix))
          around = entry(network, container_reason(shield.local, interface));
      });
      return around;
    }
  }
  return std::nullopt;
}

std::vector<ProtectedEntry> protected_entries(const Shield& shield, Now now) {
  std::vector<ProtectedEntry> entries;
  const auto add = [&](const Prefix& prefix, Protection why, std::string reason) {
    if (why != Protection::not_unicast && !prefix.address().is_routable_unicast()) return;
    entries.push_back({prefix, why, std::move(reason)});
  };
  for (const auto& [network, what] : kReserved)
    add(*Prefix::parse(network), Protection::not_unicast, std::string(what));
  shield.local.each_own(
      [&](const Prefix& own) { add(own, Protection::own_address, std::string(kOwn)); });
  shield.local.each_next_hop([&](const Address& gateway) {
    add(Prefix::host(gateway), Protection::next_hop, std::string(kNextHop));
  });
  shield.scouted.each([&](const Scouted::Entry& found) {
    const Protection why = protection_of(kind_of(found.where));
    if (why == Protection::login_session && !shield.sessions) return;
    add(Prefix::host(found.address), why, reason_of(found, now));
  });
  for (const Prefix& network : shield.networks)
    add(network, Protection::protected_network, "PROTECT_NETWORKS");
  shield.local.each_container_network([&](const Prefix& network, std::uint32_t interface) {
    add(network, Protection::container_network, container_reason(shield.local, interface));
  });
  const auto key = [](const ProtectedEntry& e) { return std::tie(e.why, e.prefix, e.reason); };
  std::ranges::sort(entries, {}, key);
  const auto same = [&](const ProtectedEntry& a, const ProtectedEntry& b) {
    return key(a) == key(b);
  };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  return entries;
}

}  // namespace portsentry::monitor
