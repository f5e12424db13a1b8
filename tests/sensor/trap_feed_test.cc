// A real NFLOG group and a real rule, in a network namespace of its own.
#include "sensor/trap_feed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <map>

#include "nflog_lab.h"
#include "sensor/packet.h"
#include "tests/common/network_namespace.h"

namespace portsentry::sensor {
namespace {

constexpr std::uint16_t kGroup = 7100;

class TrapFeedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    PORTSENTRY_NEEDS_ROOT();
    space_ = NetworkNamespace::make();
    ASSERT_TRUE(space_);
    const NetworkNamespace::Visit inside(*space_);
    ASSERT_TRUE(
        run("nft -f - <<'END'\n"
            "table inet t {\nchain c {\ntype filter hook input priority -160;\n"
            "udp dport 7 log prefix \"held\" group 7100 snaplen 128 queue-threshold 1 drop\n"
            "udp dport 9 log prefix \"seen\" group 7100 snaplen 128 queue-threshold 1 drop\n"
            "udp dport 11 log prefix \"not ours\" group 7100 snaplen 128 queue-threshold 1 drop\n"
            "}\n}\nEND"))
        << "needs nft and the kernel's NFLOG";
    sender_ = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(sender_);
  }

  void open(int receive_buffer = 4 << 20) {
    const NetworkNamespace::Visit inside(*space_);
    roots_ = nflog::open_group(kGroup, receive_buffer);
    ASSERT_TRUE(roots_);
    feed_ = TrapFeed::take(::fcntl(roots_.get(), F_DUPFD_CLOEXEC, 0));
    ASSERT_TRUE(feed_);
  }

  // Over loopback a datagram has been through the input hook when sendto() returns.
  void send(std::uint16_t port, std::size_t payload = 4) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const craft::Packet bytes = craft::filled(payload);
    // A generic address, as sendto(2) wants it.
    ASSERT_EQ(::sendto(sender_.get(), bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(payload));
  }

  unsigned read(unsigned budget = 100'000) {
    const auto datagrams = feed_->read(budget, [&](const Trapped& trapped) {
      ++words_[trapped.word];
      interface_ = trapped.interface;
      size_ = trapped.network.size();
      const Parsed parsed = parse(trapped.network, trapped.ethertype);
      const auto* packet = std::get_if<Segment>(&parsed);
      if (packet != nullptr) last_ = *packet;
    });
    EXPECT_TRUE(datagrams.has_value());
    return datagrams.has_value() ? *datagrams : 0;
  }

  std::optional<NetworkNamespace> space_;
  UniqueFd sender_;
  UniqueFd roots_;
  std::optional<TrapFeed> feed_;
  std::map<TrapWord, unsigned> words_;
  std::uint32_t interface_ = 0;
  std::size_t size_ = 0;
  std::optional<Segment> last_;
};

TEST_F(TrapFeedTest, BringsWhatARuleFoundAtOnce) {
  open();
  EXPECT_EQ(read(), 0U) << "it never waits";
  send(7);
  EXPECT_EQ(read(), 1U);
  EXPECT_EQ(words_[TrapWord::held], 1U);
  ASSERT_TRUE(last_);
  EXPECT_EQ(last_->protocol, Protocol::udp);
  EXPECT_EQ(last_->target_port, 7);
  EXPECT_EQ(last_->target, *Address::parse("127.0.0.1"));
  EXPECT_EQ(interface_, 1U) << "loopback";
}

TEST_F(TrapFeedTest, NeedsNoMoreThanTheHeadersOfALongPacket) {
  open();
  send(7, 5000);
  EXPECT_EQ(read(), 1U);
  EXPECT_EQ(size_, 128U);
  ASSERT_TRUE(last_);
  EXPECT_EQ(last_->target_port, 7);
}

TEST_F(TrapFeedTest, ReadsNoMoreInATurnThanItMay) {
  open();
  for (int i = 0; i < 5; ++i)
    send(9);
  EXPECT_EQ(read(3), 3U);
  EXPECT_EQ(read(3), 2U);
  EXPECT_EQ(words_[TrapWord::seen], 5U);
}

TEST_F(TrapFeedTest, PassesOverWhatOtherRulesLog) {
  open();
  send(11);
  send(9);
  EXPECT_EQ(read(), 2U);
  EXPECT_EQ(words_.size(), 1U);
  EXPECT_EQ(words_[TrapWord::seen], 1U);
}

TEST_F(TrapFeedTest, CountsEveryMessageThatTheKernelHadNoRoomFor) {
  open(/*receive_buffer=*/16 << 10);
  constexpr unsigned kSent = 2000;
  for (unsigned i = 0; i < kSent; ++i)
    send(9);
  read();
  EXPECT_GT(feed_->lost(), 0U) << "known before the next message comes";
  send(9);
  read();
  EXPECT_GT(words_[TrapWord::seen], 1U);
  EXPECT_EQ(words_[TrapWord::seen] + feed_->lost(), kSent + 1);
  // And it goes on.
  send(9);
  EXPECT_EQ(read(), 1U);
  EXPECT_EQ(words_[TrapWord::seen] + feed_->lost(), kSent + 2);
}

TEST_F(TrapFeedTest, LosesNothingToAnotherReader) {
  open();
  auto successor = TrapFeed::take(::fcntl(roots_.get(), F_DUPFD_CLOEXEC, 0));
  ASSERT_TRUE(successor);
  unsigned theirs = 0;
  for (int i = 0; i < 10; ++i) {
    send(9);
    send(9);
    read(1);
    ASSERT_TRUE(successor->read(1, [&](const Trapped&) { ++theirs; }).has_value());
  }
  EXPECT_EQ(theirs, 10U);
  EXPECT_EQ(words_[TrapWord::seen], 10U);
  EXPECT_EQ(feed_->lost() + successor->lost(), 0U);
}

// The launcher's.
TEST_F(TrapFeedTest, GoesOnWhenADuplicateThatNobodyReadsIsAllThatWasLeft) {
  open();
  feed_.reset();
  send(7);
  feed_ = TrapFeed::take(::fcntl(roots_.get(), F_DUPFD_CLOEXEC, 0));
  ASSERT_TRUE(feed_);
  EXPECT_EQ(read(), 1U);
}

TEST(TrapFeed, IsNothingElse) {
  EXPECT_FALSE(TrapFeed::take(-1));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(TrapFeed::take(null.get()));
  const UniqueFd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(TrapFeed::take(udp.get()));
  const UniqueFd route(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  EXPECT_FALSE(TrapFeed::take(route.get()));
  EXPECT_GE(::fcntl(route.get(), F_GETFD), 0) << "still its owner's";
}

}  // namespace
}  // namespace portsentry::sensor
