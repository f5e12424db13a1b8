// What the sensor's pure parts cost, one packet at a time (Google Benchmark): parse, classify, track, and
// all of it together. `sensor_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true`
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>

#include "common/local_view.h"
#include "sensor/classify.h"
#include "sensor/packet.h"
#include "sensor/sensor.h"
#include "sensor/tracker.h"
#include "tests/monitor/known_view.h"
#include "tests/sensor/craft.h"

namespace portsentry::sensor {
namespace {

using std::chrono::nanoseconds;

constexpr std::uint32_t kSources = 65'536;  // the largest table, as under a flood
constexpr Clock::time_point kStart{std::chrono::hours(1)};

Source nth(std::uint32_t n) {
  const std::uint32_t mixed = (n * 2'654'435'761U >> 8U) & 0xffffffU;  // each once, in no order
  return Source::of(
      Address::v4(11, static_cast<std::uint8_t>(mixed >> 16U),
                  static_cast<std::uint8_t>(mixed >> 8U), static_cast<std::uint8_t>(mixed)),
      false);
}

void parse_packet(benchmark::State& state, const craft::Packet& packet, std::uint16_t ethertype) {
  for (auto _ : state)
    benchmark::DoNotOptimize(parse(packet, ethertype));
}
BENCHMARK_CAPTURE(parse_packet, ipv4_tcp, craft::ip4({}, craft::tcp()), std::uint16_t{0x0800});
BENCHMARK_CAPTURE(parse_packet, ipv4_udp, craft::ip4({.protocol = 17}, craft::udp()),
                  std::uint16_t{0x0800});
BENCHMARK_CAPTURE(parse_packet, ipv6_tcp, craft::ip6({}, craft::tcp()), std::uint16_t{0x86dd});

void classify_flags(benchmark::State& state) {
  std::uint8_t flags = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(classify(Protocol::tcp, TcpFlags{flags++}));
}
BENCHMARK(classify_flags);

// One source that goes through all ports, again and again.
void track_one_source(benchmark::State& state) {
  Tracker tracker(
      {.trigger = 2, .window = std::chrono::hours(1), .max_sources = kSources, .seed = {1, 2}});
  SensorTally tally;
  const Source source = nth(1);
  std::uint32_t port = 0;
  for (auto _ : state) {
    port = port % 65'535 + 1;
    benchmark::DoNotOptimize(tracker.add(source, Protocol::tcp, *Port::make(port), kStart, tally));
  }
}
BENCHMARK(track_one_source);

// A million sources by turns, sixteen for each place in the table: every packet evicts somebody.
void track_a_flood(benchmark::State& state) {
  Tracker tracker(
      {.trigger = 2, .window = std::chrono::hours(1), .max_sources = kSources, .seed = {1, 2}});
  SensorTally tally;
  const Port port = *Port::make(23);
  std::uint32_t n = 0;
  for (auto _ : state) {
    const auto now = kStart + nanoseconds(std::int64_t{1000} * n);
    benchmark::DoNotOptimize(tracker.add(nth(n++ % 1'000'000), Protocol::tcp, port, now, tally));
  }
}
BENCHMARK(track_a_flood);

// Sensor::frame() from the captured bytes on, a million packets a second, each from another source: as under
// a flood, so most of them meet a budget that is spent. `ask` is answered at once, so the kernel's part of a
// question is not in it.
void frame_to_tracker(benchmark::State& state) {
  PortSets ports;
  ports.tcp.add_range(*Port::make(1), *Port::make(1024));
  Sensor sensor(ports,
                {.scan_trigger = 2,
                 .scan_window = std::chrono::hours(1),
                 .max_sources = kSources,
                 .interfaces = {}},
                HashKey{.low = 1, .high = 2},
                {.ask = [](const Segment&, std::uint32_t) { return Wanted::no; },
                 .report = [](const Detection&) { return true; }});
  craft::Packet packet = craft::ip4({}, craft::tcp());
  monitor::KnownView known;
  known.own(craft::kUs4);
  std::uint32_t n = 0;
  for (auto _ : state) {
    const Source source = nth(n++ % 1'000'000);
    std::ranges::copy(source.prefix().address().bytes(), packet.begin() + 12);
    const auto now = kStart + nanoseconds(std::int64_t{1000} * n);
    sensor.frame({.interface = 2, .packet_type = 0, .ethertype = 0x0800, .network = packet},
                 known.view(), now);
  }
  if (sensor.tally().get(SensorCounter::probes) == 0)
    state.SkipWithError("no packet came to the tracker");
}
BENCHMARK(frame_to_tracker);

}  // namespace
}  // namespace portsentry::sensor

BENCHMARK_MAIN();
