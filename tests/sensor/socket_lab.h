// Real sockets on loopback addresses, for tests of what the kernel tells about them.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "common/net_types.h"
#include "common/unique_fd.h"

namespace portsentry::sensor::socket_lab {

inline sockaddr_storage socket_address(const Address& address, std::uint16_t port,
                                       socklen_t& size) {
  sockaddr_storage storage{};
  if (address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes().data(), 4);
    std::memcpy(&storage, &in, sizeof in);
    size = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, address.bytes().data(), 16);
    std::memcpy(&storage, &in, sizeof in);
    size = sizeof in;
  }
  return storage;
}

inline std::uint16_t local_port(int fd) {
  sockaddr_in6 any{};  // the port is at the same place in both families
  socklen_t size = sizeof any;
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&any), &size), 0);
  return ntohs(any.sin6_port);
}

// The port that the kernel chose.
inline std::uint16_t bind_somewhere(int fd, const char* address) {
  socklen_t size = 0;
  const auto bound = socket_address(*Address::parse(address), 0, size);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&bound), size), 0) << std::strerror(errno);
  return local_port(fd);
}

struct Connection {
  UniqueFd theirs;
  UniqueFd ours;
};

// A TCP service on every address of a family (IPv6: of both).
class Listener {
 public:
  explicit Listener(int family) : fd_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    socklen_t size = 0;
    const auto any = socket_address(*Address::parse(family == AF_INET ? "0.0.0.0" : "::"), 0, size);
    works_ = fd_ && ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&any), size) == 0 &&
             ::listen(fd_.get(), 64) == 0;
  }
  [[nodiscard]] bool works() const { return works_; }
  [[nodiscard]] std::uint16_t port() const { return local_port(fd_.get()); }

  // Somebody at `from`, a loopback address, connects to 127.0.0.1 or ::1, and is accepted.
  [[nodiscard]] Connection meet(const char* from) const {
    const Address source = *Address::parse(from);
    Connection connection;
    connection.theirs =
        UniqueFd(::socket(source.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    bind_somewhere(connection.theirs.get(), from);
    socklen_t size = 0;
    const auto target =
        socket_address(*Address::parse(source.is_v4() ? "127.0.0.1" : "::1"), port(), size);
    EXPECT_EQ(::connect(connection.theirs.get(), reinterpret_cast<const sockaddr*>(&target), size),
              0)
        << std::strerror(errno);
    connection.ours = UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(connection.ours);
    return connection;
  }

 private:
  UniqueFd fd_;
  bool works_ = false;
};

}  // namespace portsentry::sensor::socket_lab
