// How many messages of the traps were lost. The kernel numbers them, and says once that it drops some
// (ENOBUFS), until the queue was empty. A sensor and its successor read from one queue, each message
// by one of them: so a gap in the numbers alone proves nothing, and counts only after that word. Pure.
#pragma once

#include <cstdint>
#include <optional>

namespace portsentry::sensor {

class TrapGaps {
 public:
  void overrun();                     // the kernel dropped messages
  void ran_dry();                     // the queue is empty
  void read(std::uint32_t sequence);  // a message; wraps around
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  std::optional<std::uint32_t> last_;
  bool dropping_ = false;
  bool dry_ = false;              // since then: the next message tells of the last that were lost
  std::uint64_t in_advance_ = 0;  // counted before their gap was seen
  std::uint64_t lost_ = 0;
};

}  // namespace portsentry::sensor
