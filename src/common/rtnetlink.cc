#include "common/rtnetlink.h"

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cerrno>
#include <chrono>

namespace portsentry {
namespace {

using std::chrono::steady_clock;

// At start there is time, and nothing to fall back on.
constexpr auto kFirstDumpTime = std::chrono::seconds(10);
constexpr auto kDumpTime = std::chrono::milliseconds(500);
constexpr auto kDumpInterval = std::chrono::seconds(1);
// How much one refresh() reads before it lets its caller do other work.
constexpr int kDatagramsPerRefresh = 256;

constexpr std::uint32_t group(int number) {
  return 1U << (number - 1);
}

constexpr std::uint32_t kGroups = group(RTNLGRP_LINK) | group(RTNLGRP_IPV4_IFADDR) |
                                  group(RTNLGRP_IPV6_IFADDR) | group(RTNLGRP_IPV4_ROUTE) |
                                  group(RTNLGRP_IPV6_ROUTE) | group(RTNLGRP_NEXTHOP);

struct DumpRequest {
  nlmsghdr header;
  // Every kind of dump takes a fixed part that begins with the family, here AF_UNSPEC: all
  // families. Each kind sends the length of its own, of which ifinfomsg is the longest.
  std::array<std::byte, sizeof(ifinfomsg)> body;
};

// Why a dump fails while the machine is busy, and may succeed a moment later. EBUSY: an unfinished
// one still waits in the queue, and is read by the next calls.
bool is_passing(int error) {
  return error == ETIMEDOUT || error == EBUSY || error == ENOBUFS || error == EAGAIN ||
         error == ENOMEM;
}

std::size_t body_size(int kind) {
  if (kind == RTM_GETLINK) return sizeof(ifinfomsg);
  if (kind == RTM_GETADDR) return sizeof(ifaddrmsg);
  if (kind == RTM_GETROUTE) return sizeof(rtmsg);
  return sizeof(nhmsg);
}

}  // namespace

Result<Rtnetlink> Rtnetlink::open() {
  auto socket = NetlinkSocket::open(NETLINK_ROUTE, kGroups);
  if (!socket) return socket.error();
  Rtnetlink rtnetlink(std::move(socket).value());
  // Subscribed first, dumped second: a change in between is told twice rather than not at all.
  if (auto dumped = rtnetlink.dump(kFirstDumpTime); !dumped) return dumped.error();
  return rtnetlink;
}

Result<void> Rtnetlink::refresh() {
  for (int i = 0; i < kDatagramsPerRefresh; ++i) {
    const auto received = socket_.receive(steady_clock::time_point::min());
    if (!received) return received.error();
    if (received->got == NetlinkSocket::Got::nothing) break;
    if (received->got == NetlinkSocket::Got::overrun) {
      stale_ = true;
    } else {
      view_.apply(received->datagram);
    }
  }
  stale_ = stale_ || view_.routes_may_be_gone();
  if (!stale_ || steady_clock::now() < dump_again_) return {};
  auto dumped = dump(kDumpTime);
  stale_ = !dumped;
  if (dumped) return {};
  dump_again_ = steady_clock::now() + kDumpInterval;
  if (is_passing(dumped.error().code)) return {};
  return dumped;
}

// Everything that waits, into `view` or into nothing; complete when no message was lost meanwhile.
Result<Rtnetlink::Dumped> Rtnetlink::drain(LocalView* view, NetlinkSocket::Deadline deadline) {
  Dumped result = Dumped::complete;
  while (steady_clock::now() < deadline) {
    const auto received = socket_.receive(steady_clock::time_point::min());
    if (!received) return received.error();
    if (received->got == NetlinkSocket::Got::nothing) return result;
    if (received->got == NetlinkSocket::Got::overrun) result = Dumped::interrupted;
    if (received->got == NetlinkSocket::Got::datagram && view != nullptr) {
      view->apply(received->datagram);
    }
  }
  return Error::from_errno("read addresses and routes", ETIMEDOUT);
}

// The view is replaced only by a complete one. The queue is emptied first, because the kernel tells
// of lost messages once, and again only after the queue was empty (netlink_overrun()): a dump that
// begins in a full queue could lose changes without a word. And last, so that what was lost between
// is told before the view is believed.
Result<void> Rtnetlink::dump(std::chrono::milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  while (steady_clock::now() < deadline) {
    LocalView fresh;
    if (auto emptied = drain(nullptr, deadline); !emptied) return emptied.error();
    auto dumped = dump_into(fresh, deadline);
    if (dumped && *dumped == Dumped::complete) dumped = drain(&fresh, deadline);
    if (!dumped) return dumped.error();
    if (*dumped == Dumped::interrupted) continue;
    view_ = std::move(fresh);
    return {};
  }
  return Error::from_errno("read addresses and routes, which never stopped changing", ETIMEDOUT);
}

Result<Rtnetlink::Dumped> Rtnetlink::dump_into(LocalView& view, NetlinkSocket::Deadline deadline) {
  for (const int kind : {RTM_GETLINK, RTM_GETADDR, RTM_GETNEXTHOP, RTM_GETROUTE}) {
    // From here on the routes are new: only an event that comes after this line makes them
    // doubtful.
    if (kind == RTM_GETROUTE) view.expect_all_routes();
    auto dumped = dump_kind(kind, view, deadline);
    if (!dumped || *dumped == Dumped::interrupted) return dumped;
  }
  return Dumped::complete;
}

Result<Rtnetlink::Dumped> Rtnetlink::dump_kind(int kind, LocalView& view,
                                               NetlinkSocket::Deadline deadline) {
  DumpRequest request{};
  request.header.nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + body_size(kind));
  request.header.nlmsg_type = static_cast<std::uint16_t>(kind);
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = ++sequence_;
  const Bytes bytes = std::as_bytes(std::span(&request, 1)).first(request.header.nlmsg_len);
  if (auto sent = socket_.send(bytes); !sent) return sent.error();

  // The kernel says so when a table changed under a dump; what was overrun is unknown. Both: read
  // to the end (a second dump cannot start before), then again from the beginning.
  bool interrupted = false;
  for (;;) {
    const auto received = socket_.receive(deadline);
    if (!received) return received.error();
    if (received->got == NetlinkSocket::Got::nothing) {
      return Error::from_errno("read addresses and routes", ETIMEDOUT);
    }
    if (received->got == NetlinkSocket::Got::overrun) {
      interrupted = true;
      continue;
    }
    // Answers and live changes share one queue, in the order in which they happened.
    view.apply(received->datagram);
    NetlinkMessages messages(received->datagram);
    while (const auto message = messages.next()) {
      const nlmsghdr& header = message->header;
      if (header.nlmsg_pid != socket_.port_id() || header.nlmsg_seq != sequence_) continue;
      if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (header.nlmsg_type != NLMSG_DONE && header.nlmsg_type != NLMSG_ERROR) continue;
      // Both begin with an errno, 0 or negative.
      ByteReader reader(message->payload);
      const int error = -take_host<int>(reader).value_or(0);
      // Kernels before 5.3 know no nexthop objects.
      const bool unknown = kind == RTM_GETNEXTHOP && error == EOPNOTSUPP;
      if (error != 0 && !unknown) return Error::from_errno("read addresses and routes", error);
      return interrupted ? Dumped::interrupted : Dumped::complete;
    }
  }
}

}  // namespace portsentry
