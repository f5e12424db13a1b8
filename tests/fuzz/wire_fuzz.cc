// Gates one and two of every channel. The first byte chooses the decoder and the number of descriptors
// that came along; the rest is the message. Promise: what is accepted is exactly what our own encoder
// would write for it, so that nothing is understood in two ways.
#include "common/wire.h"

#include <algorithm>

#include "fuzz.h"

namespace portsentry {
namespace {

template <class Message>
void check(const std::optional<Message>& message, Bytes bytes) {
  if (!message) return;
  const auto again = encode(*message);
  fuzz::require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()),
                "an accepted message is canonical");
}

}  // namespace
}  // namespace portsentry

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  if (size == 0) return 0;
  const Bytes bytes = fuzz::as_bytes(data, size).subspan(1);
  const unsigned descriptors = (data[0] >> 3U) & 3U;
  if ((data[0] & 0x20U) != 0) {
    check(decode_scout_to_monitor(bytes, descriptors), bytes);
    return 0;
  }
  switch (data[0] & 7U) {
    case 0:
      check(decode_monitor_to_enforcer(bytes, descriptors), bytes);
      break;
    case 1:
      check(decode_enforcer_to_monitor(bytes, descriptors), bytes);
      break;
    case 2:
      check(decode_monitor_to_sensor(bytes, descriptors), bytes);
      break;
    case 3:
      check(decode_sensor_to_monitor(bytes, descriptors), bytes);
      break;
    case 4:
      check(decode_control_request(bytes, descriptors), bytes);
      break;
    case 5:
      check(decode_control_reply(bytes, descriptors), bytes);
      break;
    case 6:
      check(decode_monitor_to_resolver(bytes, descriptors), bytes);
      break;
    case 7:
      check(decode_resolver_to_monitor(bytes, descriptors), bytes);
      break;
    default:
      break;
  }
  return 0;
}
