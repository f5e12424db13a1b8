// `list`, `why`, `ban`, `unban` and `flush`: what is banned, and the answers to a change. Pure.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "common/control_messages.h"
#include "ctl/table.h"

namespace portsentry::ctl {

// Permanent bans come last, in a table of their own.
[[nodiscard]] std::string list_text(const std::vector<BanShown>& bans, std::time_t now,
                                    const Layout& layout);
// A source a line and nothing else: for scripts and completions.
[[nodiscard]] std::string list_plain(const std::vector<BanShown>& bans);
[[nodiscard]] std::string list_json(const std::vector<BanShown>& bans);

[[nodiscard]] std::string why_text(const WhyReply& why, std::time_t now, const Layout& layout);
[[nodiscard]] std::string why_json(const WhyReply& why);

[[nodiscard]] std::string ban_text(const BanDone& done, std::time_t now, const Layout& layout);
[[nodiscard]] std::string ban_json(const BanDone& done);

[[nodiscard]] std::string unban_text(const UnbanDone& done, const Layout& layout);
// `verb`: "unban" or "flush".
[[nodiscard]] std::string unban_json(std::string_view verb, const UnbanDone& done);

}  // namespace portsentry::ctl
