// `portsentryctl arm` and `observe`: an administrator's word that stands above what the file says
// about BLOCK_TCP and BLOCK_UDP, and outlives a restart (memory.h, Override). Pure.
//
// Armed "for now" ends by itself at a wall clock's moment, unless it is confirmed from a login session
// that began afterwards: who has locked themselves out cannot confirm. Like a ban it is counted on the
// steady clock, so that a wall clock set back never makes it longer than it was granted.
#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <string>

#include "common/config.h"
#include "monitor/memory.h"
#include "monitor/now.h"

namespace portsentry::monitor {

// BLOCK_TCP and BLOCK_UDP.
struct BlockModes {
  BlockMode tcp = BlockMode::observe;
  BlockMode udp = BlockMode::observe;
  bool operator==(const BlockModes&) const = default;
};
[[nodiscard]] inline BlockModes modes_of(const Config& config) {
  return {config.block_tcp, config.block_udp};
}
inline void set_modes(Config& config, const BlockModes& modes) {
  config.block_tcp = modes.tcp;
  config.block_udp = modes.udp;
}

// What holds where the file says `file`: observing arms nothing, not even commands; arming bans where
// the file only watches.
[[nodiscard]] BlockModes in_force(const BlockModes& file, const std::optional<Override>& word);

// When an unconfirmed arming is over; nothing: never. Never later than it was granted, counted from
// now, whatever the wall clock says.
[[nodiscard]] std::optional<Clock::time_point> reverts_at(const Override& word, Now now);

// What takes the place of an arming that nobody confirmed: the file's word where that arms nothing;
// else observing, so that nobody stays locked out.
[[nodiscard]] std::optional<Override> after_revert(const BlockModes& file, std::time_t now);

// A session that began at `session_began` can confirm `word`.
enum class Confirmation { confirmed, nothing_to_confirm, session_too_old };
[[nodiscard]] Confirmation confirmation(const std::optional<Override>& word,
                                        std::time_t session_began);

// What came of a wish to change the mode, for people.
struct ModeChange {
  enum class Code { done, refused } code;  // refused: nothing has changed
  std::string text;                        // one sentence without its full stop
};

}  // namespace portsentry::monitor
