// What `portsentryctl why` tells of one address. Plain values and our own words.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>

#include "monitor/bans.h"
#include "monitor/evidence_book.h"

namespace portsentry::monitor {

struct Explanation {
  // The ban that covers it, in whatever state.
  std::optional<std::pair<Source, Bans::Ban>> ban;
  // Who is held responsible, and what is known against them; nothing: nothing is.
  std::optional<std::pair<Source, EvidenceBook::Entry>> evidence;
  std::uint32_t offences = 0;  // bans on proof that count against it now
  std::string reason;          // the last decision, for people; empty: there was none
  std::string undo;            // what ends the ban; empty: there is none
  [[nodiscard]] bool anything() const { return ban || evidence || offences > 0; }
};

}  // namespace portsentry::monitor
