#include "sensor/bound.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace portsentry::sensor {
namespace {

// Completed handshakes that may wait for us. We take them at once; beyond it the kernel lets a
// client try again, and answers a SYN flood with cookies.
constexpr int kBacklog = 128;

// What one socket may hold of unread payload, which nobody will read (bytes; the kernel doubles
// it). Without a limit a stranger could park megabytes in each of 65,535 ports.
constexpr int kTcpReceive = 4096;
constexpr int kUdpReceive = 32768;

// Connections taken from one port before another gets its turn.
constexpr unsigned kMostPerPort = 8;

// What epoll hands back with an event: which socket, and what it was opened for.
struct Tag {
  int fd;
  Protocol protocol;
  Port port;
};

std::uint64_t pack(const Tag& tag) {
  return static_cast<std::uint64_t>(tag.fd) << 32U |
         static_cast<std::uint64_t>(tag.protocol) << 16U | tag.port.number();
}

std::optional<Tag> unpack(std::uint64_t bits) {
  const auto port = Port::make(static_cast<std::uint16_t>(bits));
  if (!port) return std::nullopt;
  const bool tcp = (bits >> 16U & 0xffU) == static_cast<std::uint64_t>(Protocol::tcp);
  return Tag{.fd = static_cast<int>(bits >> 32U),
             .protocol = tcp ? Protocol::tcp : Protocol::udp,
             .port = *port};
}

// As the socket calls fill it in, either family.
struct Peer {
  sockaddr_in6 storage{};  // the larger of the two
  socklen_t size = sizeof storage;

  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] std::optional<Address> address() const {
    if (storage.sin6_family == AF_INET6) {
      return Address::from_bytes(std::as_bytes(std::span(storage.sin6_addr.s6_addr)));
    }
    if (storage.sin6_family != AF_INET) return std::nullopt;
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    return Address::from_bytes(std::as_bytes(std::span(&v4.sin_addr.s_addr, 1)));
  }
  // The link that a link-local peer is on.
  [[nodiscard]] std::uint32_t link() const {
    return storage.sin6_family == AF_INET6 ? storage.sin6_scope_id : 0;
  }
};

Address unspecified_like(const Address& address) {
  constexpr std::array<std::byte, 16> kZero{};
  const auto v6 = Address::from_bytes(kZero);
  return address.is_v4() || !v6 ? Address::v4(0, 0, 0, 0) : *v6;
}

bool set(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// Datagrams that were sent to us alone: a broadcast on the link is no probe of ours, and recvfrom(2)
// could not tell. And of those the header only, so that payload is not even queued (the kernel has
// verified the checksum before).
bool hear_headers_of_unicast(int fd) {
  constexpr std::uint32_t kUdpHeader = 8;
  std::array<sock_filter, 4> code{{
      {.code = BPF_LD | BPF_W | BPF_ABS,
       .jt = 0,
       .jf = 0,
       .k = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 1, .k = PACKET_HOST},
      {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = kUdpHeader},
      {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0},
  }};
  sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

// Of the sockets that share this port by SO_REUSEPORT the kernel shall choose number `index`, in the
// order in which they came; where there is no such, it chooses by hash (socket(7)).
bool choose_always(int fd, std::uint32_t index) {
  sock_filter code{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = index};
  sock_fprog program{.len = 1, .filter = &code};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

struct Any {
  sockaddr_in6 storage{};
  socklen_t size = 0;
};

Any any_address(int family, Port port) {
  Any any;
  if (family == AF_INET6) {
    any.storage.sin6_family = AF_INET6;
    any.storage.sin6_port = htons(port.number());
    any.size = sizeof(sockaddr_in6);
    return any;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port.number());
  std::memcpy(&any.storage, &v4, sizeof v4);
  any.size = sizeof v4;
  return any;
}

// Bound, or why not. First without SO_REUSEPORT: when the port is free we are alone there, and that
// is how a successor finds out that it is not. Only a socket of our own user that has the option
// lets it in then, and that is our predecessor's; anybody else's is "in use" as before.
//
// A successor then turns all new connections and datagrams to itself: shared by hash, half of them
// would wait at the predecessor when that is ended, and be lost. The predecessor's sockets came
// first, so ours is number 1. When it has gone, ours alone remains, whatever the program says.
int bind_port(int fd, int family, Protocol protocol, Port port, bool& succeeds) {
  const Any any = any_address(family, port);
  const auto* address = reinterpret_cast<const sockaddr*>(&any.storage);
  int error = ::bind(fd, address, any.size) == 0 ? 0 : errno;
  if (error != 0 && error != EADDRINUSE) return error;
  succeeds = error != 0;
  // From here on a successor may join.
  if (!set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return errno;
  if (succeeds && ::bind(fd, address, any.size) != 0) return errno;
  // TCP joins its kind when it listens.
  if (protocol == Protocol::tcp && ::listen(fd, kBacklog) != 0) return errno;
  if (succeeds && !choose_always(fd, 1)) return errno;
  return 0;
}

Result<UniqueFd> open_one(Protocol protocol, Port port) {
  const bool tcp = protocol == Protocol::tcp;
  const int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  int family = AF_INET6;
  UniqueFd fd(::socket(family, type, 0));
  if (!fd && errno == EAFNOSUPPORT) {
    family = AF_INET;
    fd.reset(::socket(family, type, 0));
  }
  if (!fd) return Error::from_errno("socket", errno);
  if (family == AF_INET6 && !set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0))
    return Error::from_errno("IPV6_V6ONLY", errno);
  // TCP: a connection of an earlier run that still ends (TIME_WAIT) must not keep us out. UDP must
  // not have it: there it would let us take a port from its owner.
  if (tcp && !set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1))
    return Error::from_errno("SO_REUSEADDR", errno);
  if (!set(fd.get(), SOL_SOCKET, SO_RCVBUF, tcp ? kTcpReceive : kUdpReceive))
    return Error::from_errno("SO_RCVBUF", errno);
  if (!tcp && !hear_headers_of_unicast(fd.get()))
    return Error::from_errno("SO_ATTACH_FILTER", errno);
  bool succeeds = false;
  if (const int error = bind_port(fd.get(), family, protocol, port, succeeds); error != 0)
    return Error::from_errno("bind", error);
  return fd;
}

// The kernel has none to give now; the connection waits meanwhile, so it would be reported again at
// once (accept(2)).
bool means_exhausted(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Result<BoundSockets> BoundSockets::open(const PortSets& ports, int epoll_number) {
  BoundSockets bound;
  if (ports.empty()) return bound;
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return Error::from_errno("epoll_create1", errno);
  if (::dup3(epoll.get(), epoll_number, O_CLOEXEC) < 0)
    return Error::from_errno("move the epoll descriptor", errno);
  bound.epoll_.reset(epoll_number);
  epoll.reset();

  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    const PortSet& wanted = ports.of(protocol);
    for (std::uint32_t number = 1; number <= 65535; ++number) {
      const auto port = Port::make(number);
      if (!port || !wanted.contains(*port)) continue;
      auto fd = open_one(protocol, *port);
      if (!fd) {
        bound.failures_.push_back({.protocol = protocol, .port = *port, .error = fd.error().code});
        continue;
      }
      if (fd->get() < kFirstBound) return Error{"bind mode: a low descriptor number is free"};
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = pack({.fd = fd->get(), .protocol = protocol, .port = *port});
      if (::epoll_ctl(epoll_number, EPOLL_CTL_ADD, fd->get(), &event) != 0) {
        // A limit of its own: fs.epoll.max_user_watches.
        bound.failures_.push_back({.protocol = protocol, .port = *port, .error = errno});
        continue;
      }
      bound.keep(std::move(*fd));
    }
  }
  return bound;
}

void BoundSockets::keep(UniqueFd fd) {
  const auto index = static_cast<std::size_t>(fd.get() - kFirstBound);
  if (index >= sockets_.size()) sockets_.resize(index + 1);
  sockets_[index] = std::move(fd);
  ++open_;
}

BoundSockets::Turn BoundSockets::serve(const Judge& judge) {
  Turn turn;
  std::array<epoll_event, kMostPerTurn / kMostPerPort> events{};
  const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  if (ready < 0) {
    if (errno != EINTR) turn.pause = true;
    return turn;
  }
  for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(ready))) {
    const auto tag = unpack(event.data.u64);
    if (!tag) continue;
    if (tag->protocol == Protocol::tcp) {
      accept_from(tag->fd, tag->port, judge, turn);
    } else {
      receive_from(tag->fd, tag->port, judge, turn);
    }
    if (turn.pause) break;
  }
  return turn;
}

