#include "sensor/socket_dump.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "common/netlink.h"

namespace portsentry::sensor {
namespace {

constexpr std::uint32_t state(int number) {
  return std::uint32_t{1} << static_cast<unsigned>(number);
}

// Not SYN_SENT, SYN_RECV, LISTEN, CLOSE: nobody has answered there from the other end.
constexpr std::uint32_t kShookHands =
    state(TCP_ESTABLISHED) | state(TCP_FIN_WAIT1) | state(TCP_FIN_WAIT2) | state(TCP_TIME_WAIT) |
    state(TCP_CLOSE_WAIT) | state(TCP_LAST_ACK) | state(TCP_CLOSING);
constexpr std::uint32_t kAnyState = ~std::uint32_t{0};

template <class T>
void append(std::vector<std::byte>& to, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

template <class Body>
std::vector<std::byte> request(std::uint16_t type, const Body& body, std::size_t more,
                               std::uint32_t sequence) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(sizeof body) + more);
  header.nlmsg_type = type;
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header.nlmsg_seq = sequence;
  std::vector<std::byte> bytes;
  bytes.reserve(header.nlmsg_len);
  append(bytes, header);
  append(bytes, body);
  return bytes;
}

// The older form of the question, which every kernel knows and `ss` still uses where it must: TCP
// of both families in one pass (Linux net/ipv4/inet_diag.c, inet_diag_dump_compat).
std::vector<std::byte> tcp_request(std::uint32_t states, std::size_t more, std::uint32_t sequence) {
  inet_diag_req body{};
  body.idiag_family = AF_INET;
  body.idiag_states = states;
  return request(TCPDIAG_GETSOCK, body, more, sequence);
}

std::optional<Address> address_of(std::uint8_t family, const __be32 (&words)[4]) {
  const auto bytes = std::as_bytes(std::span(words));
  if (family == AF_INET) return Address::from_bytes(bytes.first(4));
  if (family == AF_INET6) return Address::from_bytes(bytes);
  return std::nullopt;
}

void hand_over(const inet_diag_msg& message, const SocketDump::Handler& handler) {
  const auto local = address_of(message.idiag_family, message.id.idiag_src);
  const auto remote = address_of(message.idiag_family, message.id.idiag_dst);
  if (!local || !remote) return;
  handler({.local = *local,
           .remote = *remote,
           .local_port = ntohs(message.id.idiag_sport),
           .remote_port = ntohs(message.id.idiag_dport),
           .interface = message.id.idiag_if});
}

}  // namespace

std::vector<std::byte> encode_connections(const Address& remote, std::uint32_t sequence) {
  const Bytes address = remote.bytes();
  // A program of one instruction: behind its end if the far address is this one, else beyond that,
  // which is "no" (Linux include/uapi/linux/inet_diag.h). It sees through v4-mapped addresses.
  const std::size_t size = sizeof(inet_diag_bc_op) + sizeof(inet_diag_hostcond) + address.size();
  inet_diag_bc_op step{};
  step.code = INET_DIAG_BC_D_COND;
  step.yes = static_cast<unsigned char>(size);
  step.no = static_cast<unsigned short>(size + sizeof step);
  inet_diag_hostcond is_it{};
  is_it.family = static_cast<std::uint8_t>(remote.is_v4() ? AF_INET : AF_INET6);
  is_it.prefix_len = static_cast<std::uint8_t>(remote.bit_length());
  is_it.port = -1;  // any
  const nlattr program{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + size),
                       .nla_type = INET_DIAG_REQ_BYTECODE};

  auto bytes = tcp_request(kShookHands, sizeof program + size, sequence);
  append(bytes, program);
  append(bytes, step);
  append(bytes, is_it);
  bytes.insert(bytes.end(), address.begin(), address.end());
  return bytes;
}

std::vector<std::byte> encode_listing(Listing listing, std::uint32_t sequence) {
  if (listing == Listing::tcp_listeners) return tcp_request(state(TCP_LISTEN), 0, sequence);
  inet_diag_req_v2 body{};
  body.sdiag_family = listing == Listing::udp_v4 ? AF_INET : AF_INET6;
  body.sdiag_protocol = IPPROTO_UDP;
  body.idiag_states = kAnyState;
  return request(SOCK_DIAG_BY_FAMILY, body, 0, sequence);
}

ListingStep read_listing(Bytes datagram, std::uint32_t sequence,
                         const SocketDump::Handler& handler) {
  NetlinkMessages messages(datagram);
  ListingStep step = ListingStep::more;
  bool any = false;
  while (const auto message = messages.next()) {
    if (message->header.nlmsg_seq != sequence) return ListingStep::foreign;
    any = true;
    if (message->header.nlmsg_type == NLMSG_DONE) {
      ByteReader rest(message->payload);
      const auto error = take_host<int>(rest);
      return error.value_or(0) < 0 ? ListingStep::failed : ListingStep::done;
    }
    // TCPDIAG_GETSOCK to the older question, SOCK_DIAG_BY_FAMILY to the newer one.
    if (message->header.nlmsg_type != TCPDIAG_GETSOCK &&
        message->header.nlmsg_type != SOCK_DIAG_BY_FAMILY) {
      return ListingStep::failed;
    }
    ByteReader reader(message->payload);
    const auto socket = take_host<inet_diag_msg>(reader);
    if (!socket) return ListingStep::failed;
    hand_over(*socket, handler);
  }
  if (!any || messages.malformed()) return ListingStep::failed;
  return step;
}

Result<SocketDump> SocketDump::open() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd) return Error::from_errno("open a second sock_diag socket", errno);
  return SocketDump(std::move(fd));
}

Result<void> SocketDump::move_to(int number) {
  if (fd_.get() == number) return {};
  if (::dup3(fd_.get(), number, O_CLOEXEC) < 0)
    return Error::from_errno("move the second sock_diag socket", errno);
  fd_.reset(number);
  return {};
}

bool SocketDump::connections_with(const Address& remote) {
  return ask(encode_connections(remote, ++sequence_));
}

bool SocketDump::list(Listing listing) {
  return ask(encode_listing(listing, ++sequence_));
}

bool SocketDump::ask(const std::vector<std::byte>& request) {
  ssize_t sent = 0;
  do {
    sent = ::send(fd_.get(), request.data(), request.size(), MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(request.size());
}

ListingStep SocketDump::read(const Handler& handler) {
  sockaddr_nl from{};
  socklen_t size = sizeof from;
  ssize_t got = 0;
  do {
    got = ::recvfrom(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT,
                     reinterpret_cast<sockaddr*>(&from), &size);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return ListingStep::failed;
  // Another process can send to us; only the kernel has number 0.
  if (size != sizeof from || from.nl_pid != 0) return ListingStep::foreign;
  return read_listing(Bytes(buffer_).first(static_cast<std::size_t>(got)), sequence_, handler);
}

}  // namespace portsentry::sensor
