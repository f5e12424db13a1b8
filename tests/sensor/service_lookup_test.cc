#include "sensor/service_lookup.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "socket_lab.h"

namespace portsentry::sensor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kLoopback = 1;          // the kernel's LOOPBACK_IFINDEX
constexpr std::uint32_t kOtherInterface = 999;  // no such interface: no socket is bound to it
constexpr std::uint16_t kStranger = 54321;

// ---- Against real sockets, on loopback addresses, without rights --------------------------------

struct Place {
  const char* address;  // bound to
  bool v6_only = false;
  const char* device = nullptr;  // SO_BINDTODEVICE
};

using socket_lab::local_port;
using socket_lab::socket_address;

class ServiceLookupTest : public testing::TestWithParam<Protocol> {
 protected:
  void SetUp() override {
    auto opened = ServiceLookup::open();
    ASSERT_TRUE(opened) << opened.error().what;
    lookup_.emplace(std::move(opened).value());
  }

  static bool has_ipv6() {
    const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    socklen_t size = 0;
    const auto address = socket_address(*Address::parse("::1"), 0, size);
    return fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0;
  }

  // A TCP listener or a bound UDP socket on a free port.
  UniqueFd serve(const Place& place) {
    const Address address = *Address::parse(place.address);
    const bool tcp = GetParam() == Protocol::tcp;
    UniqueFd fd(::socket(address.is_v4() ? AF_INET : AF_INET6,
                         (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    if (!address.is_v4()) {
      const int only = place.v6_only ? 1 : 0;
      EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only), 0);
    }
    if (place.device != nullptr) {
      EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, place.device,
                             static_cast<socklen_t>(std::strlen(place.device))),
                0);
    }
    socklen_t size = 0;
    const auto bound = socket_address(address, 0, size);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&bound), size), 0)
        << std::strerror(errno);
    if (tcp) {
      EXPECT_EQ(::listen(fd.get(), 4), 0);
    }
    return fd;
  }

  void connect_to(int fd, const char* peer, std::uint16_t port) {
    socklen_t size = 0;
    const auto address = socket_address(*Address::parse(peer), port, size);
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), size), 0)
        << std::strerror(errno);
  }

  Wanted probe(const char* source, std::uint16_t source_port, const char* target,
               std::uint16_t target_port, std::uint32_t interface = kLoopback) {
    return lookup_->ask({.source = *Address::parse(source),
                         .target = *Address::parse(target),
                         .protocol = GetParam(),
                         .source_port = source_port,
                         .target_port = target_port,
                         .flags = {TcpFlags::syn},
                         .ip_options = false,
                         .fragmented = false},
                        interface);
  }

  std::optional<ServiceLookup> lookup_;
};

INSTANTIATE_TEST_SUITE_P(Both, ServiceLookupTest, testing::Values(Protocol::tcp, Protocol::udp),
                         [](const auto& parameter) { return std::string(name(parameter.param)); });

TEST_P(ServiceLookupTest, AServiceOnEveryAddressWantsProbesOfEachAddress) {
  const UniqueFd service = serve({.address = "0.0.0.0"});
  const auto port = local_port(service.get());
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", port), Wanted::yes);
  EXPECT_EQ(probe("192.0.2.7", kStranger, "198.51.100.1", port), Wanted::yes);
}

TEST_P(ServiceLookupTest, AServiceOnOneAddressWantsProbesOfThatAddressOnly) {
  const UniqueFd service = serve({.address = "127.0.0.1"});
  const auto port = local_port(service.get());
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", port), Wanted::yes);
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.2", port), Wanted::no);
  EXPECT_EQ(probe("192.0.2.7", kStranger, "198.51.100.1", port), Wanted::no);
}

TEST_P(ServiceLookupTest, AClosedPortIsWantedByNobody) {
  UniqueFd service = serve({.address = "0.0.0.0"});
  const auto port = local_port(service.get());
  service.reset();
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", port), Wanted::no);
  if (has_ipv6()) {
    EXPECT_EQ(probe("2001:db8::7", kStranger, "::1", port), Wanted::no);
  }
}

// The port number of the prober must never be mistaken for ours: that is what the swapped request
// of UDP would do.
TEST_P(ServiceLookupTest, AServiceDoesNotWantAPacketThatOnlyComesFromItsPortNumber) {
  const UniqueFd service = serve({.address = "0.0.0.0"});
  const auto port = local_port(service.get());
  const std::uint16_t closed = port == 9 ? 10 : 9;
  EXPECT_EQ(probe("192.0.2.7", port, "127.0.0.1", closed), Wanted::no);
}

TEST_P(ServiceLookupTest, ADualStackServiceWantsBothFamilies) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 on this machine";
  const UniqueFd service = serve({.address = "::"});
  const auto port = local_port(service.get());
  EXPECT_EQ(probe("2001:db8::7", kStranger, "::1", port), Wanted::yes);
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", port), Wanted::yes);
}

