#include "enforcer/address_ranges.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace portsentry::enforcer {
namespace {

// The address after the last one of `network`.
std::optional<Address> behind(const Prefix& network) {
  const Bytes first = network.address().bytes();
  std::array<std::byte, 16> bytes{};
  std::copy(first.begin(), first.end(), bytes.begin());
  // One is added to the network's last bit, and carried.
  unsigned bit = network.length();
  while (bit > 0) {
    bit -= 1;
    const auto mask = static_cast<std::byte>(0x80U >> (bit % 8));
    bytes.at(bit / 8) ^= mask;
    if ((bytes.at(bit / 8) & mask) != std::byte{0})
      return Address::from_bytes(std::span(bytes).first(first.size()));
  }
  return std::nullopt;
}

}  // namespace

std::vector<AddressRange> address_ranges(std::span<const Prefix> networks, bool v4) {
  std::vector<Prefix> sorted;
  std::ranges::copy_if(networks, std::back_inserter(sorted),
                       [v4](const Prefix& network) { return network.address().is_v4() == v4; });
  std::ranges::sort(sorted);
  std::vector<AddressRange> ranges;
  for (const Prefix& network : sorted) {
    const auto end = behind(network);
    // What ends with the last address takes in everything that follows.
    const bool joins =
        !ranges.empty() && (!ranges.back().behind || network.address() <= *ranges.back().behind);
    if (!joins) {
      ranges.push_back({network.address(), end});
    } else if (ranges.back().behind && (!end || *end > *ranges.back().behind)) {
      ranges.back().behind = end;
    }
  }
  return ranges;
}

}  // namespace portsentry::enforcer
