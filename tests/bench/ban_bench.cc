// How long a ban takes, in a network namespace of its own. Not a test: prints numbers for people.
//
//   ninja -C build tests/bench/ban_bench && sudo build/tests/bench/ban_bench [BANS]
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "enforcer/nft.h"
#include "enforcer/nft_audit.h"
#include "enforcer/nft_events.h"
#include "tests/enforcer/firewall_lab.h"

namespace portsentry::enforcer {
namespace {

using std::chrono::duration;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kHour{3600};

Source nth(unsigned i) {
  return Source::of(Address::v4(10, static_cast<std::uint8_t>(i >> 16),
                                static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)),
                    false);
}

void require(bool ok, std::string_view what) {
  if (ok) return;
  std::fprintf(stderr, "%.*s failed\n", static_cast<int>(what.size()), what.data());
  std::exit(1);
}

// Runs `work` for 0..count-1; prints the median of each and the whole.
template <class Work>
void measure(const char* what, unsigned count, Work work) {
  std::vector<double> each(count);
  const auto begin = steady_clock::now();
  for (unsigned i = 0; i < count; ++i) {
    const auto since = steady_clock::now();
    work(i);
    each[i] = duration<double, std::micro>(steady_clock::now() - since).count();
  }
  const double all = duration<double>(steady_clock::now() - begin).count();
  std::sort(each.begin(), each.end());
  std::printf("%-44s %8u: median %8.1f us, p99 %8.1f us, all %7.2f s\n", what, count,
              each[count / 2], each[count * 99 / 100], all);
}

int bench(unsigned bans) {
  auto here = NetworkNamespace::make();
  require(here.has_value(), "a network namespace");
  const NetworkNamespace::Visit visit(*here);
  auto nft = Nft::open();
  auto audit = NftAudit::open();
  require(nft.has_value() && audit.has_value() && load(kRuleset), "nft");
  // As the enforcer has it: whoever listens to events has the kernel write one for each element.
  auto events = NftEvents::open(nft->port_id());
  require(events.has_value(), "events");

  measure("ban, read back, empty set", 1000,
          [&](unsigned i) { require(nft->ban(nth(i), kHour, {}).has_value(), "ban"); });
  measure("unban", 1000, [&](unsigned i) { require(nft->unban(nth(i)).has_value(), "unban"); });
  measure("restore into an empty table", bans,
          [&](unsigned i) { require(nft->restore(nth(i), kHour, {}).has_value(), "restore"); });
  std::vector<Held> together;
  const unsigned more = 4 * bans;  // behind all that is banned below
  for (unsigned i = 0; i < kMaxRestored; ++i)
    together.push_back({nth(more + i), kHour});
  measure("restore 256 together", 1,
          [&](unsigned) { require(nft->restore_all(together).has_value(), "restore all"); });
  measure("restore what holds already", bans,
          [&](unsigned i) { require(nft->restore(nth(i), kHour, {}).has_value(), "restore"); });
  measure("ban, read back, beside all those", 1000,
          [&](unsigned i) { require(nft->ban(nth(bans + i), kHour, {}).has_value(), "ban"); });
  measure("another time for one that holds", 200,
          [&](unsigned i) { require(nft->ban(nth(i), 2 * kHour, {}).has_value(), "change"); });
  measure("selftest", 100, [&](unsigned) { require(nft->selftest().has_value(), "selftest"); });
  std::uint64_t turns = 0;
  double longest = 0;
  measure("audit of all", 3, [&](unsigned) {
    require(audit->begin().has_value(), "audit");
    for (;; ++turns) {
      const auto since = steady_clock::now();
      const auto read = audit->read([](const Held&) {});
      longest =
          std::max(longest, duration<double, std::micro>(steady_clock::now() - since).count());
      require(read.has_value(), "audit");
      if (*read) break;
    }
  });
  std::printf("  each in %llu turns, the longest %.1f us\n",
              static_cast<unsigned long long>(turns / 3), longest);
  return 0;
}

}  // namespace
}  // namespace portsentry::enforcer

int main(int argc, char** argv) {
  const unsigned long bans = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100'000;
  if (bans < 1000 || bans > 1'000'000 || geteuid() != 0) {
    std::fputs("usage, as root: ban_bench [1000..1000000]\n", stderr);
    return 2;
  }
  return portsentry::enforcer::bench(static_cast<unsigned>(bans));
}