void BoundSockets::accept_from(int listener, Port port, const Judge& judge, Turn& turn) {
  for (unsigned i = 0; i < kMostPerPort; ++i) {
    Peer peer;
    const UniqueFd accepted(
        ::accept4(listener, peer.raw(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      const int error = errno;
      if (error == EAGAIN) return;
      return fail(listener, error, turn);
    }
    Peer here;
    if (::getsockname(accepted.get(), here.raw(), &here.size) != 0) here.storage.sin6_family = 0;
    const auto source = peer.address();
    const auto target = here.address();
    if (!source || !target) {
      ++turn.failed;
      continue;
    }
    ++turn.taken;
    const std::string_view banner = judge({.source = *source,
                                           .target = *target,
                                           .protocol = Protocol::tcp,
                                           .port = port,
                                           .interface = peer.link()});
    if (!banner.empty()) {
      // Whether it arrives is the other side's business.
      static_cast<void>(::sendto(accepted.get(), banner.data(), banner.size(),
                                 MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0));
    }
  }
}

void BoundSockets::receive_from(int socket, Port port, const Judge& judge, Turn& turn) {
  for (unsigned i = 0; i < kMostPerPort; ++i) {
    Peer peer;
    // No buffer: the datagram is taken off the queue, its sender is told, its payload is not.
    if (::recvfrom(socket, nullptr, 0, MSG_DONTWAIT, peer.raw(), &peer.size) < 0) {
      const int error = errno;
      if (error == EAGAIN) return;
      return fail(socket, error, turn);
    }
    const auto source = peer.address();
    if (!source) {
      ++turn.failed;
      continue;
    }
    ++turn.taken;
    const std::string_view banner = judge({.source = *source,
                                           .target = unspecified_like(*source),
                                           .protocol = Protocol::udp,
                                           .port = port,
                                           .interface = peer.link()});
    if (!banner.empty()) {
      static_cast<void>(::sendto(socket, banner.data(), banner.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                 peer.raw(), peer.size));
    }
  }
}

void BoundSockets::fail(int socket, int error, Turn& turn) {
  ++turn.failed;
  if (means_exhausted(error)) {
    turn.pause = true;
  } else if (error == EINVAL) {
    // It does not listen any more (an administrator's `ss -K`), and would be reported for ever.
    sockets_.at(static_cast<std::size_t>(socket - kFirstBound)).reset();
    --open_;
  }
}

Result<void> take_low_numbers(const UniqueFd& null, int end) {
  for (;;) {
    UniqueFd copy(::fcntl(null.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return Error::from_errno("fcntl(F_DUPFD_CLOEXEC)", errno);
    if (copy.get() >= end) return {};
    static_cast<void>(copy.release());  // held until the process ends
  }
}

}  // namespace portsentry::sensor
