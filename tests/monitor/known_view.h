// A LocalView that knows what a test says, fed as the kernel feeds it: netlink bytes.
#pragma once

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/local_view.h"
#include "common/messages.h"

namespace portsentry::monitor {

class KnownView {
 public:
  KnownView& own(std::string_view address) {
    const auto parsed = *Address::parse(address);
    ifaddrmsg header{};
    header.ifa_family = parsed.is_v4() ? AF_INET : AF_INET6;
    header.ifa_prefixlen = static_cast<unsigned char>(parsed.bit_length());
    header.ifa_index = 2;
    add(RTM_NEWADDR, header, IFA_ADDRESS, parsed);
    return *this;
  }
  KnownView& next_hop(std::string_view address) {
    const auto parsed = *Address::parse(address);
    rtmsg header{};
    header.rtm_family = parsed.is_v4() ? AF_INET : AF_INET6;
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_type = RTN_UNICAST;
    add(RTM_NEWROUTE, header, RTA_GATEWAY, parsed);
    return *this;
  }
  [[nodiscard]] const LocalView& view() const { return view_; }

 private:
  template <class Header>
  void add(unsigned short type, const Header& header, unsigned short attribute,
           const Address& value) {
    const Bytes bytes = value.bytes();
    const rtattr described{static_cast<unsigned short>(sizeof(rtattr) + bytes.size()), attribute};
    nlmsghdr message{};
    message.nlmsg_type = type;
    message.nlmsg_len =
        static_cast<unsigned>(sizeof(message) + sizeof(header) + sizeof(described) + bytes.size());
    std::vector<std::byte> datagram(message.nlmsg_len);
    std::byte* to = datagram.data();
    const auto put = [&to](const void* from, std::size_t size) {
      std::memcpy(to, from, size);
      to += size;
    };
    put(&message, sizeof(message));
    put(&header, sizeof(header));
    put(&described, sizeof(described));
    put(bytes.data(), bytes.size());
    view_.apply(datagram);
  }
  LocalView view_;
};

// Short spellings of the nouns.
inline Address address(std::string_view text) {
  return *Address::parse(text);
}
inline Source host(std::string_view text) {
  return Source::of(address(text), true);
}
inline Source site(std::string_view text) {
  return Source::of(address(text), false);
}

inline Detection probe(const Source& source, std::string_view from,
                       Protocol protocol = Protocol::tcp, std::uint32_t port = 23) {
  const bool v4 = source.is_v4();
  return {.source = source,
          .address = address(from),
          .target = address(v4 ? "192.0.2.1" : "2001:db8::1"),
          .protocol = protocol,
          .port = *Port::make(port),
          .kind = protocol == Protocol::tcp ? ScanKind::syn : ScanKind::udp,
          .flags = TcpFlags{protocol == Protocol::tcp ? TcpFlags::syn : std::uint8_t{0}},
          .distinct_ports = 1,
          .first = true,
          .ip_options = false,
          .fragmented = false};
}

inline Detection probe(std::string_view from, Protocol protocol = Protocol::tcp,
                       std::uint32_t port = 23) {
  return probe(host(from), from, protocol, port);
}

}  // namespace portsentry::monitor
