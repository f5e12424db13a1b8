// Channel C, the control socket: what portsentryctl may ask, and what the monitor answers, as plain
// structs that cannot be wrong: a value of one of these types has passed gates one and two (wire.h). The
// messages are in proto/control.proto, the code between in wire_control.cc.
//
// One connection, any number of requests, one after the other. Each is answered by its reply or by
// Refused, before which any number of Working may come. A list comes in pages: while `more` is true, ask
// again, after the last entry that came. After WatchAsk come Watched and Missed until either side
// closes.
//
// Times are seconds of the wall clock since 1970, at most kMaxMoment. A `text` is for people: UTF-8
// without anything that could move a cursor (text.h). A `word` is for programs: [a-z0-9_-], 1..40 bytes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/messages.h"
#include "common/net_types.h"

namespace portsentry {

inline constexpr std::time_t kMaxMoment = 253'402'300'799;  // the end of the year 9999
inline constexpr std::size_t kMaxUserText = 128;            // bytes of a text that a user gave
inline constexpr std::size_t kMaxText = 255;                // bytes of any other text
inline constexpr std::size_t kMaxWord = 40;
inline constexpr std::size_t kMaxEntries = 64;  // of one page, and of what has no pages

// ---- portsentryctl -> monitor -------------------------------------------------------------------

struct StatusRequest {};

// Every counter, in a fixed order; `skip` of them were told before.
struct CountersAsk {
  std::uint32_t skip = 0;
};

enum class ListFilter : std::uint8_t {
  all = 1,
  timed = 2,
  permanent = 3,
  by_hand = 4,
  recovered = 5,
  not_enforced = 6,  // asked for, waiting for another try, refused, not undone
  unverifiable = 7,  // made by a command: nobody can look whether they hold
};

// Bans, in the order of their sources. Answered by BanPage.
struct ListAsk {
  ListFilter filter = ListFilter::all;
  std::optional<Source> after = std::nullopt;
};

// Everything that is known about one address. Answered by WhyReply; Refused{no_match}: nothing is.
struct WhyAsk {
  Address address;
};

// Ban by hand. Answered, when it is acknowledged, by BanDone.
struct BanAsk {
  Prefix prefix;
  // 1 s .. kMaxBan; nothing: BLOCK_TIME. Not together with `permanent`.
  std::optional<std::chrono::seconds> duration = std::nullopt;
  bool permanent = false;
  std::string note = {};  // text, at most kMaxUserText
};

// End every ban inside `prefix` and every ban of a network that it is inside of; nothing: all bans.
// Answered by UnbanDone when none of them holds any more, or by Refused{no_match}.
struct UnbanAsk {
  std::optional<Prefix> prefix = std::nullopt;
  // And do not ban it again for so long (1 s .. kMaxBan). Only with a prefix.
  std::optional<std::chrono::seconds> allow_for = std::nullopt;
  bool permanent_too =
      false;  // where `prefix` is nothing; a ban that is named is ended in any case
};

// Who is never banned because somebody said so. Answered by AllowedPage.
struct AllowListAsk {
  std::optional<Prefix> after = std::nullopt;
};
// Lifts bans inside, too. One that is there already is changed. Answered by AllowDone.
struct AllowAddAsk {
  Prefix prefix;
  std::optional<std::chrono::seconds> duration = std::nullopt;  // 1 s .. kMaxBan; nothing: for ever
  std::string note = {};                                        // text, at most kMaxUserText
};
// Exactly this entry. Answered by Done, or Refused{no_match}.
struct AllowRemoveAsk {
  Prefix prefix;
};

// Who is never banned because of what this host is and does. Answered by ProtectedPage.
struct ProtectedAsk {
  std::uint32_t skip = 0;
};

enum class TopBy : std::uint8_t { source = 1, port = 2, kind = 3, network = 4 };
// The most frequent since `since`. Answered by TopReply.
struct TopAsk {
  TopBy by = TopBy::source;
  std::time_t since = 0;
  std::uint32_t limit = 10;  // 1..kMaxEntries
};

// Answered by Watching, and then by what happens.
struct WatchAsk {};

// Answered when it is known how it ended: ReloadDone, or Refused{failed}.
struct ReloadAsk {};

// Bans are made from now on, whatever the file says. Answered by ModeDone.
struct ArmAsk {
  // 1 s .. kMaxBan: observe again unless a ConfirmAsk came by then.
  std::optional<std::chrono::seconds> confirm_within = std::nullopt;
};
// From a login session that began at `session_began`: after the ArmAsk, or it is refused.
struct ConfirmAsk {
  std::time_t session_began = 0;
};
// No bans are made from now on, whatever the file says. Answered by ModeDone.
struct ObserveAsk {};
// Back to what the file says. Answered by ModeDone.
struct FollowFileAsk {};

// Answered by SelfTestReply when the last hop has answered or its time is over.
struct SelfTestAsk {};

// End every ban at once. Answered by UnbanDone.
struct FlushAsk {
  bool permanent_too = false;
};

// What happened, the newest first. Answered by HistoryPage.
struct HistoryAsk {
  std::time_t since = 0;
  std::uint64_t before = 0;  // the id of the last one that came; 0: from the newest
  std::optional<Prefix> inside = std::nullopt;  // only what concerns it
};

// What was banned since `since`, or would have been, by source. Answered by ReportPage.
struct ReportAsk {
  std::time_t since = 0;
  std::optional<Source> after = std::nullopt;
};

using ControlRequest = std::variant<StatusRequest, CountersAsk, ListAsk, WhyAsk, BanAsk, UnbanAsk,
                                    AllowListAsk, AllowAddAsk, AllowRemoveAsk, ProtectedAsk, TopAsk,
                                    WatchAsk, ReloadAsk, ArmAsk, ConfirmAsk, ObserveAsk,
                                    FollowFileAsk, SelfTestAsk, FlushAsk, HistoryAsk, ReportAsk>;

// Who may ask for it: those who may look, or those who may change something.
enum class Access : std::uint8_t { none = 0, view = 1, change = 2 };
template <class... Asks>
[[nodiscard]] constexpr bool is_one_of(const ControlRequest& request) {
  return (std::holds_alternative<Asks>(request) || ...);
}
// A list of what only looks, so that a new verb that nobody thought about is for the few.
[[nodiscard]] constexpr Access needed(const ControlRequest& request) {
  return is_one_of<StatusRequest, CountersAsk, ListAsk, WhyAsk, AllowListAsk, ProtectedAsk, TopAsk,
                   WatchAsk, HistoryAsk, ReportAsk>(request)
             ? Access::view
             : Access::change;
}

// ---- monitor -> portsentryctl -------------------------------------------------------------------

// Why there is no other answer. portsentryctl's exit status is in brackets.
enum class RefusedCode : std::uint8_t {
  not_supported = 1,  // [1] this daemon cannot do that, or not in this mode of work
  no_match = 2,       // [1] there is nothing of that kind
  policy = 3,         // [3] it must not be: protected, allowed, outside of what may be asked for
  not_permitted = 4,  // [3] this user may not ask for it
  invalid = 5,        // [2] the values do not make sense together
  busy = 6,           // [1] too much at once; try again
  failed = 7,         // [1] it was tried, and did not work
};
struct Refused {
  RefusedCode code;
  std::string text;  // text
};

// The request is being worked on; this is not its answer yet. At least every five seconds.
struct Working {
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // 0: not known
};

// Done, and nothing more is to be said than this.
struct Done {
  std::string text;
};

// An administrator's word against the file's.
struct OverrideShown {
  bool armed;
  std::time_t since;
  std::optional<std::time_t> confirm_by = std::nullopt;  // then it ends, unless confirmed
};

// What one class of detections may still cost, see README "Budgets".
struct BudgetShown {
  std::string name;               // word: "proven", "spread", "single", "by_hand"
  std::uint32_t left = 0;         // bans that it could make in this moment
  std::uint32_t burst = 0;        // the most
  std::uint32_t per_second = 0;   // how fast they come back
  bool tripped = false;           // empty now, or within the last seconds
  std::uint64_t turned_away = 0;  // detections that got no ban because it was empty
};

enum class ProcessState : std::uint8_t {
  running = 1,     // it has said so, or its channel is open
  starting = 2,    // it was started and has not said that it stands
  down = 3,        // it ended; it will be started again where that is said
  not_wanted = 4,  // the configuration has no use for it
};
struct ProcessShown {
  std::string name;  // word: "launcher", "sensor", ...
  ProcessState state = ProcessState::running;
  std::optional<std::uint32_t> pid = std::nullopt;  // where the monitor can know it
  std::uint64_t restarts = 0;
};

enum class Drift : std::uint8_t {
  unknown = 1,  // not compared yet, or the firewall cannot be read
  none = 2,     // the kernel holds what is wanted
  drifting = 3,
};

enum class ScoutShown : std::uint8_t { unknown = 1, complete = 2, stale = 3 };

struct StatusReply {
  std::string version;    // text
  std::string conf_path;  // text
  std::time_t started = 0;
  std::uint32_t generation = 1;  // of the configuration; the start is 1

