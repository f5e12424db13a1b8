#include "common/watch.h"

#include <algorithm>

#include "common/config.h"

namespace portsentry {

WatchOrders watch_orders(const Config& config, const EphemeralPorts& ephemeral) {
  WatchOrders orders;
  orders.capture = config.watched_capture();
  orders.bind = config.watched_bind();
  orders.ephemeral = ephemeral;
  const std::string_view banner = std::string_view(config.port_banner).substr(0, kMaxBanner);
  std::copy(banner.begin(), banner.end(), orders.banner.begin());
  orders.banner_size = static_cast<std::uint16_t>(banner.size());
  return orders;
}

}  // namespace portsentry
