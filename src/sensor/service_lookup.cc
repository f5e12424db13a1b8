#include "sensor/service_lookup.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace portsentry::sensor {
namespace {

// The kernel answers inside send(); what may lie before the answer are leftovers of questions whose
// answer we could not take. More than a few of them means that something else is wrong.
constexpr int kMostLeftovers = 8;

struct Request {
  nlmsghdr header{};
  inet_diag_req_v2 body{};
};
static_assert(sizeof(Request) == NLMSG_LENGTH(sizeof(inet_diag_req_v2)), "no padding on the wire");

Request make_request(std::uint16_t flags, int family, Protocol protocol, std::uint32_t sequence) {
  Request request;
  request.header.nlmsg_len = sizeof(Request);
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  request.header.nlmsg_seq = sequence;
  request.body.sdiag_family = static_cast<std::uint8_t>(family);
  request.body.sdiag_protocol = static_cast<std::uint8_t>(protocol);
  request.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
  request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return request;
}

// One datagram that the kernel sent (never another process), without waiting; empty when there is
// none.
std::size_t receive_from_kernel(int fd, std::span<std::byte> buffer) {
  sockaddr_nl from{};
  socklen_t size = sizeof from;
  ssize_t got = 0;
  do {
    got = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_DONTWAIT,
                     reinterpret_cast<sockaddr*>(&from), &size);
  } while (got < 0 && errno == EINTR);
  if (got <= 0 || size != sizeof from || from.nl_pid != 0) return 0;
  return static_cast<std::size_t>(got);
}

std::optional<nlmsghdr> header_of(Bytes datagram) {
  nlmsghdr header{};
  if (datagram.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, datagram.data(), sizeof header);
  if (header.nlmsg_len < sizeof header) return std::nullopt;
  return header;
}

// The errno (negative) that follows the header of an NLMSG_ERROR or NLMSG_DONE.
std::optional<int> error_of(Bytes datagram) {
  int error = 0;
  if (datagram.size() < sizeof(nlmsghdr) + sizeof error) return std::nullopt;
  std::memcpy(&error, datagram.data() + sizeof(nlmsghdr), sizeof error);
  return error;
}

// Asks for a listing of sockets in no state at all. It is empty, and its end says whether the
// kernel has the protocol's part (0) or not (-ENOENT), which an exact lookup does not tell from "no
// socket".
Result<void> require_protocol(int fd, Protocol protocol, std::uint32_t sequence) {
  const std::string what = "look up " + std::string(name(protocol)) + " sockets (sock_diag)";
  const Request request = make_request(NLM_F_DUMP, AF_INET, protocol, sequence);
  if (::send(fd, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request)) {
    return Error::from_errno(what, errno);
  }
  std::array<std::byte, 512> buffer{};
  const Bytes answer = Bytes(buffer).first(receive_from_kernel(fd, buffer));
  const auto header = header_of(answer);
  const auto error = error_of(answer);
  if (!header || !error || header->nlmsg_seq != sequence ||
      (header->nlmsg_type != NLMSG_DONE && header->nlmsg_type != NLMSG_ERROR)) {
    return Error{what + ": unexpected answer from the kernel"};
  }
  if (*error != 0) return Error::from_errno(what, -*error);
  return {};
}

}  // namespace

std::vector<std::byte> encode_lookup(const Segment& packet, std::uint32_t interface,
                                     std::uint32_t sequence) {
  const bool v4 = packet.target.is_v4();
  Request request = make_request(0, v4 ? AF_INET : AF_INET6, packet.protocol, sequence);
  inet_diag_sockid& id = request.body.id;
  id.idiag_if = interface;
  const auto put = [](auto& words, const Address& address) {
    std::memcpy(&words, address.bytes().data(), address.bytes().size());
  };
  // A TCP lookup takes the socket's point of view: `src` is our end. A UDP lookup takes the
  // packet's: `src` is where it came from ("swapped for historical reasons", Linux
  // net/ipv4/udp_diag.c).
  const bool socket_view = packet.protocol == Protocol::tcp;
  put(socket_view ? id.idiag_src : id.idiag_dst, packet.target);
  put(socket_view ? id.idiag_dst : id.idiag_src, packet.source);
  (socket_view ? id.idiag_sport : id.idiag_dport) = htons(packet.target_port);
  (socket_view ? id.idiag_dport : id.idiag_sport) = htons(packet.source_port);

  std::vector<std::byte> bytes(sizeof request);
  std::memcpy(bytes.data(), &request, sizeof request);
  return bytes;
}

std::optional<Wanted> read_answer(Bytes datagram, std::uint32_t sequence) {
  const auto header = header_of(datagram);
  if (!header || header->nlmsg_seq != sequence) return std::nullopt;
  if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
    return header->nlmsg_len >= NLMSG_LENGTH(sizeof(inet_diag_msg)) ? Wanted::yes : Wanted::failed;
  }
  if (header->nlmsg_type == NLMSG_ERROR)
    return error_of(datagram) == -ENOENT ? Wanted::no : Wanted::failed;
  return Wanted::failed;
}

Result<ServiceLookup> ServiceLookup::open() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd) return Error::from_errno("open a sock_diag socket", errno);
  ServiceLookup lookup(std::move(fd));
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    const auto able = require_protocol(lookup.fd(), protocol, ++lookup.sequence_);
    if (!able) return able.error();
  }
  return lookup;
}

Result<void> ServiceLookup::move_to(int number) {
  if (fd_.get() == number) return {};
  if (::dup3(fd_.get(), number, O_CLOEXEC) < 0)
    return Error::from_errno("move the sock_diag socket", errno);
  fd_.reset(number);
  return {};
}

Wanted ServiceLookup::ask(const Segment& packet, std::uint32_t interface) {
  if (packet.source.is_v4() != packet.target.is_v4()) return Wanted::failed;
  const std::uint32_t sequence = ++sequence_;
  const auto request = encode_lookup(packet, interface, sequence);
  ssize_t sent = 0;
  do {
    sent = ::send(fd_.get(), request.data(), request.size(), MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent != static_cast<ssize_t>(request.size())) return Wanted::failed;

  std::array<std::byte, 512> buffer{};
  for (int i = 0; i <= kMostLeftovers; ++i) {
    const std::size_t size = receive_from_kernel(fd_.get(), buffer);
    if (size == 0) return Wanted::failed;
    if (const auto wanted = read_answer(Bytes(buffer).first(size), sequence)) return *wanted;
  }
  return Wanted::failed;
}

namespace {

std::uint32_t key_of(Protocol protocol, Port port) {
  return static_cast<std::uint32_t>(protocol) << 16 | port.number();
}

}  // namespace

void GraceBook::seen(Protocol protocol, Port port, Clock::time_point now) {
  last_seen_[key_of(protocol, port)] = now;
}

bool GraceBook::within(Protocol protocol, Port port, Clock::time_point now,
                       Clock::duration age) const {
  const auto found = last_seen_.find(key_of(protocol, port));
  return found != last_seen_.end() && now - found->second < age;
}

bool GraceBook::in_grace(Protocol protocol, Port port, Clock::time_point now) const {
  return within(protocol, port, now, kGrace);
}

bool GraceBook::fresh(Protocol protocol, Port port, Clock::time_point now) const {
  return within(protocol, port, now, std::chrono::seconds(1));
}

}  // namespace portsentry::sensor