  bool active = false;  // packets are being classified
  bool armed = false;   // bans are made, all considered
  // BLOCK_TCP and BLOCK_UDP of the file, 0..2.
  std::uint32_t file_tcp = 0;
  std::uint32_t file_udp = 0;
  std::optional<OverrideShown> override_mode = std::nullopt;
  Backend backend = Backend::none;
  bool inbound_only = true;  // BAN_SCOPE="inbound"
  bool holds = false;        // the kernel holds the source of a probe until it is judged

  std::uint64_t enforced = 0;      // confirmed and not over
  std::uint64_t pending = 0;       // asked for, not answered yet
  std::uint64_t failed = 0;        // the kernel or the guard said no; retried where that can help
  std::uint64_t unrecorded = 0;    // enforced, and not on the disk yet
  std::uint64_t unverifiable = 0;  // made by a command: nobody can look whether they hold
  std::uint64_t permanent = 0;
  std::uint64_t allowed = 0;  // entries of the allow list

  Drift drift = Drift::unknown;
  std::optional<std::time_t> compared = std::nullopt;  // the last time
  std::uint32_t capacity_percent = 0;                  // of the fullest set, 0..100

  std::vector<BudgetShown> budgets = {};  // at most 8
  std::uint64_t protected_entries = 0;
  ScoutShown scout = ScoutShown::unknown;
  std::uint64_t sensor_restarts = 0;
  std::vector<ProcessShown> processes = {};  // at most 12
  std::vector<std::string> alarms = {};      // texts: what somebody should look at; at most 8
};

struct NamedCount {
  std::string name;  // word
  std::uint64_t value;
};
struct CounterPage {
  std::vector<NamedCount> counters;
  bool more = false;
};

enum class BanStateShown : std::uint8_t {
  enforced = 1,
  pending = 2,     // asked for
  waiting = 3,     // it was refused for now, and is asked for again
  refused = 4,     // the guard said no
  lifting = 5,     // it is being ended
  not_undone = 6,  // a command made it, and no undo is known
};
enum class OriginShown : std::uint8_t { scan = 1, hand = 2, recovered = 3 };

struct BanShown {
  Source source;
  BanStateShown state = BanStateShown::enforced;
  OriginShown origin = OriginShown::scan;
  Backend backend = Backend::none;
  std::optional<Proof> proof = std::nullopt;  // of a scan, where it is known
  std::time_t since = 0;
  std::optional<std::time_t> until = std::nullopt;  // nothing: permanent
  std::uint32_t offences = 0;                       // of this source, this one among them
  bool recorded = true;
  std::string trouble = {};  // text: the last no, where it is not enforced
};
struct BanPage {
  std::vector<BanShown> bans;
  bool more = false;
};

struct TouchShown {
  std::time_t at = 0;
  Protocol protocol;
  Port port;
  std::optional<ScanKind> kind = std::nullopt;
  std::optional<TcpFlags> flags = std::nullopt;
};

struct WhyReply {
  Address address;
  std::optional<BanShown> ban = std::nullopt;
  std::optional<Source> source = std::nullopt;  // who is held responsible for it
  std::string scan_class = {};                  // word or empty: "proven", "spread", "single"
  std::optional<Proof> proof = std::nullopt;    // the best that was seen
  std::optional<std::time_t> first = std::nullopt;
  std::optional<std::time_t> last = std::nullopt;
  std::uint32_t distinct_ports = 0;
  std::uint32_t offences = 0;            // counted against it, without this one
  std::vector<TouchShown> touches = {};  // the newest first, at most 32
  std::string decision = {};             // word or empty: the last one, as in the counters
  std::string reason = {};               // text: the same for people
  std::string shield = {};               // text or empty: why it cannot be banned now
  std::string undo = {};                 // text or empty: what ends the ban
};

struct BanDone {
  Source source;                                    // the host alone, where the network must not be
  std::optional<std::time_t> until = std::nullopt;  // nothing: permanent
  bool changed = false;   // it was banned already, and its time is this now
  std::string text = {};  // text or empty: what else is to be said
};

struct UnbanDone {
  std::uint64_t ended = 0;
  std::uint64_t failed = 0;          // the undo did not work
  std::uint64_t permanent_left = 0;  // permanent ones, which were not asked for
  bool allowed = false;
};

struct AllowedShown {
  Prefix prefix;
  std::time_t since = 0;
  std::optional<std::time_t> until = std::nullopt;
  std::string note = {};
};
struct AllowedPage {
  std::vector<AllowedShown> entries;
  bool more = false;
};
struct AllowDone {
  AllowedShown entry;
  std::uint64_t lifted = 0;  // bans
};

struct ProtectedShown {
  Prefix prefix;
  std::string reason;  // text
};
struct ProtectedPage {
  std::vector<ProtectedShown> entries;
  bool more = false;
};

struct TopShown {
  std::string name;  // text: a source, "TCP 23", ...
  std::uint64_t count = 0;
  std::time_t last = 0;
};
struct TopReply {
  std::vector<TopShown> rows;
};

// Something that happened.
struct EventShown {
  std::uint64_t id = 0;  // grows; 0: it is not recorded, or not yet
  std::time_t at = 0;
  std::string kind;                                 // word: "banned", "would-ban", "expired", ...
  std::optional<Prefix> subject = std::nullopt;     // whom it concerns
  std::string text = {};                            // text
  std::optional<std::time_t> until = std::nullopt;  // of the ban that it is about
};
struct Watching {};
struct Watched {
  EventShown event;
};
// So many events were not told: they came faster than they were read.
struct Missed {
  std::uint64_t count = 0;
};

struct ReloadDone {
  std::uint32_t generation = 0;
};

struct ModeDone {
  bool armed = false;
  std::optional<OverrideShown> override_mode = std::nullopt;
};

struct HopShown {
  std::string name;  // word
  bool passed = false;
  std::uint64_t microseconds = 0;  // since the question was sent
  std::string text = {};           // text
};
struct SelfTestReply {
  std::vector<HopShown> hops;  // at most 16
};

struct HistoryPage {
  std::vector<EventShown> events;
  bool more = false;
};

struct ReportRow {
  Source source;
  std::string outcome;          // word: "banned", "would_ban", or the reason for no ban
  std::string scan_class = {};  // word or empty
  std::uint64_t times = 0;
  std::time_t first = 0;
  std::time_t last = 0;
  std::uint32_t distinct_ports = 0;                             // the most in one detection
  std::optional<std::chrono::seconds> ban_time = std::nullopt;  // that it got, or would have got
  std::string text = {};                                        // text: why
};
struct ReportPage {
  std::vector<ReportRow> rows;
  bool more = false;
};

using ControlReply =
    std::variant<StatusReply, Refused, Working, Done, CounterPage, BanPage, WhyReply, BanDone,
                 UnbanDone, AllowedPage, AllowDone, ProtectedPage, TopReply, Watching, Watched,
                 Missed, ReloadDone, ModeDone, SelfTestReply, HistoryPage, ReportPage>;

}  // namespace portsentry
