#include "enforcer/exempt.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "enforcer/firewall.h"

namespace portsentry::enforcer {
namespace {

// What Address::is_routable_unicast() and the guard's list of shared prefixes refuse whoever asks.
// This host's own addresses are known to the rules themselves (fib).
constexpr std::array<std::string_view, 8> kNeverBanned{
    "0.0.0.0/8",    "169.254.0.0/16", "240.0.0.0/4", "fe80::/10",
    "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16",   "2001::/32",
};

}  // namespace

ExemptLists exempt_lists(const LocalView& view, std::span<const Prefix> protect,
                         std::span<const Prefix> told) {
  ExemptLists lists;
  view.each_on_link([&lists](const Prefix& network) {
    if (lists.on_link.size() < kMaxExemptWritten / 4) lists.on_link.push_back(network);
  });
  const std::size_t most = kMaxExemptWritten - lists.on_link.size();
  const auto add = [&](const Prefix& network) {
    if (lists.networks.size() < most) {
      lists.networks.push_back(network);
    } else {
      lists.cut = true;
    }
  };
  for (const std::string_view text : kNeverBanned) {
    if (const auto network = Prefix::parse(text)) add(*network);
  }
  view.each_next_hop([&add](const Address& hop) { add(Prefix::host(hop)); });
  view.each_container_network([&add](const Prefix& network, std::uint32_t) { add(network); });
  std::ranges::for_each(protect, add);
  std::ranges::for_each(told, add);
  return lists;
}

}  // namespace portsentry::enforcer
