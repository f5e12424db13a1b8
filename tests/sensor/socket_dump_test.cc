#include "sensor/socket_dump.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <span>
#include <vector>

#include "sensor/inquiry.h"
#include "socket_lab.h"

namespace portsentry::sensor {
namespace {

using namespace socket_lab;

// Everything that one listing tells.
std::vector<ListedSocket> all_of(SocketDump& dump) {
  std::vector<ListedSocket> found;
  for (int i = 0; i < 1000; ++i) {
    pollfd waiting{.fd = dump.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, 5000) != 1) break;
    const auto step = dump.read([&](const ListedSocket& socket) { found.push_back(socket); });
    if (step == ListingStep::done) return found;
    if (step == ListingStep::failed) break;
  }
  ADD_FAILURE() << "the listing did not end";
  return found;
}

SocketDump opened() {
  auto dump = SocketDump::open();
  EXPECT_TRUE(dump.has_value());
  return std::move(*dump);
}

bool lists(const std::vector<ListedSocket>& sockets, std::uint16_t local_port) {
  for (const ListedSocket& socket : sockets)
    if (socket.local_port == local_port) return true;
  return false;
}

// Another run of this test, on the same loopback, leaves connections too.
std::vector<ListedSocket> only_of(const Listener& listener, std::vector<ListedSocket> sockets) {
  std::erase_if(sockets, [&](const ListedSocket& s) { return s.local_port != listener.port(); });
  return sockets;
}

TEST(SensorSocketDump, FindsTheConnectionsOfOneAddressAndNobodyElses) {
  const Listener listener(AF_INET);
  const auto here = listener.meet("127.0.0.31");
  const auto there = listener.meet("127.0.0.32");
  SocketDump dump = opened();
  ASSERT_TRUE(dump.connections_with(*Address::parse("127.0.0.31")));
  const auto found = only_of(listener, all_of(dump));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].remote, *Address::parse("127.0.0.31"));
  EXPECT_EQ(found[0].local, *Address::parse("127.0.0.1"));
  EXPECT_EQ(found[0].local_port, listener.port());
}

TEST(SensorSocketDump, FindsAnIpv4ConnectionToAnIpv6Service) {
  const Listener listener(AF_INET6);
  if (!listener.works()) GTEST_SKIP() << "no IPv6 here";
  const auto connection = listener.meet("127.0.0.33");
  SocketDump dump = opened();
  ASSERT_TRUE(dump.connections_with(*Address::parse("127.0.0.33")));
  const auto found = only_of(listener, all_of(dump));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].remote, *Address::parse("127.0.0.33"));
  EXPECT_EQ(found[0].local_port, listener.port());
}

TEST(SensorSocketDump, FindsAnIpv6Connection) {
  const Listener listener(AF_INET6);
  if (!listener.works()) GTEST_SKIP() << "no IPv6 here";
  const auto connection = listener.meet("::1");
  SocketDump dump = opened();
  ASSERT_TRUE(dump.connections_with(*Address::parse("::1")));
  EXPECT_TRUE(lists(all_of(dump), listener.port()));
}

TEST(SensorSocketDump, AHandshakeThatWasNeverCompletedIsNoConnection) {
  const Listener listener(AF_INET);
  // A listener alone, and a socket that only wants to connect, are not of that kind.
  SocketDump dump = opened();
  ASSERT_TRUE(dump.connections_with(*Address::parse("0.0.0.0")));
  EXPECT_TRUE(all_of(dump).empty());
}

TEST(SensorSocketDump, ListsListenersAndBoundSockets) {
  const Listener listener(AF_INET);
  const UniqueFd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const std::uint16_t udp = bind_somewhere(datagrams.get(), "127.0.0.1");
  SocketDump dump = opened();
  ASSERT_TRUE(dump.list(Listing::tcp_listeners));
  const auto tcp_found = all_of(dump);
  EXPECT_TRUE(lists(tcp_found, listener.port()));
  ASSERT_TRUE(dump.list(Listing::udp_v4));
  EXPECT_TRUE(lists(all_of(dump), udp));
}

TEST(SensorSocketDump, AnAnswerThatIsNoneIsAFailureAndAnotherOnesIsPassedOver) {
  const auto never = [](const ListedSocket&) { FAIL(); };
  EXPECT_EQ(read_listing({}, 7, never), ListingStep::failed);
  nlmsghdr header{};
  header.nlmsg_len = sizeof header;
  header.nlmsg_type = NLMSG_DONE;
  header.nlmsg_seq = 7;
  const auto bytes = std::as_bytes(std::span(&header, 1));
  EXPECT_EQ(read_listing(bytes, 7, never), ListingStep::done);
  EXPECT_EQ(read_listing(bytes, 8, never), ListingStep::foreign);
  header.nlmsg_type = NLMSG_ERROR;
  EXPECT_EQ(read_listing(bytes, 7, never), ListingStep::failed);
  header.nlmsg_type = 18;  // a socket, cut off
  EXPECT_EQ(read_listing(bytes, 7, never), ListingStep::failed);
}

TEST(SensorSocketDump, ThousandsOfConnectionsAreReadPieceByPiece) {
  const Listener listener(AF_INET);
  std::vector<Connection> many;
  for (int i = 0; i < 400; ++i)
    many.push_back(listener.meet("127.0.0.34"));
  SocketDump dump = opened();
  ASSERT_TRUE(dump.connections_with(*Address::parse("127.0.0.34")));
  EXPECT_EQ(only_of(listener, all_of(dump)).size(), many.size());
}

}  // namespace
}  // namespace portsentry::sensor
