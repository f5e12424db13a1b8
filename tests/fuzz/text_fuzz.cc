// Text that a user gave, or a stranger, on its way to a terminal. Promise: what comes out is plain and
// within its cap, and what was plain comes out as it was.
#include "common/text.h"

#include <string_view>

#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  if (size == 0) return 0;
  const std::size_t cap = data[0];
  const std::string_view text = fuzz::as_text(data, size).substr(1);
  const std::string shown = plain_text(text, cap);
  fuzz::require(is_plain_text(shown, cap), "what is shown is plain, and not longer than its cap");
  if (is_plain_text(text, cap)) fuzz::require(shown == text, "what is plain stays as it is");
  for (const char c : shown)
    fuzz::require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f,
                  "no control reaches a terminal");
  return 0;
}
