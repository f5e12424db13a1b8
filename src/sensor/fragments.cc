#include "sensor/fragments.h"

#include <algorithm>

namespace portsentry::sensor {
namespace {

constexpr std::size_t kBlock1 = 8;  // where the second block of the header begins

bool same_datagram(const HeaderPiece& a, const HeaderPiece& b) {
  return a.id == b.id && a.source == b.source && a.target == b.target;
}

// Both hold a block, and differ in it.
bool conflict(const HeaderPiece& a, const HeaderPiece& b) {
  const auto at = [](const HeaderPiece& p) { return p.bytes.begin() + kBlock1; };
  return (a.has0 && b.has0 && !std::equal(a.bytes.begin(), at(a), b.bytes.begin())) ||
         (a.has1 && b.has1 && !std::equal(at(a), a.bytes.end(), at(b)));
}

void merge(HeaderPiece& known, const HeaderPiece& piece) {
  const auto at = [](auto& p) { return p.bytes.begin() + kBlock1; };
  if (piece.has0) std::copy(piece.bytes.begin(), at(piece), known.bytes.begin());
  if (piece.has1) std::copy(at(piece), piece.bytes.end(), at(known));
  known.has0 = known.has0 || piece.has0;
  known.has1 = known.has1 || piece.has1;
  known.ip_options = known.ip_options || piece.ip_options;
}

}  // namespace

FragmentTable::FragmentTable(std::size_t capacity) : capacity_(std::max<std::size_t>(capacity, 1)) {
  datagrams_.reserve(capacity_);
}

std::optional<Segment> FragmentTable::add(const HeaderPiece& piece, Clock::time_point now,
                                          SensorTally& tally) {
  const auto expired = [now](const Datagram& d) { return now - d.since > kLifetime; };
  const auto known = std::find_if(datagrams_.begin(), datagrams_.end(), [&](const Datagram& d) {
    return same_datagram(d.piece, piece) && !expired(d);
  });

  if (known == datagrams_.end()) {
    tally.add(SensorCounter::fragment_pending);
    const Datagram datagram{.piece = piece, .since = now, .spoiled = false};
    if (datagrams_.size() < capacity_) {
      datagrams_.push_back(datagram);
      return std::nullopt;
    }
    const auto oldest =
        std::min_element(datagrams_.begin(), datagrams_.end(),
                         [](const Datagram& a, const Datagram& b) { return a.since < b.since; });
    tally.add(SensorCounter::fragment_dropped);
    *oldest = datagram;
    return std::nullopt;
  }

  if (known->spoiled || conflict(known->piece, piece)) {
    known->spoiled = true;
    tally.add(SensorCounter::fragment_dropped);
    return std::nullopt;
  }
  merge(known->piece, piece);
  if (!known->piece.has0 || !known->piece.has1) {
    tally.add(SensorCounter::fragment_pending);
    return std::nullopt;
  }

  const HeaderPiece whole = known->piece;
  *known = datagrams_.back();
  datagrams_.pop_back();
  const Parsed parsed = tcp_segment(whole.source, whole.target, whole.bytes, whole.ip_options,
                                    /*fragmented=*/true);
  if (const auto* segment = std::get_if<Segment>(&parsed)) return *segment;
  tally.add(SensorCounter::malformed);
  return std::nullopt;
}

}  // namespace portsentry::sensor
