// `arm`, `confirm`, `observe`, `follow` and `reload`: what changes how the daemon works. Pure.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "common/control_messages.h"
#include "ctl/table.h"

namespace portsentry::ctl {

// With what has to be done next, where something has.
[[nodiscard]] std::string mode_text(const ModeDone& done, std::time_t now, const Layout& layout);
[[nodiscard]] std::string mode_json(std::string_view verb, const ModeDone& done);

// Why `confirm` cannot work from here, and from where it can.
[[nodiscard]] std::string_view no_session_advice();

[[nodiscard]] std::string reload_text(const ReloadDone& done, const Layout& layout);
[[nodiscard]] std::string reload_json(const ReloadDone& done);

}  // namespace portsentry::ctl
