// The state file with 100,000 bans and as many events as it keeps: store_bench [DIRECTORY]. The figures
// are this machine's and this disk's.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "common/log.h"
#include "monitor/store.h"

namespace portsentry::monitor {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr unsigned kBans = 100'000;
constexpr unsigned kEvents = 200'000;
constexpr std::time_t kWall = 1'700'000'000;
constexpr Milliseconds kBeyondReason{30'000};

bool reasonable = true;

template <class Work>
void measure(const char* what, Work work) {
  const auto begin = Clock::now();
  const std::clock_t busy = std::clock();
  work();
  const double computed = static_cast<double>(std::clock() - busy) * 1000 / CLOCKS_PER_SEC;
  const Milliseconds took = Clock::now() - begin;
  std::printf("%10.1f ms %10.1f ms of the processor  %s\n", took.count(), computed, what);
  reasonable = reasonable && took < kBeyondReason;
}

template <class T>
T must(Result<T> result) {
  if (!result) fatal(result.error().what);
  return std::move(*result);
}

Source numbered(unsigned number) {
  // Not in order: attackers do not come in order.
  const unsigned mixed = number * 2654435761U;
  return Source::of(
      Address::v4(10, static_cast<std::uint8_t>(mixed >> 16U),
                  static_cast<std::uint8_t>(mixed >> 8U), static_cast<std::uint8_t>(mixed)),
      false);
}

StoredBan ban(unsigned number) {
  const Source source = numbered(number);
  return {.source = source,
          .address = source.prefix().address(),
          .cause = {Protocol::tcp, *Port::make(23)},
          .since = kWall,
          .until = kWall + 1800,
          .offences = 1};
}

Event event(unsigned number) {
  const Source source = numbered(number % 30'000);
  return {.at = kWall,
          .kind = EventKind::detected,
          .source = source,
          .address = source.prefix().address(),
          .cause = BanCause{Protocol::tcp, *Port::make(number % 1000 + 1)},
          .scan = ScanKind::syn,
          .proof = Proof::forgeable,
          .ports = 5,
          .detail = "TCP 23 25 80 110 143 SYN, 5 ports in 2 seconds"};
}

// Everything; returns the longest single commit.
Milliseconds flush_all(Store& store) {
  Milliseconds longest{0};
  while (store.unflushed() > 0) {
    const auto begin = Clock::now();
    if (const auto flushed = store.flush(kWall); !flushed) fatal(flushed.error().what);
    longest = std::max<Milliseconds>(longest, Clock::now() - begin);
  }
  return longest;
}

void bench_store(const std::string& directory) {
  auto store = must(Store::open(directory, "boot")).store;
  Milliseconds longest{0};
  measure("100,000 bans noted", [&] {
    for (unsigned i = 0; i < kBans; ++i)
      store.note(PutBan{ban(i)});
  });
  measure("100,000 bans on the disk", [&] { longest = flush_all(store); });
  std::printf("%10.1f ms                            the longest commit of these\n",
              longest.count());
  measure("one ban more on the disk", [&] {
    store.note(PutBan{ban(kBans)});
    flush_all(store);
  });
  measure("200,000 events on the disk", [&] {
    for (unsigned i = 0; i < kEvents; ++i) {
      store.note(AddEvent{event(i)});
      if (store.unflushed() >= Store::kMaxPerCommit) flush_all(store);
    }
    flush_all(store);
  });
  measure("an event more, and the oldest gone", [&] {
    store.note(AddEvent{event(0)});
    flush_all(store);
  });
  measure("the newest page of events", [&] { must(store.events({.newest_first = true})); });
  measure("a page of one source's events", [&] {
    must(store.events({.newest_first = true, .address = numbered(7).prefix().address()}));
  });
  measure("a page that looks at every event and finds none",
          [&] { must(store.events({.since = kWall + 1})); });
  measure("the top of sources", [&] { must(store.top({.by = TopQuery::By::source})); });
  measure("the top of ports", [&] { must(store.top({.by = TopQuery::By::port})); });
  { const Store closed = std::move(store); }
  measure("opened and checked again", [&] { store = must(Store::open(directory, "boot")).store; });
  measure("100,000 bans loaded", [&] {
    const auto loaded = must(store.load());
    if (loaded.memory.bans.size() < kBans * 99 / 100) fatal("bans are missing");
  });
  measure("100,000 bans forgotten", [&] {
    for (unsigned i = 0; i < kBans; ++i)
      store.note(EraseBan{numbered(i)});
    flush_all(store);
  });
}

}  // namespace
}  // namespace portsentry::monitor

int main(int argc, char** argv) {
  std::string directory = argc > 1 ? argv[1] : "/tmp";
  directory += "/portsentry-bench-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) return 1;
  portsentry::monitor::bench_store(directory);
  for (const char* file : {"/state.sqlite3", "/state.sqlite3-wal"})
    unlink((directory + file).c_str());
  rmdir(directory.c_str());
  return portsentry::monitor::reasonable ? 0 : 1;
}
