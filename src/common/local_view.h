// What this host knows about itself: its addresses, the prefixes on its links, its next hops and its
// interfaces, from rtnetlink(7). Each process that judges by it keeps its own copy, fed by its own
// socket. Pure: takes netlink bytes, holds values; the socket is in rtnetlink.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/bytes.h"
#include "common/net_types.h"

namespace portsentry {

class LocalView {
 public:
  // One datagram from a NETLINK_ROUTE socket: any number of RTM_{NEW,DEL}{LINK,ADDR,ROUTE}. Other
  // messages are skipped; malformed ones are counted and skipped. Never fails.
  void apply(Bytes datagram);

  // Forgets everything (before a new dump).
  void clear();

  // Exactly one of this host's addresses, on any interface, loopback included.
  [[nodiscard]] bool is_own(const Address& address) const;
  // In a connected network of one of our interfaces (so that a source there is one host, not a site).
  [[nodiscard]] bool is_on_link(const Address& address) const;
  // An own address, or a next hop, inside `prefix`; the first in address order.
  [[nodiscard]] std::optional<Address> own_inside(const Prefix& prefix) const;
  [[nodiscard]] std::optional<Address> next_hop_inside(const Prefix& prefix) const;
  // The kernel's index (never 0) to name; nothing when unknown.
  [[nodiscard]] std::optional<std::string> interface_name(std::uint32_t index) const;
  [[nodiscard]] std::size_t malformed() const { return malformed_; }

 private:
  struct OwnAddress {
    std::uint32_t interface;
    Address address;
    unsigned prefix_length;
    auto operator<=>(const OwnAddress&) const = default;
  };
  struct NextHop {
    Address gateway;
    std::string route;  // the raw identity of the route, so that deleting one of two keeps the other
    auto operator<=>(const NextHop&) const = default;
  };

  std::set<OwnAddress> own_;
  std::set<NextHop> next_hops_;
  std::map<std::uint32_t, std::string> interfaces_;
  std::size_t malformed_ = 0;
};

}  // namespace portsentry
