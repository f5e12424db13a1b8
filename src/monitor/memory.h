// What the monitor remembers across restarts, as plain values: what the store (store.h) keeps, what
// it gives back at the start, and every change that can be noted in between. Knows no file.
//
// Times are the wall clock, whole seconds since 1970, never negative. Texts are what people read:
// one line of UTF-8 without control characters; the store cuts what is longer than the constants
// here and puts '?' for what cannot be shown.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/messages.h"
#include "common/net_types.h"

namespace portsentry::monitor {

// The numbers of the enumerations here are in people's files: they never change.

// Who holds a ban. `asked`: a command was asked to make it, and what came of that was not heard yet.
enum class BanBackend : std::uint8_t { nftables = 1, command = 2, asked = 3 };

// Where a ban comes from. `recovered`: found in the kernel, and nothing here knew of it.
enum class Origin : std::uint8_t { scan = 1, hand = 2, recovered = 3 };

inline constexpr std::size_t kMaxNote = 256;     // bytes
inline constexpr std::size_t kMaxDetail = 1024;  // bytes

struct StoredBan {
  Source source;
  Address address;  // the exact host whose probe led here, inside `source`
  BanCause cause;   // TCP port 1 where no probe did
  BanBackend backend = BanBackend::nftables;
  Origin origin = Origin::scan;
  Proof proof = Proof::forgeable;    // meaningful with Origin::scan
  std::time_t since = 0;             // when it was granted
  std::optional<std::time_t> until;  // nothing: permanent; else not before `since`
  std::uint32_t offences = 0;        // of this source, this one counted
  std::string note = {};             // what the administrator said who made it, at most kMaxNote

  bool operator==(const StoredBan&) const = default;
};

// How often a source was banned on proof; outlives its bans.
struct Offence {
  Source source;
  std::uint32_t count = 0;
  std::time_t last_end = 0;  // when its last ban ended, or is to end

  bool operator==(const Offence&) const = default;
};

// `portsentryctl allow`.
struct Allowed {
  Prefix prefix;
  std::optional<std::time_t> until;  // nothing: until it is removed; else not before `since`
  std::time_t since = 0;
  std::string note = {};  // at most kMaxNote

  bool operator==(const Allowed&) const = default;
};

// `portsentryctl arm` and `observe`: stands above what the configuration says.
struct Override {
  enum class Mode : std::uint8_t { arm = 1, observe = 2 } mode;
  std::time_t since = 0;
  std::optional<std::time_t> confirm_by;  // `arm --confirm-within`: void then, unless confirmed

  bool operator==(const Override&) const = default;
};

// What a source touched that is not reported yet, so that a restart does not help a slow scanner.
struct Score {
  struct Touched {
    Protocol protocol;
    Port port;
    std::time_t at;
    bool operator==(const Touched&) const = default;
  };
  Source source;
  std::vector<Touched> touches;  // 1..kMaxTouches
  bool reported = false;

  bool operator==(const Score&) const = default;
};

// What somebody may ask for later: `history`, `why`, `top`, `report`.
enum class EventKind : std::uint8_t {
  detected = 1,     // and no ban wanted or possible: `detail` says why
  would_ban = 2,    // in observe mode, or past a budget
  banned = 3,       // acknowledged
  changed = 4,      // a ban's end was moved
  expired = 5,      // a ban ended by its time
  unbanned = 6,     // by portsentryctl
  lifted = 7,       // deleted from the kernel by hand, or the source is protected or allowed now
  refused = 8,      // by the guard, the kernel or a command
  recovered = 9,    // found in the kernel without a row
  budget = 10,      // one tripped, or recovered
  armed = 11,       //
  confirmed = 12,   // an arming
  observed = 13,    // observe mode was entered
  allowed = 14,     // an entry of the allow list was made
  disallowed = 15,  // and was removed, or is over
  drift = 16,       // the kernel held something else than we thought, and that was mended
};
inline constexpr std::array<std::string_view, 16> kEventNames{
    "detected", "would-ban", "banned",     "changed", "expired", "unbanned",
    "lifted",   "refused",   "recovered",  "budget",  "armed",   "confirmed",
    "observed", "allowed",   "disallowed", "drift"};
static_assert(!kEventNames.back().empty());
[[nodiscard]] constexpr std::string_view name(EventKind kind) {
  return kEventNames.at(static_cast<std::size_t>(kind) - 1);
}

struct Event {
  std::time_t at = 0;
  EventKind kind;
  std::optional<Source> source = {};    // or the host of a prefix in `detail`
  std::optional<Address> address = {};  // inside `source`
  std::optional<BanCause> cause = {};
  std::optional<ScanKind> scan = {};
  std::optional<Proof> proof = {};
  std::uint32_t ports = 0;                // distinct ones; 0: not known
  std::optional<std::time_t> until = {};  // of the ban
  std::string detail = {};                // at most kMaxDetail

  bool operator==(const Event&) const = default;
};

// ---- Changes --------------------------------------------------------------------------------------

struct PutBan {
  StoredBan ban;
};
struct EraseBan {
  Source source;
};
struct PutOffence {
  Offence offence;
};
struct EraseOffence {
  Source source;
};
struct AddEvent {
  Event event;
};
struct PutAllowed {
  Allowed allowed;
};
struct EraseAllowed {
  Prefix prefix;
};
struct SetOverride {
  std::optional<Override> override;  // nothing: the configuration alone counts
};
// In place of all scores that were there.
struct PutScores {
  std::vector<Score> scores;
};
// All that a boot of the machine asks for was done.
struct BootRestored {};

using StateChange = std::variant<PutBan, EraseBan, PutOffence, EraseOffence, AddEvent, PutAllowed,
                                 EraseAllowed, SetOverride, PutScores, BootRestored>;

// What the start is given. Ordered by nothing in particular; each key once.
struct Memory {
  std::vector<StoredBan> bans;
  std::vector<Offence> offences;
  std::vector<Allowed> allowed;
  std::optional<Override> override;
  std::vector<Score> scores;

  bool operator==(const Memory&) const = default;
};

// ---- Questions about events -----------------------------------------------------------------------

// Answered in pages. `cursor` goes on where the page before ended (EventPage::cursor); 0 begins.
struct EventQuery {
  std::uint64_t cursor = 0;
  bool newest_first = false;
  std::time_t since = 0;                // events not older than that
  std::optional<Address> address = {};  // of sources that contain it
  std::optional<EventKind> kind = {};   // nothing: any
  std::size_t limit = 20;               // 1..kMaxEventPage
};
inline constexpr std::size_t kMaxEventPage = 200;

struct EventPage {
  struct Row {
    std::uint64_t id;  // rises with time, never 0
    Event event;
    bool operator==(const Row&) const = default;
  };
  std::vector<Row> rows;  // may be fewer than asked for, though there are more
  bool more = false;
  std::uint64_t cursor = 0;  // of the page that follows
};

// `top`, `report`: whom or what most events of these kinds named, of the newest kTopEvents: counting
// more would keep a ban waiting.
inline constexpr std::size_t kTopEvents = 50'000;
struct TopQuery {
  enum class By : std::uint8_t { source, port, kind } by = By::source;
  std::time_t since = 0;
  std::optional<EventKind> kind = {};  // nothing: detected, would_ban, banned and refused
  std::size_t limit = 20;              // 1..kMaxEventPage
};
struct TopRow {
  std::string key;      // "192.0.2.1", "TCP 23", "banned"
  std::uint64_t count;  // of events
  std::time_t first;
  std::time_t last;
};

}  // namespace portsentry::monitor
