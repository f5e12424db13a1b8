// A set of ports as one bit each: 8 KiB, constant-time lookup, the same cost for 20 ports as for
// all 65,535. Root writes a PortSets into a sealed memfd; the sensor reads it back.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/net_types.h"

namespace portsentry {

class PortSet {
 public:
  void add(Port port) { bits_.set(port.number()); }
  void add_range(Port first, Port last) {
    for (std::uint32_t n = first.number(); n <= last.number(); ++n)
      bits_.set(n);
  }
  void remove(Port port) { bits_.reset(port.number()); }
  void remove(const PortSet& others) { bits_ &= ~others.bits_; }
  [[nodiscard]] bool contains(Port port) const { return bits_.test(port.number()); }
  [[nodiscard]] std::size_t size() const { return bits_.count(); }
  [[nodiscard]] bool empty() const { return bits_.none(); }
  // The fewest ranges that hold the same ports, in order.
  [[nodiscard]] std::vector<std::pair<Port, Port>> ranges() const {
    std::vector<std::pair<Port, Port>> found;
    for (std::uint32_t n = 1; n < bits_.size(); ++n) {
      const auto port = Port::make(n);
      if (!port || !contains(*port)) continue;
      if (n > 1 && bits_.test(n - 1)) {
        found.back().second = *port;
      } else {
        found.emplace_back(*port, *port);
      }
    }
    return found;
  }
  bool operator==(const PortSet&) const = default;

 private:
  std::bitset<65536> bits_;
};

static_assert(sizeof(PortSet) == 8192 && std::is_trivially_copyable_v<PortSet>);

// What the configuration allows to be watched. Trivially copyable: its bytes are the memfd's bytes,
// written and read by the same build on the same machine.
struct PortSets {
  PortSet tcp;
  PortSet udp;
  [[nodiscard]] const PortSet& of(Protocol p) const { return p == Protocol::tcp ? tcp : udp; }
  [[nodiscard]] bool empty() const { return tcp.empty() && udp.empty(); }
  bool operator==(const PortSets&) const = default;
};

}  // namespace portsentry
