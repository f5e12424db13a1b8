#include "monitor/settled_bans.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <span>

namespace portsentry::monitor {
namespace {

constexpr Clock::time_point kNever = Clock::time_point::max();

// Flags of a record: two bits each, then one.
constexpr unsigned kStateAt = 0;
constexpr unsigned kOriginAt = 2;
constexpr unsigned kProofAt = 4;
constexpr unsigned kClassAt = 6;
constexpr std::uint32_t kV6 = 1U << 8U;
constexpr std::uint32_t kSite = 1U << 9U;
constexpr std::uint32_t kUdp = 1U << 10U;
constexpr std::uint32_t kPermanent = 1U << 11U;
constexpr std::uint32_t kEndless = 1U << 12U;  // its element
constexpr std::uint32_t kAcknowledged = 1U << 13U;
constexpr std::uint32_t kWrapped = 1U << 14U;
constexpr std::uint32_t kInKernel = 1U << 15U;
constexpr std::uint32_t kHasRow = 1U << 16U;
constexpr std::uint32_t kUnseen = 1U << 17U;

constexpr std::uint32_t two_bits(std::uint32_t flags, unsigned at) {
  return flags >> at & 3U;
}

constexpr std::uint32_t set_if(bool is, std::uint32_t flag) {
  return is ? flag : 0U;
}

using Tenths = std::chrono::duration<std::int64_t, std::deci>;

// Rounded up: an element that ends with its ban is not taken for one that ends before it.
Tenths apart(const SettledBan& ban) {
  return std::chrono::ceil<Tenths>(ban.kernel_until - ban.until);
}

// shrink_to_fit() does nothing where exceptions are off.
template <class T>
void give_back(std::vector<T>& all) {
  std::vector<T>(all.begin(), all.end()).swap(all);
}

bool fits_unsigned(std::time_t time) {
  return time >= 0 && time <= std::numeric_limits<std::uint32_t>::max();
}

}  // namespace

bool SettledBans::fits(const Source& source, const SettledBan& ban) {
  if (!source.prefix().contains(ban.address) || !fits_unsigned(ban.since) ||
      ban.offences > std::numeric_limits<std::uint16_t>::max())
    return false;
  const bool permanent = ban.until == kNever;
  if (permanent == ban.wall.has_value() || (ban.wall && !fits_unsigned(*ban.wall))) return false;
  if (permanent) return ban.kernel_until == kNever;
  if (ban.kernel_until == kNever) return true;
  return std::abs(apart(ban).count()) <= std::numeric_limits<std::int32_t>::max();
}

// ---- records ------------------------------------------------------------------------------------

SettledBans::Record SettledBans::packed(const Source& source, const SettledBan& ban) {
  const bool permanent = ban.until == kNever;
  const bool endless = ban.kernel_until == kNever;
  Record record{};
  const Bytes bytes = ban.address.bytes();
  std::transform(bytes.begin(), bytes.end(), record.address.begin(),
                 [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
  const auto until = static_cast<std::uint64_t>(
      permanent ? 0 : std::chrono::nanoseconds(ban.until.time_since_epoch()).count());
  record.until = {static_cast<std::uint32_t>(until), static_cast<std::uint32_t>(until >> 32U)};
  record.wall = static_cast<std::uint32_t>(ban.wall.value_or(0));
  record.since = static_cast<std::uint32_t>(ban.since);
  if (ban.told_already) {
    record.told = static_cast<std::uint32_t>(
        std::chrono::floor<std::chrono::seconds>(ban.told_already->time_since_epoch()).count() + 1);
  }
  record.kernel_apart = static_cast<std::uint32_t>(endless ? 0 : apart(ban).count());
  record.port = ban.cause.port.number();
  record.offences = static_cast<std::uint16_t>(ban.offences);
  record.flags = static_cast<std::uint32_t>(ban.state) << kStateAt |
                 static_cast<std::uint32_t>(ban.origin) << kOriginAt |
                 static_cast<std::uint32_t>(ban.proof) << kProofAt |
                 static_cast<std::uint32_t>(ban.of) << kClassAt | set_if(!source.is_v4(), kV6) |
                 set_if(!source.prefix().is_host(), kSite) |
                 set_if(ban.cause.protocol == Protocol::udp, kUdp) | set_if(permanent, kPermanent) |
                 set_if(endless, kEndless) | set_if(ban.acknowledged, kAcknowledged) |
                 set_if(ban.wrapped, kWrapped) | set_if(ban.in_kernel, kInKernel) |
                 set_if(ban.has_row, kHasRow) | set_if(ban.unseen, kUnseen);
  return record;
}

namespace {

Address address_of(const std::array<std::uint8_t, 16>& bytes, bool v6) {
  // Never without: the bytes came from an address of that kind.
  return Address::from_bytes(std::as_bytes(std::span(bytes)).first(v6 ? 16 : 4))
      .value_or(Address::v4(0, 0, 0, 0));
}

Clock::time_point until_of(const std::array<std::uint32_t, 2>& parts, std::uint32_t flags) {
  if ((flags & kPermanent) != 0) return kNever;
  const std::uint64_t count = std::uint64_t{parts[1]} << 32U | parts[0];
  return Clock::time_point(
      std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(count)));
}

Clock::time_point kernel_until_of(Clock::time_point until, std::uint32_t apart,
                                  std::uint32_t flags) {
  if ((flags & kEndless) != 0) return kNever;
  return until + Tenths(static_cast<std::int32_t>(apart));
}

}  // namespace

Source SettledBans::source_of(const Record& record) {
  return Source::of(address_of(record.address, (record.flags & kV6) != 0),
                    (record.flags & kSite) == 0);
}

SettledBan::State SettledBans::state_of(const Record& record) {
  return static_cast<SettledBan::State>(two_bits(record.flags, kStateAt));
}

SettledBan SettledBans::unpacked(const Record& record) {
  const std::uint32_t flags = record.flags;
  const bool permanent = (flags & kPermanent) != 0;
  const Clock::time_point until = until_of(record.until, flags);
  SettledBan ban{
      .state = state_of(record),
      .address = address_of(record.address, (flags & kV6) != 0),
      .cause = {(flags & kUdp) != 0 ? Protocol::udp : Protocol::tcp,
                Port::make(record.port).value_or(*Port::make(1))},
      .until = until,
      .wall = permanent ? std::nullopt : std::optional<std::time_t>(record.wall),
      .since = record.since,
      .kernel_until = kernel_until_of(until, record.kernel_apart, flags),
      .origin = static_cast<Origin>(two_bits(flags, kOriginAt)),
      .proof = static_cast<Proof>(two_bits(flags, kProofAt)),
      .of = static_cast<BanClass>(two_bits(flags, kClassAt)),
      .offences = record.offences,
      .acknowledged = (flags & kAcknowledged) != 0,
      .wrapped = (flags & kWrapped) != 0,
      .in_kernel = (flags & kInKernel) != 0,
      .has_row = (flags & kHasRow) != 0,
      .unseen = (flags & kUnseen) != 0,
  };
  if (record.told != 0) ban.told_already = Clock::time_point(std::chrono::seconds(record.told - 1));
  return ban;
}

Clock::time_point SettledBans::due_of(Clock::time_point until,
                                      Clock::time_point kernel_until) const {
  if (kernel_until >= until || kernel_until >= until - tolerance_) return until;
  return std::min(until, kernel_until - renew_);
}

// Who was asked for is not due before its answer.
Clock::time_point SettledBans::due_of(const Record& record) const {
  const Clock::time_point until = until_of(record.until, record.flags);
  const auto state = state_of(record);
  if (state == SettledBan::State::sent) return kNever;
  if (state == SettledBan::State::restoring) return until;
  return due_of(until, kernel_until_of(until, record.kernel_apart, record.flags));
}

// ---- places -------------------------------------------------------------------------------------

// Where `source` is, or would be.
SettledBans::Place SettledBans::place_of(const Source& source) const {
  // The last piece that begins at or before it.
  const auto behind = std::upper_bound(
      pieces_.begin(), pieces_.end(), source,
      [](const Source& s, const Piece& p) { return s < source_of(p.records.front()); });
  if (behind == pieces_.begin()) return {0, 0, false};
  const auto piece = std::prev(behind);
  const auto& records = piece->records;
  const auto record =
      std::lower_bound(records.begin(), records.end(), source,
                       [](const Record& r, const Source& s) { return source_of(r) < s; });
  return {static_cast<std::size_t>(piece - pieces_.begin()),
          static_cast<std::size_t>(record - records.begin()),
          record != records.end() && source_of(*record) == source};
}

void SettledBans::recount(Piece& piece) {
  piece.earliest = kNever;
  piece.restoring = 0;
  for (const Record& record : piece.records) {
    piece.earliest = std::min(piece.earliest, due_of(record));
    if (state_of(record) == SettledBan::State::restoring) piece.restoring += 1;
  }
}

// For one record more. A full piece becomes two; rows come sorted from the disk, so that the last one
// is left full.
void SettledBans::make_room(std::size_t at) {
  if (pieces_[at].records.size() == kPiece) {
    const bool last = at + 1 == pieces_.size();
    const std::size_t half = last ? kPiece - kStep : kPiece / 2;
    auto& whole = pieces_[at].records;
    Piece second{.records = {whole.begin() + static_cast<std::ptrdiff_t>(half), whole.end()},
                 .earliest = kNever,
                 .restoring = 0};
    whole.resize(half, whole.front());
    give_back(whole);
    recount(pieces_[at]);
    recount(second);
    pieces_.insert(pieces_.begin() + static_cast<std::ptrdiff_t>(at) + 1, std::move(second));
  }
}

void SettledBans::put(const Source& source, const SettledBan& ban) {
  const Record record = packed(source, ban);
  if (pieces_.empty()) pieces_.push_back({.records = {}, .earliest = kNever, .restoring = 0});
  Place place = pieces_.front().records.empty() ? Place{0, 0, false} : place_of(source);
  if (pieces_[place.piece].records.size() == kPiece) {
    make_room(place.piece);
    place = place_of(source);
  }
  Piece& piece = pieces_[place.piece];
  auto& records = piece.records;
  if (records.size() == records.capacity()) records.reserve(records.size() + kStep);
  records.insert(records.begin() + static_cast<std::ptrdiff_t>(place.record), record);
  const Clock::time_point due = due_of(record);
  piece.earliest = std::min(piece.earliest, due);
  if (earliest_) earliest_ = std::min(*earliest_, due);
  if (ban.state == SettledBan::State::restoring) {
    piece.restoring += 1;
    restoring_ += 1;
  }
  size_ += 1;
}

std::optional<SettledBan> SettledBans::find(const Source& source) const {
  if (pieces_.empty()) return std::nullopt;
  const Place place = place_of(source);
  if (!place.found) return std::nullopt;
  return unpacked(pieces_[place.piece].records[place.record]);
}

std::optional<SettledBan> SettledBans::take(const Source& source) {
  if (pieces_.empty()) return std::nullopt;
  const Place place = place_of(source);
  if (!place.found) return std::nullopt;
  Piece& piece = pieces_[place.piece];
  auto& records = piece.records;
  const Record record = records[place.record];
  records.erase(records.begin() + static_cast<std::ptrdiff_t>(place.record));
  size_ -= 1;
  if (state_of(record) == SettledBan::State::restoring) {
    piece.restoring -= 1;
    restoring_ -= 1;
  }
  const Clock::time_point due = due_of(record);
  if (earliest_ == due) earliest_.reset();
  if (records.empty()) {
    pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(place.piece));
    if (pieces_.empty()) give_back(pieces_);
    return unpacked(record);
  }
  if (due == piece.earliest) recount(piece);
  // What is left of many does not keep the room of all.
  if (records.capacity() > records.size() + 2 * kStep) give_back(records);
  const std::size_t next = place.piece + 1;
  if (next < pieces_.size() && records.size() + pieces_[next].records.size() <= kPiece / 2) {
    const auto& more = pieces_[next].records;
    records.insert(records.end(), more.begin(), more.end());
    recount(piece);
    pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(next));
  }
  return unpacked(record);
}

