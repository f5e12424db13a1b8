// The launcher's bookkeeping of a reload: which generation is in force, which one is offered to the
// monitor, and whether another SIGHUP waits. Reads files through the reader that it is given;
// makes no process, sends nothing.
//
//   idle --SIGHUP, readable--> offered --accept--> accepted (a successor starts)
//     ^                          |                    |
//     |<--refuse / commit--------+                    |
//     |<--commit / abandon / its successor is gone----+
//
// A SIGHUP in any other state than idle is remembered, once: however many come, one more reading
// sees what they were for. There is no time limit here: an offer that the monitor has not answered
// stays open, because an answer that is late must still find what it answers (the monitor switches
// with it). Until then everything stays as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "enforcer/generation.h"

namespace portsentry::enforcer {

class Reload {
 public:
  using Reader = std::function<GenerationReading(std::uint32_t number, const Generation& before)>;

  Reload(Generation first, Reader reader)
      : current_(std::move(first)), reader_(std::move(reader)) {}

  [[nodiscard]] const Generation& current() const { return current_; }

  // From here on the monitor can be asked; what was requested before is due now.
  void monitor_serves() { serves_ = true; }
  void request() { requested_ = true; }
  [[nodiscard]] bool due() const { return serves_ && requested_ && state_ == State::idle; }

  // Reads everything again; a generation moves from the result to offered(), and is under way.
  // Only when due().
  GenerationReading begin();
  [[nodiscard]] bool under_way() const { return state_ != State::idle; }
  // What is or was last offered; null before the first.
  [[nodiscard]] const Generation* offered() const { return offered_ ? &*offered_ : nullptr; }
  // The sensor that runs does not do what the offered generation says.
  [[nodiscard]] bool new_watch() const;

  // The monitor's answers. False: that generation is not offered, or never may come into force.
  bool accept(std::uint32_t number);
  // Comes into force. Also legal after the successor is gone: that and the commit may cross.
  bool commit(std::uint32_t number);
  // After accept(): the sensor that runs has handed over, or was about to.
  [[nodiscard]] bool accepted() const { return accepted_; }
  // The copies of the texts, once they have been handed on.
  void forget_texts();
  // Refused, abandoned, or the successor is gone.
  void over() { state_ = State::idle; }

 private:
  enum class State : std::uint8_t { idle, offered, accepted };

  Generation current_;
  std::optional<Generation> offered_;
  Reader reader_;
  std::uint32_t last_number_ = 1;
  State state_ = State::idle;
  bool accepted_ = false;
  bool serves_ = false;
  bool requested_ = false;
};

}  // namespace portsentry::enforcer
