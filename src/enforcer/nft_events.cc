#include "enforcer/nft_events.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "enforcer/nft_elements.h"

namespace portsentry::enforcer {
namespace {

using std::chrono::steady_clock;

// What the traps need to work at all, and to spare whom they must. Nobody ends a part of it on purpose.
bool is_of_the_traps(std::string_view set) {
  static constexpr std::array<std::string_view, 7> kNeeded{
      "alive", "judged", "exempt4", "exempt6", "exempt6net", "onlink4", "onlink6"};
  return std::ranges::find(kNeeded, set) != kNeeded.end();
}

// The text of one attribute, without the zero behind it.
std::string_view text_of(Bytes payload) {
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  return text.substr(0, text.find('\0'));
}

// How much one look at the events reads; what is left keeps the descriptor readable.
constexpr int kDatagramsPerLook = 1024;

}  // namespace

void NftTransactions::read(Bytes datagram, std::uint32_t own_port) {
  NetlinkMessages messages(datagram);
  while (const auto message = messages.next()) {
    const std::uint16_t type = message->header.nlmsg_type;
    if (type >> 8 != NFNL_SUBSYS_NFTABLES || message->header.nlmsg_pid == own_port) continue;
    if (type == nft_message(NFT_MSG_NEWGEN)) {
      end();
      continue;
    }
    if (type == nft_message(NFT_MSG_NEWSETELEM)) continue;
    if (type == nft_message(NFT_MSG_DELSETELEM)) {
      read_lifted(*message);
      continue;
    }
    ByteReader reader(message->payload);
    const auto general = take_host<nfgenmsg>(reader);
    if (!general || general->nfgen_family != NFPROTO_INET) continue;
    // The table's name is attribute 1 in every kind of message: table, chain, rule, set, object.
    static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
                  NFTA_SET_TABLE == 1 && NFTA_OBJ_TABLE == 1 && NFTA_FLOWTABLE_TABLE == 1);
    NetlinkAttributes attributes(reader.rest());
    while (const auto attribute = attributes.next()) {
      if (attribute->type != NFTA_TABLE_NAME) continue;
      const Bytes name = attribute->payload;
      open = open || (name.size() == kTable.size() + 1 &&
                      std::memcmp(name.data(), kTable.data(), kTable.size()) == 0);
    }
  }
}

// Which of our bans a "set element deleted" event ends. Only a hand has a port: what the kernel
// itself removes, because its time is over, is no news.
void NftTransactions::read_lifted(const NetlinkMessage& message) {
  ByteReader reader(message.payload);
  const auto general = take_host<nfgenmsg>(reader);
  if (!general || general->nfgen_family != NFPROTO_INET || message.header.nlmsg_pid == 0) return;
  std::string_view table;
  std::string_view set;
  NetlinkAttributes attributes(reader.rest());
  while (const auto attribute = attributes.next()) {
    if (attribute->type == NFTA_SET_ELEM_LIST_TABLE) table = text_of(attribute->payload);
    if (attribute->type == NFTA_SET_ELEM_LIST_SET) set = text_of(attribute->payload);
  }
  open = open || (table == kTable && is_of_the_traps(set));
  std::vector<Held> gone;
  read_our_elements(message, gone);
  for (const Held& held : gone)
    lifting_.push_back(held.source);
  if (lifting_.size() <= kLiftedByHand && !many_) return;
  // A flushed set, and not somebody who had thought about each of them.
  lifting_.clear();
  many_ = true;
  open = true;
}

void NftTransactions::end() {
  if (std::exchange(open, false)) ++ours_touched;
  lifted.insert(lifted.end(), lifting_.begin(), lifting_.end());
  lifting_.clear();
  many_ = false;
}

Result<NftEvents> NftEvents::open(std::uint32_t own_port) {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, 1U << (NFNLGRP_NFTABLES - 1));
  if (!socket) return socket.error();

  // Our own transactions are thrown away by the kernel: a datagram holds events of one transaction
  // only, so the port of its first message is the port of all. (BPF loads big-endian, netlink is
  // host order: hence htonl.)
  std::array<sock_filter, 4> code{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  }};
  const sock_fprog program{code.size(), code.data()};
  if (::setsockopt(socket->fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    return Error::from_errno("filter the firewall's events", errno);
  }
  return NftEvents(std::move(socket).value(), own_port);
}

Result<bool> NftEvents::our_table_touched(unsigned expected) {
  bool lost = false;
  for (int i = 0; i < kDatagramsPerLook; ++i) {
    const auto received = socket_.receive(steady_clock::time_point::min());
    if (!received) return received.error();
    if (received->got == NetlinkSocket::Got::nothing) break;
    if (received->got == NetlinkSocket::Got::overrun) {
      lost = true;
    } else {
      seen_.read(received->datagram, own_port_);
    }
  }
  // A transaction whose end is still to come counts now: late news is worse than an extra look.
  const unsigned touched = seen_.ours_touched + (seen_.open ? 1U : 0U);
  seen_.ours_touched = 0;
  seen_.open = false;
  lifted_ = std::exchange(seen_.lifted, {});
  return lost || touched > expected;
}

}  // namespace portsentry::enforcer
