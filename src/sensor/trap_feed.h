// The NFLOG socket by which the kernel's traps tell of packets. Root opened it, bound it to the
// group, and keeps a duplicate: the group lives as long as one of them does. We only receive: the
// policy lets nothing be sent on it, and without CAP_NET_ADMIN the kernel would refuse a
// configuration anyway.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "sensor/trap_gaps.h"
#include "sensor/trap_message.h"

namespace portsentry::sensor {

class TrapFeed {
 public:
  // Takes `fd` over where it is a netlink socket of netfilter's; otherwise there is no feed, and
  // `fd` is left alone.
  static std::optional<TrapFeed> take(int fd);

  // Readable when messages wait, or some were dropped.
  [[nodiscard]] int fd() const { return fd_.get(); }

  // At most `budget` waiting datagrams; how many there were. `network` in a Trapped is valid inside
  // the call only. Never waits. An error means that this feed is over.
  Result<unsigned> read(unsigned budget, const std::function<void(const Trapped&)>& handler);

  // Messages that the kernel had no room for, as far as this process could see.
  [[nodiscard]] std::uint64_t lost() const { return gaps_.lost(); }

 private:
  explicit TrapFeed(UniqueFd fd);

  UniqueFd fd_;
  // Root asked for at most 128 bytes of a packet and buffers of 1 KiB; a longer one is cut, and read
  // as far as it goes.
  std::vector<std::byte> buffer_;
  TrapGaps gaps_;
};

}  // namespace portsentry::sensor