TEST_P(ServiceLookupTest, AnIpv6OnlyServiceDoesNotWantIpv4) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 on this machine";
  const UniqueFd service = serve({.address = "::", .v6_only = true});
  const auto port = local_port(service.get());
  EXPECT_EQ(probe("2001:db8::7", kStranger, "::1", port), Wanted::yes);
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", port), Wanted::no);
}

TEST_P(ServiceLookupTest, AnIpv6ServiceOnOneAddressWantsProbesOfThatAddressOnly) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 on this machine";
  const UniqueFd service = serve({.address = "::1"});
  const auto port = local_port(service.get());
  EXPECT_EQ(probe("2001:db8::7", kStranger, "::1", port), Wanted::yes);
  EXPECT_EQ(probe("2001:db8::7", kStranger, "2001:db8::1", port), Wanted::no);
}

TEST_P(ServiceLookupTest, AServiceOnOneDeviceWantsProbesOfThatDeviceOnly) {
  const UniqueFd service = serve({.address = "0.0.0.0", .device = "lo"});
  const auto port = local_port(service.get());
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", port, kLoopback), Wanted::yes);
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", port, kOtherInterface), Wanted::no);
}

TEST_P(ServiceLookupTest, AConnectedSocketWantsItsPeerOnly) {
  const UniqueFd peer = serve({.address = "127.0.0.2"});
  const auto peer_port = local_port(peer.get());
  const bool tcp = GetParam() == Protocol::tcp;
  const UniqueFd client(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  connect_to(client.get(), "127.0.0.2", peer_port);
  const auto port = local_port(client.get());
  EXPECT_EQ(probe("127.0.0.2", peer_port, "127.0.0.1", port), Wanted::yes);
  EXPECT_EQ(probe("127.0.0.3", peer_port, "127.0.0.1", port), Wanted::no);
  EXPECT_EQ(probe("127.0.0.2", kStranger, "127.0.0.1", port), Wanted::no);
}

TEST_P(ServiceLookupTest, AConnectedIpv6SocketWantsItsPeerOnly) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 on this machine";
  const UniqueFd peer = serve({.address = "::1"});
  const auto peer_port = local_port(peer.get());
  const bool tcp = GetParam() == Protocol::tcp;
  const UniqueFd client(::socket(AF_INET6, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  connect_to(client.get(), "::1", peer_port);
  const auto port = local_port(client.get());
  EXPECT_EQ(probe("::1", peer_port, "::1", port), Wanted::yes);
  EXPECT_EQ(probe("2001:db8::7", peer_port, "::1", port), Wanted::no);
}

TEST_P(ServiceLookupTest, AThousandQuestionsGetAThousandAnswersOfTheirOwn) {
  const UniqueFd service = serve({.address = "127.0.0.1"});
  const auto port = local_port(service.get());
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", port), Wanted::yes) << i;
    ASSERT_EQ(probe("192.0.2.7", kStranger, "127.0.0.2", port), Wanted::no) << i;
  }
}

TEST_P(ServiceLookupTest, AnUnreadAnswerToAnEarlierQuestionIsNotTaken) {
  const UniqueFd service = serve({.address = "127.0.0.1"});
  const auto port = local_port(service.get());
  // A "yes" that nobody fetches, then a question whose answer is "no".
  const auto request = encode_lookup({.source = *Address::parse("192.0.2.7"),
                                      .target = *Address::parse("127.0.0.1"),
                                      .protocol = GetParam(),
                                      .source_port = kStranger,
                                      .target_port = port,
                                      .flags = {TcpFlags::syn},
                                      .ip_options = false,
                                      .fragmented = false},
                                     kLoopback, 0xdeadbeef);
  ASSERT_EQ(::send(lookup_->fd(), request.data(), request.size(), 0),
            static_cast<ssize_t>(request.size()));
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.2", port), Wanted::no);
}

TEST_P(ServiceLookupTest, AMovedSocketAnswersAsBefore) {
  UniqueFd place(::fcntl(lookup_->fd(), F_DUPFD_CLOEXEC, 100));
  const int number = place.release();  // a number that is taken: the lookup takes it over
  ASSERT_TRUE(lookup_->move_to(number));
  EXPECT_EQ(lookup_->fd(), number);
  const UniqueFd service = serve({.address = "0.0.0.0"});
  EXPECT_EQ(probe("192.0.2.7", kStranger, "127.0.0.1", local_port(service.get())), Wanted::yes);
}

TEST_P(ServiceLookupTest, AProbeAcrossFamiliesFails) {
  EXPECT_EQ(probe("192.0.2.7", kStranger, "::1", 80), Wanted::failed);
}

// ---- Answers, by hand ---------------------------------------------------------------------------

std::vector<std::byte> datagram(std::uint16_t type, std::uint32_t sequence,
                                std::span<const std::byte> payload) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + payload.size());
  header.nlmsg_type = type;
  header.nlmsg_seq = sequence;
  std::vector<std::byte> bytes;
  for (const std::byte b : std::as_bytes(std::span(&header, 1)))
    bytes.push_back(b);
  for (const std::byte b : payload)
    bytes.push_back(b);
  return bytes;
}

