// A sensor on a host that it knows from netlink messages, fed with crafted packets; the kernel, the
// clock and the channel are the test's.
#pragma once

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "craft.h"
#include "sensor/sensor.h"

namespace portsentry::sensor {

using craft::operator+;
using std::chrono::seconds;

inline constexpr std::uint32_t kEth0 = 2;
inline constexpr std::uint32_t kEth1 = 3;
inline constexpr std::uint16_t kWatched = 23;
inline constexpr std::uint16_t kAlsoWatched = 79;
inline constexpr std::uint16_t kThirdWatched = 111;

// ---- What this host looks like: 192.0.2.1/24 and 2001:db8:1::1/64 on eth0, and an eth1 ----------

using Buffer = std::vector<std::byte>;

inline void append_bytes(Buffer& to, Bytes bytes) {
  for (const std::byte b : bytes)
    to.push_back(b);
}

template <class T>
void append(Buffer& to, const T& value) {
  append_bytes(to, std::as_bytes(std::span(&value, 1)));
}

inline void append_attribute(Buffer& to, std::uint16_t type, Bytes payload) {
  append(to, rtattr{.rta_len = static_cast<std::uint16_t>(sizeof(rtattr) + payload.size()),
                    .rta_type = type});
  append_bytes(to, payload);
  while (to.size() % 4 != 0)
    to.push_back(std::byte{0});
}

inline Buffer netlink_message(std::uint16_t type, const Buffer& payload) {
  Buffer message;
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + payload.size());
  header.nlmsg_type = type;
  append(message, header);
  append_bytes(message, payload);
  return message;
}

inline void add_interface(LocalView& view, std::uint32_t index, std::string_view name) {
  Buffer payload;
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  append(payload, link);
  const std::string terminated(name);
  append_attribute(payload, IFLA_IFNAME,
                   std::as_bytes(std::span(terminated.c_str(), terminated.size() + 1)));
  view.apply(netlink_message(RTM_NEWLINK, payload));
}

inline void add_address(LocalView& view, std::uint32_t index, std::string_view text,
                        std::uint8_t length) {
  const Address address = *Address::parse(text);
  Buffer payload;
  ifaddrmsg header{};
  header.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = length;
  header.ifa_index = index;
  append(payload, header);
  append_attribute(payload, IFA_ADDRESS, address.bytes());
  view.apply(netlink_message(RTM_NEWADDR, payload));
}

// ---- Packets ------------------------------------------------------------------------------------

struct Packet {
  std::string_view source = "198.51.100.7";
  std::string_view target = "192.0.2.1";
  Protocol protocol = Protocol::tcp;
  std::uint16_t source_port = 40000;
  std::uint16_t target_port = kWatched;
  std::uint8_t flags = TcpFlags::syn;
};

inline Buffer transport(const Packet& packet) {
  if (packet.protocol == Protocol::udp) {
    return craft::udp({.source = packet.source_port, .target = packet.target_port});
  }
  return craft::tcp(
      {.source = packet.source_port, .target = packet.target_port, .flags = packet.flags});
}

inline Buffer network(const Packet& packet) {
  const auto next = static_cast<unsigned>(packet.protocol);
  if (Address::parse(packet.target)->is_v4()) {
    return craft::ip4({.protocol = next, .source = packet.source, .target = packet.target},
                      transport(packet));
  }
  return craft::ip6({.next = next, .source = packet.source, .target = packet.target},
                    transport(packet));
}

class SensorTest : public testing::Test {
 protected:
  SensorTest() {
    add_interface(view_, kEth0, "eth0");
    add_interface(view_, kEth1, "eth1");
    add_address(view_, 1, "127.0.0.1", 8);
    add_address(view_, kEth0, "192.0.2.1", 24);
    add_address(view_, kEth0, "2001:db8:1::1", 64);
    for (const auto port : {kWatched, kAlsoWatched, kThirdWatched}) {
      ports_.tcp.add(*Port::make(port));
      ports_.udp.add(*Port::make(port));
    }
    start();
  }

  void start(std::uint32_t trigger = 1, std::vector<std::string> interfaces = {},
             bool local_check = true, bool service_check = true) {
    sensor_.emplace(ports_,
                    SensorConfig{.scan_trigger = trigger,
                                 .scan_window = std::chrono::hours(1),
                                 .max_sources = max_sources_,
                                 .interfaces = std::move(interfaces),
                                 .local_check = local_check,
                                 .service_check = service_check},
                    HashKey{.low = 1, .high = 2},
                    Sensor::Edges{.ask =
                                      [this](const Segment& packet, std::uint32_t interface) {
                                        ++questions_;
                                        asked_ = packet;
                                        asked_interface_ = interface;
                                        return answer_;
                                      },
                                  .report =
                                      [this](const Detection& detection) {
                                        if (channel_full_) return false;
                                        reports_.push_back(detection);
                                        return true;
                                      },
                                  .acquit =
                                      [this](const Acquitted& acquitted) {
                                        if (channel_full_) return false;
                                        acquitted_.push_back(acquitted);
                                        return true;
                                      }});
  }

  void deliver(const Buffer& network, std::uint16_t ethertype, std::uint8_t type,
               std::uint32_t interface) {
    sensor_->frame(
        {.interface = interface, .packet_type = type, .ethertype = ethertype, .network = network},
        view_, now_);
  }

  void receive(const Packet& packet, std::uint32_t interface = kEth0,
               std::uint8_t type = PACKET_HOST) {
    const bool v4 = Address::parse(packet.target)->is_v4();
    deliver(network(packet), v4 ? ETH_P_IP : ETH_P_IPV6, type, interface);
  }

  void send(const Packet& packet, std::uint32_t interface = kEth0) {
    receive(packet, interface, PACKET_OUTGOING);
  }

  [[nodiscard]] std::uint64_t count(SensorCounter which) const {
    return sensor_->tally().get(which);
  }

  // One packet was seen, it is in the row `reason`, and nothing came of it.
  void expect_only(SensorCounter reason) {
    EXPECT_EQ(count(SensorCounter::seen), 1U);
    EXPECT_EQ(count(reason), 1U);
    EXPECT_EQ(count(SensorCounter::probes), 0U);
    EXPECT_TRUE(reports_.empty());
  }

  std::uint32_t max_sources_ = 1000;
  PortSets ports_;
  LocalView view_;
  Clock::time_point now_{seconds(100'000)};
  Wanted answer_ = Wanted::no;
  unsigned questions_ = 0;
  std::optional<Segment> asked_;
  std::uint32_t asked_interface_ = 0;
  bool channel_full_ = false;
  std::vector<Detection> reports_;
  std::vector<Acquitted> acquitted_;
  std::optional<Sensor> sensor_;
};

}  // namespace portsentry::sensor
