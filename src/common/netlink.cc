#include "common/netlink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace portsentry {
namespace {

constexpr std::size_t kBufferSize = std::size_t{64} * 1024;

constexpr std::size_t padded(std::size_t length) {
  return (length + 3) & ~std::size_t{3};
}

// Skips to the next 4-byte boundary. The last item of a datagram may come without its padding.
void skip_padding(ByteReader& reader, std::size_t length) {
  const std::size_t padding = padded(length) - length;
  (void)reader.skip(std::min(padding, reader.remaining()));
}

}  // namespace

std::optional<NetlinkMessage> NetlinkMessages::next() {
  if (malformed_ || reader_.remaining() == 0) return std::nullopt;
  const auto header = take_host<nlmsghdr>(reader_);
  malformed_ = !header || header->nlmsg_len < sizeof(nlmsghdr) ||
               header->nlmsg_len - sizeof(nlmsghdr) > reader_.remaining();
  if (malformed_) return std::nullopt;
  const std::size_t length = header->nlmsg_len - sizeof(nlmsghdr);
  const Bytes payload = *reader_.take(length);
  skip_padding(reader_, length);
  return NetlinkMessage{*header, payload};
}

std::optional<NetlinkAttribute> NetlinkAttributes::next() {
  if (malformed_ || reader_.remaining() == 0) return std::nullopt;
  const auto header = take_host<nlattr>(reader_);
  malformed_ = !header || header->nla_len < sizeof(nlattr) ||
               header->nla_len - sizeof(nlattr) > reader_.remaining();
  if (malformed_) return std::nullopt;
  const std::size_t length = header->nla_len - sizeof(nlattr);
  const Bytes payload = *reader_.take(length);
  skip_padding(reader_, length);
  return NetlinkAttribute{static_cast<std::uint16_t>(header->nla_type & NLA_TYPE_MASK), payload};
}

NetlinkSocket::NetlinkSocket(UniqueFd fd, std::uint32_t port_id)
    : fd_(std::move(fd)), port_id_(port_id), buffer_(kBufferSize) {}

Result<NetlinkSocket> NetlinkSocket::open(int protocol, std::uint32_t groups) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) return Error::from_errno("open a netlink socket", errno);

  // Room for a burst of events. The kernel silently grants less where the limit is lower.
  constexpr int kReceiveBuffer = 1024 * 1024;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer) != 0) {
    return Error::from_errno("size a netlink socket", errno);
  }

  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  self.nl_groups = groups;
  socklen_t size = sizeof self;
  // NOLINTBEGIN(cppcoreguidelines-pro-type-reinterpret-cast): sockaddr
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), size) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&self), &size) != 0) {
    return Error::from_errno("bind a netlink socket", errno);
  }
  // NOLINTEND(cppcoreguidelines-pro-type-reinterpret-cast)
  return NetlinkSocket(std::move(fd), self.nl_pid);
}

Result<void> NetlinkSocket::move_to(int number) {
  if (fd_.get() == number) return {};
  if (::dup3(fd_.get(), number, O_CLOEXEC) < 0) {
    return Error::from_errno("move a netlink socket to descriptor " + std::to_string(number),
                             errno);
  }
  fd_.reset(number);
  return {};
}

Result<void> NetlinkSocket::send(Bytes datagram) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;  // nl_pid 0: the kernel
  for (;;) {
    const ssize_t sent = ::sendto(
        fd_.get(), datagram.data(), datagram.size(), 0,
        reinterpret_cast<const sockaddr*>(&kernel),  // NOLINT(*-reinterpret-cast): sockaddr
        sizeof kernel);
    if (sent >= 0) return {};  // netlink takes a datagram whole or not at all
    if (errno != EINTR) return Error::from_errno("send to netlink", errno);
  }
}

Result<NetlinkSocket::Received> NetlinkSocket::receive(Deadline deadline) {
  for (;;) {
    sockaddr_nl sender{};
    iovec room{buffer_.data(), buffer_.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &room;
    message.msg_iovlen = 1;
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (got >= 0) {
      // Only the kernel has address 0: an answer that another process forged is not even read.
      if (message.msg_namelen != sizeof sender || sender.nl_pid != 0) {
        if (std::chrono::steady_clock::now() < deadline) continue;
        return Received{Got::nothing, {}};
      }
      if ((message.msg_flags & MSG_TRUNC) != 0) return Received{Got::overrun, {}};
      return Received{Got::datagram, Bytes(buffer_).first(static_cast<std::size_t>(got))};
    }
    if (errno == EINTR) continue;
    if (errno == ENOBUFS) return Received{Got::overrun, {}};
    if (errno != EAGAIN) return Error::from_errno("receive from netlink", errno);

    const auto now = std::chrono::steady_clock::now();
    // Compared before subtracted: time_point::min() minus now would overflow into a long wait.
    if (deadline <= now) return Received{Got::nothing, {}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
    pollfd waiting{fd_.get(), POLLIN, 0};
    // An interrupted or early poll only looks again; the deadline does not move.
    if (::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000))) < 0 &&
        errno != EINTR) {
      return Error::from_errno("wait for netlink", errno);
    }
  }
}

}  // namespace portsentry
