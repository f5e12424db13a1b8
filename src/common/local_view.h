// What this host knows about itself: its addresses, the prefixes on its links, its next hops and
// its interfaces, from rtnetlink(7). Each process that judges by it keeps its own copy, fed by its
// own socket. Pure: takes netlink bytes, holds values; the socket is in rtnetlink.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/bytes.h"
#include "common/net_types.h"

namespace portsentry {

class LocalView {
 public:
  // One datagram from a NETLINK_ROUTE socket: any number of RTM_{NEW,DEL}{LINK,ADDR,ROUTE,NEXTHOP}.
  // Other messages are skipped; malformed ones are counted and skipped. Never fails.
  void apply(Bytes datagram);

  // Forgets everything (before a new dump).
  void clear();

  // One of this host's addresses, on any interface, loopback included; also any address that the
  // kernel's `local` table hands to this host without one (AnyIP, forwarded cloud addresses,
  // 127/8). Tentative and deprecated addresses count: they are ours.
  [[nodiscard]] bool is_own(const Address& address) const;
  // In a connected network of one of our interfaces (so that a source there is one host, not a
  // site).
  [[nodiscard]] bool is_on_link(const Address& address) const;
  // An own address, or a next hop, inside `prefix`; the first in address order. Next hops are those
  // of every routing table, of multipath routes and of nexthop objects (even unused ones).
  [[nodiscard]] std::optional<Address> own_inside(const Prefix& prefix) const;
  [[nodiscard]] std::optional<Address> next_hop_inside(const Prefix& prefix) const;
  // An address inside `prefix` of a network behind a bridge of this host for containers or virtual
  // machines: one that has no member but such as end on this host (veth, tap) and by which no route
  // with a gateway leaves. A bridge that carries this host's own uplink is a switch like any other,
  // and whoever is behind it a stranger.
  [[nodiscard]] std::optional<Address> container_inside(const Prefix& prefix) const;
  // What the three above know, in the order of addresses; for people to read. One address may come
  // under several lengths.
  void each_own(const std::function<void(const Prefix&)>& visit) const;
  void each_next_hop(const std::function<void(const Address&)>& visit) const;
  void each_container_network(
      const std::function<void(const Prefix&, std::uint32_t interface)>& visit) const;
  // The networks of is_on_link().
  void each_on_link(const std::function<void(const Prefix&)>& visit) const { on_link_.each(visit); }
  // The kernel's index (never 0) to name; nothing when unknown.
  [[nodiscard]] std::optional<std::string> interface_name(std::uint32_t index) const;
  [[nodiscard]] std::size_t malformed() const { return malformed_; }

  // True after an event with which the kernel removes IPv4 routes without a message of their own (a
  // link went down, an address went away). Until a new dump the view holds too many next hops,
  // never too few.
  [[nodiscard]] bool routes_may_be_gone() const { return routes_may_be_gone_; }
  // Every route is about to be told anew, after a clear().
  void expect_all_routes() { routes_may_be_gone_ = false; }

 private:
  void apply_link(Bytes payload, bool added);
  void apply_address(Bytes payload, bool added);
  void apply_route(Bytes payload, bool added, bool replaces);
  void apply_nexthop(Bytes payload, bool added, bool replaces);
  void add_hop(const Address& gateway, std::uint32_t uplink, const std::string& route);
  void remove_hop(const Address& gateway, std::uint32_t uplink, const std::string& route);
  void forget_route(const std::string& route);
  [[nodiscard]] bool is_container_bridge(std::uint32_t index) const;

  // Sorted by address first, so that is_own() is one look-up.
  struct OwnAddress {
    Address address;
    std::uint32_t interface;
    Prefix network;  // what it connects us to: on a point-to-point link, the far end
    auto operator<=>(const OwnAddress&) const = default;
  };
  // Which routes name a gateway, by their raw identity, so that deleting one of two keeps the
  // other. A router with a full table has a million routes by a few gateways: only so many are
  // remembered, and a gateway with more stays protected until the next dump.
  struct NextHop {
    void add(const std::string& route);
    bool remove(const std::string& route);  // true: no route is left
    std::set<std::string> routes;
    bool too_many = false;
  };
  static constexpr std::size_t kRoutesPerHop = 64;

  // Prefixes by length, each with what vouches for it (the raw identity of an address or a route).
  // A host has few distinct lengths: "is it in one of these?" is a handful of look-ups, and the
  // kernel may tell one thing twice.
  class Networks {
   public:
    void add(const Prefix& prefix, const std::string& voucher);
    void remove(const Prefix& prefix, const std::string& voucher);
    [[nodiscard]] bool contains(const Address& address) const;
    // The lowest address that is both in `prefix` and in one of these.
    [[nodiscard]] std::optional<Address> lowest_in(const Prefix& prefix) const;
    void each(const std::function<void(const Prefix&)>& visit) const;

   private:
    std::map<unsigned, std::map<Prefix, std::set<std::string>>> by_length_;
  };

  std::set<OwnAddress> own_;
  Networks on_link_;
  Networks local_;
  std::map<Address, NextHop> next_hops_;
  // The same by interface: by which of them a route with a gateway leaves.
  std::map<std::uint32_t, NextHop> uplinks_;
  struct Interface {
    std::string name;
    std::string kind;  // of a virtual one: "bridge", "veth"; empty: hardware, or nothing said
    std::uint32_t master = 0;  // whose member it is; 0: nobody's
  };
  std::map<std::uint32_t, Interface> interfaces_;
  std::size_t malformed_ = 0;
  bool routes_may_be_gone_ = false;
};

}  // namespace portsentry
