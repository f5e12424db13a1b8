#include "monitor/override.h"

#include <algorithm>

namespace portsentry::monitor {

BlockModes in_force(const BlockModes& file, const std::optional<Override>& word) {
  if (!word) return file;
  switch (word->mode) {
    case Override::Mode::observe:
      return {BlockMode::observe, BlockMode::observe};
    case Override::Mode::arm:
      break;
  }
  const auto armed = [](BlockMode mode) {
    return mode == BlockMode::observe ? BlockMode::ban : mode;
  };
  return {armed(file.tcp), armed(file.udp)};
}

std::optional<Clock::time_point> reverts_at(const Override& word, Now now) {
  if (word.mode != Override::Mode::arm || !word.confirm_by) return std::nullopt;
  const std::time_t granted = std::max<std::time_t>(*word.confirm_by - word.since, 0);
  // now.wall is never so far from confirm_by that this overflows: the store takes no negative time.
  const std::time_t left =
      now.wall <= 0 ? granted : std::clamp<std::time_t>(*word.confirm_by - now.wall, 0, granted);
  return now.steady + std::chrono::seconds(left);
}

std::optional<Override> after_revert(const BlockModes& file, std::time_t now) {
  const bool arms = file.tcp != BlockMode::observe || file.udp != BlockMode::observe;
  if (!arms) return std::nullopt;
  return Override{.mode = Override::Mode::observe, .since = now, .confirm_by = {}};
}

Confirmation confirmation(const std::optional<Override>& word, std::time_t session_began) {
  if (!word || word->mode != Override::Mode::arm || !word->confirm_by) {
    return Confirmation::nothing_to_confirm;
  }
  // Of the same second nobody knows which came first.
  return session_began > word->since ? Confirmation::confirmed : Confirmation::session_too_old;
}

}  // namespace portsentry::monitor
