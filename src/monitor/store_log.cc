#include "monitor/store_log.h"

#include <array>
#include <cstdint>

namespace portsentry::monitor {
namespace {

constexpr std::size_t kHeader = 32;
constexpr std::size_t kFrameHeader = 24;

using Bytes = std::span<const std::byte>;

std::uint32_t word(Bytes bytes, std::size_t at, bool big_endian) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto byte = std::to_integer<std::uint32_t>(bytes[at + i]);
    value |= byte << (8 * (big_endian ? 3 - i : i));
  }
  return value;
}

struct Sum {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  bool operator==(const Sum&) const = default;
};

// Over whole pairs of words.
Sum add(Sum sum, Bytes bytes, bool big_endian) {
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    sum.first += word(bytes, at, big_endian) + sum.second;
    sum.second += word(bytes, at + 4, big_endian) + sum.first;
  }
  return sum;
}

}  // namespace

LogReading read_log(Bytes log) {
  LogReading reading;
  if (log.size() < kHeader) return reading;
  const std::uint32_t magic = word(log, 0, true);
  const std::size_t page = word(log, 8, true);
  if ((magic | 1U) != 0x377f0683 || page < 512 || page > 65536 || (page & (page - 1)) != 0)
    return reading;
  const bool big_endian = (magic & 1U) != 0;
  const std::array salts{word(log, 16, true), word(log, 20, true)};
  Sum sum = add({}, log.first(24), big_endian);
  bool whole = sum == Sum{word(log, 24, true), word(log, 28, true)};
  log = log.subspan(kHeader);
  while (log.size() >= kFrameHeader + page) {
    const Bytes frame = log.first(kFrameHeader + page);
    log = log.subspan(kFrameHeader + page);
    // Of a log that was begun anew since.
    const bool ours = word(frame, 8, true) == salts[0] && word(frame, 12, true) == salts[1];
    const bool ends = word(frame, 4, true) != 0;
    if (whole) {
      sum = add(sum, frame.first(8), big_endian);
      sum = add(sum, frame.subspan(kFrameHeader), big_endian);
      whole = ours && sum == Sum{word(frame, 16, true), word(frame, 20, true)};
    }
    if (ours && ends) (whole ? reading.commits : reading.lost) += 1;
  }
  return reading;
}

}  // namespace portsentry::monitor
