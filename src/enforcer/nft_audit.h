// What the kernel holds of ours, counted or listed without anybody waiting for it: the sets are read
// over a socket of their own, one datagram a turn of the event loop, so that a ban in between is
// made at once however long the sets are.
//
// The kernel continues such a listing where it was by counting elements from the start. So a turn
// takes the longer the larger the set is (milliseconds with 100,000), and elements that come and go
// meanwhile can make it show one twice or not at all; a count is then off by them. Who compares such
// counts does so twice (monitor's reconciliation), and nothing is undone because of one. It does not
// end before a turn in which no ban is added: in the middle of a large restore, not before that is
// done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/netlink.h"
#include "common/result.h"
#include "enforcer/firewall.h"

namespace portsentry::enforcer {

struct Holding {
  std::uint64_t elements = 0;
  std::uint64_t digest = 0;  // see ban_digest.h
};

class NftAudit {
 public:
  static Result<NftAudit> open();

  [[nodiscard]] int fd() const { return socket_.fd(); }
  Result<void> move_to(int number) { return socket_.move_to(number); }

  // Begins to read all sets of bans; fd() is readable until all is read. Only when not reading().
  // System calls: sendto here, recvmsg below.
  Result<void> begin();
  [[nodiscard]] bool reading() const { return set_.has_value(); }

  // One datagram, as soon as fd() is readable. What it holds goes to `each`, and into the count. The
  // whole count when that was the last one. A table that is not there holds nothing. After an
  // error, nothing is being read any more.
  Result<std::optional<Holding>> read(const std::function<void(const Held&)>& each);

 private:
  explicit NftAudit(NetlinkSocket socket) : socket_(std::move(socket)) {}
  Result<void> ask();
  // True: the set that was being read has ended.
  Result<bool> take(const NetlinkMessage& message, const std::function<void(const Held&)>& each);

  NetlinkSocket socket_;
  std::uint32_t sequence_ = 0;
  std::optional<std::size_t> set_;  // which of kBanSets is being read
  Holding found_;
};

}  // namespace portsentry::enforcer
