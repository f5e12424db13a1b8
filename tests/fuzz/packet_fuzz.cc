// parse, FragmentTable, classify and the capture filter over arbitrary packets. An input is a
// sequence of packets, each two bytes (what it is, how long) and its bytes:
//   bits 0..2 of the first: 0 IPv4, 1 IPv6, 2..4 a VLAN tag, 5..7 another ethertype
//   bits 3..7: how far the clock moves before it, in units of 100 ms
#include <algorithm>
#include <array>
#include <vector>

#include "fuzz.h"
#include "sensor/capture_filter.h"
#include "sensor/classify.h"
#include "sensor/fragments.h"
#include "sensor/packet.h"
#include "tests/sensor/filter_machine.h"

namespace portsentry::sensor {
namespace {

using fuzz::require;

constexpr std::array<std::uint16_t, 8> kEthertypes{0x0800, 0x86dd, 0x8100, 0x88a8,
                                                   0x9100, 0x0806, 0x0000, 0xffff};

bool same(const Parsed& a, const Parsed& b) {
  if (a.index() != b.index()) return false;
  if (const auto* segment = std::get_if<Segment>(&a)) return *segment == std::get<Segment>(b);
  if (const auto* piece = std::get_if<HeaderPiece>(&a)) {
    const auto& other = std::get<HeaderPiece>(b);
    return piece->id == other.id && piece->bytes == other.bytes && piece->has0 == other.has0 &&
           piece->source == other.source && piece->target == other.target;
  }
  return std::get<SensorCounter>(a) == std::get<SensorCounter>(b);
}

bool is_malformed(const Parsed& parsed) {
  const auto* reason = std::get_if<SensorCounter>(&parsed);
  return reason != nullptr && *reason == SensorCounter::malformed;
}

void check_segment(const Segment& segment) {
  require(segment.target_port != 0, "a target port can be probed");
  require(segment.source.is_v4() == segment.target.is_v4(), "one packet has one family");
  require(segment.protocol == Protocol::tcp || segment.flags.bits == 0, "UDP has no flags");
  const bool answer = segment.protocol == Protocol::tcp &&
                      (segment.flags.bits & (TcpFlags::ack | TcpFlags::rst)) != 0;
  require(classify(segment.protocol, segment.flags).has_value() != answer,
          "everything but ACK and RST has a name");
}

void check_parsed(const Parsed& parsed) {
  if (const auto* segment = std::get_if<Segment>(&parsed)) check_segment(*segment);
  if (const auto* piece = std::get_if<HeaderPiece>(&parsed)) {
    require(piece->has0 != piece->has1, "a piece holds one block");
    const auto begin = piece->bytes.begin() + (piece->has0 ? 8 : 0);
    const auto end = piece->has0 ? piece->bytes.end() : piece->bytes.begin() + 8;
    require(std::all_of(begin, end, [](std::byte b) { return b == std::byte{0}; }),
            "what a piece does not hold is zero");
  }
}

// A packet cut short says the same, or nothing.
void check_cuts(Bytes packet, std::uint16_t ethertype, const Parsed& whole) {
  for (std::size_t kept = 0; kept < packet.size(); ++kept) {
    const Parsed cut = parse(packet.first(kept), ethertype);
    require(same(cut, whole) || is_malformed(cut), "fewer bytes never say something else");
  }
}

// The filter leaves tags with a number to their own interface, and the kernel would tell it of
// priority tags by their own ethertype.
bool begins_with_tag(Bytes packet, std::uint16_t ethertype) {
  ByteReader reader(packet);
  const auto tag = reader.u16();
  const auto inner = reader.u16();
  if (!tag || !inner) return false;
  const bool left_to_the_parser = (*tag & 0x0fffU) == 0;
  return (ethertype != 0x0800 && ethertype != 0x86dd) || left_to_the_parser;
}

void check_filter(const std::vector<sock_filter>& program, Bytes packet, std::uint16_t ethertype,
                  const Parsed& whole) {
  const auto accepted = run_filter(program, packet, {.ethertype = ethertype});
  require(accepted.has_value(), "the filter always ends in a return");
  if (*accepted == kCaptureLength) return;  // user space walks those
  if (*accepted == 0) {
    if (begins_with_tag(packet, ethertype)) return;
    require(!std::holds_alternative<HeaderPiece>(whole), "the filter loses no piece of a header");
    const auto* segment = std::get_if<Segment>(&whole);
    // No list has port 0.
    require(segment == nullptr || !classify(segment->protocol, segment->flags) ||
                (segment->protocol == Protocol::udp && segment->target_port == 0),
            "the filter loses no probe");
    return;
  }
  if (begins_with_tag(packet, ethertype)) return;
  const Parsed cut =
      parse(packet.first(std::min<std::size_t>(*accepted, packet.size())), ethertype);
  require(same(cut, whole), "what the filter hands up is enough");
}

}  // namespace
}  // namespace portsentry::sensor

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace portsentry;
  using namespace portsentry::sensor;
  const std::vector<sock_filter> program = capture_filter(every_port(), {});
  FragmentTable fragments(4);
  SensorTally tally;
  Clock::time_point now{};
  ByteReader input(fuzz::as_bytes(data, size));
  for (;;) {
    const auto kind = input.u8();
    const auto length = input.u8();
    if (!kind || !length) break;
    const Bytes packet = *input.take(std::min<std::size_t>(*length, input.remaining()));
    const std::uint16_t ethertype = kEthertypes.at(*kind & 7U);
    now += std::chrono::milliseconds(100) * (*kind >> 3U);

    const Parsed parsed = parse(packet, ethertype);
    check_parsed(parsed);
    check_cuts(packet, ethertype, parsed);
    check_filter(program, packet, ethertype, parsed);
    const auto* piece = std::get_if<HeaderPiece>(&parsed);
    if (piece == nullptr) continue;
    for (const Segment& segment : fragments.add(*piece, now, tally)) {
      check_segment(segment);
      fuzz::require(segment.fragmented && segment.protocol == Protocol::tcp,
                    "pieces make a fragmented TCP segment");
      fuzz::require(segment.header == Header::first_half ||
                        (segment.source == piece->source && segment.target == piece->target),
                    "pieces of different hosts never meet");
    }
  }
  return 0;
}
