// The pure part of sessions.cc; what needs a kernel is in sessions_root_test.cc.
#include "enforcer/sessions.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>

#include <cstring>

#include "tests/common/netlink_builder.h"

namespace portsentry::enforcer {
namespace {

constexpr std::uint32_t kNumber = 7;

Source source(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return *Source::from_prefix(prefix->address(), prefix->length());
}

PortSet ssh() {
  PortSet ports;
  ports.add(*Port::make(22));
  return ports;
}

inet_diag_msg socket_of(std::string_view peer, std::uint16_t our_port = 22,
                        std::uint8_t state = TCP_ESTABLISHED) {
  const Address theirs = *Address::parse(peer);
  const Address ours = *Address::parse(theirs.is_v4() ? "198.51.100.7" : "2001:db8:1::1");
  inet_diag_msg socket{};
  socket.idiag_family = theirs.is_v4() ? AF_INET : AF_INET6;
  socket.idiag_state = state;
  std::memcpy(socket.id.idiag_dst, theirs.bytes().data(), theirs.bytes().size());
  std::memcpy(socket.id.idiag_src, ours.bytes().data(), ours.bytes().size());
  socket.id.idiag_dport = htons(40000);
  socket.id.idiag_sport = htons(our_port);
  return socket;
}

std::vector<std::byte> answer(const inet_diag_msg& socket, std::uint32_t number = kNumber) {
  auto bytes = NetlinkBuilder().message(SOCK_DIAG_BY_FAMILY).fixed(socket).build();
  std::memcpy(bytes.data() + offsetof(nlmsghdr, nlmsg_seq), &number, sizeof number);
  return bytes;
}

std::size_t found(Bytes datagram, std::string_view of = "192.0.2.1") {
  SessionListing listing;
  listing.read(datagram, kNumber, source(of), ssh());
  return listing.sessions.size();
}

TEST(SessionListing, AnEstablishedLoginConnectionOfTheSourceIsOne) {
  SessionListing listing;
  listing.read(answer(socket_of("192.0.2.1")), kNumber, source("192.0.2.1"), ssh());
  ASSERT_EQ(listing.sessions.size(), 1U);
  EXPECT_EQ(listing.sessions[0], (Session{*Address::parse("192.0.2.1"), *Port::make(40000),
                                          *Address::parse("198.51.100.7"), *Port::make(22)}));
  EXPECT_EQ(found(answer(socket_of("2001:db8::9")), "2001:db8::/64"), 1U);
}

TEST(SessionListing, AnIpv4PeerOfAnIpv6SocketIsIpv4) {
  inet_diag_msg mapped = socket_of("2001:db8::1");
  const auto put = [](auto& words, std::string_view text) {
    std::array<std::byte, 16> bytes{};
    bytes[10] = bytes[11] = std::byte{0xff};
    std::memcpy(bytes.data() + 12, Address::parse(text)->bytes().data(), 4);
    std::memcpy(words, bytes.data(), bytes.size());
  };
  put(mapped.id.idiag_dst, "192.0.2.1");
  put(mapped.id.idiag_src, "198.51.100.7");
  SessionListing listing;
  listing.read(answer(mapped), kNumber, source("192.0.2.1"), ssh());
  ASSERT_EQ(listing.sessions.size(), 1U);
  EXPECT_TRUE(listing.sessions[0].theirs.is_v4());
}

TEST(SessionListing, OtherPeersPortsStatesAndNumbersAreNone) {
  EXPECT_EQ(found(answer(socket_of("192.0.2.2"))), 0U);
  EXPECT_EQ(found(answer(socket_of("2001:db8:0:1::9")), "2001:db8::/64"), 0U);
  EXPECT_EQ(found(answer(socket_of("192.0.2.1", 80))), 0U);
  EXPECT_EQ(found(answer(socket_of("192.0.2.1", 22, TCP_SYN_RECV))), 0U);
  EXPECT_EQ(found(answer(socket_of("192.0.2.1"), kNumber - 1)), 0U);
  inet_diag_msg portless = socket_of("192.0.2.1");
  portless.id.idiag_dport = 0;
  EXPECT_EQ(found(answer(portless)), 0U);
}

TEST(SessionListing, EveryTruncationIsNone) {
  const auto whole = answer(socket_of("192.0.2.1"));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(found(Bytes(whole).first(size)), 0U) << size;
}

TEST(SessionListing, ASourceWithManyConnectionsKeepsTheMost) {
  SessionListing listing;
  for (std::size_t i = 0; i < 3 * kMaxSessions; ++i)
    listing.read(answer(socket_of("192.0.2.1")), kNumber, source("192.0.2.1"), ssh());
  EXPECT_EQ(listing.sessions.size(), kMaxSessions);
}

TEST(SessionListing, ItsEndAndItsErrorAreTold) {
  for (const auto& [type, code] : {std::pair<int, int>{NLMSG_DONE, 0}, {NLMSG_ERROR, -ENOENT}}) {
    auto bytes = NetlinkBuilder().message(type).fixed(code).build();
    std::memcpy(bytes.data() + offsetof(nlmsghdr, nlmsg_seq), &kNumber, sizeof kNumber);
    SessionListing listing;
    listing.read(bytes, kNumber, source("192.0.2.1"), ssh());
    EXPECT_TRUE(listing.ended);
    EXPECT_EQ(listing.error, -code);
  }
}

}  // namespace
}  // namespace portsentry::enforcer
