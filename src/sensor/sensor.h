// The sensor's pipeline for one packet: parse, put together, ask every question that could acquit
// it, and only then count it against its source; and shorter ones for whoever reached a socket of
// ours, and for what the kernel's traps tell of. Every "no" has a row in counters.h. No socket and no
// clock in here: the kernel's answer and the way to the monitor are passed in, `now` with each packet.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/counters.h"
#include "common/event_loop.h"
#include "common/local_view.h"
#include "common/messages.h"
#include "common/port_set.h"
#include "sensor/bound.h"
#include "sensor/fragments.h"
#include "sensor/frame.h"
#include "sensor/late_reports.h"
#include "sensor/own_flows.h"
#include "sensor/packet.h"
#include "sensor/proof.h"
#include "sensor/rate_budget.h"
#include "sensor/service_lookup.h"
#include "sensor/tracker.h"
#include "sensor/trap_message.h"

namespace portsentry::sensor {

class Sensor {
 public:
  // What reaches outside.
  struct Edges {
    std::function<Wanted(const Segment& packet, std::uint32_t interface)> ask;
    std::function<bool(const Detection&)> report;       // true: it is on its way
    std::function<bool(const Acquitted&)> acquit = {};  // likewise; for trapped()
  };

  // `ports`: probes of which root lets us look for; the configuration can only narrow it. `seed`:
  // secret and random.
  // `born`: when it begins to look; `ephemeral`: this host's (own_flows.h).
  Sensor(const PortSets& ports, const SensorConfig& config, const HashKey& seed, Edges edges,
         Clock::time_point born = {}, const EphemeralPorts& ephemeral = {});

  void frame(const Frame& frame, const LocalView& view, Clock::time_point now);

  // A packet of which the kernel's traps told: no socket wants it, no flow of ours explains it, and it
  // is for us. None of that is asked again. Whatever comes of one that is held is told: a detection
  // that says so, or that it came to nothing.
  void trapped(const Trapped& trapped, const LocalView& view, Clock::time_point now);
  // The same, of one that we do not look at, because the capture shows it.
  void ignore(const Trapped& trapped);
  // Judges halves of headers whose other half did not come. Call it FragmentTable::kLifetime after
  // a frame, as long as this is true.
  [[nodiscard]] bool waits_for_fragments() const { return !fragments_.empty(); }
  void judge_overdue(const LocalView& view, Clock::time_point now);

  // Somebody reached a socket of ours. True: the other side has earned the banner. By TCP that is
  // whoever stands at the trigger or above. A datagram's sender may be forged, and the banner be
  // larger than what asked for it: it goes out with a report only, once a second to each source.
  bool contact(const Contact& contact, const LocalView& view, Clock::time_point now);

  // When tick() has something to do.
  [[nodiscard]] std::optional<Clock::time_point> late_at() const { return late_.due(); }
  // Tells what was withheld for a second, and is still news.
  void tick(Clock::time_point now);

  // An address that somebody should ask the kernel about (proof.h), by and by: is it connected to a
  // service of ours? Then answered().
  [[nodiscard]] std::optional<Clock::time_point> question_at() const { return proofs_.ready_at(); }
  [[nodiscard]] std::optional<Address> next_question(Clock::time_point now);
  void answered(bool connected, Clock::time_point now);

  // Look-ups are short: somebody should list the ports that are bound here, which were so at
  // `asked`. Nothing: the kernel did not tell.
  [[nodiscard]] bool wants_list(Clock::time_point now) const;
  void listed(const std::optional<PortSets>& bound, Clock::time_point asked, Clock::time_point now);

  // From this sensor, which judges nothing from then on, to its successor (see tracker.h).
  [[nodiscard]] std::optional<Evidence> hand_over(Clock::time_point now) {
    return tracker_.hand_over(now);
  }
  void merge(const Evidence& evidence, Clock::time_point now);

  [[nodiscard]] const SensorTally& tally() const { return tally_; }
  void add_failed_contacts(unsigned count) { tally_.add(SensorCounter::contact_failed, count); }
  // Packets that were lost before they got here, in all.
  void set_kernel_dropped(std::uint64_t count) { tally_.set(SensorCounter::kernel_dropped, count); }
  void set_capture_busy(std::uint64_t count) { tally_.set(SensorCounter::capture_busy, count); }
  void set_trap_lost(std::uint64_t count) { tally_.set(SensorCounter::trap_lost, count); }

 private:
  void remember_outgoing(const Frame& frame, Clock::time_point now);
  [[nodiscard]] bool on_watched_interface(const Frame& frame, const LocalView& view) const;
  std::vector<Segment> segments(const Frame& frame, Clock::time_point now);
  void judge(const Segment& packet, std::uint32_t interface, const LocalView& view,
             Clock::time_point now);
  struct Judgement {
    std::optional<SensorCounter> excuse;  // nothing: it counts
    // The kernel itself said that nobody here wants this packet. Without that it is counted, and not
    // told: some service may be older than our list.
    bool certain = true;
  };
  Judgement judgement(const Segment& packet, std::uint32_t interface, const LocalView& view,
                      Clock::time_point now);
  Judgement service_judgement(const Segment& packet, Port port, std::uint32_t interface,
                              const LocalView& view, Clock::time_point now);
  [[nodiscard]] bool on_list(Protocol protocol, Port port, Clock::time_point now) const;
  [[nodiscard]] std::optional<SensorCounter> why_not(const Contact& contact,
                                                     const LocalView& view) const;
  void note(const Trapped& trapped);
  [[nodiscard]] std::optional<SensorCounter> trap_excuse(const Segment& packet,
                                                         const LocalView& view) const;
  void acquit(const Acquitted& acquitted);
  void acquit_of_refused(const Trapped& trapped, const LocalView& view);
  // `probe` lacks what only the tracker knows: distinct_ports and first.
  Tracker::Hit count(Detection probe, bool certain, Clock::time_point now);
  void tell(Detection& probe, Clock::time_point now);
  void keep_early(const Detection& probe, Clock::time_point now);

  PortSets ports_;
  std::vector<std::string> interfaces_;  // empty: all
  bool local_check_;
  bool service_check_;
  Edges edges_;
  FragmentTable fragments_;
  OwnFlows own_flows_;
  GraceBook grace_;
  RateBudget lookups_;
  RateBudget singles_;  // reports of fewer than Tracker::kSpread ports, forgeable
  struct BoundPorts {
    PortSets ports;
    Clock::time_point asked;
  };
  std::optional<BoundPorts> bound_;
  std::optional<Clock::time_point> short_since_;  // when a look-up last was one too many
  Clock::time_point list_again_{};                // not before
  Tracker tracker_;
  LateReports late_;
  ProofBook proofs_;
  SensorTally tally_;
  // Hits below the trigger of the first seconds: what a predecessor remembers may, when it comes,
  // make one of them the hit that reaches it.
  std::vector<Detection> early_;
  std::optional<Clock::time_point> early_until_;
};

}  // namespace portsentry::sensor
