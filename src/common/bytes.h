// Reading bytes that an attacker wrote. A ByteReader never reads past its span and never casts
// memory to a struct: each read either yields a value or nothing. Big-endian unless the name says
// so.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace portsentry {

using Bytes = std::span<const std::byte>;

class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : rest_(bytes) {}

  [[nodiscard]] Bytes rest() const { return rest_; }
  [[nodiscard]] std::size_t remaining() const { return rest_.size(); }

  // The next `count` bytes, as a view into the original span; nothing when fewer remain.
  [[nodiscard]] std::optional<Bytes> take(std::size_t count) {
    if (count > rest_.size()) return std::nullopt;
    const Bytes head = rest_.first(count);
    rest_ = rest_.subspan(count);
    return head;
  }

  [[nodiscard]] std::optional<std::uint8_t> u8() { return number<std::uint8_t>(); }
  [[nodiscard]] std::optional<std::uint16_t> u16() { return number<std::uint16_t>(); }
  [[nodiscard]] std::optional<std::uint32_t> u32() { return number<std::uint32_t>(); }

  [[nodiscard]] bool skip(std::size_t count) { return take(count).has_value(); }

 private:
  template <class T>
  std::optional<T> number() {
    const auto raw = take(sizeof(T));
    if (!raw) return std::nullopt;
    T value = 0;
    for (const std::byte b : *raw)
      value = static_cast<T>((value << 8) | std::to_integer<T>(b));
    return value;
  }

  Bytes rest_;
};

}  // namespace portsentry
