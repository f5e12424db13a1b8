// The enforcer's own calls, for real, on the descriptors that it is born with.
#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "child.h"
#include "common/channel.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

constexpr std::array<std::byte, 4> kWord{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};

// Places 3 (channel A), 4 (launcher), 5, 6 and 8 (netfilter), 7 (route), 9 (sock_diag); gives the peers
// of 3 and 4.
std::array<int, 2> born_as_enforcer() {
  std::array<int, 2> a{};
  std::array<int, 2> launcher{};
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, a.data()) == 0);
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, launcher.data()) == 0);
  place(a[1], 21);
  place(launcher[1], 22);
  place(a[0], 13);
  place(launcher[0], 14);
  place(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), 15);
  place(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), 16);
  place(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), 17);
  place(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), 18);
  place(socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG), 19);
  for (int fd = 3; fd <= 9; ++fd)
    place(fd + 10, fd);
  return {21, 22};
}

void ask_kernel(int fd, std::uint16_t type, std::uint16_t flags) {
  struct {
    nlmsghdr header;
    rtgenmsg body;
  } question{};
  question.header = {.nlmsg_len = sizeof(question),
                     .nlmsg_type = type,
                     .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                     .nlmsg_seq = 1,
                     .nlmsg_pid = 0};
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  REQUIRE(sendto(fd, &question, sizeof(question), 0, reinterpret_cast<sockaddr*>(&kernel),
                 sizeof(kernel)) == static_cast<ssize_t>(sizeof(question)));
  std::array<char, 8192> answer{};
  iovec part{.iov_base = answer.data(), .iov_len = answer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  REQUIRE(recvmsg(fd, &message, 0) > static_cast<ssize_t>(sizeof(nlmsghdr)));
}

TEST(EnforcerPolicy, TalksToTheMonitorAndHandsItADescriptor) {
  const auto ended = run([] {
    const auto [monitor, launcher] = born_as_enforcer();
    Channel channel_a(UniqueFd(3));
    Channel peer(UniqueFd{monitor});
    REQUIRE(install(enforcer::kPolicy).has_value());
    REQUIRE(channel_a.send(kWord) == Channel::Sent::ok);
    REQUIRE(peer.receive().got == Channel::Got::message);
    REQUIRE(channel_a.send(kWord, launcher) == Channel::Sent::ok);
    REQUIRE(static_cast<bool>(peer.receive().fd));
    REQUIRE(channel_a.receive().got == Channel::Got::nothing);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(EnforcerPolicy, GivesTheLauncherAStructAndReadsItsAnswer) {
  const auto ended = run([] {
    const int launcher = born_as_enforcer()[1];
    REQUIRE(send(launcher, kWord.data(), kWord.size(), 0) == 4);
    REQUIRE(install(enforcer::kPolicy).has_value());
    REQUIRE(send(4, kWord.data(), kWord.size(), MSG_NOSIGNAL) == 4);
    REQUIRE(Channel(UniqueFd(4)).receive().got == Channel::Got::message);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(EnforcerPolicy, AsksNfTablesRtnetlinkAndSockDiag) {
  SKIP_WITHOUT_ROOT();
  const auto ended = run([] {
    enter_private_network();
    born_as_enforcer();
    REQUIRE(install(enforcer::kPolicy).has_value());
    ask_kernel(5, (NFNL_SUBSYS_NFTABLES << 8) | 16 /* NFT_MSG_GETGEN */, 0);
    ask_kernel(7, RTM_GETADDR, NLM_F_DUMP);
    ask_kernel(8, (NFNL_SUBSYS_NFTABLES << 8) | 16 /* NFT_MSG_GETGEN */, 0);
    ask_kernel(9, 20 /* SOCK_DIAG_BY_FAMILY */, NLM_F_DUMP);
    msghdr event{};
    REQUIRE(recvmsg(6, &event, MSG_DONTWAIT) == -1);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(EnforcerPolicy, HandsNoDescriptorToTheLauncher) {
  const auto ended = run([] {
    const auto [monitor, launcher] = born_as_enforcer();
    Channel to_launcher(UniqueFd(4));
    REQUIRE(install(enforcer::kPolicy).has_value());
    static_cast<void>(to_launcher.send(kWord, monitor));
  });
  EXPECT_EQ(ended.how, kDiedByFilter) << ended.words;
}

TEST(EnforcerPolicy, DoesNotSpeakOnTheEventSocket) {
  const auto ended = run([] {
    born_as_enforcer();
    REQUIRE(install(enforcer::kPolicy).has_value());
    static_cast<void>(send(6, kWord.data(), kWord.size(), 0));
  });
  EXPECT_EQ(ended.how, kDiedByFilter) << ended.words;
}

TEST(EnforcerPolicy, WritesNowhereButToStandardError) {
  EXPECT_LIVES(enforcer::kPolicy, REQUIRE(write(2, "x", 1) == 1));
  for (const int fd : {0, 1, 3, 4, 5, 8}) {
    EXPECT_DIES_BY_FILTER(enforcer::kPolicy, static_cast<void>(!write(fd, "x", 1)));
  }
}

}  // namespace
}  // namespace portsentry::sandbox
