#include "sensor/trap_feed.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace portsentry::sensor {
namespace {

constexpr std::size_t kBufferSize = std::size_t{16} * 1024;

std::optional<int> option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(fd, SOL_SOCKET, name, &value, &size) != 0) return std::nullopt;
  return value;
}

}  // namespace

TrapFeed::TrapFeed(UniqueFd fd) : fd_(std::move(fd)), buffer_(kBufferSize) {}

std::optional<TrapFeed> TrapFeed::take(int fd) {
  if (option(fd, SO_DOMAIN) != AF_NETLINK || option(fd, SO_PROTOCOL) != NETLINK_NETFILTER)
    return std::nullopt;
  return TrapFeed(UniqueFd(fd));
}

Result<unsigned> TrapFeed::read(unsigned budget,
                                const std::function<void(const Trapped&)>& handler) {
  // Interruptions and overruns spend the budget, too.
  unsigned datagrams = 0;
  for (unsigned i = 0; i < budget; ++i) {
    sockaddr_nl sender{};
    iovec room{buffer_.data(), buffer_.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &room;
    message.msg_iovlen = 1;
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == ENOBUFS) {
        gaps_.overrun();
        continue;
      }
      if (errno != EAGAIN) return Error::from_errno("receive from the kernel's traps", errno);
      gaps_.ran_dry();
      break;
    }
    ++datagrams;
    // Only the kernel has address 0.
    if (message.msg_namelen != sizeof sender || sender.nl_pid != 0) continue;
    TrapMessages messages(Bytes(buffer_).first(static_cast<std::size_t>(got)));
    while (const auto told = messages.next()) {
      if (told->sequence) gaps_.read(*told->sequence);
      if (told->trapped) handler(*told->trapped);
    }
  }
  return datagrams;
}

}  // namespace portsentry::sensor
