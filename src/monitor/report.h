// Who was banned, or would have been, and why, by source: what `portsentryctl report` shows, made
// from the events that the store has. Pure.
//
// Bounded: kMaxSources sources; of those beyond, only the number of events is known. The events come
// newest first, so these are the oldest.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "monitor/memory.h"
#include "monitor/offences.h"

namespace portsentry::monitor {

class Report {
 public:
  static constexpr std::size_t kMaxSources = 4096;

  struct Row {
    Source source;
    EventKind outcome;                // the most telling: banned, would_ban, refused, detected
    BanClass how = BanClass::single;  // the strongest
    Proof proof = Proof::forgeable;   // as above
    std::uint64_t times = 0;          // events
    std::time_t first = 0;
    std::time_t last = 0;
    std::uint32_t distinct_ports = 0;              // the most in one event
    std::optional<std::chrono::seconds> ban_time;  // the longest that it got or would have got
    std::string detail;                            // of the newest event of that outcome
  };

  // In the order newest first. Events of other kinds than a Row's outcomes change nothing.
  void add(const Event& event);

  // At most `limit`, in the order of their sources; those after `after`, where that is given.
  [[nodiscard]] std::vector<Row> rows(std::size_t limit,
                                      const std::optional<Source>& after = std::nullopt) const;
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

 private:
  std::map<Source, Row> rows_;
  std::uint64_t left_out_ = 0;
};

}  // namespace portsentry::monitor
