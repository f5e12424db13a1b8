#include "common/channel.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/log.h"

namespace portsentry {
namespace {

// Room for the descriptors that a hostile peer might add to the one that is allowed: the kernel
// installs no more of them than fit here and closes the others itself (cmsg(3), MSG_CTRUNC).
constexpr std::size_t kDescriptorRoom = 4;

}  // namespace

Channel::Channel(UniqueFd fd) : fd_(std::move(fd)) {}

Result<std::pair<UniqueFd, UniqueFd>> Channel::make_pair() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Error::from_errno("socketpair", errno);
  }
  return std::make_pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

bool Channel::is_one(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

Channel::Sent Channel::send(Bytes message, int passed) {
  if (message.empty() || message.size() > kMaxMessage)
    fatal("channel: a message of ours has an impossible size");
  iovec part{.iov_base = const_cast<std::byte*>(message.data()),
             .iov_len = message.size()};  // NOLINT
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  if (passed >= 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* descriptor = CMSG_FIRSTHDR(&header);
    descriptor->cmsg_level = SOL_SOCKET;
    descriptor->cmsg_type = SCM_RIGHTS;
    descriptor->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(descriptor), &passed, sizeof(int));
  }
  for (;;) {
    // Without a descriptor this is sendto(2): the sensor's filter has no sendmsg(2) at all.
    const ssize_t sent = passed >= 0 ? ::sendmsg(fd_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT)
                                     : ::send(fd_.get(), message.data(), message.size(),
                                              MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == static_cast<ssize_t>(message.size())) return Sent::ok;
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS))
      return Sent::full;
    return Sent::closed;
  }
}

Channel::Received Channel::receive() {
  Received result;
  result.bytes.resize(kMaxMessage);
  iovec part{.iov_base = result.bytes.data(), .iov_len = result.bytes.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kDescriptorRoom * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t size = 0;
  do {
    size = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  if (size < 0) {
    result.got = errno == EAGAIN ? Got::nothing : Got::closed;
    result.bytes.clear();
    return result;
  }

  // Own every descriptor before judging anything, so that no path leaks one.
  std::vector<UniqueFd> passed;
  bool foreign_control = false;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
      foreign_control = true;
      continue;
    }
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      passed.emplace_back(fd);
    }
  }
  const bool truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  result.bytes.resize(static_cast<std::size_t>(size));
  if (size == 0 && passed.empty() && !truncated) {
    // End of file, or an empty message, which none of ours ever is: the peer is gone either way.
    result.got = Got::closed;
  } else if (size == 0 || truncated || foreign_control || passed.size() > 1) {
    result.got = Got::malformed;
    result.bytes.clear();
  } else {
    result.got = Got::message;
    if (!passed.empty()) result.fd = std::move(passed.front());
  }
  return result;
}

}  // namespace portsentry
