// Bound sockets against the real kernel, each test in a network namespace of its own.
#include "sensor/bound.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/event_loop.h"

namespace portsentry::sensor {
namespace {

constexpr int kEpoll = 5;

Port port(std::uint32_t number) {
  return *Port::make(number);
}

PortSets sets(std::initializer_list<std::uint32_t> tcp, std::initializer_list<std::uint32_t> udp) {
  PortSets ports;
  for (const std::uint32_t number : tcp)
    ports.tcp.add(port(number));
  for (const std::uint32_t number : udp)
    ports.udp.add(port(number));
  return ports;
}

struct End {
  sockaddr_in6 storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

End end(const std::string& address, std::uint16_t number) {
  End result;
  if (address.find(':') != std::string::npos) {
    result.storage.sin6_family = AF_INET6;
    result.storage.sin6_port = htons(number);
    EXPECT_EQ(::inet_pton(AF_INET6, address.c_str(), &result.storage.sin6_addr), 1);
    result.size = sizeof(sockaddr_in6);
    return result;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(number);
  EXPECT_EQ(::inet_pton(AF_INET, address.c_str(), &v4.sin_addr), 1);
  std::memcpy(&result.storage, &v4, sizeof v4);
  result.size = sizeof v4;
  return result;
}

class Bound : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes a network namespace";
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno);
    fill_low_numbers();  // before a test opens anything: kEpoll must be nobody's
    const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq loopback{};
    std::memcpy(loopback.ifr_name, "lo", 3);
    loopback.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(any.get(), SIOCSIFFLAGS, &loopback), 0);
  }

  static void fill_low_numbers() {
    static const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(take_low_numbers(null));
  }

  static BoundSockets open(const PortSets& ports, int epoll = kEpoll) {
    fill_low_numbers();  // an earlier test or generation gave its epoll descriptor back
    auto bound = BoundSockets::open(ports, epoll);
    EXPECT_TRUE(bound) << bound.error().what;
    return std::move(*bound);
  }

  // A client's socket; connected or sent from, it stays open until the test ends.
  int client(const std::string& from, int type) {
    const int family = from.find(':') != std::string::npos ? AF_INET6 : AF_INET;
    clients_.emplace_back(::socket(family, type | SOCK_CLOEXEC, 0));
    const End local = end(from, 0);
    EXPECT_EQ(::bind(clients_.back().get(), local.raw(), local.size), 0) << std::strerror(errno);
    return clients_.back().get();
  }

  int connect(const std::string& to, std::uint16_t number, const std::string& from = "127.0.0.9") {
    const int fd = client(from, SOCK_STREAM);
    const End remote = end(to, number);
    EXPECT_EQ(::connect(fd, remote.raw(), remote.size), 0) << std::strerror(errno);
    return fd;
  }

  int send(const std::string& to, std::uint16_t number, const std::string& text,
           const std::string& from = "127.0.0.9") {
    const int fd = client(from, SOCK_DGRAM);
    const int on = 1;
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on), 0);
    const End remote = end(to, number);
    EXPECT_EQ(::sendto(fd, text.data(), text.size(), 0, remote.raw(), remote.size),
              static_cast<ssize_t>(text.size()))
        << std::strerror(errno);
    return fd;
  }

  // Somebody else's socket.
  UniqueFd taken(int type, const std::string& address, std::uint16_t number, int option = 0) {
    const bool v6 = address.find(':') != std::string::npos;
    UniqueFd fd(::socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (option != 0) {
      EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, option, &on, sizeof on), 0);
    }
    const End local = end(address, number);
    EXPECT_EQ(::bind(fd.get(), local.raw(), local.size), 0) << std::strerror(errno);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(fd.get(), 8), 0);
    }
    return fd;
  }

  static bool readable(int fd, int milliseconds = 0) {
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, milliseconds) == 1;
  }

  static std::string read(int fd) {
    EXPECT_TRUE(readable(fd, 5000));
    std::array<char, 2048> text{};
    const ssize_t size = ::recv(fd, text.data(), text.size(), 0);
    return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : "";
  }

  // Everything that waits, all turns of it.
  std::vector<Contact> serve(BoundSockets& bound, const std::string& banner = "") {
    std::vector<Contact> seen;
    while (readable(bound.fd())) {
      const auto turn = bound.serve([&](const Contact& contact) -> std::string_view {
        seen.push_back(contact);
        return banner;
      });
      EXPECT_LE(turn.taken, BoundSockets::kMostPerTurn);
      EXPECT_EQ(turn.failed, 0U);
      EXPECT_FALSE(turn.pause);
      if (turn.pause) break;
    }
    return seen;
  }

  std::vector<UniqueFd> clients_;
};

