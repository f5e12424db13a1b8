// What one decision costs the monitor (Google Benchmark), with so many bans that hold and so many lines
// in the ignore file, and what a message costs on either side of a channel.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "common/wire.h"
#include "monitor/decide.h"
#include "tests/monitor/known_view.h"

namespace portsentry::monitor {
namespace {

constexpr Now kNow{Clock::time_point(std::chrono::hours(1)), 1'000'000};

Source nth(std::uint32_t n) {
  const std::uint32_t mixed = (n * 2'654'435'761U >> 8U) & 0xffffffU;
  return Source::of(
      Address::v4(11, static_cast<std::uint8_t>(mixed >> 16U),
                  static_cast<std::uint8_t>(mixed >> 8U), static_cast<std::uint8_t>(mixed)),
      false);
}

// Arguments: bans, lines of the ignore file.
void decide_stranger(benchmark::State& state) {
  Config config;
  config.block_tcp = config.block_udp = BlockMode::ban;
  std::string lines;
  for (std::int64_t n = 0; n < state.range(1); ++n)
    lines += "203." + std::to_string(n >> 8) + "." + std::to_string(n & 255) + ".0/24\n";
  const IgnoreList ignored = *read_ignore_list(lines, "ignore").list;
  KnownView local;
  local.own("192.0.2.1").own("2001:db8::1").next_hop("192.0.2.254");
  Scouted scouted;
  scouted.hear(SnapshotBegin{}, kNow);
  scouted.hear(SnapshotEnd{0}, kNow);
  Bans bans;
  for (std::int64_t n = 0; n < state.range(0); ++n) {
    const Source source = nth(static_cast<std::uint32_t>(n));
    bans.adopt(source, std::chrono::hours(1), std::chrono::hours(1), kNow);
  }
  if (bans.size() != static_cast<std::size_t>(state.range(0)))
    state.SkipWithError("not so many bans");
  const BanBudget budget;
  const OffenceBook offences;
  const Knowledge known{.config = config,
                        .ignored = ignored,
                        .local = local.view(),
                        .scouted = scouted,
                        .bans = bans,
                        .wall = kNow.wall,
                        .interface = {},
                        .budget = budget,
                        .offences = offences,
                        .steady = kNow.steady,
                        .allowed = [](const Prefix&) { return false; }};
  const Detection detection = probe("198.51.100.7");
  if (decide(detection, known).reason != Reason::ban) state.SkipWithError("not banned");
  for (auto _ : state)
    benchmark::DoNotOptimize(decide(detection, known));
}
BENCHMARK(decide_stranger)->Args({0, 0})->Args({0, 1000})->Args({100'000, 0});

void detection_encode(benchmark::State& state) {
  const SensorToMonitor message = probe("198.51.100.7");
  for (auto _ : state)
    benchmark::DoNotOptimize(encode(message));
}
BENCHMARK(detection_encode);

void detection_decode(benchmark::State& state) {
  const auto bytes = encode(SensorToMonitor(probe("198.51.100.7")));
  for (auto _ : state)
    benchmark::DoNotOptimize(decode_sensor_to_monitor(bytes, 0));
}
BENCHMARK(detection_decode);

}  // namespace
}  // namespace portsentry::monitor

BENCHMARK_MAIN();
