// How sure a ban is of whom it hits, how long it lasts, and what a source has on its record. Pure.
//
// Only who has proven to be where it says collects offences: each confirmed ban of a proven source is
// one, and makes the next one four times as long, up to BLOCK_TIME_MAX. A forged packet can neither
// lengthen anybody's ban nor put anything on anybody's record.
//
// Bounded: kMaxOffences sources; whose last ban ended longest ago is forgotten first. Ordered, not
// hashed: attackers choose the keys.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "common/config.h"
#include "common/messages.h"

namespace portsentry::monitor {

enum class BanClass : std::uint8_t {
  single,  // packets that anybody could have sent in its name, to few ports
  spread,  // the same, to so many distinct ports that forging them for one victim is work
  proven,  // it took part in a connection, which nobody can do under a borrowed address
};
inline constexpr std::size_t kBanClasses = 3;
inline constexpr std::array<std::string_view, kBanClasses> kBanClassNames{"single", "spread",
                                                                          "proven"};

// From this many distinct ports inside SCAN_WINDOW on.
inline constexpr std::uint32_t kSpreadPorts = 5;

[[nodiscard]] BanClass class_of(Proof proof, std::uint32_t distinct_ports);
[[nodiscard]] inline BanClass class_of(const Detection& detection) {
  return class_of(detection.proof, detection.distinct_ports);
}

// Each offence makes a ban this many times as long.
inline constexpr std::int64_t kEscalation = 4;

// `base` * 4^`offences`, at most `most` and at least `base` (1 s where that is less), whatever the
// three are: nothing overflows.
[[nodiscard]] std::chrono::seconds escalated(std::chrono::seconds base, std::chrono::seconds most,
                                             std::uint32_t offences);

// What a ban of this class lasts by the configuration; `offences` matters for proven ones only.
[[nodiscard]] std::chrono::seconds ban_duration(BanClass how, std::uint32_t offences,
                                                const Config& config);

// `count` halved (rounded down) for each full `quiet` between `last_end` and `now`; unchanged where
// `now` is before that, be it that the ban still runs or that the clock was set back.
[[nodiscard]] std::uint32_t decayed(std::uint32_t count, std::time_t last_end, std::time_t now,
                                    std::chrono::seconds quiet);

class OffenceBook {
 public:
  static constexpr std::size_t kMaxOffences = 65536;

  struct Record {
    std::uint32_t count = 0;   // never 0 in the book
    std::time_t last_end = 0;  // when the last ban ended, or will
    bool operator==(const Record&) const = default;
  };

  // What an earlier run knew.
  void recall(const Source& source, const Record& record);

  // As of `now`; 0: nothing is known. `quiet` is BLOCK_TIME_MAX here and below.
  [[nodiscard]] std::uint32_t count(const Source& source, std::time_t now,
                                    std::chrono::seconds quiet) const;

  // A ban of a proven source was confirmed; it ends at `until`. One offence more.
  const Record& confirmed(const Source& source, std::time_t until, std::time_t now,
                          std::chrono::seconds quiet);
  // The end of its ban is another one than was thought: it was lifted, or made longer. Nothing where
  // it has no record.
  std::optional<Record> ends(const Source& source, std::time_t end);

  // Whom to forget, at most `limit` of them: what decayed to nothing, and what is beyond the bound.
  std::vector<Source> sweep(std::time_t now, std::chrono::seconds quiet, std::size_t limit = 1000);

  [[nodiscard]] std::size_t size() const { return records_.size(); }

 private:
  void put(const Source& source, const Record& record);

  std::map<Source, Record> records_;
  std::set<std::pair<std::time_t, Source>> by_end_;
};

}  // namespace portsentry::monitor
