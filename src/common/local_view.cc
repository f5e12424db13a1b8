#include "common/local_view.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "common/netlink.h"

namespace portsentry {
namespace {

void keep_lower(std::optional<Address>& best, const Address& candidate) {
  if (!best || candidate < *best) best = candidate;
}

// The size of an address of the family that a message claims; 0 for families that are not ours.
std::size_t address_size(unsigned family) {
  if (family == AF_INET) return 4;
  if (family == AF_INET6) return 16;
  return 0;
}

// Nothing unless the attribute is exactly one address of `family`.
std::optional<Address> address_of(Bytes payload, unsigned family) {
  if (payload.size() != address_size(family)) return std::nullopt;
  return Address::from_bytes(payload);
}

// A v4-mapped IPv6 prefix has become IPv4 inside Address: its length must follow.
std::optional<Prefix> network_of(const Address& address, unsigned family, unsigned length) {
  if (family == AF_INET6 && address.is_v4()) {
    return length < 96 ? std::nullopt : Prefix::make(address, length - 96);
  }
  return Prefix::make(address, length);
}

std::optional<std::uint32_t> number_of(Bytes payload) {
  ByteReader reader(payload);
  return payload.size() == sizeof(std::uint32_t) ? take_host<std::uint32_t>(reader) : std::nullopt;
}

// struct rtvia: a gateway of another family than the route's (RFC 8950: IPv4 by way of IPv6).
std::optional<Address> via_of(Bytes payload) {
  ByteReader reader(payload);
  const auto family = take_host<__kernel_sa_family_t>(reader);
  if (!family) return std::nullopt;
  return address_of(reader.rest(), *family);
}

// A gateway, and the interface that leads to it (0 where the message does not say).
struct Hop {
  Address gateway;
  std::uint32_t interface = 0;
};

// The gateways of RTA_MULTIPATH: struct rtnexthop, each with attributes of its own. False when the
// list lies about its lengths.
bool multipath_gateways(Bytes payload, unsigned family, std::vector<Hop>& gateways) {
  ByteReader reader(payload);
  while (reader.remaining() > 0) {
    const Bytes from_here = reader.rest();
    const auto hop = take_host<rtnexthop>(reader);
    if (!hop || hop->rtnh_len < sizeof(rtnexthop) || hop->rtnh_len > from_here.size()) return false;
    NetlinkAttributes attributes(from_here.first(hop->rtnh_len).subspan(sizeof(rtnexthop)));
    while (const auto attribute = attributes.next()) {
      std::optional<Address> gateway;
      if (attribute->type == RTA_GATEWAY) {
        gateway = address_of(attribute->payload, family);
      } else if (attribute->type == RTA_VIA) {
        gateway = via_of(attribute->payload);
      } else {
        continue;
      }
      if (!gateway) return false;
      gateways.push_back(
          {*gateway, hop->rtnh_ifindex > 0 ? static_cast<std::uint32_t>(hop->rtnh_ifindex) : 0});
    }
    if (attributes.malformed()) return false;
    const std::size_t padded = (hop->rtnh_len + std::size_t{3}) & ~std::size_t{3};
    reader = ByteReader(from_here.subspan(std::min(padded, from_here.size())));
  }
  return true;
}

// IFLA_INFO_KIND inside IFLA_LINKINFO: what makes an interface virtual.
std::string kind_of_link(Bytes payload) {
  NetlinkAttributes attributes(payload);
  while (const auto attribute = attributes.next()) {
    if (attribute->type != IFLA_INFO_KIND) continue;
    std::string kind;
    for (const std::byte b : attribute->payload)
      kind.push_back(std::to_integer<char>(b));
    kind.resize(std::min(kind.find('\0'), kind.size()));
    return kind;
  }
  return {};
}

// What is behind such an interface is a container's or a virtual machine's end of it. Hardware has no
// kind; a VLAN, a bond or a tunnel has one and leads to strangers all the same.
bool ends_on_this_host(std::string_view kind) {
  constexpr std::array<std::string_view, 4> kKinds{"veth", "tun", "netkit", "dummy"};
  return std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
}

void append(std::string& text, Bytes bytes) {
  for (const std::byte b : bytes)
    text.push_back(std::to_integer<char>(b));
}

void append_number(std::string& text, std::uint32_t number) {
  text += std::to_string(number);
  text += '/';
}

}  // namespace

void LocalView::Networks::add(const Prefix& prefix, const std::string& voucher) {
  by_length_[prefix.length()][prefix].insert(voucher);
}

void LocalView::Networks::remove(const Prefix& prefix, const std::string& voucher) {
  const auto same_length = by_length_.find(prefix.length());
  if (same_length == by_length_.end()) return;
  const auto found = same_length->second.find(prefix);
  if (found == same_length->second.end()) return;
  found->second.erase(voucher);
  if (found->second.empty()) same_length->second.erase(found);
  if (same_length->second.empty()) by_length_.erase(same_length);
}

bool LocalView::Networks::contains(const Address& address) const {
  return std::any_of(by_length_.begin(), by_length_.end(), [&](const auto& same_length) {
    const auto wanted = Prefix::make(address, same_length.first);
    return wanted && same_length.second.contains(*wanted);
  });
}

std::optional<Address> LocalView::Networks::lowest_in(const Prefix& prefix) const {
  std::optional<Address> lowest;
  for (const auto& [length, same_length] : by_length_) {
    for (const auto& [network, vouchers] : same_length) {
      if (prefix.contains(network)) keep_lower(lowest, network.address());
      if (network.contains(prefix)) keep_lower(lowest, prefix.address());
    }
  }
  return lowest;
}

void LocalView::Networks::each(const std::function<void(const Prefix&)>& visit) const {
  for (const auto& [length, same_length] : by_length_) {
    for (const auto& [network, vouchers] : same_length)
      visit(network);
  }
}

void LocalView::clear() {
  *this = LocalView();
}

void LocalView::apply(Bytes datagram) {
  NetlinkMessages messages(datagram);
  while (const auto message = messages.next()) {
    const bool replaces = (message->header.nlmsg_flags & NLM_F_REPLACE) != 0;
    switch (message->header.nlmsg_type) {
      case RTM_NEWLINK:
        apply_link(message->payload, true);
        break;
      case RTM_DELLINK:
        apply_link(message->payload, false);
        break;
      case RTM_NEWADDR:
        apply_address(message->payload, true);
        break;
      case RTM_DELADDR:
        apply_address(message->payload, false);
        break;
      case RTM_NEWROUTE:
        apply_route(message->payload, true, replaces);
        break;
      case RTM_DELROUTE:
        apply_route(message->payload, false, false);
        break;
      case RTM_NEWNEXTHOP:
        apply_nexthop(message->payload, true, replaces);
        break;
      case RTM_DELNEXTHOP:
        apply_nexthop(message->payload, false, false);
        break;
      default:
        break;  // a number from the kernel, not an enum of ours: newer ones mean nothing to us
    }
  }
  if (messages.malformed()) ++malformed_;
}

void LocalView::apply_link(Bytes payload, bool added) {
  ByteReader reader(payload);
  const auto link = take_host<ifinfomsg>(reader);
  if (!link || link->ifi_index <= 0) {
    ++malformed_;
    return;
  }
  // A bridge says with the same message, family AF_BRIDGE, that a port has left it: not our
  // subject, the interface still exists.
  if (link->ifi_family != AF_UNSPEC) return;
  const auto index = static_cast<std::uint32_t>(link->ifi_index);
  if (!added || (link->ifi_flags & IFF_UP) == 0) routes_may_be_gone_ = true;
  if (!added) {
    interfaces_.erase(index);
    return;
  }
  Interface told;
  bool named = false;
  bool whole = true;
  NetlinkAttributes attributes(reader.rest());
  while (const auto attribute = attributes.next()) {
    switch (attribute->type) {
      case IFLA_WIRELESS:  // something happened on the air; the rest is left out
        whole = false;
        break;
      case IFLA_IFNAME:
        named = true;
        append(told.name, attribute->payload);
        told.name.resize(std::min(told.name.find('\0'), told.name.size()));
        break;
      case IFLA_MASTER:
        told.master = number_of(attribute->payload).value_or(0);
        break;
      case IFLA_LINKINFO:
        told.kind = kind_of_link(attribute->payload);
        break;
      default:
        break;
    }
  }
  if (attributes.malformed()) ++malformed_;
  if (!named || !whole) return;
  if (told.name.empty() || told.name.size() >= IFNAMSIZ) {
    ++malformed_;
    return;
  }
  interfaces_.insert_or_assign(index, std::move(told));
}

void LocalView::apply_address(Bytes payload, bool added) {
  ByteReader reader(payload);
  const auto header = take_host<ifaddrmsg>(reader);
  if (!header || header->ifa_index == 0) {
    ++malformed_;
    return;
  }
  if (address_size(header->ifa_family) == 0) return;

  // IFA_ADDRESS is the far end of a point-to-point link, and then IFA_LOCAL is ours; without
  // IFA_LOCAL (plain IPv6) IFA_ADDRESS is ours.
  std::optional<Address> local;
  std::optional<Address> address;
  bool sound = true;
  NetlinkAttributes attributes(reader.rest());
  while (const auto attribute = attributes.next()) {
    if (attribute->type == IFA_LOCAL) {
      local = address_of(attribute->payload, header->ifa_family);
      sound = sound && local.has_value();
    } else if (attribute->type == IFA_ADDRESS) {
      address = address_of(attribute->payload, header->ifa_family);
      sound = sound && address.has_value();
    }
  }
  if (!local) local = address;
  if (!address) address = local;
  if (attributes.malformed() || !sound || !local || !address) {
    ++malformed_;
    return;
  }
  const auto network = network_of(*address, header->ifa_family, header->ifa_prefixlen);
  if (!network) {
    ++malformed_;
    return;
  }

  const OwnAddress own{*local, header->ifa_index, *network};
  std::string voucher = std::to_string(own.interface) + '/';
  append(voucher, own.address.bytes());
  if (added) {
    own_.insert(own);
    on_link_.add(*network, voucher);
  } else {
    own_.erase(own);
    on_link_.remove(*network, voucher);
    routes_may_be_gone_ = true;
  }
}

void LocalView::apply_route(Bytes payload, bool added, bool replaces) {
  ByteReader reader(payload);
  const auto header = take_host<rtmsg>(reader);
  if (!header) {
    ++malformed_;
    return;
  }
  if (address_size(header->rtm_family) == 0) return;
  if ((header->rtm_flags & RTM_F_CLONED) != 0) return;  // a cache entry, not a route

  Bytes destination_bytes;
  std::optional<Address> destination;
  std::vector<Hop> gateways;
  std::uint32_t table = header->rtm_table;
  std::uint32_t priority = 0;
  std::uint32_t interface = 0;
  bool sound = true;
  NetlinkAttributes attributes(reader.rest());
  while (const auto attribute = attributes.next()) {
    const auto take_number = [&](std::uint32_t& into) {
      const auto number = number_of(attribute->payload);
      sound = sound && number.has_value();
      if (number) into = *number;
    };
    const auto take_gateway = [&](const std::optional<Address>& gateway) {
      sound = sound && gateway.has_value();
      if (gateway) gateways.push_back({*gateway});
    };
    switch (attribute->type) {
      case RTA_DST:
        destination_bytes = attribute->payload;
        destination = address_of(attribute->payload, header->rtm_family);
        sound = sound && destination.has_value();
        break;
      case RTA_GATEWAY:
        take_gateway(address_of(attribute->payload, header->rtm_family));
        break;
      case RTA_VIA:
        take_gateway(via_of(attribute->payload));
        break;
      case RTA_MULTIPATH:
        sound = multipath_gateways(attribute->payload, header->rtm_family, gateways) && sound;
        break;
      case RTA_TABLE:
        take_number(table);
        break;
      case RTA_PRIORITY:
        take_number(priority);
        break;
      case RTA_OIF:
        take_number(interface);
        break;
      default:
        break;  // metrics, encapsulations, caches: nothing that names an address of a hop
    }
  }
  // What could be read of a damaged message still protects: too many gateways is the safe side.
  // What it would *remove* stays.
  if (attributes.malformed() || !sound) {
    ++malformed_;
    if (!added) return;
  }

  // What the kernel takes for the identity of a route, the gateway left out (rtnetlink(7),
  // ip-route(8)).
  std::string route(1, header->rtm_family == AF_INET ? '4' : '6');
  append_number(route, table);
  append_number(route, header->rtm_tos);
  append_number(route, header->rtm_dst_len);
  append_number(route, priority);
  append(route, destination_bytes);

  // A router also answers for the anycast address of each of its IPv6 networks (RFC 4291 2.6.1).
  if (header->rtm_type == RTN_LOCAL || header->rtm_type == RTN_ANYCAST) {
    // Only the kernel's own table: the usual set-up for transparent proxies routes *everything* to
    // this host in another one, for marked packets only, and would make the whole world ours.
    if (table != RT_TABLE_LOCAL || !destination || header->rtm_dst_len == 0) return;
    const auto prefix = network_of(*destination, header->rtm_family, header->rtm_dst_len);
    append_number(route, interface);
    if (prefix && added) local_.add(*prefix, route);
    if (prefix && !added) local_.remove(*prefix, route);
    return;
  }
  if (header->rtm_type != RTN_UNICAST) return;

  if (replaces) forget_route(route);
  for (const auto& [gateway, by] : gateways) {
    const std::uint32_t uplink = by != 0 ? by : interface;
    if (added) {
      add_hop(gateway, uplink, route);
    } else {
      remove_hop(gateway, uplink, route);
    }
  }
}

void LocalView::apply_nexthop(Bytes payload, bool added, bool replaces) {
  ByteReader reader(payload);
  const auto header = take_host<nhmsg>(reader);
  if (!header) {
    ++malformed_;
    return;
  }
  std::optional<std::uint32_t> id;
  Bytes gateway_bytes;
  std::uint32_t interface = 0;
  NetlinkAttributes attributes(reader.rest());
  while (const auto attribute = attributes.next()) {
    if (attribute->type == NHA_ID) id = number_of(attribute->payload);
    if (attribute->type == NHA_OIF) interface = number_of(attribute->payload).value_or(0);
    if (attribute->type == NHA_GATEWAY) gateway_bytes = attribute->payload;
  }
  const auto gateway = address_of(gateway_bytes, header->nh_family);
  if (attributes.malformed() || !id || (!gateway_bytes.empty() && !gateway)) {
    ++malformed_;
    return;
  }
  // The routes that use an object change or go with it, and the kernel does not say which.
  if (!added || replaces) routes_may_be_gone_ = true;
  // An object has one gateway; a group of objects has none of its own.
  std::string object = "object/";
  append_number(object, *id);
  forget_route(object);
  if (added && gateway) add_hop(*gateway, interface, object);
}

void LocalView::NextHop::add(const std::string& route) {
  if (too_many) return;
  routes.insert(route);
  too_many = routes.size() > kRoutesPerHop;
}

bool LocalView::NextHop::remove(const std::string& route) {
  if (!too_many) routes.erase(route);
  return routes.empty();
}

void LocalView::add_hop(const Address& gateway, std::uint32_t uplink, const std::string& route) {
  if (gateway.is_unspecified()) return;  // "on link": no hop
  next_hops_[gateway].add(route);
  if (uplink != 0) uplinks_[uplink].add(route);
}

void LocalView::remove_hop(const Address& gateway, std::uint32_t uplink, const std::string& route) {
  const auto hop = next_hops_.find(gateway);
  if (hop != next_hops_.end() && hop->second.remove(route)) next_hops_.erase(hop);
  const auto link = uplinks_.find(uplink);
  if (link != uplinks_.end() && link->second.remove(route)) uplinks_.erase(link);
}

void LocalView::forget_route(const std::string& route) {
  const auto forget = [&](auto& all) {
    for (auto one = all.begin(); one != all.end();)
      one = one->second.remove(route) ? all.erase(one) : std::next(one);
  };
  forget(next_hops_);
  forget(uplinks_);
}

bool LocalView::is_own(const Address& address) const {
  // The first entry of this address, were it on an interface numbered 0, which there is not.
  const auto first = own_.lower_bound(OwnAddress{address, 0, Prefix::host(address)});
  return (first != own_.end() && first->address == address) || local_.contains(address);
}

bool LocalView::is_on_link(const Address& address) const {
  return on_link_.contains(address);
}

std::optional<Address> LocalView::own_inside(const Prefix& prefix) const {
  auto lowest = local_.lowest_in(prefix);
  const auto first =
      own_.lower_bound(OwnAddress{prefix.address(), 0, Prefix::host(prefix.address())});
  if (first != own_.end() && prefix.contains(first->address)) keep_lower(lowest, first->address);
  return lowest;
}

std::optional<Address> LocalView::next_hop_inside(const Prefix& prefix) const {
  const auto hop = next_hops_.lower_bound(prefix.address());
  if (hop == next_hops_.end() || !prefix.contains(hop->first)) return std::nullopt;
  return hop->first;
}

bool LocalView::is_container_bridge(std::uint32_t index) const {
  const auto found = interfaces_.find(index);
  if (found == interfaces_.end() || found->second.kind != "bridge") return false;
  if (uplinks_.contains(index)) return false;
  return std::none_of(interfaces_.begin(), interfaces_.end(), [&](const auto& other) {
    return other.second.master == index && !ends_on_this_host(other.second.kind);
  });
}

std::optional<Address> LocalView::container_inside(const Prefix& prefix) const {
  std::optional<Address> lowest;
  for (const OwnAddress& own : own_) {
    const bool overlap = own.network.contains(prefix) || prefix.contains(own.network);
    if (!overlap || own.network.is_host() || !is_container_bridge(own.interface)) continue;
    keep_lower(lowest, own.network.contains(prefix) ? prefix.address() : own.network.address());
  }
  return lowest;
}

void LocalView::each_own(const std::function<void(const Prefix&)>& visit) const {
  for (const OwnAddress& own : own_)
    visit(Prefix::host(own.address));
  local_.each(visit);
}

void LocalView::each_next_hop(const std::function<void(const Address&)>& visit) const {
  for (const auto& [gateway, hop] : next_hops_)
    visit(gateway);
}

void LocalView::each_container_network(
    const std::function<void(const Prefix&, std::uint32_t interface)>& visit) const {
  for (const OwnAddress& own : own_) {
    if (!own.network.is_host() && is_container_bridge(own.interface))
      visit(own.network, own.interface);
  }
}

std::optional<std::string> LocalView::interface_name(std::uint32_t index) const {
  const auto found = interfaces_.find(index);
  if (found == interfaces_.end()) return std::nullopt;
  return found->second.name;
}

}  // namespace portsentry
