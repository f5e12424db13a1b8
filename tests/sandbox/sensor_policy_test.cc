// The sensor's own calls, for real: a capture that delivers, and cannot send.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "child.h"
#include "common/channel.h"
#include "policies.h"
#include "sensor/bound.h"
#include "sensor/descriptors.h"

namespace portsentry::sandbox {
namespace {

constexpr int kCapture = sensor::kFirstCapture;
constexpr std::array<std::byte, 4> kWord{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};

// An AF_PACKET socket bound to the private network's loopback, as the capture has one.
int packet_socket() {
  const int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
  REQUIRE(fd >= 0);
  sockaddr_ll here{};
  here.sll_family = AF_PACKET;
  here.sll_protocol = htons(ETH_P_ALL);
  here.sll_ifindex = static_cast<int>(if_nametoindex("lo"));
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&here), sizeof(here)) == 0);
  return fd;
}

// One frame out of the capture socket; what was sent, or -1.
ssize_t inject(int fd) {
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(ETH_P_IP);
  to.sll_ifindex = 1;  // lo; if_nametoindex() would need a socket
  to.sll_halen = 6;
  return sendto(fd, kWord.data(), kWord.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to));
}

void send_udp_to_itself() {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 1);
  close(fd);
}

TEST(SensorPolicy, CannotTransmitOnItsCaptureSocket) {
  SKIP_WITHOUT_ROOT();
  const auto injecting = [](bool sealed) {
    return run([sealed] {
      enter_private_network();
      const int capture = packet_socket();
      place(capture, kCapture);
      if (sealed) REQUIRE(install(sensor::kPolicy).has_value());
      REQUIRE(inject(kCapture) == 4);
    });
  };
  // The first half shows that only the filter stands in the way.
  const auto without_filter = injecting(false);
  EXPECT_EQ(without_filter.how, kLived) << without_filter.words;
  const auto with_filter = injecting(true);
  EXPECT_EQ(with_filter.how, kDiedByFilter) << with_filter.words;
}

TEST(SensorPolicy, CannotTransmitOnItsCaptureSocketByAnyOtherCallEither) {
  SKIP_WITHOUT_ROOT();
  const auto sending = [](auto body) {
    return run([body] {
             enter_private_network();
             place(packet_socket(), kCapture);
             REQUIRE(install(sensor::kPolicy).has_value());
             body();
           })
        .how;
  };
  EXPECT_EQ(sending([] {
              msghdr message{};
              sendmsg(kCapture, &message, 0);
            }),
            kDiedByFilter);
  EXPECT_EQ(sending([] {
              mmsghdr message{};
              sendmmsg(kCapture, &message, 1, 0);
            }),
            kDiedByFilter);
  EXPECT_EQ(sending([] { static_cast<void>(!write(kCapture, "x", 1)); }), kDiedByFilter);
  // Nor by giving it a number that may send, nor by binding it elsewhere.
  EXPECT_EQ(sending([] { dup2(kCapture, 3); }), kDiedByFilter);
  EXPECT_EQ(sending([] { dup3(kCapture, 6, 0); }), kDiedByFilter);
  EXPECT_EQ(sending([] { setsockopt(kCapture, SOL_PACKET, PACKET_TX_RING, nullptr, 0); }),
            kDiedByFilter);
}

TEST(SensorPolicy, ReportsOnItsChannel) {
  const auto ended = run([] {
    std::array<int, 2> b{};
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, b.data()) == 0);
    place(b[1], 81);  // what it closes later has a number from 64 on
    place(b[0], 3);
    Channel channel_b(UniqueFd(3));
    REQUIRE(send(81, kWord.data(), kWord.size(), 0) == 4);
    REQUIRE(install(sensor::kPolicy).has_value());
    REQUIRE(channel_b.receive().got == Channel::Got::message);
    REQUIRE(channel_b.send(kWord) == Channel::Sent::ok);
    REQUIRE(close(81) == 0);
    REQUIRE(channel_b.receive().got == Channel::Got::closed);
    _exit(0);  // as the sensor ends: it never closes its channel
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(SensorPolicy, HandsNoDescriptorToTheMonitor) {
  const auto ended = run([] {
    std::array<int, 2> b{};
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, b.data()) == 0);
    place(b[0], 3);
    Channel channel_b(UniqueFd(3));
    REQUIRE(install(sensor::kPolicy).has_value());
    static_cast<void>(channel_b.send(kWord, 2));
  });
  EXPECT_EQ(ended.how, kDiedByFilter) << ended.words;
}

