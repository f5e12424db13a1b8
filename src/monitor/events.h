// What is written down of a scan and of what came of it, so that somebody can ask for it later
// (memory.h, Event), and how much of it a flood may write. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/event_loop.h"
#include "common/messages.h"
#include "monitor/memory.h"
#include "monitor/offences.h"

namespace portsentry::monitor {

// "TCP 23 SYN, TCP 80, UDP 161": the probe with its kind, and then the ports that the source touched
// before. Our own words and numbers only.
[[nodiscard]] std::string touched(const Detection& detection);

// What touched() said, read back from a detail as it is stored, whatever stands in front of it; the
// probe itself first. Empty where it says no such thing (an event about no probe, an older wording).
struct TouchedPort {
  Protocol protocol;
  Port port;
  bool operator==(const TouchedPort&) const = default;
};
[[nodiscard]] std::vector<TouchedPort> read_touched(std::string_view detail);

// One word: "SYN", "connect".
[[nodiscard]] std::string_view short_name(ScanKind kind);

// An event about this detection, without an end. `subject`: whom it is about, which is less than the
// detection's source where a ban was narrowed. `why` is followed by what was touched.
[[nodiscard]] Event event_of(EventKind kind, const Detection& detection, const Source& subject,
                             std::string_view why, std::time_t now);

// Single forged packets cost their sender nothing: few of the events that tell no more than one of
// them are kept each second, and the others are counted. The other classes have room of their own.
class EventBudget {
 public:
  static constexpr unsigned kSingle = 20;  // a second
  static constexpr unsigned kOther = 200;  // a second, of both other classes

  [[nodiscard]] bool take(BanClass how, Clock::time_point now);
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }  // ever

 private:
  struct Second {
    Clock::time_point began{};
    unsigned taken = 0;
  };
  Second single_;
  Second other_;
  std::uint64_t left_out_ = 0;
};

}  // namespace portsentry::monitor
