// What three processes read from rtnetlink. The kernel wrote it, but a neighbour chooses some of the
// values. Promises: no reading beyond the datagram (the sanitizers'), and answers that agree.
#include "common/local_view.h"

#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  LocalView view;
  view.apply(fuzz::as_bytes(data, size));
  view.apply(fuzz::as_bytes(data, size));  // the kernel may tell one thing twice
  for (const char* text : {"0.0.0.0/0", "::/0"}) {
    const auto everything = Prefix::parse(text);
    if (!everything) continue;
    if (const auto own = view.own_inside(*everything)) {
      fuzz::require(everything->contains(*own), "an own address inside a prefix is inside it");
      fuzz::require(view.is_own(*own), "an own address inside a prefix is an own address");
    }
    if (const auto hop = view.next_hop_inside(*everything)) {
      fuzz::require(view.next_hop_inside(Prefix::host(*hop)) == hop,
                    "a next hop is found by itself");
    }
  }
  view.clear();
  fuzz::require(!view.own_inside(*Prefix::parse("0.0.0.0/0")), "a cleared view is empty");
  return 0;
}
