// What one packet of the kernel's traps costs the sensor, from recvmsg(2) to the tracker: trap_bench,
// as root (it makes a network namespace of its own). The figures are this machine's.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "common/log.h"
#include "sensor/sensor.h"
#include "sensor/trap_feed.h"
#include "tests/sensor/nflog_lab.h"

namespace portsentry::sensor {
namespace {

constexpr std::uint16_t kGroup = 7100;
constexpr unsigned kPackets = 20'000;  // each to another port
constexpr unsigned kRounds = 5;

void must(bool done, const char* what) {
  if (!done) fatal(std::string("trap_bench: ") + what);
}

void make_a_namespace() {
  must(::unshare(CLONE_NEWNET) == 0, "needs root");
  must(std::system("ip link set lo up && ip addr add 192.0.2.1/32 dev lo && "
                   "ip addr add 198.51.100.7/32 dev lo") == 0,
       "ip");
  must(std::system("nft 'add table inet t; add chain inet t c { type filter hook input priority "
                   "-160; }; add rule inet t c udp dport 1-20000 log prefix \"seen\" group 7100 "
                   "snaplen 128 queue-threshold 1 drop'") == 0,
       "nft");
}

sockaddr_in at(const char* address, unsigned port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<std::uint16_t>(port));
  must(::inet_pton(AF_INET, address, &name.sin_addr) == 1, "inet_pton");
  return name;
}

void send_all() {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in from = at("198.51.100.7", 40'000);
  // Generic addresses, as bind(2) and sendto(2) want them.
  must(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0, "bind");
  for (unsigned port = 1; port <= kPackets; ++port) {
    const sockaddr_in to = at("192.0.2.1", port);
    must(::sendto(fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 1,
         "sendto");
  }
}

double busy() {
  timespec spent{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) * 1e9 + static_cast<double>(spent.tv_nsec);
}

// In turns, as the sensor reads.
void measure(TrapFeed& feed, const char* what, const std::function<void(const Trapped&)>& handler) {
  double best = 0;
  for (unsigned round = 0; round < kRounds; ++round) {
    send_all();
    const auto lost = feed.lost();
    const double begin = busy();
    unsigned read = 0;
    for (;;) {
      const auto turn = feed.read(256, handler);
      must(turn.has_value(), "read");
      if (*turn == 0) break;
      read += *turn;
    }
    const double each = (busy() - begin) / kPackets;
    must(read == kPackets && feed.lost() == lost, "messages were lost: more memory, please");
    if (round == 0 || each < best) best = each;
  }
  std::printf("%8.0f ns of the processor  %s\n", best, what);
}

int run() {
  make_a_namespace();
  UniqueFd group = nflog::open_group(kGroup, 256 << 20);
  must(static_cast<bool>(group), "an NFLOG group");
  auto feed = TrapFeed::take(group.release());
  must(feed.has_value(), "a feed");

  PortSets ports;
  for (unsigned port = 1; port <= kPackets; ++port)
    ports.udp.add(*Port::make(port));
  const LocalView view;
  unsigned reports = 0;
  Sensor sensor(ports,
                {.scan_trigger = 1,
                 .scan_window = std::chrono::hours(1),
                 .max_sources = 16'384,
                 .interfaces = {}},
                HashKey{.low = 1, .high = 2},
                {.ask = [](const Segment&, std::uint32_t) { return Wanted::no; },
                 .report =
                     [&](const Detection&) {
                       ++reports;
                       return true;
                     },
                 .acquit = [](const Acquitted&) { return true; }});
  measure(*feed, "recvmsg and the message", [](const Trapped&) {});
  measure(*feed, "all of it, to the tracker",
          [&](const Trapped& trapped) { sensor.trapped(trapped, view, Clock::now()); });
  const auto probes = sensor.tally().get(SensorCounter::probes);
  must(probes >= kPackets && reports > 0, "they did not come to the tracker");
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace portsentry::sensor

int main() {
  return portsentry::sensor::run();
}
