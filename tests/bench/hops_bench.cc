// What it costs that the daemon is three processes, and that they are sealed: sensor -> monitor -> enforcer
// and the answer back, with our own channels and messages, one round trip after the other. The processes are
// this program's children; with filters they are sealed by the real policies.
//
//   hops_bench [--json FILE]: as any user. Microseconds, of 5,000 round trips each, the median and p99.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/channel.h"
#include "common/lockdown.h"
#include "common/log.h"
#include "common/wire.h"
#include "enforcer/policy.h"
#include "monitor/policy.h"
#include "sensor/policy.h"
#include "tests/monitor/known_view.h"

namespace portsentry {
namespace {

constexpr unsigned kTrips = 5'000;
constexpr unsigned kWarm = 500;
// The descriptors that the policies know, see src/*/descriptors.h.
constexpr int kChannelA = 3;
constexpr int kSensorsChannelB = 3;
constexpr int kMonitorsChannelB = 10;

using Times = std::array<double, kTrips>;  // microseconds, in memory that parent and child share

struct Manner {
  const char* name;
  bool filters;
  bool one_cpu;
  bool idle;  // five milliseconds between one round trip and the next
};

void must(bool done, const char* what) {
  if (!done) fatal(std::string("hops_bench: ") + what);
}

double now() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return static_cast<double>(at.tv_sec) * 1e6 + static_cast<double>(at.tv_nsec) / 1e3;
}

void put_at(UniqueFd from, int number) {
  must(::dup2(from.get(), number) == number, "dup2");
  if (from.get() == number) static_cast<void>(from.release());
}

// As the event loop does: asleep until something is there. Nothing: the other side is gone.
std::vector<std::byte> next(Channel& channel, bool patient = true) {
  for (;;) {
    pollfd waiting{.fd = channel.fd(), .events = POLLIN, .revents = 0};
    if (patient && ::poll(&waiting, 1, -1) < 0) return {};
    Channel::Received received = channel.receive();
    if (received.got == Channel::Got::message) return std::move(received.bytes);
    if (received.got != Channel::Got::nothing) return {};
  }
}

void say(Channel& channel, const std::vector<std::byte>& bytes) {
  must(channel.send(bytes) != Channel::Sent::full, "send");
}

[[noreturn]] void be_enforcer() {
  Channel monitor((UniqueFd(kChannelA)));
  for (;;) {
    const auto bytes = next(monitor);
    if (bytes.empty()) _exit(0);
    const auto message = decode_monitor_to_enforcer(bytes, 0);
    const auto* ban = message ? std::get_if<Ban>(&*message) : nullptr;
    if (ban == nullptr) _exit(1);
    say(monitor, encode(EnforcerToMonitor(Outcome{ban->id, Verdict::ok, 0})));
  }
}

[[noreturn]] void be_monitor() {
  Channel enforcer((UniqueFd(kChannelA)));
  Channel sensor((UniqueFd(kMonitorsChannelB)));
  std::uint64_t id = 0;
  for (;;) {
    const auto bytes = next(sensor);
    if (bytes.empty()) _exit(0);
    const auto message = decode_sensor_to_monitor(bytes, 0);
    const auto* seen = message ? std::get_if<Detection>(&*message) : nullptr;
    if (seen == nullptr) _exit(1);
    const Ban ban{.id = ++id,
                  .source = seen->source,
                  .duration = std::chrono::hours(1),
                  .cause = {seen->protocol, seen->port}};
    say(enforcer, encode(MonitorToEnforcer(ban)));
    const auto answer = next(enforcer);
    if (!decode_enforcer_to_monitor(answer, 0)) _exit(1);
    say(sensor, encode(MonitorToSensor(UseTraps{})));
  }
}

void rest() {
  const double until = now() + 5000;
  while (now() < until)
    ::poll(nullptr, 0, 5);
}

[[noreturn]] void be_sensor(const Manner& manner, Times& times) {
  Channel monitor((UniqueFd(kSensorsChannelB)));
  const SensorToMonitor seen = monitor::probe("198.51.100.7");
  const unsigned trips = manner.idle ? kTrips / 10 : kTrips;
  for (unsigned n = 0; n < trips + (manner.idle ? 10 : kWarm); ++n) {
    if (manner.idle) rest();
    const double begin = now();
    say(monitor, encode(seen));
    const auto answer = next(monitor);
    if (!decode_monitor_to_sensor(answer, 0)) _exit(1);
    times.at(n % trips) = now() - begin;
  }
  _exit(0);
}

// A child that holds the given descriptors at the numbers of its policy, sealed if asked for.
template <class Body>
pid_t start(const SyscallPolicy& policy, bool sealed, std::vector<std::pair<UniqueFd, int>> held,
            Body body) {
  const pid_t child = ::fork();
  must(child >= 0, "fork");
  if (child > 0) return child;
  // First out of the way of the numbers that they get.
  for (auto& [fd, number] : held)
    fd = UniqueFd(::fcntl(fd.get(), F_DUPFD, 100));
  for (auto& [fd, number] : held)
    put_at(std::move(fd), number);
  ::close_range(11, ~0U, 0);
  for (int number = 4; number < kMonitorsChannelB; ++number)
    ::close(number);
  if (held.size() < 2) ::close(kMonitorsChannelB);
  if (sealed) seal(policy);
  body();
  std::abort();
}

double at(std::vector<double>& sorted, double part) {
  return sorted[static_cast<std::size_t>(static_cast<double>(sorted.size() - 1) * part)];
}

void measure(const Manner& manner, Times& times, std::FILE* json) {
  times = {};
  auto a = Channel::make_pair();
  auto b = Channel::make_pair();
  must(a.has_value() && b.has_value(), "socketpair");
  const auto copy = [](const UniqueFd& fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD, 50)); };
  const auto give = [](UniqueFd fd, int number) {
    std::vector<std::pair<UniqueFd, int>> held;
    held.emplace_back(std::move(fd), number);
    return held;
  };
  std::vector<pid_t> children;
  children.push_back(start(enforcer::kPolicy, manner.filters, give(copy(a->second), kChannelA),
                           [] { be_enforcer(); }));
  auto both = give(copy(a->first), kChannelA);
  both.emplace_back(copy(b->first), kMonitorsChannelB);
  children.push_back(
      start(monitor::kPolicy, manner.filters, std::move(both), [] { be_monitor(); }));
  children.push_back(start(sensor::kPolicy, manner.filters, give(copy(b->second), kSensorsChannelB),
                           [&] { be_sensor(manner, times); }));
  a->first = {}, a->second = {}, b->first = {}, b->second = {};
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    int status = 0;
    must(::waitpid(*child, &status, 0) == *child && status == 0, "a child failed");
  }
  std::vector<double> sorted;
  std::ranges::copy_if(times, std::back_inserter(sorted), [](double time) { return time > 0; });
  std::ranges::sort(sorted);
  const double median = at(sorted, 0.5);
  const double p99 = at(sorted, 0.99);
  std::printf("%-52s median %7.1f us, p99 %7.1f us\n", manner.name, median, p99);
  if (json != nullptr) {
    std::fprintf(json,
                 R"({"bench": "hops", "manner": "%s", "median_us": %.2f, "p99_us": %.2f})"
                 "\n",
                 manner.name, median, p99);
  }
}