TEST(SensorPolicy, AsksSockDiagAndRtnetlink) {
  const auto ended = run([] {
    place(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG), 6);
    place(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), 7);
    place(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG), 8);
    REQUIRE(install(sensor::kPolicy).has_value());
    struct {
      nlmsghdr header;
      inet_diag_req_v2 body;
    } who_listens{};
    who_listens.header.nlmsg_len = sizeof(who_listens);
    who_listens.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    who_listens.header.nlmsg_flags = NLM_F_REQUEST;
    who_listens.body.sdiag_family = AF_INET;
    who_listens.body.sdiag_protocol = IPPROTO_TCP;
    REQUIRE(send(6, &who_listens, sizeof(who_listens), 0) == sizeof(who_listens));
    std::array<char, 8192> answer{};
    REQUIRE(recv(6, answer.data(), answer.size(), 0) > 0);
    // A listing goes by a socket of its own.
    who_listens.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    REQUIRE(send(8, &who_listens, sizeof(who_listens), 0) == sizeof(who_listens));
    REQUIRE(recv(8, answer.data(), answer.size(), 0) > 0);

    struct {
      nlmsghdr header;
      rtgenmsg body;
    } dump{};
    dump.header.nlmsg_len = sizeof(dump);
    dump.header.nlmsg_type = RTM_GETADDR;
    dump.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    REQUIRE(send(7, &dump, sizeof(dump), 0) == sizeof(dump));
    iovec part{.iov_base = answer.data(), .iov_len = answer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    REQUIRE(recvmsg(7, &message, 0) > 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(SensorPolicy, CapturesThroughLibpcapUnderTheFilter) {
  SKIP_WITHOUT_ROOT();
  const auto ended = run([] {
    enter_private_network();
    std::array<char, PCAP_ERRBUF_SIZE> why{};
    pcap_t* capture = pcap_create("any", why.data());
    REQUIRE(capture != nullptr);
    REQUIRE(pcap_set_snaplen(capture, 160) == 0 && pcap_set_immediate_mode(capture, 1) == 0);
    REQUIRE(pcap_set_buffer_size(capture, 1 << 21) == 0);
    REQUIRE(pcap_activate(capture) == 0);
    REQUIRE(pcap_setnonblock(capture, 1, why.data()) == 0);
    send_udp_to_itself();  // waits in the ring
    REQUIRE(install(sensor::kPolicy).has_value());

    const auto count = [](unsigned char* seen, const pcap_pkthdr*, const unsigned char*) {
      ++*seen;
    };
    unsigned char seen = 0;
    REQUIRE(pcap_dispatch(capture, 16, count, &seen) >= 1);
    REQUIRE(seen >= 1);
    while (pcap_dispatch(capture, 16, count, &seen) > 0) {
    }
    pcap_stat drops{};
    REQUIRE(pcap_stats(capture, &drops) == 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

// ---- Bound sockets ------------------------------------------------------------------------------

// As main() does before it opens them.
void take_low() {
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  REQUIRE(sensor::take_low_numbers(null).has_value());
  static_cast<void>(null.release());
}

PortSets one_port(std::uint16_t number) {
  PortSets ports;
  ports.tcp.add(*Port::make(number));
  ports.udp.add(*Port::make(number));
  return ports;
}

// In a process of its own: connects, sends a word and a datagram, and says what it was told.
void start_client(std::uint16_t number) {
  if (fork() != 0) return;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(number);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    const int fd = socket(AF_INET, type, 0);
    REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
    REQUIRE(send(fd, "hello", 5, 0) == 5);
    std::array<char, 64> told{};
    const ssize_t size = recv(fd, told.data(), told.size(), 0);
    REQUIRE(size > 0);
    REQUIRE(write(2, told.data(), static_cast<std::size_t>(size)) == size);
  }
  _exit(0);
}

TEST(SensorPolicy, GreetsWhoConnectsAndWhoSendsADatagram) {
  SKIP_WITHOUT_ROOT();
  const auto ended = run([] {
    enter_private_network();
    take_low();
    auto opened = sensor::BoundSockets::open(one_port(4444), sensor::kEpoll);
    REQUIRE(opened.has_value() && opened->size() == 2);
    start_client(4444);
    REQUIRE(install(sensor::kPolicy).has_value());
    unsigned seen = 0;
    while (seen < 2) {
      pollfd waiting{.fd = opened->fd(), .events = POLLIN, .revents = 0};
      REQUIRE(poll(&waiting, 1, 10'000) == 1);
      seen += opened->serve([](const sensor::Contact&) -> std::string_view { return "go away "; })
                  .taken;
    }
    _exit(0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
  EXPECT_EQ(ended.words, "go away go away ");
}

// A captured sensor that has a client, in a process that `body` then misuses.
std::string misusing(const std::function<void(int accepted)>& body) {
  return run([&body] {
           enter_private_network();
           place(packet_socket(), kCapture);
           take_low();
           auto opened = sensor::BoundSockets::open(one_port(4444), sensor::kEpoll);
           REQUIRE(opened.has_value() && opened->size() == 2);
           if (fork() == 0) {
             sockaddr_in to{};
             to.sin_family = AF_INET;
             to.sin_port = htons(4444);
             to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
             const int fd = socket(AF_INET, SOCK_STREAM, 0);
             REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
             REQUIRE(send(fd, "secret", 6, 0) == 6);
             char byte = 0;
             static_cast<void>(!read(fd, &byte, 1));
             _exit(0);
           }
           pollfd waiting{.fd = opened->fd(), .events = POLLIN, .revents = 0};
           REQUIRE(poll(&waiting, 1, 10'000) == 1);
           REQUIRE(install(sensor::kPolicy).has_value());
           const int accepted =
               accept4(sensor::kFirstBound, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
           REQUIRE(accepted > sensor::kFirstBound);
           body(accepted);
           _exit(0);
         })
      .how;
}

TEST(SensorPolicy, CannotReadWhatItsClientsSend) {
  SKIP_WITHOUT_ROOT();
  std::array<char, 16> buffer{};
  EXPECT_EQ(misusing([&](int fd) {
              REQUIRE(recvfrom(fd, nullptr, 0, 0, nullptr, nullptr) <= 0);
              REQUIRE(send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1);
            }),
            kLived)
      << "only what follows is in the way";
  EXPECT_EQ(misusing([&](int fd) { recv(fd, buffer.data(), 1, 0); }), kDiedByFilter);
  EXPECT_EQ(misusing([&](int fd) { recv(fd, buffer.data(), buffer.size(), MSG_PEEK); }),
            kDiedByFilter);
  EXPECT_EQ(misusing([&](int fd) { static_cast<void>(!read(fd, buffer.data(), 1)); }),
            kDiedByFilter);
  EXPECT_EQ(misusing([&](int fd) {
              msghdr message{};
              recvmsg(fd, &message, 0);
            }),
            kDiedByFilter);
}

TEST(SensorPolicy, CannotFreeALowNumberForWhatItAccepts) {
  SKIP_WITHOUT_ROOT();
  for (const int number : {2, 3, 5, 6, 7, 8, 9, 10, 15, 32, 63})
    EXPECT_EQ(misusing([&](int) { close(number); }), kDiedByFilter) << number;
  EXPECT_EQ(misusing([](int fd) { dup2(fd, 3); }), kDiedByFilter);
  // Only /dev/null becomes another descriptor, and only one of the capture's.
  EXPECT_EQ(misusing([](int fd) { dup3(fd, kCapture, O_CLOEXEC); }), kDiedByFilter);
  EXPECT_EQ(misusing([](int) { dup3(3, kCapture, O_CLOEXEC); }), kDiedByFilter);
  EXPECT_EQ(misusing([](int) { dup3(sensor::kNull, 3, O_CLOEXEC); }), kDiedByFilter);
  EXPECT_EQ(misusing([](int) { dup3(sensor::kNull, sensor::kCaptureEnd, O_CLOEXEC); }),
            kDiedByFilter);
  EXPECT_EQ(misusing([](int) { accept4(sensor::kFirstBound, nullptr, nullptr, 0); }),
            kDiedByFilter);
}

TEST(SensorPolicy, CannotConnectFromABoundSocket) {
  SKIP_WITHOUT_ROOT();
  EXPECT_EQ(misusing([](int) {
              sockaddr_in to{};
              to.sin_family = AF_INET;
              to.sin_port = htons(9);
              to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
              sendto(sensor::kFirstBound, "x", 1, MSG_FASTOPEN | MSG_DONTWAIT | MSG_NOSIGNAL,
                     reinterpret_cast<sockaddr*>(&to), sizeof(to));
            }),
            kDiedByFilter);
  EXPECT_EQ(misusing([](int fd) { shutdown(fd, SHUT_RDWR); }), kDiedByFilter);
  EXPECT_EQ(misusing([](int) { listen(sensor::kFirstBound, 4096); }), kDiedByFilter);
}

TEST(SensorPolicy, ItsCaptureSocketIsNoneOfTheBoundOnes) {
  SKIP_WITHOUT_ROOT();
  // With the flags that are right for a banner.
  EXPECT_EQ(misusing([](int) {
              sockaddr_ll to{};
              to.sll_family = AF_PACKET;
              to.sll_protocol = htons(ETH_P_IP);
              to.sll_ifindex = 1;
              to.sll_halen = 6;
              sendto(kCapture, kWord.data(), kWord.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                     reinterpret_cast<sockaddr*>(&to), sizeof(to));
            }),
            kDiedByFilter);
  EXPECT_EQ(misusing([](int) { recvfrom(kCapture, nullptr, 0, 0, nullptr, nullptr); }),
            kDiedByFilter);
  EXPECT_EQ(misusing([](int) {
              sockaddr_ll name{};
              socklen_t size = sizeof(name);
              getsockname(kCapture, reinterpret_cast<sockaddr*>(&name), &size);
            }),
            kDiedByFilter);
}

// The capture's numbers can be freed, for the instant until they are taken again. What a captured
// sensor accepts there is of no use to it.
TEST(SensorPolicy, GainsNothingByAFreeNumberOfItsCapture) {
  SKIP_WITHOUT_ROOT();
  const auto accepting_low = [](const std::function<void(int)>& use) {
    return misusing([&](int) {
      REQUIRE(close(kCapture) == 0);
      // Nobody else comes, but were somebody accepted there:
      use(kCapture);
    });
  };
  EXPECT_EQ(accepting_low([](int) {}), kLived) << "only what follows is in the way";
  EXPECT_EQ(accepting_low([](int fd) { send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL); }),
            kDiedByFilter);
  EXPECT_EQ(accepting_low([](int fd) { recvfrom(fd, nullptr, 0, 0, nullptr, nullptr); }),
            kDiedByFilter);
  EXPECT_EQ(accepting_low([](int fd) {
              std::array<char, 8> room{};
              recv(fd, room.data(), room.size(), MSG_DONTWAIT);
            }),
            kDiedByFilter);
  EXPECT_EQ(accepting_low([](int fd) { accept4(fd, nullptr, nullptr, 0); }), kDiedByFilter);
}

TEST(SensorPolicy, ClosesItsCaptureAndTakesItsNumbersAgain) {
  SKIP_WITHOUT_ROOT();
  const auto ended = run([] {
    enter_private_network();
    UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    place(null.release(), sensor::kNull);
    null.reset(sensor::kNull);
    REQUIRE(sensor::take_low_numbers(null, sensor::kFirstCapture).has_value());
    std::array<char, PCAP_ERRBUF_SIZE> why{};
    pcap_t* capture = pcap_create("any", why.data());
    REQUIRE(capture != nullptr && pcap_set_immediate_mode(capture, 1) == 0);
    REQUIRE(pcap_activate(capture) == 0);
    REQUIRE(pcap_get_selectable_fd(capture) >= sensor::kFirstCapture);
    REQUIRE(pcap_get_selectable_fd(capture) < sensor::kCaptureEnd);
    REQUIRE(sensor::take_low_numbers(null).has_value());
    REQUIRE(install(sensor::kPolicy).has_value());
    std::array<char, 16> long_packet{};  // none waits
    REQUIRE(recv(pcap_get_selectable_fd(capture), long_packet.data(), long_packet.size(),
                 MSG_DONTWAIT | MSG_TRUNC) == -1);
    REQUIRE(errno == EAGAIN);
    pcap_close(capture);
    for (int number = sensor::kFirstCapture; number < sensor::kCaptureEnd; ++number)
      REQUIRE(dup3(sensor::kNull, number, O_CLOEXEC) == number);
    _exit(0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(SensorPolicy, OnlyReceivesFromTheTraps) {
  const auto with_feed = [](const std::function<void()>& body) {
    return run([&body] {
             place(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), sensor::kFeed);
             REQUIRE(install(sensor::kPolicy).has_value());
             body();
           })
        .how;
  };
  EXPECT_EQ(with_feed([] {
              std::array<char, 64> room{};
              iovec part{.iov_base = room.data(), .iov_len = room.size()};
              msghdr message{};
              message.msg_iov = &part;
              message.msg_iovlen = 1;
              REQUIRE(recvmsg(sensor::kFeed, &message, MSG_DONTWAIT) < 0);
            }),
            kLived);
  EXPECT_EQ(with_feed([] { send(sensor::kFeed, kWord.data(), kWord.size(), MSG_DONTWAIT); }),
            kDiedByFilter);
  EXPECT_EQ(with_feed([] {
              msghdr message{};
              sendmsg(sensor::kFeed, &message, MSG_DONTWAIT);
            }),
            kDiedByFilter);
  EXPECT_EQ(with_feed([] { static_cast<void>(!write(sensor::kFeed, "x", 1)); }), kDiedByFilter);
  EXPECT_EQ(with_feed([] { setsockopt(sensor::kFeed, SOL_SOCKET, SO_RCVBUF, nullptr, 0); }),
            kDiedByFilter);
  EXPECT_EQ(with_feed([] { close(sensor::kFeed); }), kDiedByFilter);
}

TEST(SensorPolicy, ReceivesOnlyWhereItHasARow) {
  EXPECT_DIES_BY_FILTER(sensor::kPolicy, char byte = 0; recv(kCapture, &byte, 1, 0));
  for (const int fd : {0, 1, 2, 4, sensor::kEpoll, sensor::kNull, kCapture}) {
    if (fd != kCapture)
      EXPECT_DIES_BY_FILTER(sensor::kPolicy, char byte = 0; recv(fd, &byte, 1, MSG_DONTWAIT));
    EXPECT_DIES_BY_FILTER(sensor::kPolicy, msghdr m{}; recvmsg(fd, &m, MSG_DONTWAIT));
  }
}

}  // namespace
}  // namespace portsentry::sandbox