TEST_F(Bound, WithoutPortsNothingIsOpened) {
  const BoundSockets bound = open({});
  EXPECT_EQ(bound.fd(), -1);
  EXPECT_EQ(bound.size(), 0U);
}

TEST_F(Bound, AConnectionIsSeenWithBothItsEnds) {
  BoundSockets bound = open(sets({23, 4444}, {}));
  EXPECT_EQ(bound.size(), 2U);
  EXPECT_TRUE(bound.failures().empty());
  connect("127.0.0.1", 4444);
  connect("::1", 23, "::1");
  const auto seen = serve(bound);
  ASSERT_EQ(seen.size(), 2U);
  const Contact& four = seen[0].source.is_v4() ? seen[0] : seen[1];
  const Contact& six = seen[0].source.is_v4() ? seen[1] : seen[0];
  EXPECT_EQ(four.source.text(), "127.0.0.9") << "not ::ffff:127.0.0.9";
  EXPECT_EQ(four.target.text(), "127.0.0.1");
  EXPECT_EQ(four.port.number(), 4444);
  EXPECT_EQ(four.protocol, Protocol::tcp);
  EXPECT_EQ(four.interface, 0U);
  EXPECT_EQ(six.source.text(), "::1");
  EXPECT_EQ(six.target.text(), "::1");
  EXPECT_EQ(six.port.number(), 23);
  EXPECT_FALSE(readable(bound.fd()));
}

TEST_F(Bound, ADatagramIsSeenAndItsPayloadIsNot) {
  BoundSockets bound = open(sets({}, {161}));
  send("127.0.0.1", 161, std::string(1000, 'x'));
  send("::1", 161, "", "::1");
  ASSERT_TRUE(readable(bound.fd(), 5000));
  std::array<char, 2048> payload{};
  EXPECT_EQ(::recv(kFirstBound, payload.data(), payload.size(), MSG_PEEK | MSG_DONTWAIT), 0)
      << "the kernel has cut it off";
  const auto seen = serve(bound);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].source.text(), "127.0.0.9");
  EXPECT_EQ(seen[0].target.text(), "0.0.0.0");
  EXPECT_EQ(seen[0].protocol, Protocol::udp);
  EXPECT_EQ(seen[0].port.number(), 161);
  EXPECT_EQ(seen[1].source.text(), "::1");
  EXPECT_EQ(seen[1].target.text(), "::");
}

TEST_F(Bound, ABroadcastIsNoProbe) {
  ASSERT_EQ(std::system("ip link add here type veth peer name there && "
                        "ip link set here up && ip link set there up && "
                        "ip addr add 192.0.2.1/24 brd + dev here && "
                        "ip route add default dev here"),
            0);
  BoundSockets bound = open(sets({}, {137}));
  send("192.0.2.255", 137, "who is there?", "192.0.2.1");
  send("255.255.255.255", 137, "who is there?", "192.0.2.1");
  send("192.0.2.1", 137, "you", "192.0.2.1");
  const auto seen = serve(bound);
  EXPECT_EQ(seen.size(), 1U);
}

TEST_F(Bound, TheBannerIsSentAsItStands) {
  BoundSockets bound = open(sets({4444}, {4444}));
  const int stream = connect("127.0.0.1", 4444);
  const int datagram = send("127.0.0.1", 4444, "x");
  const int stream6 = connect("::1", 4444, "::1");
  const std::string banner("** GO\r\nAWAY **\0!", 16);
  EXPECT_EQ(serve(bound, banner).size(), 3U);
  EXPECT_EQ(read(stream), banner);
  EXPECT_EQ(read(stream), "") << "and closed";
  EXPECT_EQ(read(stream6), banner);
  EXPECT_EQ(read(datagram), banner);
}

TEST_F(Bound, WithoutABannerAConnectionIsJustClosed) {
  BoundSockets bound = open(sets({4444}, {}));
  const int stream = connect("127.0.0.1", 4444);
  serve(bound);
  EXPECT_EQ(read(stream), "");
}

