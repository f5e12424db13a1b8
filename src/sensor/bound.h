// Bind mode: sockets of ours on ports where no service is, so that whoever completes a handshake or
// sends a datagram there is heard. It costs a prober more than a forged SYN, and it can be told
// something in return (PORT_BANNER).
//
// One socket per port, for both address families where the kernel has IPv6. Payload is never read:
// of a datagram the kernel keeps the header only, an accepted connection is closed as it is.
//
// A successor (reload) binds while its predecessor still listens: SO_REUSEPORT allows that among
// sockets of one user, and from its birth on the successor gets all that is new (see bound.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "common/net_types.h"
#include "common/port_set.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace portsentry::sensor {

// Bound sockets, and what they accept, have this number or a greater one; whatever else the sensor
// holds has a lower one. So the policy can say on what payload of ours may leave (policy.cc). A
// power of two.
inline constexpr int kFirstBound = 64;

// Somebody reached one of our sockets.
struct Contact {
  Address source;
  Address target;  // UDP: unspecified, of the source's family (recvfrom(2) does not tell)
  Protocol protocol;
  Port port;
  std::uint32_t interface;  // the kernel's index; 0 unless the source is an IPv6 link-local address
};

class BoundSockets {
 public:
  // A port that could not be had: `error` is an errno, EADDRINUSE where somebody else has it.
  struct Failure {
    Protocol protocol;
    Port port;
    int error;
  };

  // Opens what it can. CAP_NET_BIND_SERVICE for ports below 1024; a descriptor for each port. Every
  // number below kFirstBound must be taken by now (an error otherwise). `epoll_number`: the one
  // descriptor through which all are watched moves there. No ports: opens nothing.
  static Result<BoundSockets> open(const PortSets& ports, int epoll_number);

  [[nodiscard]] std::span<const Failure> failures() const { return failures_; }
  [[nodiscard]] std::size_t size() const { return open_; }

  // Readable when somebody is there; -1 when nothing was opened.
  [[nodiscard]] int fd() const { return epoll_.get(); }

  struct Turn {
    unsigned taken = 0;   // contacts that `judge` was given
    unsigned failed = 0;  // a connection or datagram could not be taken; it is gone, or comes again
    bool pause = false;   // the kernel has no descriptor or memory to give: waiting helps, trying
                          // again at once does not
  };
  // At most kMostPerTurn contacts. `judge` says what the other side is told before the connection
  // is closed: nothing when empty, otherwise these bytes, as far as the kernel takes them at once.
  using Judge = std::function<std::string_view(const Contact&)>;
  Turn serve(const Judge& judge);
  static constexpr unsigned kMostPerTurn = 64;

 private:
  void keep(UniqueFd fd);
  void accept_from(int listener, Port port, const Judge& judge, Turn& turn);
  void receive_from(int socket, Port port, const Judge& judge, Turn& turn);
  void fail(int socket, int error, Turn& turn);

  UniqueFd epoll_;
  std::vector<UniqueFd> sockets_;  // by number, from kFirstBound on
  std::size_t open_ = 0;
  std::vector<Failure> failures_;
};

// Takes every number below `end` that is still free (each a copy of `null`), so that nothing opened
// later gets one.
Result<void> take_low_numbers(const UniqueFd& null, int end = kFirstBound);

}  // namespace portsentry::sensor
