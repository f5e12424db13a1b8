#include "resolver/escape.h"

#include "common/messages.h"

namespace portsentry::resolver {

std::string escape_host_name(std::string_view name) {
  std::string text;
  for (const char c : name) {
    std::string piece(1, c);
    if (!is_host_name_byte(c)) {
      const std::string number = std::to_string(static_cast<unsigned char>(c));
      piece = "\\" + std::string(3 - number.size(), '0') + number;
    }
    if (text.size() + piece.size() > kMaxHostName) break;
    text += piece;
  }
  return text;
}

}  // namespace portsentry::resolver