// 1.2 packs its sockets and then names ports by their place in the configuration: with 22 taken, a
// connection to 79 was logged, and blocked, as one to 22.
TEST_F(Bound, APortThatIsTakenShiftsNoOther) {
  const UniqueFd service = taken(SOCK_STREAM, "0.0.0.0", 22);
  const UniqueFd resolver = taken(SOCK_DGRAM, "127.0.0.53", 53);
  BoundSockets bound = open(sets({11, 22, 79}, {53, 69}));
  EXPECT_EQ(bound.size(), 3U);
  ASSERT_EQ(bound.failures().size(), 2U);
  EXPECT_EQ(bound.failures()[0].protocol, Protocol::tcp);
  EXPECT_EQ(bound.failures()[0].port.number(), 22);
  EXPECT_EQ(bound.failures()[0].error, EADDRINUSE);
  EXPECT_EQ(bound.failures()[1].protocol, Protocol::udp);
  EXPECT_EQ(bound.failures()[1].port.number(), 53);
  connect("127.0.0.1", 79);
  send("127.0.0.1", 69, "x");
  connect("127.0.0.1", 11);
  std::map<unsigned, unsigned> ports;
  for (const Contact& contact : serve(bound))
    ++ports[contact.port.number()];
  EXPECT_EQ(ports, (std::map<unsigned, unsigned>{{11, 1}, {69, 1}, {79, 1}}));
}

TEST_F(Bound, NoOwnerLosesItsPortToUs) {
  const UniqueFd reuse_udp = taken(SOCK_DGRAM, "0.0.0.0", 5353, SO_REUSEADDR);
  const UniqueFd reuse_tcp = taken(SOCK_STREAM, "0.0.0.0", 5353, SO_REUSEADDR);
  const UniqueFd six = taken(SOCK_STREAM, "::1", 631);
  const BoundSockets bound = open(sets({631, 5353}, {5353}));
  EXPECT_EQ(bound.size(), 0U);
  EXPECT_EQ(bound.failures().size(), 3U);
}

TEST_F(Bound, AConnectionThatStillEndsDoesNotKeepUsOut) {
  {
    BoundSockets bound = open(sets({4444}, {}));
    connect("127.0.0.1", 4444);
    serve(bound);  // we close first: TIME_WAIT is ours
    clients_.clear();
  }
  const BoundSockets again = open(sets({4444}, {}));
  EXPECT_EQ(again.size(), 1U);
}

// ---- Succession ---------------------------------------------------------------------------------

TEST_F(Bound, ASuccessorGetsAllThatIsNewWhileItsPredecessorStillListens) {
  const PortSets ports = sets({4444, 4445}, {4444});
  std::optional<BoundSockets> old = open(ports);
  connect("127.0.0.1", 4444);
  // Two more generations, so that the third meets only the second.
  for (const int epoll : {6, 7}) {
    std::optional<BoundSockets> successor = open(ports, epoll);
    ASSERT_EQ(successor->size(), 3U);
    EXPECT_EQ(serve(*old).size(), epoll == 6 ? 1U : 0U) << "what came before is the old one's";
    for (int i = 0; i < 100; ++i) {
      connect("127.0.0.1", 4444);
      connect("::1", 4445, "::1");
      send("127.0.0.1", 4444, "x");
      if (i == 50) serve(*successor);  // a backlog is finite
    }
    EXPECT_FALSE(readable(old->fd()));
    old.reset();
    for (int i = 0; i < 10; ++i)
      connect("127.0.0.1", 4445);
    EXPECT_GE(serve(*successor).size(), 3U * 49 + 10);
    clients_.clear();
    old = std::move(successor);
  }
}

TEST_F(Bound, AnAbandonedSuccessorLeavesEverythingToItsPredecessor) {
  const PortSets ports = sets({4444}, {4444});
  BoundSockets old = open(ports);
  {
    const BoundSockets successor = open(ports, 6);
    EXPECT_EQ(successor.size(), 2U);
  }
  for (int i = 0; i < 20; ++i) {
    connect("127.0.0.1", 4444);
    send("127.0.0.1", 4444, "x");
  }
  EXPECT_EQ(serve(old).size(), 40U);
}

