// The questions that no packet waits for, one after the other: is that address connected to a
// service of ours (proof.h), and which ports are bound (Sensor::listed)? Runs beside the packets,
// one datagram of an answer a turn.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "common/event_loop.h"
#include "common/net_types.h"
#include "common/port_set.h"
#include "sensor/service_lookup.h"
#include "sensor/socket_dump.h"

namespace portsentry::sensor {

class Inquiry {
 public:
  struct Means {
    SocketDump dump;
    ServiceLookup& lookup;  // the sensor's; outlives this
  };
  explicit Inquiry(Means means) : means_(std::move(means)) {}

  [[nodiscard]] int fd() const { return means_.dump.fd(); }
  [[nodiscard]] bool busy() const { return what_ != What::nothing; }

  // Not while busy. False: the kernel does not take the question.
  [[nodiscard]] bool ask_connections(const Address& address);
  [[nodiscard]] bool list_ports(Clock::time_point now);

  struct Answers {
    std::function<void(bool connected)> connections;
    // Nothing: the kernel did not tell them all.
    std::function<void(const std::optional<PortSets>& bound, Clock::time_point asked)> ports;
  };
  // One datagram; call when fd() is readable. An answer may come of it.
  void read(const Answers& answers);

 private:
  enum class What : std::uint8_t { nothing, connections, ports };
  // A local end that the address is connected to. Few are enough: one that listens proves it.
  static constexpr std::size_t kMostEnds = 8;

  void found(const ListedSocket& socket);
  [[nodiscard]] bool is_service(const ListedSocket& end);
  void finish(const Answers& answers, bool complete);

  Means means_;
  What what_ = What::nothing;
  std::vector<ListedSocket> ends_;
  PortSets bound_;
  Clock::time_point asked_{};
  Listing listing_ = Listing::tcp_listeners;
};

}  // namespace portsentry::sensor
