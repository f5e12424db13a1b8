// Everything that the sensor counts: packets that became evidence, and packets that did not, by
// reason. Bad packets get counted, never a crash; what was not counted against a source is counted
// here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace portsentry {

enum class SensorCounter : std::uint8_t {
  seen,              // packets that the kernel filter handed up
  probes,            // counted against a source
  repeated,          // the same source, protocol and port again inside the window
  detections,        // sent to the monitor
  updates_withheld,  // a second update of one source within its second
  channel_full,      // a detection that did not fit the channel; retried at the source's next probe
  evicted,           // sources forgotten because the table was full
  malformed,         // truncated, inconsistent or unknown headers
  fragment_pending,  // halves of a fragmented header, waiting for the rest
  fragment_dropped,  // second halves that never met a first one
  other_interface,   // not one of INTERFACES
  not_ours,          // target is not one of our unicast addresses
  bad_source,        // source could not have crossed a network, or is one of our own addresses
  to_itself,         // source equals target
  unwatched_port,    // not in TCP_PORTS or UDP_PORTS
  answer_flags,      // ACK or RST set: an answer or established traffic as far as flags can tell
  own_flow,          // an answer to a UDP packet of ours
  discovery_noise,   // how neighbours find each other: a discovery port, from our own link
  live_service,      // a local socket wants it, or wanted that port within the grace period
  lookup_over_budget,  // the sock_diag budget was spent: not counted against anybody
  lookup_failed,       // the kernel did not answer: not counted against anybody
  counted_by_list,     // the same budget was spent, and a list of the bound ports stood in for it
  single_over_budget,  // a report of fewer than five ports that was not sent: the channel is for more
  proofs_asked,        // does that source hold a connection to a service of ours?
  proofs_found,        // it does
  kernel_dropped,      // the capture ring was full (tp_drops)
  capture_busy,        // times that packets came too fast to be looked at one by one
  trapped,             // packets that the kernel's traps told of
  held,                // of which the kernel held the source
  acquitted,           // of these, probes that came to nothing, and were told so
  held_untold,         // held, and no room to say what came of it: the hold ends by itself
  hold_over_budget,    // the kernel's budget of holds was spent: told of, not held
  traps_full,          // the kernel's tables of touches were full: told of, not held
  trap_lost,           // told of by the kernel, lost on the way to us
  contacts,            // connections and datagrams that our own sockets took (bind modes)
  contact_failed,      // those that could not be taken: gone meanwhile, or no descriptor for them
  count_,
};

inline constexpr std::size_t kSensorCounters = static_cast<std::size_t>(SensorCounter::count_);

inline constexpr std::array<std::string_view, kSensorCounters> kSensorCounterNames{
    "seen",
    "probes",
    "repeated",
    "detections",
    "updates_withheld",
    "channel_full",
    "evicted",
    "malformed",
    "fragment_pending",
    "fragment_dropped",
    "other_interface",
    "not_ours",
    "bad_source",
    "to_itself",
    "unwatched_port",
    "answer_flags",
    "own_flow",
    "discovery_noise",
    "live_service",
    "lookup_over_budget",
    "lookup_failed",
    "counted_by_list",
    "single_over_budget",
    "proofs_asked",
    "proofs_found",
    "kernel_dropped",
    "capture_busy",
    "trapped",
    "held",
    "acquitted",
    "held_untold",
    "hold_over_budget",
    "traps_full",
    "trap_lost",
    "contacts",
    "contact_failed",
};
static_assert(!kSensorCounterNames.back().empty());

class SensorTally {
 public:
  void add(SensorCounter which, std::uint64_t amount = 1) {
    values_.at(static_cast<std::size_t>(which)) += amount;
  }
  void set(SensorCounter which, std::uint64_t value) {
    values_.at(static_cast<std::size_t>(which)) = value;
  }
  [[nodiscard]] std::uint64_t get(SensorCounter which) const {
    return values_.at(static_cast<std::size_t>(which));
  }
  [[nodiscard]] const std::array<std::uint64_t, kSensorCounters>& values() const { return values_; }

 private:
  std::array<std::uint64_t, kSensorCounters> values_{};
};

}  // namespace portsentry
