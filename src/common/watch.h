// What root orders a sensor to watch: the content of the sealed memfd that each sensor is born with
// (descriptor 4). The monitor's configuration can only narrow it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "common/ephemeral.h"
#include "common/port_set.h"

namespace portsentry {

struct Config;

inline constexpr std::size_t kMaxBanner = 1023;  // bytes of PORT_BANNER, as in 1.2 and 2.x

// Trivially copyable: its bytes are the memfd's bytes, written and read by the same build on the
// same machine. Without padding: equal bytes are equal orders, which a reload asks.
struct WatchOrders {
  PortSets capture;               // probes of these are looked for in arriving packets
  PortSets bind;                  // a socket of ours answers on these
  EphemeralPorts ephemeral;       // what comes there is as a rule an answer to this host
  std::uint16_t banner_size = 0;  // 0..kMaxBanner; 0: none is sent
  // What a bound socket says to who has scanned; sent as it stands. The rest is zero.
  std::array<char, kMaxBanner + 3> banner{};

  // A size beyond kMaxBanner, which root never writes, is cut.
  [[nodiscard]] std::string_view banner_text() const {
    return std::string_view(banner.data(), banner.size())
        .substr(0, banner_size < kMaxBanner ? banner_size : kMaxBanner);
  }
  bool operator==(const WatchOrders&) const = default;
};

static_assert(std::is_trivially_copyable_v<WatchOrders> &&
              std::has_unique_object_representations_v<WatchOrders>);

// What `config` comes to on a host with these `ephemeral` ports.
[[nodiscard]] WatchOrders watch_orders(const Config& config, const EphemeralPorts& ephemeral = {});

}  // namespace portsentry
