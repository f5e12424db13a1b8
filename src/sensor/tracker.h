// Who touched how many of our ports: counts distinct (protocol, port) pairs per Source inside a
// sliding window, and says when that is worth a report. Pure: `now` comes in, verdicts go out.
// Memory and time are bounded, and who is forgotten first is decided, in evidence.h: two tables,
// one per address family, so that an IPv6 flood cannot make us forget IPv4 scanners.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/counters.h"
#include "common/event_loop.h"
#include "common/messages.h"
#include "common/net_types.h"
#include "sensor/evidence.h"
#include "sensor/keyed_hash.h"

namespace portsentry::sensor {

class Tracker {
 public:
  struct Settings {
    std::uint32_t trigger;        // 1..kMaxTrigger: the N-th distinct port is reported
    std::chrono::seconds window;  // a hit older than this no longer counts; 1 s .. kMaxBan
    std::uint32_t max_sources;    // 16..kMaxSources, per address family
    HashKey seed;                 // secret and random: attackers choose the keys
  };

  enum class Verdict : std::uint8_t {
    counted,       // a port not touched before, still below the trigger
    repeated,      // a port touched before (a retransmission), still below the trigger
    report_first,  // the trigger is reached: report it
    report_again,  // a later hit, on any port, of a source that stayed above the trigger: report it
    // Either of these, but less than kReportInterval after the source's last report of that protocol
    // (and not the first that tells of kSpread ports, which does not wait).
    withheld,
  };

  // So many ports, and an accident is out of the question. (The monitor has a class, and a budget,
  // of its own for such sources: this is the same number.)
  static constexpr std::uint32_t kSpread = 5;

  struct Hit {
    Verdict verdict;
    // Inside the window, this hit included. Stops growing at kMaxTrigger; earlier, but never below
    // the trigger and kSpread, when many sources share the memory.
    std::uint32_t distinct_ports;
    bool repeated;  // this port was touched before
    // A report less than kReportInterval after the last: it tells of kSpread ports, or is awaited.
    bool early = false;
  };

  static constexpr Clock::duration kReportInterval = std::chrono::seconds(1);

  explicit Tracker(const Settings& settings);

  // One probe. Counts probes or (a port touched before) repeated, and updates_withheld, evicted.
  // `at_once`: somebody waits for its report, which is never withheld.
  Hit add(const Source& source, Protocol protocol, Port port, Clock::time_point now,
          SensorTally& tally, bool at_once = false);

  // The report just asked for did not get through: the source's next hit reports again, without
  // waiting, as `first` if it was. Nothing happens if the source has been forgotten meanwhile.
  void not_delivered(const Source& source);

  // Something withheld is reported now after all: how many distinct ports there are. Nothing: the
  // source has been forgotten or reported meanwhile, or is below the trigger again.
  std::optional<std::uint32_t> late(const Source& source, Protocol protocol, Clock::time_point now);

  // What a report tells beside its own probe (Detection::touches).
  [[nodiscard]] std::vector<Touch> others(const Detection& detection, Clock::time_point now);

  // What is remembered, for a successor: one source after the other, IPv4 first, with its ages at
  // `now`; nothing at the end. Begins at the first call; after that no hit may be added.
  [[nodiscard]] std::optional<Evidence> hand_over(Clock::time_point now);

  // What a predecessor remembered. The number of distinct ports, where these bring the source to
  // the trigger and that has not been reported.
  std::optional<std::uint32_t> merge(const Evidence& evidence, Clock::time_point now,
                                     SensorTally& tally);

  // What merge() found was reported, as `first`.
  void reported(const Source& source, Protocol protocol, Clock::time_point now);

  // Distinct ports that are remembered of it; those that fell out of the window since its last hit
  // still among them.
  [[nodiscard]] std::uint32_t ports_of(const Source& source) {
    return table_of(source).ports_of(source);
  }
  // Whether a report told of kSpread ports of it, since it reached them.
  [[nodiscard]] bool told_of_many(const Source& source) {
    return table_of(source).told_of_many(source);
  }

  [[nodiscard]] std::size_t tracked(bool v4) const;
  // Reserved for both families.
  [[nodiscard]] std::size_t bytes() const;

 private:
  static void note_report(EvidenceTable::Reports& reports, Protocol protocol,
                          std::uint32_t distinct, bool first, Clock::time_point now);

  EvidenceTable& table_of(const Source& source) { return source.is_v4() ? v4_ : v6_; }

  std::uint32_t trigger_;
  std::optional<EvidenceTable::Cursor> walk4_;  // once handing over
  std::optional<EvidenceTable::Cursor> walk6_;
  EvidenceTable v4_;
  EvidenceTable v6_;
};

}  // namespace portsentry::sensor
