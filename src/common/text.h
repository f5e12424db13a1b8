// Text that people wrote, or that came from somebody we do not know, and that is shown on a terminal or
// written to a log: what may be in it. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace portsentry {

// True for UTF-8 (RFC 3629: shortest form, no surrogates, nothing above U+10FFFF) of at most `cap`
// bytes in which nothing can end a line, move a cursor or turn the direction of writing: no C0 or C1
// control, no DEL, no line or paragraph separator (U+2028, U+2029), none of the bidirectional controls
// (UAX #9), no byte order mark.
[[nodiscard]] bool is_plain_text(std::string_view text, std::size_t cap);

// The same text with "?" for each byte that is_plain_text would refuse, cut at `cap` bytes and never
// inside a character.
[[nodiscard]] std::string plain_text(std::string_view text, std::size_t cap);

}  // namespace portsentry