TEST_F(Bound, AnotherUserCannotJoinOurPorts) {
  const BoundSockets bound = open(sets({4444}, {}));
  ASSERT_EQ(::seteuid(65534), 0);
  const UniqueFd thief(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(thief.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const End local = end("0.0.0.0", 4444);
  const int answer = ::bind(thief.get(), local.raw(), local.size);
  const int error = errno;
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_EQ(answer, -1);
  EXPECT_EQ(error, EADDRINUSE);
}

// ---- When there is too much ---------------------------------------------------------------------

TEST_F(Bound, ATurnIsBoundedAndNobodyIsLost) {
  BoundSockets bound = open(sets({1001, 1002, 1003}, {}));
  for (int i = 0; i < 100; ++i) {
    for (const std::uint16_t number : std::to_array<std::uint16_t>({1001, 1002, 1003}))
      connect("127.0.0.1", number);
  }
  std::map<unsigned, unsigned> first;
  const auto turn = bound.serve([&](const Contact& contact) -> std::string_view {
    ++first[contact.port.number()];
    return {};
  });
  EXPECT_LE(turn.taken, BoundSockets::kMostPerTurn);
  EXPECT_EQ(first.size(), 3U) << "a busy port leaves turns to others";
  EXPECT_EQ(turn.taken + serve(bound).size(), 300U);
}

TEST_F(Bound, WithoutADescriptorToAcceptWithItPausesAndLosesNobody) {
  BoundSockets bound = open(sets({4444}, {}));
  connect("127.0.0.1", 4444);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd next(::fcntl(0, F_DUPFD_CLOEXEC, kFirstBound));
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(next.get());  // the next free number is out of reach
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto turn = bound.serve([](const Contact&) -> std::string_view { return {}; });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(turn.taken, 0U);
  EXPECT_EQ(turn.failed, 1U);
  EXPECT_TRUE(turn.pause);
  EXPECT_EQ(serve(bound).size(), 1U);
}

TEST_F(Bound, AListenerThatSomebodyDestroyedIsNotAskedForEver) {
  BoundSockets bound = open(sets({4444}, {}));
  ASSERT_EQ(::shutdown(kFirstBound, SHUT_RD), 0);  // what `ss -K` does to it
  ASSERT_TRUE(readable(bound.fd()));
  const auto turn = bound.serve([](const Contact&) -> std::string_view { return {}; });
  EXPECT_EQ(turn.failed, 1U);
  EXPECT_EQ(bound.size(), 0U);
  EXPECT_FALSE(readable(bound.fd()));
}

TEST_F(Bound, AConnectionThatWasResetMeanwhileStillNamesItsSource) {
  BoundSockets bound = open(sets({4444}, {}));
  const int fd = connect("127.0.0.1", 4444);
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  clients_.clear();  // a RST, as nmap -sT sends
  const auto seen = serve(bound);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].source.text(), "127.0.0.9");
}

TEST_F(Bound, FifteenThousandPortsSomeOfThemTaken) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit enough = before;
  enough.rlim_cur = 16'000;
  enough.rlim_max = std::max<rlim_t>(before.rlim_max, enough.rlim_cur);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &enough), 0) << std::strerror(errno);
  std::vector<UniqueFd> services;
  for (const std::uint16_t number : std::to_array<std::uint16_t>({1, 7000, 7001, 15000}))
    services.push_back(taken(SOCK_STREAM, "0.0.0.0", number));
  PortSets ports;
  ports.tcp.add_range(port(1), port(15'000));
  {
    const auto start = Clock::now();
    BoundSockets bound = open(ports);
    const auto took = Clock::now() - start;
    EXPECT_LT(took, std::chrono::seconds(10)) << "usually a fraction of a second";
    RecordProperty("milliseconds", static_cast<int>(took / std::chrono::milliseconds(1)));
    EXPECT_EQ(bound.size(), 14'996U);
    EXPECT_EQ(bound.failures().size(), 4U);
    EXPECT_FALSE(readable(bound.fd()));
    for (const std::uint16_t number : std::to_array<std::uint16_t>({2, 6999, 7002, 14'999}))
      connect("127.0.0.1", number);
    std::map<unsigned, unsigned> seen;
    for (const Contact& contact : serve(bound))
      ++seen[contact.port.number()];
    EXPECT_EQ(seen, (std::map<unsigned, unsigned>{{2, 1}, {6999, 1}, {7002, 1}, {14'999, 1}}));
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(Bound, WhatDoesNotFitTheLimitIsReportedPortByPort) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = kFirstBound + 12;  // some are the test program's own
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  PortSets ports;
  ports.tcp.add_range(port(1), port(100));
  const BoundSockets bound = open(ports);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_GT(bound.size(), 0U);
  EXPECT_EQ(bound.size() + bound.failures().size(), 100U);
  EXPECT_EQ(bound.failures().back().error, EMFILE);
  EXPECT_EQ(bound.failures().back().port.number(), 100);
}

TEST_F(Bound, AFreeLowNumberIsAnErrorAndNotASocketThere) {
  fill_low_numbers();
  ::close(63);
  const auto bound = BoundSockets::open(sets({4444}, {}), kEpoll);
  EXPECT_FALSE(bound);
}

}  // namespace
}  // namespace portsentry::sensor