void SettledBans::change(const Source& source, const SettledBan& ban) {
  if (take(source)) put(source, ban);
}

// ---- all of them --------------------------------------------------------------------------------

void SettledBans::change_each(const std::function<bool(const Source&, SettledBan&)>& visit) {
  restoring_ = 0;
  earliest_.reset();
  for (Piece& piece : pieces_) {
    for (Record& record : piece.records) {
      const Source source = source_of(record);
      SettledBan ban = unpacked(record);
      if (visit(source, ban)) record = packed(source, ban);
    }
    recount(piece);
    restoring_ += piece.restoring;
  }
}

void SettledBans::each_after(
    const std::optional<Source>& after,
    const std::function<bool(const Source&, const SettledBan&)>& visit) const {
  if (pieces_.empty()) return;
  Place place = after ? place_of(*after) : Place{0, 0, false};
  if (place.found) place.record += 1;
  for (; place.piece < pieces_.size(); place = {place.piece + 1, 0, false}) {
    const auto& records = pieces_[place.piece].records;
    for (; place.record < records.size(); ++place.record) {
      const Record& record = records[place.record];
      if (!visit(source_of(record), unpacked(record))) return;
    }
  }
}

std::optional<Clock::time_point> SettledBans::next_due() const {
  if (!earliest_) {
    earliest_ = kNever;
    for (const Piece& piece : pieces_)
      earliest_ = std::min(*earliest_, piece.earliest);
  }
  return *earliest_ == kNever ? std::nullopt : earliest_;
}

std::vector<Source> SettledBans::due(Clock::time_point now, std::size_t most) const {
  std::vector<Source> found;
  for (const Piece& piece : pieces_) {
    if (piece.earliest > now) continue;
    for (const Record& record : piece.records) {
      if (found.size() == most) return found;
      if (due_of(record) <= now) found.push_back(source_of(record));
    }
  }
  return found;
}

std::vector<Source> SettledBans::restoring(std::size_t most) const {
  std::vector<Source> found;
  for (const Piece& piece : pieces_) {
    if (piece.restoring == 0) continue;
    for (const Record& record : piece.records) {
      if (found.size() == most) return found;
      if (state_of(record) == SettledBan::State::restoring) found.push_back(source_of(record));
    }
  }
  return found;
}

std::size_t SettledBans::bytes() const {
  std::size_t sum = pieces_.capacity() * sizeof(Piece);
  for (const Piece& piece : pieces_)
    sum += piece.records.capacity() * sizeof(Record);
  return sum;
}

}  // namespace portsentry::monitor
