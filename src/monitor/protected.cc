#include "monitor/protected.h"

namespace portsentry::monitor {

Protection protection(const Prefix& prefix, const LocalView& view) {
  if (!prefix.address().is_routable_unicast()) return Protection::not_unicast;
  if (view.own_inside(prefix)) return Protection::own_address;
  if (view.next_hop_inside(prefix)) return Protection::next_hop;
  return Protection::none;
}

}  // namespace portsentry::monitor
