#include "enforcer/sessions.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace portsentry::enforcer {
namespace {

using std::chrono::steady_clock;

constexpr auto kAnswerTime = std::chrono::seconds(1);

template <class T>
void append(std::vector<std::byte>& to, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// One end of a connection. sock_diag shows the IPv4 peer of an IPv6 socket as ::ffff:a.b.c.d, which
// Address makes IPv4 again.
std::optional<Address> address_of(const std::uint32_t (&words)[4], std::uint8_t family) {
  const Bytes bytes = std::as_bytes(std::span(words));
  return Address::from_bytes(bytes.first(family == AF_INET ? 4 : 16));
}

std::optional<Session> session_of(const inet_diag_msg& socket) {
  const auto theirs = address_of(socket.id.idiag_dst, socket.idiag_family);
  const auto ours = address_of(socket.id.idiag_src, socket.idiag_family);
  const auto their_port = Port::make(ntohs(socket.id.idiag_dport));
  const auto our_port = Port::make(ntohs(socket.id.idiag_sport));
  if (!theirs || !ours || !their_port || !our_port || theirs->is_v4() != ours->is_v4())
    return std::nullopt;
  return Session{*theirs, *their_port, *ours, *our_port};
}

}  // namespace

std::vector<std::byte> session_question(const Source& source, int family, std::uint32_t sequence) {
  const Prefix& prefix = source.prefix();
  const Bytes address = prefix.address().bytes();

  // The peer is inside the prefix: one condition. `yes` leads past the end, which accepts; `no`
  // leads four bytes further, which does not (Linux net/ipv4/inet_diag.c).
  inet_diag_hostcond condition{};
  condition.family = source.is_v4() ? AF_INET : AF_INET6;
  condition.prefix_len = static_cast<std::uint8_t>(prefix.length());
  condition.port = -1;  // any
  inet_diag_bc_op operation{};
  operation.code = INET_DIAG_BC_D_COND;
  const std::size_t code_size = sizeof operation + sizeof condition + address.size();
  operation.yes = static_cast<unsigned char>(code_size);
  operation.no = static_cast<unsigned short>(code_size + 4);

  inet_diag_req_v2 body{};
  body.sdiag_family = static_cast<std::uint8_t>(family);
  body.sdiag_protocol = IPPROTO_TCP;
  body.idiag_states = 1U << TCP_ESTABLISHED;

  nlattr filter{};
  filter.nla_type = INET_DIAG_REQ_BYTECODE;
  filter.nla_len = static_cast<std::uint16_t>(sizeof filter + code_size);

  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + sizeof body + filter.nla_len);
  header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header.nlmsg_seq = sequence;

  std::vector<std::byte> question;
  append(question, header);
  append(question, body);
  append(question, filter);
  append(question, operation);
  append(question, condition);
  question.insert(question.end(), address.begin(), address.end());
  return question;
}

void SessionListing::read(Bytes datagram, std::uint32_t sequence, const Source& source,
                          const PortSet& ports) {
  NetlinkMessages messages(datagram);
  while (const auto message = messages.next()) {
    if (message->header.nlmsg_seq != sequence) continue;
    ByteReader reader(message->payload);
    if (message->header.nlmsg_type == NLMSG_DONE || message->header.nlmsg_type == NLMSG_ERROR) {
      ended = true;
      error = -take_host<int>(reader).value_or(-EBADMSG);
      return;
    }
    if (message->header.nlmsg_type != SOCK_DIAG_BY_FAMILY) continue;
    const auto socket = take_host<inet_diag_msg>(reader);
    if (!socket || socket->idiag_state != TCP_ESTABLISHED) continue;
    const auto session = session_of(*socket);
    if (!session || !source.prefix().contains(session->theirs) ||
        !ports.contains(session->our_port))
      continue;
    if (sessions.size() < kMaxSessions) sessions.push_back(*session);
  }
}

Result<SessionLookup> SessionLookup::open() {
  auto socket = NetlinkSocket::open(NETLINK_SOCK_DIAG, 0);
  if (!socket) return socket.error();
  return SessionLookup(std::move(socket).value());
}

Result<std::vector<Session>> SessionLookup::list(const Source& source, const PortSet& ports) {
  const std::string what = "list the connections of " + source.text();
  const auto deadline = steady_clock::now() + kAnswerTime;
  SessionListing listing;
  for (const int family : {AF_INET, AF_INET6}) {
    if (family == AF_INET && !source.is_v4()) continue;
    listing.ended = false;
    if (auto sent = socket_.send(session_question(source, family, ++sequence_)); !sent)
      return Error{what + ": " + sent.error().what, sent.error().code};
    // To its end, also when there are enough: a listing that is under way stands before the next.
    while (!listing.ended) {
      const auto received = socket_.receive(deadline);
      if (!received) return Error{what + ": " + received.error().what, received.error().code};
      if (received->got == NetlinkSocket::Got::nothing) return Error::from_errno(what, ETIMEDOUT);
      if (received->got == NetlinkSocket::Got::overrun) return Error::from_errno(what, ENOBUFS);
      listing.read(received->datagram, sequence_, source, ports);
    }
    if (listing.error != 0) return Error::from_errno(what, listing.error);
  }
  return std::move(listing.sessions);
}

}  // namespace portsentry::enforcer
