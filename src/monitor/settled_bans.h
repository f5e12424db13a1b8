// Bans about which nothing is under way, kept small: a million of them are what a busy host has, and
// each costs its record and little more. In the order of sources, so that they can be listed page by
// page; the earliest end is known without a walk over all. What a record has no room for (a note, a
// wish, a request in flight) stays with Bans. Pure.
//
// Sorted pieces of at most kPiece records: a source is found by two binary searches, and what an
// insertion moves is one piece. Nothing here is hashed: attackers choose the keys.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <vector>

#include "common/messages.h"
#include "monitor/memory.h"
#include "monitor/now.h"
#include "monitor/offences.h"

namespace portsentry::monitor {

// What is kept of one. All of it comes back as it was, but for what is said here.
struct SettledBan {
  enum class State : std::uint8_t {
    enforced,   // nftables holds it
    restoring,  // it is to hold, and to be asked for
    sent,       // and was asked for; the answer is to come
  };
  State state = State::enforced;
  Address address;  // inside the source
  BanCause cause;
  Clock::time_point until = Clock::time_point::max();  // max(): permanent
  std::optional<std::time_t> wall;                     // nothing: permanent
  std::time_t since = 0;
  // When its element ends; max(): never. To a tenth of a second, and never before the time given.
  Clock::time_point kernel_until = Clock::time_point::max();
  std::optional<Clock::time_point> told_already;  // to the second
  Origin origin = Origin::scan;
  Proof proof = Proof::forgeable;
  BanClass of = BanClass::single;
  std::uint32_t offences = 0;
  bool acknowledged = false;
  bool wrapped = false;
  bool in_kernel = false;  // by all that we know
  bool has_row = false;    // with this very term
  bool unseen = false;

  bool operator==(const SettledBan&) const = default;
};

class SettledBans {
 public:
  // `renew`: so long before its element ends a ban is due that lasts longer, by more than `tolerance`.
  SettledBans(Clock::duration renew, Clock::duration tolerance)
      : renew_(renew), tolerance_(tolerance) {}
  // When one that is enforced is due.
  [[nodiscard]] Clock::time_point due_of(Clock::time_point until,
                                         Clock::time_point kernel_until) const;

  // Whether `ban` of `source` can be kept here.
  [[nodiscard]] static bool fits(const Source& source, const SettledBan& ban);
  // It fits, and is not here yet.
  void put(const Source& source, const SettledBan& ban);
  [[nodiscard]] std::optional<SettledBan> find(const Source& source) const;
  std::optional<SettledBan> take(const Source& source);
  // It is here, and is `ban` from now on, which fits.
  void change(const Source& source, const SettledBan& ban);

  // All, in order. `visit` returns true where it has changed the ban, which still fits.
  void change_each(const std::function<bool(const Source&, SettledBan&)>& visit);
  // Those behind `after` (nothing: all), in order, until `visit` returns false.
  void each_after(const std::optional<Source>& after,
                  const std::function<bool(const Source&, const SettledBan&)>& visit) const;

  // When the first is due: it ends, or its element is to be renewed. Nothing: none ever is.
  [[nodiscard]] std::optional<Clock::time_point> next_due() const;
  // Who is, at most `most` of them.
  [[nodiscard]] std::vector<Source> due(Clock::time_point now, std::size_t most) const;
  // In State::restoring: how many; and the first `most` of them.
  [[nodiscard]] std::size_t to_restore() const { return restoring_; }
  [[nodiscard]] std::vector<Source> restoring(std::size_t most) const;

  [[nodiscard]] std::size_t size() const { return size_; }
  // What all of it takes, but for what the allocator adds.
  [[nodiscard]] std::size_t bytes() const;

 private:
  // Parts of four bytes: nothing is lost between them.
  struct Record {
    std::array<std::uint8_t, 16> address;  // IPv4: the first four
    std::array<std::uint32_t, 2> until;    // nanoseconds
    std::uint32_t wall;
    std::uint32_t since;
    std::uint32_t told;          // seconds, plus one; 0: never
    std::uint32_t kernel_apart;  // tenths of a second from `until`, signed
    std::uint16_t port;
    std::uint16_t offences;
    std::uint32_t flags;
  };
  static_assert(sizeof(Record) == 48);
  static constexpr std::size_t kPiece = 512;
  static constexpr std::size_t kStep = 16;  // by which the room of a piece grows
  struct Piece {
    std::vector<Record> records;  // never empty
    Clock::time_point earliest;   // when the first of them is due
    std::size_t restoring;
  };
  struct Place {
    std::size_t piece;
    std::size_t record;
    bool found;
  };

  static Source source_of(const Record& record);
  static Record packed(const Source& source, const SettledBan& ban);
  static SettledBan unpacked(const Record& record);
  static SettledBan::State state_of(const Record& record);
  [[nodiscard]] Clock::time_point due_of(const Record& record) const;
  [[nodiscard]] Place place_of(const Source& source) const;
  void recount(Piece& piece);
  void make_room(std::size_t piece);

  std::vector<Piece> pieces_;
  std::size_t size_ = 0;
  std::size_t restoring_ = 0;
  Clock::duration renew_;
  Clock::duration tolerance_;
  mutable std::optional<Clock::time_point> earliest_;  // nothing: to be looked for; max(): never
};

}  // namespace portsentry::monitor
