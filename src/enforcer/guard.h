// Gate three, root's own judgement of what the monitor asks. Pure.
#pragma once

#include <chrono>
#include <span>

#include "common/local_view.h"
#include "common/messages.h"

namespace portsentry::enforcer {

// Verdict::ok, or why `source` is not to be banned for `duration` (0: without expiry), whoever asks. `view`: this
// process's own; null when it is not known or no longer to be trusted, and then nothing is banned.
// `networks`: PROTECT_NETWORKS, by root's own reading of its own file.
// The budget (TokenBucket) and the phases in which a request is legal are the caller's.
[[nodiscard]] Verdict judge(const Source& source, std::chrono::seconds duration,
                            const LocalView* view, std::span<const Prefix> networks);

}  // namespace portsentry::enforcer