std::vector<std::byte> error_datagram(int error, std::uint32_t sequence) {
  std::array<std::byte, sizeof(nlmsgerr)> payload{};
  std::memcpy(payload.data(), &error, sizeof error);
  return datagram(NLMSG_ERROR, sequence, payload);
}

std::vector<std::byte> found_datagram(std::uint32_t sequence) {
  const std::array<std::byte, sizeof(inet_diag_msg)> payload{};
  return datagram(SOCK_DIAG_BY_FAMILY, sequence, payload);
}

TEST(SensorServiceAnswer, SaysYesForAFoundSocketAndNoForNone) {
  EXPECT_EQ(read_answer(found_datagram(7), 7), Wanted::yes);
  EXPECT_EQ(read_answer(error_datagram(-ENOENT, 7), 7), Wanted::no);
}

TEST(SensorServiceAnswer, ToAnotherQuestionIsNoAnswer) {
  EXPECT_EQ(read_answer(found_datagram(6), 7), std::nullopt);
  EXPECT_EQ(read_answer(error_datagram(-ENOENT, 8), 7), std::nullopt);
}

TEST(SensorServiceAnswer, WithAnyOtherErrorIsAFailureAndNeverANo) {
  for (const int error : {-EINVAL, -EPERM, -ENOMEM, -EOPNOTSUPP, 0}) {
    EXPECT_EQ(read_answer(error_datagram(error, 7), 7), Wanted::failed) << error;
  }
}

TEST(SensorServiceAnswer, OfAnUnknownKindIsAFailure) {
  EXPECT_EQ(read_answer(datagram(NLMSG_DONE, 7, {}), 7), Wanted::failed);
  EXPECT_EQ(read_answer(datagram(NLMSG_NOOP, 7, {}), 7), Wanted::failed);
}

TEST(SensorServiceAnswer, CutAnywhereIsNeverAYesOrANo) {
  const auto error = error_datagram(-ENOENT, 7);
  for (std::size_t size = 0; size < sizeof(nlmsghdr) + sizeof(int); ++size) {
    const auto answer = read_answer(Bytes(error).first(size), 7);
    EXPECT_TRUE(!answer || *answer == Wanted::failed) << size;
  }
  EXPECT_EQ(read_answer(datagram(SOCK_DIAG_BY_FAMILY, 7, {}), 7), Wanted::failed);
}

// ---- Grace and budget ---------------------------------------------------------------------------

constexpr Port kHttp = *Port::make(80);
constexpr Clock::time_point kStart{seconds(1000)};

TEST(SensorGrace, LastsAMinuteAfterTheServiceWasLastSeen) {
  GraceBook book;
  EXPECT_FALSE(book.in_grace(Protocol::tcp, kHttp, kStart));
  book.seen(Protocol::tcp, kHttp, kStart);
  EXPECT_TRUE(book.in_grace(Protocol::tcp, kHttp, kStart));
  EXPECT_TRUE(book.in_grace(Protocol::tcp, kHttp, kStart + kGrace - milliseconds(1)));
  EXPECT_FALSE(book.in_grace(Protocol::tcp, kHttp, kStart + kGrace));
}

TEST(SensorGrace, StartsAnewEachTimeTheServiceIsSeen) {
  GraceBook book;
  book.seen(Protocol::tcp, kHttp, kStart);
  book.seen(Protocol::tcp, kHttp, kStart + seconds(50));
  EXPECT_TRUE(book.in_grace(Protocol::tcp, kHttp, kStart + seconds(100)));
  EXPECT_EQ(book.size(), 1U);
}

TEST(SensorGrace, IsForOneProtocolAndOnePort) {
  GraceBook book;
  book.seen(Protocol::tcp, kHttp, kStart);
  EXPECT_FALSE(book.in_grace(Protocol::udp, kHttp, kStart));
  EXPECT_FALSE(book.in_grace(Protocol::tcp, *Port::make(81), kStart));
}

TEST(SensorGrace, IsFreshForOneSecondOnly) {
  GraceBook book;
  book.seen(Protocol::udp, kHttp, kStart);
  EXPECT_TRUE(book.fresh(Protocol::udp, kHttp, kStart + milliseconds(999)));
  EXPECT_FALSE(book.fresh(Protocol::udp, kHttp, kStart + seconds(1)));
  EXPECT_FALSE(book.fresh(Protocol::tcp, kHttp, kStart));
}

}  // namespace
}  // namespace portsentry::sensor
