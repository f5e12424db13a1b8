// Every parser of the scout: files in which a DHCP server, or who logs in, chose some of the bytes.
// Promises: nothing is found but addresses that somebody could be banned for, in bounds, in order, and
// each once, so that the monitor takes the snapshot.
#include "fuzz.h"
#include "scout/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  if (size == 0) return 0;
  const Bytes bytes = fuzz::as_bytes(data, size).subspan(1);
  std::string text;
  for (const std::byte b : bytes)
    text.push_back(std::to_integer<char>(b));
  scout::Snapshot snapshot;
  constexpr int kPlaces = static_cast<int>(kLastFoundIn);
  snapshot.add(static_cast<FoundIn>(data[0] % kPlaces + 1), text, 1'795'000'000);
  snapshot.add(static_cast<FoundIn>((data[0] / kPlaces) % kPlaces + 1), text, 1'795'000'000);
  const auto found = snapshot.found();
  fuzz::require(found.size() <= kMaxFound, "a snapshot is not too large");
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Found& one = found[i];
    fuzz::require(one.address.is_routable_unicast(), "only who could be banned is found");
    fuzz::require(one.since >= 0 && one.since < std::int64_t{1} << 62, "a time is one");
    fuzz::require(one.since == 0 || kind_of(one.where) == FoundKind::session,
                  "only sessions have a beginning");
    if (i == 0) continue;
    const Found& before = found[i - 1];
    fuzz::require(std::pair(before.address, before.where) < std::pair(one.address, one.where),
                  "each is found once, in order");
  }
  return 0;
}
