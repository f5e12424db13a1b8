#include "enforcer/guard.h"

#include <algorithm>
#include <array>

namespace portsentry::enforcer {
namespace {

// IPv6 prefixes in which one /64 is not one site. A single address of them may be banned.
constexpr std::array<std::string_view, 4> kShared{
    "64:ff9b::/96",    // RFC 6052: every IPv4 host of the Internet, as a NAT64 shows it
    "64:ff9b:1::/48",  // RFC 8215: the same, by local choice of prefix
    "2002::/16",       // RFC 3056, 6to4: whoever holds or shares the IPv4 address inside
    "2001::/32",       // RFC 4380, Teredo: all users of one Teredo server
};

// Also when it contains one: 64:ff9b::/64 is wider than the /96.
bool is_shared(const Source& source) {
  if (source.is_v4() || source.prefix().is_host()) return false;
  return std::any_of(kShared.begin(), kShared.end(), [&](std::string_view text) {
    const auto shared = Prefix::parse(text);
    return shared && (shared->contains(source.prefix()) || source.prefix().contains(*shared));
  });
}

}  // namespace

// The monitor is taken to be in an attacker's hands. What it can say is a Source (a /32, /64 or /128
// without host bits: no wider network can be spelled) and a number. Case by case, what it gains:
//
// - A duration of zero is a ban without expiry, which only a person asks for; the sets of those are
//   listed apart, and Unban ends it like any other. Less is nonsense, and more than kMaxBan would be
//   one without expiry in disguise. Both are refused.
// - Loopback, unspecified, link-local, multicast, 0/8, 240/4: banning them stops local services or
//   neighbour discovery, and they never cross a network, so no scan comes from there. This holds
//   before the view is asked, on any host.
// - A shared /64: one message would cut off the IPv4 Internet of a NAT64 network.
// - Without a view nothing below can be known; then nobody is banned, and every refusal says so. Who
//   could take our view away would stop new bans; he could not turn one against this host.
// - Own addresses: the host would drop packets that it routes to itself, and a /64 around one cuts
//   off the neighbours.
// - Next hops: everything beyond a gateway is still reachable while the gateway's own packets are
//   dropped, but path MTU and unreachable errors from it, its DHCP, DNS and VPN service are not.
// - Containers and virtual machines of this host: theirs are services of this host, and what they
//   cannot reach any more is mostly found out by somebody's customers. The networks behind bridges that
//   end on this host are in the view (LocalView::container_inside).
// - PROTECT_NETWORKS: the owner's word. A source that contains a part of one is as good as inside.
// - Resolvers, DHCP servers and who has logged in are the monitor's to spare: root reads no file that
//   strangers write to.
// - What is left: some other host. That is the damage which SECURITY.md states for a captured monitor:
//   it can ban the innocent, visibly, and an administrator's login from them. Replies to connections
//   of ours still pass (ruleset.nft).
// - Unban leads back to a host without us. Each Restore is judged here as well, but it spends no
//   budget, and by Arm the monitor can have its window opened again: kBansPerSecond bounds the mistakes
//   of an honest monitor, and kRestoreLimit what a captured one does.
Verdict judge(const Source& source, std::chrono::seconds duration, const LocalView* view,
              std::span<const Prefix> networks) {
  if (duration < std::chrono::seconds(0) || duration > kMaxBan) return Verdict::bad_duration;
  if (!source.prefix().address().is_routable_unicast()) return Verdict::not_unicast;
  if (is_shared(source)) return Verdict::shared_prefix;
  if (view == nullptr) return Verdict::view_unknown;
  if (view->own_inside(source.prefix())) return Verdict::own_address;
  if (view->next_hop_inside(source.prefix())) return Verdict::next_hop;
  const auto holds_some = [&](const Prefix& network) {
    return network.contains(source.prefix()) || source.prefix().contains(network);
  };
  if (std::any_of(networks.begin(), networks.end(), holds_some)) return Verdict::protected_network;
  if (view->container_inside(source.prefix())) return Verdict::container_network;
  return Verdict::ok;
}

}  // namespace portsentry::enforcer
