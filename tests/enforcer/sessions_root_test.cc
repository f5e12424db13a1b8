// sessions.cc against the live kernel, with real connections over loopback.
#include "enforcer/sessions.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "tests/enforcer/firewall_lab.h"

namespace portsentry::enforcer {
namespace {

constexpr std::uint16_t kLogin = 2222;
constexpr std::uint16_t kOther = 8080;

class SessionsLive : public testing::Test {
 protected:
  void SetUp() override {
    PORTSENTRY_NEEDS_ROOT();
    here_ = NetworkNamespace::make();
    ASSERT_TRUE(here_);
    visit_.emplace(*here_);
    ASSERT_TRUE(run("ip link set lo up"));
    auto opened = SessionLookup::open();
    ASSERT_TRUE(opened) << opened.error().what;
    lookup_.emplace(std::move(opened).value());
    ports_.add(*Port::make(kLogin));
    login_ = listen(kLogin);
    other_ = listen(kOther);
  }

  // Dual-stack, as a careless sshd's: an IPv4 connection to it is an IPv6 socket's.
  static UniqueFd listen(std::uint16_t port) {
    UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(::listen(fd.get(), 256), 0);
    return fd;
  }

  static UniqueFd connect4(const char* from, std::uint16_t port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in self{};
    self.sin_family = AF_INET;
    ::inet_pton(AF_INET, from, &self.sin_addr);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self), 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return fd;
  }

  static UniqueFd connect6(std::uint16_t port) {
    UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    to.sin6_addr = IN6ADDR_LOOPBACK_INIT;
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return fd;
  }

  std::vector<Session> list(std::string_view text) {
    const auto listed = lookup_->list(source(text), ports_);
    EXPECT_TRUE(listed) << listed.error().what;
    return listed ? *listed : std::vector<Session>();
  }

  std::optional<NetworkNamespace> here_;
  std::optional<NetworkNamespace::Visit> visit_;
  std::optional<SessionLookup> lookup_;
  PortSet ports_;
  UniqueFd login_, other_;
};

TEST_F(SessionsLive, ListsTheLoginConnectionsOfTheSourceAndNoOthers) {
  const UniqueFd mine = connect4("127.0.0.2", kLogin);
  const UniqueFd web = connect4("127.0.0.2", kOther);
  const UniqueFd stranger = connect4("127.0.0.3", kLogin);
  const auto sessions = list("127.0.0.2");
  ASSERT_EQ(sessions.size(), 1U);
  sockaddr_in self{};
  socklen_t size = sizeof self;
  ASSERT_EQ(::getsockname(mine.get(), reinterpret_cast<sockaddr*>(&self), &size), 0);
  EXPECT_EQ(sessions[0], (Session{*Address::parse("127.0.0.2"), *Port::make(ntohs(self.sin_port)),
                                  *Address::parse("127.0.0.1"), *Port::make(kLogin)}));
  EXPECT_TRUE(list("127.0.0.4").empty());
}

TEST_F(SessionsLive, ListsIpv6) {
  const UniqueFd mine = connect6(kLogin);
  EXPECT_EQ(list("::1").size(), 1U);
  EXPECT_TRUE(list("2001:db8::/64").empty());
}

TEST_F(SessionsLive, OneThatHasEndedIsNone) {
  UniqueFd mine = connect4("127.0.0.2", kLogin);
  ASSERT_EQ(list("127.0.0.2").size(), 1U);
  mine.reset();
  EXPECT_TRUE(list("127.0.0.2").empty());
}

TEST_F(SessionsLive, ManyAreCutAtTheMostAndTheNextQuestionIsAnswered) {
  std::vector<UniqueFd> many;
  for (std::size_t i = 0; i < 3 * kMaxSessions; ++i)
    many.push_back(connect4("127.0.0.2", kLogin));
  EXPECT_EQ(list("127.0.0.2").size(), kMaxSessions);
  EXPECT_TRUE(list("127.0.0.3").empty());
}

}  // namespace
}  // namespace portsentry::enforcer