// What is left when it is one process: the messages made and read, and no hop.
void measure_without_hops(std::FILE* json) {
  std::vector<double> each(kTrips);
  const SensorToMonitor seen = monitor::probe("198.51.100.7");
  for (double& time : each) {
    const double begin = now();
    const auto told = decode_sensor_to_monitor(encode(seen), 0);
    const auto& detection = std::get<Detection>(*told);
    const Ban ban{.id = 1,
                  .source = detection.source,
                  .duration = std::chrono::hours(1),
                  .cause = {detection.protocol, detection.port}};
    const auto asked = decode_monitor_to_enforcer(encode(MonitorToEnforcer(ban)), 0);
    const auto done =
        decode_enforcer_to_monitor(encode(EnforcerToMonitor(Outcome{1, Verdict::ok, 0})), 0);
    const auto back = decode_monitor_to_sensor(encode(MonitorToSensor(UseTraps{})), 0);
    must(asked && done && back, "a message");
    time = now() - begin;
  }
  std::ranges::sort(each);
  std::printf("%-52s median %7.1f us, p99 %7.1f us\n", "messages only, one process", at(each, 0.5),
              at(each, 0.99));
  if (json != nullptr) {
    std::fprintf(
        json,
        R"({"bench": "hops", "manner": "messages only, one process", "median_us": %.2f, "p99_us": %.2f})"
        "\n",
        at(each, 0.5), at(each, 0.99));
  }
}

int run(const char* path) {
  std::FILE* json = path == nullptr ? nullptr : std::fopen(path, "a");
  must(path == nullptr || json != nullptr, "the file of the report");
  void* memory =
      ::mmap(nullptr, sizeof(Times), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(memory != MAP_FAILED, "mmap");
  Times& times = *new (memory) Times{};
  measure_without_hops(json);
  cpu_set_t all{};
  must(::sched_getaffinity(0, sizeof all, &all) == 0, "sched_getaffinity");
  static constexpr std::array<Manner, 6> kManners{{
      {"four hops, no filters, one CPU", false, true, false},
      {"four hops, filters, one CPU", true, true, false},
      {"four hops, no filters, any CPU", false, false, false},
      {"four hops, filters, any CPU", true, false, false},
      {"four hops, no filters, one CPU, after 5 ms of idling", false, true, true},
      {"four hops, filters, one CPU, after 5 ms of idling", true, true, true},
  }};
  for (const Manner& manner : kManners) {
    cpu_set_t one{};
    CPU_SET(0, &one);
    must(::sched_setaffinity(0, sizeof all, manner.one_cpu ? &one : &all) == 0,
         "sched_setaffinity");
    if (json != nullptr) std::fflush(json);
    std::fflush(stdout);
    measure(manner, times, json);
  }
  if (json != nullptr) std::fclose(json);
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace portsentry

int main(int argc, char** argv) {
  const std::vector<const char*> words(argv, argv + argc);
  const bool json = words.size() == 3 && std::string_view(words[1]) == "--json";
  if (words.size() != 1 && !json) return 2;
  return portsentry::run(json ? words[2] : nullptr);
}
