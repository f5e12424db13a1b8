// Netlink datagrams put together by hand, sound ones and others.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/bytes.h"

namespace portsentry {

class NetlinkBuilder {
 public:
  // Begins a message; what follows belongs to it.
  NetlinkBuilder& message(int type, int flags = 0, std::uint32_t port = 0) {
    end();
    start_ = bytes_.size();
    nlmsghdr header{};
    header.nlmsg_type = static_cast<std::uint16_t>(type);
    header.nlmsg_flags = static_cast<std::uint16_t>(flags);
    header.nlmsg_pid = port;
    return fixed(header);
  }

  template <class T>
  NetlinkBuilder& fixed(const T& value) {
    return raw(std::as_bytes(std::span(&value, 1)));
  }

  NetlinkBuilder& attribute(int type, Bytes payload) {
    nlattr header{};
    header.nla_type = static_cast<std::uint16_t>(type);
    header.nla_len = static_cast<std::uint16_t>(sizeof header + payload.size());
    return fixed(header).raw(payload);
  }
  NetlinkBuilder& attribute(int type, std::uint32_t number) {
    return attribute(type, std::as_bytes(std::span(&number, 1)));
  }
  // With its terminating zero, as the kernel sends names.
  NetlinkBuilder& attribute(int type, const char* text) {
    return attribute(type, std::as_bytes(std::span(text, std::strlen(text) + 1)));
  }

  NetlinkBuilder& raw(Bytes bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    while (bytes_.size() % 4 != 0)
      bytes_.push_back(std::byte{0});
    return *this;
  }

  // The datagram so far, its last message closed.
  std::vector<std::byte> build() {
    end();
    return bytes_;
  }

 private:
  void end() {
    if (bytes_.empty()) return;
    const auto length = static_cast<std::uint32_t>(bytes_.size() - start_);
    std::memcpy(bytes_.data() + start_, &length, sizeof length);  // nlmsg_len comes first
  }

  std::vector<std::byte> bytes_;
  std::size_t start_ = 0;
};

}  // namespace portsentry
