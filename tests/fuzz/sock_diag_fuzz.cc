// What the sensor reads from sock_diag: the answer to a look-up, and a listing. The kernel wrote it,
// but strangers choose addresses and ports in it. Promises: no reading beyond the datagram (the
// sanitizers'), and a listing that says "done" only at its end.
#include "fuzz.h"
#include "sensor/service_lookup.h"
#include "sensor/socket_dump.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  using namespace portsentry::sensor;
  constexpr std::uint32_t kSequence = 7;
  const Bytes datagram = fuzz::as_bytes(data, size);
  std::size_t told = 0;
  const auto step = read_listing(datagram, kSequence, [&](const ListedSocket& socket) {
    ++told;
    fuzz::require(socket.local.bytes().size() == 4 || socket.local.bytes().size() == 16,
                  "an address has four or sixteen bytes");
  });
  fuzz::require(told * 16 <= size, "no more sockets than messages");
  std::size_t again = 0;
  const auto same = read_listing(datagram, kSequence, [&](const ListedSocket&) { ++again; });
  fuzz::require(step == same && told == again, "the same bytes are the same listing");
  if (size == 0) fuzz::require(step == ListingStep::failed, "nothing is no listing");
  static_cast<void>(read_answer(datagram, kSequence));
  return 0;
}
