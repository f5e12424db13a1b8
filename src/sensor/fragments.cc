#include "sensor/fragments.h"

#include <algorithm>
#include <variant>

namespace portsentry::sensor {
namespace {

constexpr std::size_t kBlock1 = 8;  // where the second block of the header begins

bool same_datagram(const HeaderPiece& a, const HeaderPiece& b) {
  return a.id == b.id && a.source == b.source && a.target == b.target;
}

void leave(const HeaderPiece& piece, std::vector<Segment>& leaving, SensorTally& tally) {
  if (!piece.has0) return tally.add(SensorCounter::fragment_dropped);
  ByteReader reader(piece.bytes);
  const auto source_port = reader.u16();
  const auto target_port = reader.u16();
  if (!source_port || !target_port || *target_port == 0) {
    return tally.add(SensorCounter::malformed);
  }
  leaving.push_back({.source = piece.source,
                     .target = piece.target,
                     .protocol = Protocol::tcp,
                     .source_port = *source_port,
                     .target_port = *target_port,
                     .flags = {},
                     .ip_options = piece.ip_options,
                     .fragmented = true,
                     .header = Header::first_half});
}

void complete(const HeaderPiece& first, const HeaderPiece& second, std::vector<Segment>& leaving,
              SensorTally& tally) {
  auto bytes = first.bytes;
  std::copy(second.bytes.begin() + kBlock1, second.bytes.end(), bytes.begin() + kBlock1);
  const Parsed parsed = tcp_segment(first.source, first.target, bytes,
                                    first.ip_options || second.ip_options, /*fragmented=*/true);
  const auto* segment = std::get_if<Segment>(&parsed);
  // A second half that makes no header may be a decoy beside the right one.
  if (segment == nullptr) return leave(first, leaving, tally);
  leaving.push_back(*segment);
  leaving.back().header = Header::cut;
}

}  // namespace

FragmentTable::FragmentTable(std::size_t capacity) : capacity_(std::max<std::size_t>(capacity, 1)) {
  datagrams_.reserve(capacity_);
}

std::vector<Segment> FragmentTable::add(const HeaderPiece& piece, Clock::time_point now,
                                        SensorTally& tally) {
  std::vector<Segment> leaving = overdue(now, tally);
  const auto known = std::find_if(datagrams_.begin(), datagrams_.end(),
                                  [&](const Datagram& d) { return same_datagram(d.piece, piece); });

  if (known == datagrams_.end()) {
    tally.add(SensorCounter::fragment_pending);
    if (datagrams_.size() == capacity_) {
      leave(datagrams_.front().piece, leaving, tally);
      datagrams_.erase(datagrams_.begin());
    }
    datagrams_.push_back({.piece = piece, .since = now});
    return leaving;
  }

  if (known->piece.has0 != piece.has0) {
    const HeaderPiece other = known->piece;
    datagrams_.erase(known);
    complete(piece.has0 ? piece : other, piece.has0 ? other : piece, leaving, tally);
  } else if (known->piece.bytes == piece.bytes) {
    tally.add(SensorCounter::fragment_pending);
  } else {
    leave(piece, leaving, tally);
  }
  return leaving;
}

std::vector<Segment> FragmentTable::overdue(Clock::time_point now, SensorTally& tally) {
  std::vector<Segment> leaving;
  const auto waiting = std::find_if(datagrams_.begin(), datagrams_.end(), [now](const Datagram& d) {
    return now - d.since <= kLifetime;
  });
  for (auto late = datagrams_.begin(); late != waiting; ++late)
    leave(late->piece, leaving, tally);
  datagrams_.erase(datagrams_.begin(), waiting);
  return leaving;
}

}  // namespace portsentry::sensor
