// What the sensor has seen, across an orderly stop: its evidence as it hands it over, kept in wall
// clock time, and given to the first sensor of the next run. A slow scanner does not begin anew
// because we were upgraded. Pure.
//
// At most kMost sources, those with the most ports; a flood of forged sources fills it only with
// what is left by those.
#pragma once

#include <cstddef>
#include <ctime>
#include <map>
#include <vector>

#include "common/messages.h"
#include "monitor/memory.h"

namespace portsentry::monitor {

class ScoreBook {
 public:
  static constexpr std::size_t kMost = 4096;

  // One message of the sensor's; a source may come in several.
  void add(const Evidence& evidence, std::time_t wall);
  // All that was added, the most incriminated first, at most kMost.
  [[nodiscard]] std::vector<Score> take();

 private:
  [[nodiscard]] std::vector<Score> strongest();

  std::map<Source, Score> scores_;
};

// As the next sensor is told, `wall` being now. A touch whose time is yet to come (the clock was set
// back) happened just now; one that is older than any window is left out. Nothing: none is left.
[[nodiscard]] std::vector<Evidence> as_evidence(const std::vector<Score>& scores, std::time_t wall);

}  // namespace portsentry::monitor
