#include "common/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace portsentry {
namespace {

// How many descriptors this process has open: a leak shows as a difference.
int open_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd)
    count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

struct Pair {
  UniqueFd raw;  // the hostile peer's end, spoken to with plain system calls
  Channel channel;
};

Pair make_pair() {
  auto ends = Channel::make_pair();
  EXPECT_TRUE(ends);
  return {std::move(ends->first), Channel(std::move(ends->second))};
}

std::vector<std::byte> bytes(std::size_t size) {
  return std::vector<std::byte>(size, std::byte{7});
}

// Sends `size` bytes with `descriptors` copies of descriptor 0, as no peer of ours would.
void send_raw(int fd, std::size_t size, int descriptors) {
  auto payload = bytes(size);
  iovec part{payload.data(), payload.size()};
  std::vector<std::byte> control(CMSG_SPACE(static_cast<std::size_t>(descriptors) * sizeof(int)));
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (descriptors > 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    ASSERT_NE(c, nullptr);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(static_cast<std::size_t>(descriptors) * sizeof(int));
    const std::vector<int> zeros(static_cast<std::size_t>(descriptors), 0);
    std::memcpy(CMSG_DATA(c), zeros.data(), zeros.size() * sizeof(int));
  }
  ASSERT_EQ(sendmsg(fd, &header, 0), static_cast<ssize_t>(size)) << std::strerror(errno);
}

TEST(Channel, KnowsAnEndOfOneFromAnythingElse) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  EXPECT_TRUE(Channel::is_one(ends->first.get()));
  std::array<int, 2> others{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, others.data()), 0);
  const UniqueFd one(others[0]);
  const UniqueFd other(others[1]);
  EXPECT_FALSE(Channel::is_one(one.get()));
  EXPECT_FALSE(Channel::is_one(-1));
}

TEST(Channel, DeliversWholeMessagesInOrder) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  Channel a(std::move(ends->first));
  Channel b(std::move(ends->second));
  EXPECT_EQ(a.send(bytes(1)), Channel::Sent::ok);
  EXPECT_EQ(a.send(bytes(kMaxMessage)), Channel::Sent::ok);
  EXPECT_EQ(b.receive().bytes.size(), 1U);
  EXPECT_EQ(b.receive().bytes.size(), kMaxMessage);
  EXPECT_EQ(b.receive().got, Channel::Got::nothing);
}

TEST(Channel, PassesOneDescriptorThatWorks) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  Channel a(std::move(ends->first));
  Channel b(std::move(ends->second));
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const UniqueFd read_end(pipe_ends[0]);
  {
    const UniqueFd write_end(pipe_ends[1]);
    EXPECT_EQ(a.send(bytes(1), write_end.get()), Channel::Sent::ok);
  }
  const auto received = b.receive();
  ASSERT_TRUE(received.fd);
  EXPECT_EQ(write(received.fd.get(), "x", 1), 1);
  char got = 0;
  EXPECT_EQ(read(read_end.get(), &got, 1), 1);
  EXPECT_EQ(got, 'x');
  EXPECT_NE(fcntl(received.fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Channel, OneByteTooManyIsMalformed) {
  auto p = make_pair();
  send_raw(p.raw.get(), kMaxMessage + 1, 0);
  EXPECT_EQ(p.channel.receive().got, Channel::Got::malformed);
}

TEST(Channel, StrayDescriptorsAreMalformedAndClosed) {
  auto p = make_pair();
  for (const int count : {2, 4, 5, 253}) {
    const int before = open_descriptors();
    send_raw(p.raw.get(), 1, count);
    const auto received = p.channel.receive();
    EXPECT_EQ(received.got, Channel::Got::malformed) << count;
    EXPECT_FALSE(received.fd) << count;
    EXPECT_EQ(open_descriptors(), before) << count;
  }
}

TEST(Channel, DescriptorOfATooLongMessageIsClosed) {
  auto p = make_pair();
  const int before = open_descriptors();
  send_raw(p.raw.get(), kMaxMessage + 1, 1);
  EXPECT_EQ(p.channel.receive().got, Channel::Got::malformed);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Channel, CredentialsInsteadOfADescriptorAreMalformed) {
  auto p = make_pair();
  const int on = 1;
  ASSERT_EQ(setsockopt(p.channel.fd(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
  send_raw(p.raw.get(), 1, 0);
  EXPECT_EQ(p.channel.receive().got, Channel::Got::malformed);
}

TEST(Channel, AnEmptyMessageReadsAsTheEnd) {
  auto p = make_pair();
  ASSERT_EQ(send(p.raw.get(), "", 0, 0), 0);
  EXPECT_EQ(p.channel.receive().got, Channel::Got::closed);
}

TEST(Channel, PeerThatWentAwayIsClosed) {
  auto p = make_pair();
  p.raw.reset();
  EXPECT_EQ(p.channel.receive().got, Channel::Got::closed);
  EXPECT_EQ(p.channel.send(bytes(1)), Channel::Sent::closed);
}

TEST(Channel, PeerThatDoesNotReadMakesItFullAndNothingIsLost) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends);
  Channel a(std::move(ends->first));
  Channel b(std::move(ends->second));
  int sent = 0;
  while (a.send(bytes(100)) == Channel::Sent::ok) {
    ASSERT_LT(++sent, 100'000);
  }
  ASSERT_GT(sent, 10);
  int received = 0;
  while (b.receive().got == Channel::Got::message)
    ++received;
  EXPECT_EQ(received, sent);
}

TEST(ChannelDeathTest, SendingAnImpossibleSizeIsABugOfOurs) {
  auto p = make_pair();
  EXPECT_EXIT(static_cast<void>(p.channel.send({})), testing::ExitedWithCode(1), "impossible size");
  EXPECT_EXIT(static_cast<void>(p.channel.send(bytes(kMaxMessage + 1))), testing::ExitedWithCode(1),
              "impossible size");
}

}  // namespace
}  // namespace portsentry
