// Which addresses are known to be in use by somebody who answers from them: the kernel held a TCP
// connection from there to a service of ours, which nobody can forge who does not see our answers.
// A probe that names such an address may still have been sent by somebody else, but no longer names
// a random victim.
//
// Asking the kernel (socket_dump.h) costs a walk over all its connections: 0.2 ms on a quiet
// machine, 0.6 to 1.7 ms with 10,000 connections (measured, Linux 6.18). So no report waits for it:
// the report goes out as forgeable, the question follows, and a "yes" is told in a second report of
// the same probe. At most kPerSecond questions; sources with many ports are asked for first; a flood
// of forged sources spends what is left. Pure, bounded, whatever arrives.
//
// What was found holds for the scan window since it was found, one hour at most (addresses are given
// to others), and for that exact address, not for its /64. A "no" holds for kAskAgain.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>

#include "common/event_loop.h"
#include "common/messages.h"
#include "common/net_types.h"
#include "sensor/rate_budget.h"

namespace portsentry::sensor {

// A bounded memory of when something was learnt of an address; the oldest is forgotten first.
class AddressBook {
 public:
  AddressBook(std::size_t most, Clock::duration lifetime) : most_(most), lifetime_(lifetime) {}
  void note(const Address& address, Clock::time_point now);
  [[nodiscard]] bool knows(const Address& address, Clock::time_point now) const;
  [[nodiscard]] std::size_t size() const { return noted_.size(); }

 private:
  std::size_t most_;
  Clock::duration lifetime_;
  std::map<Address, Clock::time_point> noted_;
  std::deque<std::pair<Clock::time_point, Address>>
      by_age_;  // each of noted_ once, by its first note
};

class ProofBook {
 public:
  static constexpr unsigned kPerSecond = 20;
  static constexpr unsigned kBurst = 5;
  static constexpr std::chrono::seconds kAskAgain{10};
  static constexpr std::chrono::seconds kLongest{3600};
  static constexpr std::size_t kMostProven = 4096;
  static constexpr std::size_t kMostAsked = 1024;
  static constexpr std::size_t kMostWaiting = 64;  // of either kind; the newest displace the oldest

  explicit ProofBook(std::chrono::seconds window);

  // The kernel held, or holds, a connection from there.
  void found(const Address& address, Clock::time_point now);
  [[nodiscard]] bool proven(const Address& address, Clock::time_point now) const {
    return proven_.knows(address, now);
  }

  // This was reported as forgeable. `many`: with so many ports that it goes before others.
  void wonder(const Detection& reported, bool many, Clock::time_point now);

  // The next address to ask for, which is paid for by this; nothing: none waits, or the budget is
  // spent until ready_at(). One question at a time.
  [[nodiscard]] std::optional<Address> next(Clock::time_point now);
  // When next() has something; nothing: not before something is reported.
  [[nodiscard]] std::optional<Clock::time_point> ready_at() const;
  // What the kernel said of the address that next() gave. What is to be reported again.
  [[nodiscard]] std::optional<Detection> answered(bool connected, Clock::time_point now);

 private:
  RateBudget budget_{kPerSecond, kBurst};
  AddressBook proven_;
  AddressBook asked_;
  std::deque<Detection> many_;
  std::deque<Detection> few_;
  std::optional<Detection> asking_;
};

}  // namespace portsentry::sensor
