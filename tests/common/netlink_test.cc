#include "common/netlink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <concepts>

#include "tests/common/netlink_builder.h"

namespace portsentry {
namespace {

using std::chrono::steady_clock;

static_assert(!std::copyable<NetlinkSocket> && std::movable<NetlinkSocket>);

TEST(NetlinkMessages, AreReadInOrder) {
  const auto datagram = NetlinkBuilder()
                            .message(17)
                            .fixed(std::uint32_t{1})
                            .message(18)
                            .fixed(std::uint32_t{2})
                            .build();
  NetlinkMessages messages(datagram);
  const auto first = messages.next();
  const auto second = messages.next();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->header.nlmsg_type, 17);
  EXPECT_EQ(first->payload.size(), 4U);
  EXPECT_EQ(second->header.nlmsg_type, 18);
  EXPECT_FALSE(messages.next());
  EXPECT_FALSE(messages.malformed());
}

TEST(NetlinkMessages, ALengthThatLiesEndsTheReading) {
  for (const std::uint32_t length : {0U, 15U, 21U, 0xffffffffU}) {
    auto datagram = NetlinkBuilder().message(17).fixed(std::uint32_t{1}).build();
    std::memcpy(datagram.data(), &length, sizeof length);
    NetlinkMessages messages(datagram);
    EXPECT_FALSE(messages.next()) << length;
    EXPECT_TRUE(messages.malformed()) << length;
    EXPECT_FALSE(messages.next()) << length;
  }
}

TEST(NetlinkMessages, EveryTruncationEndsWithoutAMessage) {
  const auto datagram = NetlinkBuilder().message(17).fixed(std::uint64_t{1}).build();
  for (std::size_t size = 1; size < datagram.size(); ++size) {
    const std::vector<std::byte> cut(datagram.begin(),
                                     datagram.begin() + static_cast<std::ptrdiff_t>(size));
    NetlinkMessages messages(cut);
    EXPECT_FALSE(messages.next()) << size;
    EXPECT_TRUE(messages.malformed()) << size;
  }
}

TEST(NetlinkAttributes, FlagBitsAreNotPartOfTheType) {
  std::array<std::byte, 8> attribute{};
  const nlattr header{6, 5 | NLA_F_NESTED | NLA_F_NET_BYTEORDER};
  std::memcpy(attribute.data(), &header, sizeof header);
  NetlinkAttributes attributes(attribute);
  const auto first = attributes.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->type, 5);
  EXPECT_EQ(first->payload.size(), 2U);
  EXPECT_FALSE(attributes.next());
  EXPECT_FALSE(attributes.malformed());
}

TEST(NetlinkAttributes, ALengthThatLiesEndsTheReading) {
  for (const std::uint16_t length : {std::uint16_t{0}, std::uint16_t{3}, std::uint16_t{9}}) {
    std::array<std::byte, 8> raw{};
    std::memcpy(raw.data(), &length, sizeof length);
    NetlinkAttributes attributes(raw);
    EXPECT_FALSE(attributes.next()) << length;
    EXPECT_TRUE(attributes.malformed()) << length;
  }
}

TEST(NetlinkSocket, ADeadlineInThePastLooksOnceAndDoesNotWait) {
  auto socket = NetlinkSocket::open(NETLINK_ROUTE, 0);
  ASSERT_TRUE(socket) << socket.error().what;
  const auto before = steady_clock::now();
  const auto got = socket->receive(steady_clock::time_point::min());
  ASSERT_TRUE(got);
  EXPECT_EQ(got->got, NetlinkSocket::Got::nothing);
  EXPECT_LT(steady_clock::now() - before, std::chrono::seconds(1));
}

TEST(NetlinkSocket, WaitsNoLongerThanItsDeadline) {
  auto socket = NetlinkSocket::open(NETLINK_ROUTE, 0);
  ASSERT_TRUE(socket);
  const auto deadline = steady_clock::now() + std::chrono::milliseconds(20);
  const auto got = socket->receive(deadline);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->got, NetlinkSocket::Got::nothing);
  EXPECT_GE(steady_clock::now(), deadline);
}

TEST(NetlinkSocket, WhatAnotherProcessSendsIsNotTakenForTheKernel) {
  // NETLINK_USERSOCK exists so that processes may talk to each other.
  auto victim = NetlinkSocket::open(NETLINK_USERSOCK, 0);
  auto villain = NetlinkSocket::open(NETLINK_USERSOCK, 0);
  ASSERT_TRUE(victim && villain);
  sockaddr_nl to{};
  to.nl_family = AF_NETLINK;
  to.nl_pid = victim->port_id();
  const auto forged = NetlinkBuilder().message(NLMSG_DONE, 0, victim->port_id()).build();
  ASSERT_GT(::sendto(villain->fd(), forged.data(), forged.size(), 0,
                     reinterpret_cast<const sockaddr*>(&to), sizeof to),
            0);
  const auto got = victim->receive(steady_clock::now() + std::chrono::milliseconds(50));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->got, NetlinkSocket::Got::nothing);
}

TEST(NetlinkSocket, MovesToTheNumberThatThePolicyNames) {
  auto socket = NetlinkSocket::open(NETLINK_ROUTE, 0);
  ASSERT_TRUE(socket);
  const int old = socket->fd();
  ASSERT_TRUE(socket->move_to(200));
  EXPECT_EQ(socket->fd(), 200);
  EXPECT_EQ(::fcntl(200, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(::fcntl(old, F_GETFD), -1);
  ASSERT_TRUE(socket->move_to(200));  // twice is no harm
  EXPECT_EQ(socket->fd(), 200);
  EXPECT_FALSE(socket->move_to(-1));
  EXPECT_EQ(socket->fd(), 200);
}

}  // namespace
}  // namespace portsentry
