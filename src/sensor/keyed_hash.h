// SipHash-2-4 (Aumasson, Bernstein 2012): for tables whose keys an attacker chooses. Without the
// key, which is drawn anew by each process, nobody can find keys that fall into one bucket. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "common/net_types.h"

namespace portsentry::sensor {

struct HashKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};

// Of a sequence of 64-bit words (each hashed as its eight bytes, little-endian first).
[[nodiscard]] std::uint64_t keyed_hash(const HashKey& key,
                                       std::initializer_list<std::uint64_t> words);

// An address as two words for the above; an IPv4 address never equals an IPv6 one (v4-mapped form,
// which no Address of ours has).
struct AddressWords {
  std::uint64_t high;
  std::uint64_t low;
};
[[nodiscard]] AddressWords words_of(const Address& address);

}  // namespace portsentry::sensor
