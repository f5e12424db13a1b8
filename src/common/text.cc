#include "common/text.h"

#include <cstdint>

namespace portsentry {
namespace {

constexpr bool harmless(std::uint32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;  // C0, DEL, C1
  if (code == 0x061c || code == 0x200e || code == 0x200f) return false;
  if (code >= 0x2028 && code <= 0x202e) return false;  // separators, embeddings, overrides
  if (code >= 0x2066 && code <= 0x2069) return false;  // isolates
  return code != 0xfeff;
}

// How many bytes the harmless character at the front has; 0: there is none.
std::size_t character(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = at(0);
  std::size_t size = 0;
  std::uint32_t code = 0;
  std::uint32_t least = 0;
  if (lead < 0x80) return harmless(lead) ? 1 : 0;
  if ((lead & 0xe0U) == 0xc0U) {
    size = 2, code = lead & 0x1fU, least = 0x80;
  } else if ((lead & 0xf0U) == 0xe0U) {
    size = 3, code = lead & 0x0fU, least = 0x800;
  } else if ((lead & 0xf8U) == 0xf0U) {
    size = 4, code = lead & 0x07U, least = 0x10000;
  } else {
    return 0;
  }
  if (text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0U) != 0x80U) return 0;
    code = (code << 6U) | (at(i) & 0x3fU);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code >= least && code <= 0x10ffff && !surrogate && harmless(code) ? size : 0;
}

}  // namespace

bool is_plain_text(std::string_view text, std::size_t cap) {
  if (text.size() > cap) return false;
  while (!text.empty()) {
    const std::size_t size = character(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string plain_text(std::string_view text, std::size_t cap) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = character(text);
    const std::string_view next = size == 0 ? std::string_view("?") : text.substr(0, size);
    if (out.size() + next.size() > cap) break;
    out += next;
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

}  // namespace portsentry
