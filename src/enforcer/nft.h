// Our elements in the kernel's nf_tables, over netlink. The table itself is made by the launcher
// from ruleset.nft; here are only bans, and watching whether somebody else has touched that table.
//
// Nothing in this file takes a name from outside: table and set names are constants, values are a
// Source and a duration.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/net_types.h"
#include "common/netlink.h"
#include "common/result.h"
#include "enforcer/firewall.h"

namespace portsentry::enforcer {

inline constexpr std::string_view kTable = "portsentry";  // family inet

// The set of ruleset.nft in which `source` belongs.
[[nodiscard]] std::string_view set_of(const Source& source);

// Requests and their answers. Opened before the sandbox, CAP_NET_ADMIN needed then and later.
// System calls afterwards: sendto and recvmsg on this one descriptor, and poll only when the
// kernel's answer is not there at once (it is: nf_tables answers inside sendto).
class Nft final : public Firewall {
 public:
  static Result<Nft> open();

  [[nodiscard]] int fd() const { return socket_.fd(); }
  // For NftEvents: which changes are our own.
  [[nodiscard]] std::uint32_t port_id() const { return socket_.port_id(); }
  // Moves the socket to exactly this descriptor number (see the seccomp policies).
  Result<void> move_to(int number) { return socket_.move_to(number); }

  // Each waits at most a second for the kernel (list: ten).
  Result<void> ban(const Source& source, std::chrono::seconds duration) override;
  Result<void> unban(const Source& source) override;
  Result<std::vector<Held>> list() override;
  bool table_exists() override;

 private:
  // One change inside a transaction.
  struct Step {
    enum class What : std::uint8_t { add_new, remove } what;
    std::chrono::milliseconds timeout{0};  // add_new: at least 1
  };

  struct Message {
    std::uint16_t type = 0;
    int flags = 0;
  };
  static Message message_of(Step::What what);

  explicit Nft(NetlinkSocket socket) : socket_(std::move(socket)) {}
  Result<void> commit(const Source& source, std::span<const Step> steps, std::string_view attempt);
  Result<bool> list_set(std::string_view set, std::vector<Held>& held,
                        NetlinkSocket::Deadline deadline);

  NetlinkSocket socket_;
  std::uint32_t sequence_ = 0;
};

// What one datagram of nf_tables events says, pure. `open` carries over from datagram to datagram:
// a transaction's events end with its "new generation".
struct NftTransactions {
  // Transactions by others that changed our table, a chain, a rule or a set.
  unsigned ours_touched = 0;
  bool open = false;           // such a change was seen, its transaction has not ended yet
  std::vector<Source> lifted;  // bans that others deleted from our sets
  void read(Bytes datagram, std::uint32_t own_port);
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
