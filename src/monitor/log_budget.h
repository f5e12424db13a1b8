// How much attackers can make us write: at most kPerSource lines a minute about one source and
// kInAll a minute about all of them. What goes beyond is counted, and told once a minute. Pure.
//
// The minute begins with its first line and the next one with the first line after it, so that a
// quiet host needs no timer. Memory is bounded by the budget itself: a source is remembered only
// where its lines were or may be granted, so there are at most twice kInAll of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

#include "common/net_types.h"
#include "monitor/now.h"

namespace portsentry::monitor {

class LogBudget {
 public:
  static constexpr unsigned kPerSource = 20;
  static constexpr unsigned kInAll = 200;
  static constexpr std::chrono::minutes kWindow{1};

  // May `lines` lines about `source` be written? All of them or none.
  bool allow(const Source& source, unsigned lines, Now now);

  // True the first time in this minute for this source and kind of scan: a source that was told
  // about is news again when it tries something else. Where the budget is spent nothing is news.
  bool is_news(const Source& source, ScanKind kind, Now now);

  struct Suppressed {
    std::uint64_t by_source = 0;
    std::uint64_t in_all = 0;
    [[nodiscard]] bool any() const { return by_source != 0 || in_all != 0; }
  };
  // When there is something to tell about lines that were not written; nothing: there is not.
  [[nodiscard]] std::optional<Clock::time_point> summary_due() const;
  // What was suppressed since the last call.
  Suppressed take_summary();

  [[nodiscard]] std::uint64_t suppressed_ever() const { return ever_; }

 private:
  struct Account {
    unsigned lines = 0;
    unsigned kinds = 0;  // one bit per ScanKind
  };
  void roll(Now now);

  std::optional<Clock::time_point> window_start_;
  std::optional<Clock::time_point> first_suppressed_;
  unsigned in_all_ = 0;
  std::map<Source, Account> accounts_;
  Suppressed suppressed_;
  std::uint64_t ever_ = 0;
};

}  // namespace portsentry::monitor
