// Our elements in the kernel's nf_tables, over netlink. The table itself is made by the launcher
// from ruleset.nft; here are only bans. Watching what others do to that table is nft_events.h's, and
// counting what it holds nft_audit.h's.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/net_types.h"
#include "common/netlink.h"
#include "common/result.h"
#include "enforcer/firewall.h"
#include "enforcer/nft_elements.h"

namespace portsentry::enforcer {

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

  // Each question waits at most a second for the kernel (list: ten).
  Result<void> ban(const Source& source, std::chrono::seconds duration,
                   std::span<const Session> keep) override;
  Result<void> restore(const Source& source, std::chrono::seconds remaining,
                       std::span<const Session> keep) override;
  Result<void> restore_all(std::span<const Held> bans) override;
  Result<void> unban(const Source& source) override;
  Result<std::vector<Held>> list() override;
  bool table_exists() override;
  Result<void> selftest() override;
  // In nft_traps.cc.
  Result<void> exempt(std::span<const Prefix> networks, std::span<const Prefix> on_link) override;
  Result<void> keep_traps(std::chrono::seconds duration, bool may_hold) override;
  Result<void> stop_holds() override;
  Result<void> stop_traps() override;
  Result<void> hold(const Source& source, std::chrono::seconds duration) override;
  Result<void> release(const Source& source) override;

 private:
  Result<void> empty_sets(std::initializer_list<std::string_view> sets);

  // One message inside a transaction.
  struct Step {
    nf_tables_msg_types type;  // of elements: new or delete
    int flags;
    std::vector<Element> elements;
    std::string_view emptied{};  // this set is emptied, and nothing else is done
  };

  explicit Nft(NetlinkSocket socket) : socket_(std::move(socket)) {}
  Result<void> commit(std::span<const Step> steps) { return commit(steps, request_); }
  Result<void> commit(std::span<const Step> steps, NftRequest& request);
  // Null: the set holds no such element. Another error is one.
  Result<std::optional<ShownElement>> shown(const Element& element);
  Result<void> place(const Element& element, std::span<const Session> keep);
  Result<std::vector<Step>> keeping(std::span<const Session> keep, const Element& with);
  Result<bool> remove(const Element& element);
  Result<void> read_back(const Element& element);
  Result<bool> list_set(std::string_view set, std::vector<Held>& held,
                        NetlinkSocket::Deadline deadline);

  NetlinkSocket socket_;
  NftRequest request_;
  std::uint32_t sequence_ = 0;
};

}  // namespace portsentry::enforcer
