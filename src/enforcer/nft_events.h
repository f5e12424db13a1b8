// Watching whether somebody else has touched our table in the kernel's nf_tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/bytes.h"
#include "common/net_types.h"
#include "common/netlink.h"
#include "common/result.h"

namespace portsentry::enforcer {

// How many bans one transaction may delete and be taken for an administrator's decision. More (flush
// set, and whatever a script does at once) are a loss, and come back with the table.
inline constexpr std::size_t kLiftedByHand = 16;

// What one datagram of nf_tables events says, pure. `open` carries over from datagram to datagram:
// a transaction's events end with its "new generation".
struct NftTransactions {
  // Transactions by others that changed our table, a chain, a rule or a set.
  unsigned ours_touched = 0;
  bool open = false;  // such a change was seen, its transaction has not ended yet
  // Bans that others deleted from our sets, by transactions that have ended.
  std::vector<Source> lifted;
  void read(Bytes datagram, std::uint32_t own_port);

 private:
  void read_lifted(const NetlinkMessage& message);
  void end();

  std::vector<Source> lifting_;  // by the transaction that has not ended yet
  bool many_ = false;            // too many: it is a loss
};

// The second socket: told by the kernel of each change of the ruleset. Non-blocking.
// System call: recvmsg.
class NftEvents {
 public:
  // `own_port`: the request socket's. The kernel is told not to send us our own changes, so that a
  // burst of bans cannot drown somebody's flush.
  static Result<NftEvents> open(std::uint32_t own_port);

  [[nodiscard]] int fd() const { return socket_.fd(); }
  Result<void> move_to(int number) { return socket_.move_to(number); }

  // Reads what has arrived. True when somebody else changed our table, its chains, rules or sets,
  // or when events were lost. Elements are not counted: an administrator who lifts a ban with nft
  // is meant to.
  //
  // `expected`: how many such transactions since the last call were the launcher's (loading
  // ruleset.nft is exactly one); only more than that is somebody else. So: load, then call with 1,
  // and a flush that came just before or after our own load is not missed. While nothing was
  // loaded: 0.
  Result<bool> our_table_touched(unsigned expected = 0);

  // The bans that somebody ended by hand, as the last call saw. To be ignored when it said true:
  // then everything is put back.
  [[nodiscard]] const std::vector<Source>& lifted() const { return lifted_; }

 private:
  NftEvents(NetlinkSocket socket, std::uint32_t own_port)
      : socket_(std::move(socket)), own_port_(own_port) {}

  NetlinkSocket socket_;
  std::uint32_t own_port_;
  NftTransactions seen_;
  std::vector<Source> lifted_;
};

}  // namespace portsentry::enforcer
