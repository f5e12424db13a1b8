// Days on which nobody scans, played to the sensor at many times their speed: an office LAN that
// chatters, and a host that itself talks to very many others. Every port is watched and one port is
// enough to be reported (the most suspicious configuration that there is), except where said.
#include <cstdint>
#include <string>
#include <vector>

#include "sensor_lab.h"

namespace portsentry::sensor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class QuietDay : public SensorTest {
 protected:
  QuietDay() {
    ports_.tcp.add_range(*Port::make(1), *Port::make(65535));
    ports_.udp.add_range(*Port::make(1), *Port::make(65535));
    max_sources_ = 65'536;
    start();
  }

  // From a fixed seed: a day is the same day each time.
  std::uint32_t random(std::uint32_t below) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>(state_ >> 33U) % below;
  }
  std::uint16_t port(std::uint32_t from, std::uint32_t count) {
    return static_cast<std::uint16_t>(from + random(count));
  }

  // What withheld reports there are come out, too.
  void pass(Clock::duration time) {
    now_ += time;
    sensor_->tick(now_);
  }

  std::uint64_t state_ = 20'260'101;
};

TEST_F(QuietDay, ADayOnAnOfficeLanYieldsNoEvent) {
  struct Habit {
    Protocol protocol;
    std::uint16_t port;
    bool to_all;  // to a broadcast or multicast address, mostly
  };
  constexpr Habit kHabits[] = {
      {Protocol::udp, 5353, true},  {Protocol::udp, 1900, true},  {Protocol::udp, 5355, true},
      {Protocol::udp, 3702, true},  {Protocol::udp, 137, true},   {Protocol::udp, 138, true},
      {Protocol::udp, 67, true},    {Protocol::udp, 68, false},   {Protocol::udp, 520, true},
      {Protocol::udp, 17500, true}, {Protocol::udp, 57621, true}, {Protocol::udp, 32412, true},
      {Protocol::udp, 10001, true}, {Protocol::udp, 5353, false}, {Protocol::udp, 137, false},
      {Protocol::udp, 1900, false}, {Protocol::udp, 3702, false}, {Protocol::tcp, 7680, false},
      {Protocol::tcp, 7070, false}, {Protocol::tcp, 631, false},  {Protocol::udp, 631, false},
  };
  const auto end = now_ + hours(24);
  std::uint64_t frames = 0;
  while (now_ < end) {
    pass(milliseconds(random(500)));
    const Habit& habit = kHabits[random(std::size(kHabits))];
    const std::string neighbour = "192.0.2." + std::to_string(2 + random(250));
    const auto to_all = habit.port == 137 || habit.port == 138 ? "192.0.2.255" : "224.0.0.251";
    receive({.source = neighbour,
             .target = habit.to_all ? to_all : "192.0.2.1",
             .protocol = habit.protocol,
             .source_port = habit.protocol == Protocol::udp ? habit.port : port(1024, 60000),
             .target_port = habit.port});
    ++frames;
  }
  EXPECT_GT(frames, 300'000U);
  EXPECT_TRUE(reports_.empty()) << reports_.front().address.text() << " "
                                << reports_.front().port.number();
  EXPECT_GT(count(SensorCounter::discovery_noise), 50'000U);
  EXPECT_GT(count(SensorCounter::not_ours), 50'000U);
}

// Downloads, a recursive resolver, a mail server and a file sharing program: whom we called first may
// answer late, twice, and after we have hung up.
TEST_F(QuietDay, ADayOfCallingOthersYieldsNoDetectionOfThem) {
  const auto peer = [this] {
    return "198." + std::to_string(18 + random(2)) + "." + std::to_string(random(256)) + "." +
           std::to_string(1 + random(254));
  };
  struct Met {
    std::string peer;
    std::uint16_t port;
  };
  std::vector<Met> met;  // of whom the last 200, some half an hour, still call
  const auto end = now_ + hours(24);
  std::uint64_t calls = 0;
  while (now_ < end) {
    pass(milliseconds(random(2000)));
    ++calls;
    const std::string other = peer();
    const std::uint16_t ours = port(32768, 28000);
    if (random(3) != 0) {  // a question by UDP: DNS, NTP, QUIC, or a peer of a file sharing program
      const bool sharing = random(2) == 0;
      const std::uint16_t from = sharing ? 6881 : ours;
      const std::uint16_t to = sharing ? port(1024, 60000) : 53;
      send({.source = "192.0.2.1",
            .target = other,
            .protocol = Protocol::udp,
            .source_port = from,
            .target_port = to});
      // The socket may be gone when the answer comes.
      pass(milliseconds(random(5'000)));
      for (std::uint32_t i = 0; i <= random(3); ++i)
        receive(
            {.source = other, .protocol = Protocol::udp, .source_port = to, .target_port = from});
      if (sharing) met.push_back({other, to});
      // A peer goes on calling for half an hour, also when we have left.
      if (met.size() < 200) continue;
      const Met& old = met[met.size() - 1 - random(200)];
      receive({.source = old.peer,
               .protocol = Protocol::udp,
               .source_port = old.port,
               .target_port = 6881});
      continue;
    }
    // A connection of ours, which the capture does not show: what comes back when it is over.
    const std::uint16_t theirs = random(2) == 0 ? 443 : 25;
    for (const std::uint8_t flags : {static_cast<std::uint8_t>(TcpFlags::syn | TcpFlags::ack),
                                     static_cast<std::uint8_t>(TcpFlags::ack),
                                     static_cast<std::uint8_t>(TcpFlags::psh | TcpFlags::ack),
                                     static_cast<std::uint8_t>(TcpFlags::fin | TcpFlags::ack),
                                     static_cast<std::uint8_t>(TcpFlags::rst)}) {
      receive({.source = other, .source_port = theirs, .target_port = ours, .flags = flags});
    }
  }
  EXPECT_GT(calls, 20'000U);
  EXPECT_TRUE(reports_.empty()) << reports_.front().address.text() << " "
                                << reports_.front().port.number();
  EXPECT_GT(count(SensorCounter::own_flow), 20'000U);
  EXPECT_GT(count(SensorCounter::answer_flags), 20'000U);
}

// A mail server that asks who we are (RFC 1413), and a peer that tries our port by TCP as well: one
// port each, which the trigger that we ship forgives.
TEST_F(QuietDay, AQuestionBackIsOnePortAndNotAScan) {
  start(2);
  for (std::uint32_t host = 1; host < 250; ++host) {
    const std::string other = "198.18.0." + std::to_string(host);
    pass(seconds(60));
    receive({.source = other, .target_port = 113});
    pass(seconds(1));
    receive({.source = other, .target_port = 113});
  }
  EXPECT_TRUE(reports_.empty());
}

}  // namespace
}  // namespace portsentry::sensor
