// When the owner's own commands run: EXTERNAL_COMMAND and KILL_RUN_CMD each once per source and
// scan, and each at most ten times a minute. Pure.
//
// A scan is what one source does without a pause of kScanGap. (Not what the sensor calls `first`:
// a sensor that follows another one begins to count anew.) A ban that ends ends the scan as well:
// whoever is banned again has scanned again.
//
// Bounded: kMaxScans sources; where there are more, the one that was quiet for longest is
// forgotten, and its next probe is a new scan. The budget bounds what that can cost.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/messages.h"
#include "monitor/now.h"

namespace portsentry::monitor {

class Hooks {
 public:
  static constexpr std::chrono::minutes kScanGap{10};
  static constexpr std::size_t kMaxScans = 4096;
  static constexpr std::size_t kPerWindow = 10;
  // The launcher counts ten a minute on its own clock, a moment later than we do; a second more
  // keeps it from refusing what is granted here.
  static constexpr std::chrono::seconds kWindow{61};

  enum class Kind : std::uint8_t { external, run_cmd };
  enum class Answer : std::uint8_t { run, same_scan, over_budget };

  // `source` was seen; may its command run now? `run` is to be followed by running it.
  Answer may_run(Kind kind, const Source& source, Now now);
  // Its scan goes on, and nothing is to run for it.
  void seen(const Source& source, Now now);
  void scan_over(const Source& source);

  // When there is something to tell about commands that were over the budget; and what.
  [[nodiscard]] std::optional<Clock::time_point> summary_due() const;
  std::uint64_t take_summary();

 private:
  struct Scan {
    Clock::time_point last;
    std::uint8_t ran = 0;  // one bit per Kind
  };
  Scan& touch(const Source& source, Now now);

  std::map<Source, Scan> scans_;
  std::set<std::pair<Clock::time_point, Source>> by_age_;
  std::array<std::deque<Clock::time_point>, 2> recent_;
  std::optional<Clock::time_point> first_refused_;
  std::uint64_t refused_ = 0;
};

}  // namespace portsentry::monitor
