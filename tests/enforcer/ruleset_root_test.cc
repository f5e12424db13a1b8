// What ruleset.nft does to packets: this host, a scanner and a bystander joined to it by veth pairs
// (over loopback, connection state looks different and such tests pass wrongly), and a container
// behind it.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "enforcer/nft.h"
#include "tests/enforcer/firewall_lab.h"

namespace portsentry::enforcer {
namespace {

constexpr std::chrono::seconds kHour{3600};
constexpr std::uint16_t kClosed = 23;
constexpr std::uint16_t kOpen = 8022;
constexpr std::uint16_t kForwarded = 8080;

constexpr int kSoon = 3000;   // milliseconds for what must come
constexpr int kSilent = 250;  // milliseconds without an answer: none comes

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  SocketAddress(std::string_view text, std::uint16_t port) {
    const Address address = *Address::parse(text);
    if (address.is_v4()) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      std::memcpy(&v4.sin_addr, address.bytes().data(), 4);
      std::memcpy(&storage, &v4, size = sizeof v4);
    } else {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
      std::memcpy(&storage, &v6, size = sizeof v6);
    }
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

bool ready(int fd, short events, int timeout) {
  pollfd waiting{fd, events, 0};
  return ::poll(&waiting, 1, timeout) == 1;
}

UniqueFd listen_in(const NetworkNamespace& where, std::uint16_t port) {
  const NetworkNamespace::Visit visit(where);
  UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const SocketAddress any("::", port);
  EXPECT_EQ(::bind(fd.get(), any.get(), any.size), 0);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  return fd;
}

// A connection attempt under way.
UniqueFd begin_connect(const NetworkNamespace& from, std::string_view to, std::uint16_t port) {
  const NetworkNamespace::Visit visit(from);
  const SocketAddress target(to, port);
  UniqueFd fd(::socket(target.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int result = ::connect(fd.get(), target.get(), target.size);
  EXPECT_TRUE(result == 0 || errno == EINPROGRESS || errno == ECONNREFUSED) << errno;
  return fd;
}

enum class Answer : std::uint8_t { none, refused, connected, other };

Answer probe(const NetworkNamespace& from, std::string_view to, std::uint16_t port, int timeout) {
  const UniqueFd fd = begin_connect(from, to, port);
  if (!ready(fd.get(), POLLOUT, timeout)) return Answer::none;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) return Answer::connected;
  return error == ECONNREFUSED ? Answer::refused : Answer::other;
}

// Bytes cross from `from` to `to` within `timeout`.
bool carries(const UniqueFd& from, const UniqueFd& to, int timeout) {
  char byte = 'x';
  EXPECT_EQ(::send(from.get(), &byte, 1, MSG_NOSIGNAL), 1);
  return ready(to.get(), POLLIN, timeout) && ::recv(to.get(), &byte, 1, 0) == 1;
}

class RulesetLive : public testing::Test {
 protected:
  void SetUp() override {
    PORTSENTRY_NEEDS_ROOT();
    host_ = NetworkNamespace::make();
    scanner_ = NetworkNamespace::make();
    bystander_ = NetworkNamespace::make();
    container_ = NetworkNamespace::make();
    ASSERT_TRUE(host_ && scanner_ && bystander_ && container_);
    join(*scanner_, 1);
    join(*bystander_, 2);
    join(*container_, 3);
    const NetworkNamespace::Visit visit(*host_);
    ASSERT_TRUE(run("echo 1 > /proc/sys/net/ipv4/ip_forward"));
    ASSERT_TRUE(run("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"));
    ASSERT_TRUE(
        load("table inet containers {\n"
             " chain in { type nat hook prerouting priority dstnat; policy accept;\n"
             "  meta nfproto ipv4 tcp dport 8080 dnat ip to 10.77.3.2:80\n"
             "  meta nfproto ipv6 tcp dport 8080 dnat ip6 to [fd77:3::2]:80\n }\n}\n"));
    ASSERT_TRUE(load(kRuleset));
    auto opened = Nft::open();
    ASSERT_TRUE(opened);
    nft_.emplace(std::move(opened).value());
  }

  // `other` gets 10.77.N.2 and fd77:N::2; this host is .1 there, and the way to everywhere.
  void join(const NetworkNamespace& other, int n) {
    const std::string number = std::to_string(n);
    {
      const NetworkNamespace::Visit visit(*host_);
      ASSERT_TRUE(
          run("ip link add to" + number + " type veth peer name eth0 netns " + other.path()));
      ASSERT_TRUE(run("ip link set to" + number + " up && ip addr add 10.77." + number +
                      ".1/24 dev to" + number + " && ip addr add fd77:" + number + "::1/64 dev to" +
                      number + " nodad"));
    }
    const NetworkNamespace::Visit visit(other);
    ASSERT_TRUE(run("ip link set eth0 up && ip addr add 10.77." + number +
                    ".2/24 dev eth0 && ip addr add fd77:" + number +
                    "::2/64 dev eth0 nodad && ip route add default via 10.77." + number +
                    ".1 && ip -6 route add default via fd77:" + number + "::1"));
  }

  void ban(std::string_view text, std::span<const Session> keep = {},
           std::chrono::seconds duration = kHour) {
    const auto banned = nft_->ban(source(text), duration, keep);
    ASSERT_TRUE(banned) << banned.error().what;
  }

  std::optional<NetworkNamespace> host_, scanner_, bystander_, container_;
  std::optional<Nft> nft_;
};

struct Family {
  const char* name;
  const char* host_for_scanner;
  const char* host_for_bystander;
  const char* scanner;
  const char* banned_as;
};

void PrintTo(const Family& family, std::ostream* out) {
  *out << family.name;
}

class RulesetFamily : public RulesetLive, public testing::WithParamInterface<Family> {};

INSTANTIATE_TEST_SUITE_P(
    Each, RulesetFamily,
    testing::Values(Family{"IPv4", "10.77.1.1", "10.77.2.1", "10.77.1.2", "10.77.1.2"},
                    Family{"IPv6Host", "fd77:1::1", "fd77:2::1", "fd77:1::2", "fd77:1::2"},
                    Family{"IPv6Site", "fd77:1::1", "fd77:2::1", "fd77:1::2", "fd77:1::/64"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(RulesetFamily, ABannedSourceGetsNoAnswerAndABystanderAlways) {
  const Family& f = GetParam();
  const UniqueFd service = listen_in(*host_, kOpen);
  EXPECT_EQ(probe(*scanner_, f.host_for_scanner, kClosed, kSoon), Answer::refused);
  ban(f.banned_as);
  EXPECT_EQ(probe(*scanner_, f.host_for_scanner, kClosed, kSilent), Answer::none);
  EXPECT_EQ(probe(*scanner_, f.host_for_scanner, kOpen, kSilent), Answer::none);
  EXPECT_EQ(probe(*bystander_, f.host_for_bystander, kClosed, kSoon), Answer::refused);
  EXPECT_EQ(probe(*bystander_, f.host_for_bystander, kOpen, kSoon), Answer::connected);
  const NetworkNamespace::Visit visit(*host_);
  ASSERT_TRUE(nft_->unban(source(f.banned_as)));
  EXPECT_EQ(probe(*scanner_, f.host_for_scanner, kOpen, kSoon), Answer::connected);
}

TEST_P(RulesetFamily, AForwardedPortIsCutToo) {
  const Family& f = GetParam();
  const UniqueFd service = listen_in(*container_, 80);
  EXPECT_EQ(probe(*scanner_, f.host_for_scanner, kForwarded, kSoon), Answer::connected);
  ban(f.banned_as);
  EXPECT_EQ(probe(*scanner_, f.host_for_scanner, kForwarded, kSilent), Answer::none);
  EXPECT_EQ(probe(*bystander_, f.host_for_bystander, kForwarded, kSoon), Answer::connected);
}

TEST_P(RulesetFamily, ConnectionsThatWeOpenToABannedSourceWork) {
  const Family& f = GetParam();
  const UniqueFd service = listen_in(*scanner_, kOpen);
  ban(f.banned_as);
  {
    // Nothing learned earlier may help: neighbours are found anew, with the ban in force.
    const NetworkNamespace::Visit visit(*host_);
    ASSERT_TRUE(run("ip neigh flush all && ip -6 neigh flush all"));
  }
  for (const NetworkNamespace* opener : {&*host_, &*container_}) {
    const UniqueFd ours = begin_connect(*opener, f.scanner, kOpen);
    ASSERT_TRUE(ready(ours.get(), POLLOUT, kSoon));
    ASSERT_TRUE(ready(service.get(), POLLIN, kSoon));
    const UniqueFd theirs(::accept(service.get(), nullptr, nullptr));
    ASSERT_TRUE(theirs);
    EXPECT_TRUE(carries(ours, theirs, kSoon));
    EXPECT_TRUE(carries(theirs, ours, kSoon));
  }
  // Also an answer of refusal: it is one to a connection of ours.
  EXPECT_EQ(probe(*host_, f.scanner, kClosed, kSoon), Answer::refused);
}

TEST_P(RulesetFamily, AConnectionThatTheBannedSourceOpenedIsCut) {
  const Family& f = GetParam();
  const UniqueFd service = listen_in(*host_, kOpen);
  const UniqueFd theirs = begin_connect(*scanner_, f.host_for_scanner, kOpen);
  ASSERT_TRUE(ready(service.get(), POLLIN, kSoon));
  const UniqueFd ours(::accept(service.get(), nullptr, nullptr));
  ASSERT_TRUE(ours);
  ASSERT_TRUE(carries(theirs, ours, kSoon));
  ban(f.banned_as);
  EXPECT_FALSE(carries(theirs, ours, kSilent));
}

// The peer of an accepted connection, and the port that it came from.
Session session_of(const UniqueFd& accepted, const Family& f, std::uint16_t port) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  EXPECT_EQ(::getpeername(accepted.get(), reinterpret_cast<sockaddr*>(&peer), &size), 0);
  sockaddr_in6 six{};  // the listener is an IPv6 socket
  std::memcpy(&six, &peer, sizeof six);
  return {*Address::parse(f.scanner), *Port::make(ntohs(six.sin6_port)),
          *Address::parse(f.host_for_scanner), *Port::make(port)};
}

TEST_P(RulesetFamily, ALoginSessionThatIsKeptLivesOnAndNothingNewComes) {
  const Family& f = GetParam();
  const UniqueFd service = listen_in(*host_, kOpen);
  const auto connected = [&](UniqueFd& theirs, UniqueFd& ours) {
    theirs = begin_connect(*scanner_, f.host_for_scanner, kOpen);
    ASSERT_TRUE(ready(service.get(), POLLIN, kSoon));
    ours = UniqueFd(::accept(service.get(), nullptr, nullptr));
    ASSERT_TRUE(ours);
    ASSERT_TRUE(carries(theirs, ours, kSoon));
  };
  UniqueFd their_login, our_login, their_other, our_other;
  connected(their_login, our_login);
  connected(their_other, our_other);
  const std::array<Session, 1> keep{session_of(our_login, f, kOpen)};
  ban(f.banned_as, keep);
  EXPECT_TRUE(carries(their_login, our_login, kSoon));
  EXPECT_TRUE(carries(our_login, their_login, kSoon));
  EXPECT_FALSE(carries(their_other, our_other, kSilent)) << "only the one that was named";
  EXPECT_EQ(probe(*scanner_, f.host_for_scanner, kOpen, kSilent), Answer::none);
  EXPECT_TRUE(carries(their_login, our_login, kSoon));
  // The same four numbers again, after it has ended: that is a new connection.
  {
    const linger at_once{1, 0};
    ::setsockopt(their_login.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    const int reuse = 1;
    const NetworkNamespace::Visit visit(*scanner_);
    const SocketAddress self(f.scanner, keep[0].their_port.number());
    const SocketAddress target(f.host_for_scanner, kOpen);
    their_login.reset();
    ASSERT_TRUE(ready(our_login.get(), POLLIN | POLLHUP, kSoon));
    const UniqueFd again(
        ::socket(self.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ::setsockopt(again.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    ASSERT_EQ(::bind(again.get(), self.get(), self.size), 0);
    ::connect(again.get(), target.get(), target.size);
    EXPECT_FALSE(ready(again.get(), POLLOUT, kSilent));
  }
}

TEST_P(RulesetFamily, ScopeAllCutsAnswersAndSessionsToo) {
  const Family& f = GetParam();
  const UniqueFd ours_there = listen_in(*scanner_, kOpen);
  const UniqueFd service = listen_in(*host_, kOpen);
  const UniqueFd theirs = begin_connect(*scanner_, f.host_for_scanner, kOpen);
  ASSERT_TRUE(ready(service.get(), POLLIN, kSoon));
  const UniqueFd ours(::accept(service.get(), nullptr, nullptr));
  ASSERT_TRUE(carries(theirs, ours, kSoon));
  {
    const NetworkNamespace::Visit visit(*host_);
    ASSERT_TRUE(load(std::string(kRuleset) + std::string(kRulesetAll)));
  }
  const std::array<Session, 1> keep{session_of(ours, f, kOpen)};
  ban(f.banned_as, keep);
  EXPECT_FALSE(carries(theirs, ours, kSilent));
  EXPECT_EQ(probe(*host_, f.scanner, kOpen, kSilent), Answer::none);
  EXPECT_EQ(probe(*bystander_, f.host_for_bystander, kOpen, kSoon), Answer::connected);
  {
    const NetworkNamespace::Visit visit(*host_);
    ASSERT_TRUE(load(kRuleset));
  }
  EXPECT_EQ(probe(*host_, f.scanner, kOpen, kSoon), Answer::connected) << "and back again";
}

TEST_P(RulesetFamily, ABanWithoutExpiryCutsToo) {
  const Family& f = GetParam();
  ban(f.banned_as, {}, std::chrono::seconds(0));
  EXPECT_EQ(probe(*scanner_, f.host_for_scanner, kClosed, kSilent), Answer::none);
  EXPECT_EQ(probe(*bystander_, f.host_for_bystander, kClosed, kSoon), Answer::refused);
}

TEST_F(RulesetLive, TheCounterSaysWhatWasDroppedAlsoAfterLoadingAgain) {
  ban("10.77.1.2");
  EXPECT_EQ(probe(*scanner_, "10.77.1.1", kClosed, kSilent), Answer::none);
  const NetworkNamespace::Visit visit(*host_);
  EXPECT_NE(output_of("nft list counter inet portsentry dropped").find("packets 1 "),
            std::string::npos);
  ASSERT_TRUE(load(kRuleset));
  EXPECT_NE(output_of("nft list counter inet portsentry dropped").find("packets 1 "),
            std::string::npos);
}

TEST_F(RulesetLive, LoadingAgainKeepsBansAndMendsRules) {
  ban("10.77.1.2");
  {
    const NetworkNamespace::Visit visit(*host_);
    const std::string before = output_of("nft -s list chain inet portsentry prerouting");
    ASSERT_NE(before.find("@ban4 jump banned"), std::string::npos);
    ASSERT_TRUE(run("nft flush chain inet portsentry prerouting"));
    ASSERT_TRUE(run("nft insert rule inet portsentry banned accept"));
    ASSERT_TRUE(load(kRuleset));
    EXPECT_EQ(output_of("nft -s list chain inet portsentry prerouting"), before);
    EXPECT_EQ(nft_->list()->size(), 1U);
  }
  EXPECT_EQ(probe(*scanner_, "10.77.1.1", kClosed, kSilent), Answer::none);
}

TEST_F(RulesetLive, LoopbackIsNeverCut) {
  // No guard in the way here: even a ban of our own address leaves local services alone.
  const UniqueFd service = listen_in(*host_, kOpen);
  ban("10.77.1.1");
  EXPECT_EQ(probe(*host_, "10.77.1.1", kOpen, kSoon), Answer::connected);
}

TEST_F(RulesetLive, OtherTablesStayAsTheyWere) {
  const NetworkNamespace::Visit visit(*host_);
  const std::string before = output_of("nft -s list table inet containers");
  ASSERT_FALSE(before.empty());
  ASSERT_TRUE(run("nft delete table inet portsentry"));
  ASSERT_TRUE(load(kRuleset));
  EXPECT_EQ(output_of("nft -s list table inet containers"), before);
}

}  // namespace
}  // namespace portsentry::enforcer
