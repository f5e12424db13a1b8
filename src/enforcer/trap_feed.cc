#include "enforcer/trap_feed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>

#include "common/netlink.h"

namespace portsentry::enforcer {
namespace {

constexpr std::chrono::seconds kAnswerTime{1};

// One CONFIG message for `group`, to be acknowledged.
class ConfigRequest {
 public:
  ConfigRequest(std::uint16_t group, std::uint32_t sequence)
      : header_(mnl_nlmsg_put_header(buffer_.data())) {
    header_->nlmsg_type = (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG;
    header_->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    header_->nlmsg_seq = sequence;
    auto* message = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
    message->nfgen_family = AF_UNSPEC;
    message->version = NFNETLINK_V0;
    message->res_id = htons(group);
  }
  template <class T>
  void add(nfulnl_attr_config type, const T& value) {
    mnl_attr_put(header_, static_cast<std::uint16_t>(type), sizeof(value), &value);
  }
  [[nodiscard]] Bytes bytes() const {
    return std::as_bytes(std::span(buffer_)).first(header_->nlmsg_len);
  }

 private:
  alignas(8) std::array<char, 256> buffer_{};
  nlmsghdr* header_;
};

// 0 or an errno.
Result<void> acknowledged(NetlinkSocket& socket, const ConfigRequest& request) {
  if (auto sent = socket.send(request.bytes()); !sent) return sent;
  const auto deadline = std::chrono::steady_clock::now() + kAnswerTime;
  for (;;) {
    const auto received = socket.receive(deadline);
    if (!received) return received.error();
    if (received->got != NetlinkSocket::Got::datagram) return Error{"no answer", ETIMEDOUT};
    NetlinkMessages messages(received->datagram);
    while (const auto message = messages.next()) {
      if (message->header.nlmsg_type != NLMSG_ERROR) continue;
      ByteReader reader(message->payload);
      const auto code = take_host<std::int32_t>(reader);
      if (!code) return Error{"a malformed answer", EPROTO};
      if (*code == 0) return {};
      return Error::from_errno("nfnetlink_log", -*code);
    }
  }
}

}  // namespace

Result<UniqueFd> open_trap_feed(std::uint16_t group) {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, 0);
  if (!socket) return socket.error();

  ConfigRequest bind(group, 1);
  bind.add(NFULA_CFG_CMD, nfulnl_msg_config_cmd{NFULNL_CFG_CMD_BIND});
  if (const auto bound = acknowledged(*socket, bind); !bound) return bound.error();

  ConfigRequest manner(group, 2);
  nfulnl_msg_config_mode mode{};
  mode.copy_range = htonl(kFeedSnapshot);
  mode.copy_mode = NFULNL_COPY_PACKET;
  manner.add(NFULA_CFG_MODE, mode);
  // Each packet by itself: the kernel's own threshold is a hundred packets, or a second.
  manner.add(NFULA_CFG_QTHRESH, htonl(1));
  // What is allocated for each message: by default a page, of which ours would fill a tenth.
  manner.add(NFULA_CFG_NLBUFSIZ, htonl(1024));
  manner.add(NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
  if (const auto set = acknowledged(*socket, manner); !set) return set.error();

  if (setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUFFORCE, &kFeedBuffer, sizeof(kFeedBuffer)) != 0)
    return Error::from_errno("setsockopt(SO_RCVBUFFORCE)", errno);
  UniqueFd kept(fcntl(socket->fd(), F_DUPFD_CLOEXEC, 3));
  if (!kept) return Error::from_errno("fcntl(F_DUPFD_CLOEXEC)", errno);
  return kept;
}

}  // namespace portsentry::enforcer
