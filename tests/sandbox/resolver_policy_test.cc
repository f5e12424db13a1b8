// The resolver's own calls, for real, with libc's own resolver behind them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <nss.h>
#include <resolv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "child.h"
#include "common/lockdown.h"
#include "policies.h"

namespace portsentry::sandbox {
namespace {

int look_up(const char* address) {
  sockaddr_in whom{};
  whom.sin_family = AF_INET;
  REQUIRE(inet_pton(AF_INET, address, &whom.sin_addr) == 1);
  std::array<char, NI_MAXHOST> name{};
  return getnameinfo(reinterpret_cast<sockaddr*>(&whom), sizeof whom, name.data(), name.size(),
                     nullptr, 0, NI_NAMEREQD);
}

TEST(ResolverPolicy, LooksUpNamesWhereNoNameServerAnswers) {
  SKIP_WITHOUT_ROOT();
  const auto ended = run([] {
    enter_private_network();
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
    REQUIRE(__nss_configure_lookup("hosts", "files dns") == 0);
    REQUIRE(res_init() == 0);
    REQUIRE(install(resolver::kPolicy).has_value());
    REQUIRE(look_up("192.0.2.1") != 0);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

TEST(ResolverPolicy, ReadsAFileAndCreatesNone) {
  const auto reader = run([] {
    REQUIRE(install(resolver::kPolicy).has_value());
    std::FILE* hosts = std::fopen("/etc/passwd", "rce");
    REQUIRE(hosts != nullptr);
    std::array<char, 256> line{};
    REQUIRE(std::fgets(line.data(), line.size(), hosts) != nullptr);
    REQUIRE(std::fclose(hosts) == 0);
    struct stat status {};
    REQUIRE(stat("/etc/passwd", &status) == 0);
  });
  EXPECT_EQ(reader.how, kLived) << reader.words;
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC}) {
    EXPECT_DIES_BY_FILTER(resolver::kPolicy, open("/dev/null", flags, 0600));
  }
}

TEST(ResolverPolicy, HasNoSocketThatNameServersDoNotNeed) {
  EXPECT_LIVES(resolver::kPolicy, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  EXPECT_LIVES(resolver::kPolicy, socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const int family : {AF_UNIX, AF_PACKET, AF_NETLINK, AF_VSOCK, AF_ALG}) {
    EXPECT_DIES_BY_FILTER(resolver::kPolicy, socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  EXPECT_DIES_BY_FILTER(resolver::kPolicy, socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

// The error that a connection to a port of this host ends with, under Landlock for port 53 alone.
int connect_error(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int answer = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
  const int error = answer == 0 ? 0 : errno;
  close(fd);
  return error;
}

TEST(ResolverPolicy, ReachesPort53AndNoOtherOverTcp) {
  SKIP_WITHOUT_ROOT();
  const auto ended = run([] {
    enter_private_network();
    restrict_files({}, std::array<std::uint16_t, 1>{53});
    REQUIRE(connect_error(53) == ECONNREFUSED);
    REQUIRE(connect_error(54) == EACCES);
  });
  EXPECT_EQ(ended.how, kLived) << ended.words;
}

}  // namespace
}  // namespace portsentry::sandbox
