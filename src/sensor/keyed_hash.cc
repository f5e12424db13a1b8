#include "sensor/keyed_hash.h"

#include <bit>

namespace portsentry::sensor {
namespace {

struct State {
  std::uint64_t a, b, c, d;

  void round() {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32) + d;
    c += b;
    d = std::rotl(d, 21) ^ a;
    b = std::rotl(b, 17) ^ c;
    c = std::rotl(c, 32);
  }

  void absorb(std::uint64_t word) {
    d ^= word;
    round();
    round();
    a ^= word;
  }
};

std::uint64_t word_of(Bytes bytes) {
  std::uint64_t word = 0;
  for (const std::byte b : bytes)
    word = (word << 8) | std::to_integer<std::uint64_t>(b);
  return word;
}

}  // namespace

std::uint64_t keyed_hash(const HashKey& key, std::initializer_list<std::uint64_t> words) {
  // The constants are the paper's: "somepseudorandomlygeneratedbytes".
  State state{key.low ^ 0x736f6d6570736575, key.high ^ 0x646f72616e646f6d,
              key.low ^ 0x6c7967656e657261, key.high ^ 0x7465646279746573};
  for (const std::uint64_t word : words)
    state.absorb(word);
  // The message's length in bytes, in the top byte of a last word that holds no more of it.
  state.absorb(static_cast<std::uint64_t>(words.size() * 8) << 56);
  state.c ^= 0xff;
  for (int i = 0; i < 4; ++i)
    state.round();
  return state.a ^ state.b ^ state.c ^ state.d;
}

AddressWords words_of(const Address& address) {
  const Bytes bytes = address.bytes();
  if (address.is_v4()) return {0, 0xffff'0000'0000 | word_of(bytes)};
  return {word_of(bytes.first(8)), word_of(bytes.last(8))};
}

}  // namespace portsentry::sensor
