// A syslog daemon for tests: a datagram socket in a directory of its own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "common/unique_fd.h"

namespace portsentry::monitor {

class SyslogReceiver {
 public:
  SyslogReceiver() {
    std::string name = "/tmp/portsentry-test-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    listen();
  }
  ~SyslogReceiver() {
    close();
    ::rmdir(directory_.c_str());
  }
  SyslogReceiver(const SyslogReceiver&) = delete;
  SyslogReceiver& operator=(const SyslogReceiver&) = delete;

  [[nodiscard]] std::string path() const { return directory_ + "/log"; }
  void listen() {
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    const std::string name = path();
    std::copy(name.begin(), name.end(), std::begin(at.sun_path));
    EXPECT_EQ(
        ::bind(fd_.get(), static_cast<const sockaddr*>(static_cast<const void*>(&at)), sizeof at),
        0);
  }
  void close() {
    fd_.reset();
    ::unlink(path().c_str());
  }
  // The next datagram; empty when there is none.
  std::string take() {
    std::array<char, 16384> text{};
    const ssize_t size = ::recv(fd_.get(), text.data(), text.size(), 0);
    return {text.data(), size < 0 ? 0 : static_cast<std::size_t>(size)};
  }

 private:
  std::string directory_;
  UniqueFd fd_;
};

}  // namespace portsentry::monitor
