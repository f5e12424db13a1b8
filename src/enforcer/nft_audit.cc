#include "enforcer/nft_audit.h"

#include <cerrno>
#include <string>
#include <utility>

#include "common/ban_digest.h"
#include "enforcer/nft_elements.h"

namespace portsentry::enforcer {

Result<NftAudit> NftAudit::open() {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, 0);
  if (!socket) return socket.error();
  return NftAudit(std::move(socket).value());
}

Result<void> NftAudit::begin() {
  set_ = 0;
  found_ = {};
  return ask();
}

Result<void> NftAudit::ask() {
  NftRequest request;
  Result<void> sent = Error::from_errno("build a netlink request", ENOMEM);
  if (request.list(kBanSets.at(*set_), ++sequence_)) sent = socket_.send(request.bytes());
  if (!sent) set_.reset();
  return sent;
}

Result<std::optional<Holding>> NftAudit::read(const std::function<void(const Held&)>& each) {
  const auto give_up = [this](const Error& error) {
    const std::string set = set_ ? std::string(kBanSets.at(*set_)) : "nothing";
    set_.reset();
    return Error{"count set inet portsentry " + set + ": " + error.what, error.code};
  };
  const auto received = socket_.receive(NetlinkSocket::Deadline::min());
  if (!received) return give_up(received.error());
  if (received->got == NetlinkSocket::Got::nothing) return std::optional<Holding>();
  if (received->got == NetlinkSocket::Got::overrun)
    return give_up(Error::from_errno("netlink", ENOBUFS));
  NetlinkMessages messages(received->datagram);
  while (const auto message = messages.next()) {
    // Left over from a listing that was given up.
    if (!set_ || message->header.nlmsg_seq != sequence_ ||
        message->header.nlmsg_pid != socket_.port_id()) {
      continue;
    }
    const auto ended = take(*message, each);
    if (!ended) return give_up(ended.error());
    if (!*ended) continue;
    if (++*set_ == kBanSets.size()) {
      set_.reset();
      return std::optional(found_);
    }
    // Nothing of the one that has ended follows in this datagram.
    if (const auto asked = ask(); !asked) return give_up(asked.error());
    return std::optional<Holding>();
  }
  return std::optional<Holding>();
}

Result<bool> NftAudit::take(const NetlinkMessage& message,
                            const std::function<void(const Held&)>& each) {
  if (message.header.nlmsg_type == NLMSG_DONE || message.header.nlmsg_type == NLMSG_ERROR) {
    ByteReader reader(message.payload);
    const int error = -take_host<int>(reader).value_or(0);
    if (error != 0 && error != ENOENT) return Error::from_errno("netlink", error);
    return true;
  }
  if (message.header.nlmsg_type != nft_message(NFT_MSG_NEWSETELEM)) return false;
  std::vector<Held> held;
  read_elements(message, kBanSets.at(*set_), held);
  for (const Held& ban : held) {
    found_.elements += 1;
    found_.digest += digest_of(ban.source);
    each(ban);
  }
  return false;
}

}  // namespace portsentry::enforcer
