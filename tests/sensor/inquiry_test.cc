#include "sensor/inquiry.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <optional>

#include "socket_lab.h"

namespace portsentry::sensor {
namespace {

using namespace socket_lab;

class InquiryTest : public testing::Test {
 protected:
  void SetUp() override {
    auto lookup = ServiceLookup::open();
    auto dump = SocketDump::open();
    ASSERT_TRUE(lookup && dump);
    lookup_.emplace(std::move(*lookup));
    inquiry_.emplace(Inquiry::Means{std::move(*dump), *lookup_});
  }

  void await_answer() {
    for (int i = 0; i < 1000 && inquiry_->busy(); ++i) {
      pollfd waiting{.fd = inquiry_->fd(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&waiting, 1, 5000), 1);
      inquiry_->read({
          .connections = [this](bool connected) { connected_ = connected; },
          .ports = [this](const std::optional<PortSets>& bound,
                          Clock::time_point) { bound_ = bound; },
      });
    }
    EXPECT_FALSE(inquiry_->busy());
  }

  std::optional<bool> connected(const char* address) {
    connected_.reset();
    EXPECT_TRUE(inquiry_->ask_connections(*Address::parse(address)));
    EXPECT_TRUE(inquiry_->busy());
    await_answer();
    return connected_;
  }

  std::optional<ServiceLookup> lookup_;
  std::optional<Inquiry> inquiry_;
  std::optional<bool> connected_;
  std::optional<PortSets> bound_;
};

TEST_F(InquiryTest, WhoeverIsConnectedToAServiceIsProven) {
  const Listener listener(AF_INET);
  const auto connection = listener.meet("127.0.0.41");
  EXPECT_EQ(connected("127.0.0.41"), true);
  EXPECT_EQ(connected("127.0.0.42"), false);
}

TEST_F(InquiryTest, AConnectionThatIsJustOverStillProves) {
  const Listener listener(AF_INET);
  {
    // The service closes first, so that its end is the one that waits.
    auto connection = listener.meet("127.0.0.43");
    connection.ours.reset();
  }
  EXPECT_EQ(connected("127.0.0.43"), true);
}

TEST_F(InquiryTest, WhomWeConnectedToOurselvesIsNotProven) {
  // Seen from the client's end the far address is the service's, and nobody listens at ours.
  const Listener listener(AF_INET);
  const auto connection = listener.meet("127.0.0.44");
  EXPECT_EQ(connected("127.0.0.1"), false);
}

TEST_F(InquiryTest, AServiceThatIsGoneProvesNothingAnyMore) {
  std::optional<Listener> listener(std::in_place, AF_INET);
  const auto connection = listener->meet("127.0.0.45");
  EXPECT_EQ(connected("127.0.0.45"), true);
  listener.reset();
  EXPECT_EQ(connected("127.0.0.45"), false);
}

TEST_F(InquiryTest, ListsWhatIsBoundByEitherProtocol) {
  const Listener listener(AF_INET);
  const UniqueFd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const std::uint16_t udp = bind_somewhere(datagrams.get(), "127.0.0.1");
  ASSERT_TRUE(inquiry_->list_ports(Clock::now()));
  await_answer();
  ASSERT_TRUE(bound_);
  EXPECT_TRUE(bound_->tcp.contains(*Port::make(listener.port())));
  EXPECT_TRUE(bound_->udp.contains(*Port::make(udp)));
}

}  // namespace
}  // namespace portsentry::sensor
