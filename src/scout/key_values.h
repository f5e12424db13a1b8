// KEY=VALUE lines, as systemd writes its state files. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace portsentry::scout {

// `line` is called for each line of `text`, without its end. Bytes after the last newline are a line.
void each_line(std::string_view text, const std::function<void(std::string_view line)>& line);

// Without blanks and tabs at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);

// Comments (#), empty lines and lines without "=" are skipped; a pair of double quotes around a value
// is taken off, and nothing else is unescaped: what we look for has no byte that needs it. Nothing
// where a key comes twice: then one of the two was not written by who writes such files.
[[nodiscard]] std::optional<std::map<std::string_view, std::string_view>> key_values(
    std::string_view text);

}  // namespace portsentry::scout
