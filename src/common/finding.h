// One thing to tell the administrator about a file of theirs: what -t and a start that fails print.
// Shared by every reader of configuration text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace portsentry {

enum class Severity : std::uint8_t { warning, error };

// The largest files that are read at all, in bytes: by root, which copies them, and by the monitor,
// which reads the copies.
inline constexpr std::size_t kMaxConfFile = std::size_t{256} * 1024;
inline constexpr std::size_t kMaxIgnoreFile = std::size_t{8} * 1024 * 1024;

// Prints as "FILE:LINE: error: KEY: TEXT" ("warning" for a warning), in the shape that editors and
// grep know from compilers; LINE and KEY are left out where unknown.
struct Finding {
  Severity severity = Severity::error;
  std::string file;
  unsigned line = 0;  // 1-based; 0: no particular line
  std::string key;
  std::string text;
  // True for what -t counts as failure although the daemon starts (an unknown key).
  bool fails_check = false;
  // One line without its newline; printable ASCII whatever the file held.
  [[nodiscard]] std::string print() const;
};

// A reader that has this many findings stops reading: a file of another kind, given by mistake,
// must not cost a message per line.
inline constexpr std::size_t kMaxFindings = 100;

// No error among them.
[[nodiscard]] bool error_free(const std::vector<Finding>& findings);

// `text` with every byte outside printable ASCII as \xNN: what a file holds must not reach a
// terminal or a log as a control sequence.
[[nodiscard]] std::string printable(std::string_view text);

// 'text', printable, and shortened with "..." where it is long.
[[nodiscard]] std::string in_quotes(std::string_view text);

// The member of `words` that `word` was probably meant to be: equal but for case, or the fewest
// edits away, at most one per three letters. Empty when none is near. The first wins a draw.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       const std::vector<std::string_view>& words);

}  // namespace portsentry
