// One end of a SOCK_SEQPACKET pair: whole messages of at most 4 KiB, each with at most one
// descriptor. Gate one begins here: a message that is too long or carries too many descriptors is
// malformed, and every descriptor that came with it is closed.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry {

inline constexpr std::size_t kMaxMessage = 4096;

class Channel {
 public:
  enum class Sent : std::uint8_t { ok, full, closed };
  enum class Got : std::uint8_t { message, nothing, closed, malformed };

  struct Received {
    Got got = Got::nothing;
    std::vector<std::byte> bytes;
    UniqueFd fd;  // where one came with the message
  };

  // Takes ownership. Sending and receiving never wait, whatever flags the descriptor has: it may
  // come from a peer, and a sealed process has no call to change them.
  explicit Channel(UniqueFd fd);
  // Two connected ends, close-on-exec.
  static Result<std::pair<UniqueFd, UniqueFd>> make_pair();

  // True when `fd` is such an end: how our programs find out that portsentryd started them.
  static bool is_one(int fd);

  [[nodiscard]] int fd() const { return fd_.get(); }

  // `full`: the peer is not reading; nothing was sent. An empty message or one above the cap is a
  // bug of ours and ends the process. `passed` stays the caller's.
  [[nodiscard]] Sent send(Bytes message, int passed = -1);

  // One message, or why there is none. Non-blocking.
  [[nodiscard]] Received receive();

 private:
  UniqueFd fd_;
};

}  // namespace portsentry
