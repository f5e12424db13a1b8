// What the sensor reads from NFLOG. The kernel wrote it, around packets of strangers. Promises: no
// reading beyond the datagram (the sanitizers'); no more packets than fit; a packet is a part of the
// datagram; a cut datagram tells the same messages, or fewer.
#include "common/netlink.h"
#include "fuzz.h"
#include "sensor/packet.h"
#include "sensor/trap_gaps.h"
#include "sensor/trap_message.h"

namespace portsentry::sensor {
namespace {

std::size_t count(Bytes datagram) {
  std::size_t messages = 0;
  TrapMessages reader(datagram);
  while (reader.next())
    ++messages;
  return messages;
}

}  // namespace
}  // namespace portsentry::sensor

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  using namespace portsentry::sensor;
  using fuzz::require;
  const Bytes datagram = fuzz::as_bytes(data, size);
  std::size_t messages = 0;
  TrapGaps gaps;
  std::uint64_t lost = 0;
  TrapMessages reader(datagram);
  while (const auto told = reader.next()) {
    ++messages;
    if (told->sequence) {
      if ((*told->sequence & 1U) != 0) gaps.overrun();
      if ((*told->sequence & 2U) != 0) gaps.ran_dry();
      gaps.read(*told->sequence);
      require(gaps.lost() >= lost, "what is lost stays lost");
      lost = gaps.lost();
    }
    if (!told->trapped) continue;
    const Bytes network = told->trapped->network;
    require(network.empty() || (network.data() >= datagram.data() &&
                                network.data() + network.size() <= datagram.data() + size),
            "a packet is a part of the datagram");
    static_cast<void>(parse(network, told->trapped->ethertype));
  }
  require(messages * sizeof(nlmsghdr) <= size, "no more messages than fit");
  require(size == 0 || count(datagram.first(size - 1)) <= messages, "fewer bytes tell no more");
  return 0;
}
