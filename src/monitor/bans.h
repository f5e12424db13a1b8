// The monitor's table of bans: what is to hold, what is asked of the enforcer, what the kernel
// confirmed, and when it is over. It is the desired set; the store is its memory, and the kernel
// a cache of it. Pure: takes `now` and values, hands requests to a function; knows no socket or file.
//
//                 answer: ok                    change(), or half of the kernel's time is over
//   ask() ─▶ asked ──────────▶ enforced ─────────────────────────────────────▶ changing
//            ▲   │             ▲ ▲ │  ▲                                          │  │
//   back-off │   │ not ok      │ │ │  └──── answer: ok; a no is tried again ─────┘  │
//   is over  │   ▼             │ │ │                                                │
//           waiting ◀──┐       │ │ │ table_created(again)                           │
//                      │ no    │ │ ▼                                                │
//   recall(): a row ───┼──▶ restoring ◀──── table_created(again) ◀──────────────────┘
//                      └───────┘ └ adopt(): the kernel holds it already
//   asked, restoring ── answer: the guard, by nature ──▶ refused ── a minute later ──▶ (forgotten)
//   changing ── the same: it must not hold any more ──▶ lifting
//   any that may hold ── lift() ──▶ lifting ── answer: ok ──▶ (forgotten)
//   any that cannot   ── lift() ──▶ (forgotten)
//   a request under way ── lift() ──▶ the same, once its answer is there
//   what nftables holds, or nobody yet ── its time is over ──▶ (forgotten); the kernel's own timeout
//   removes it
//   what a command did ── its time is over ──▶ lifting ── answer: no undo is known ──▶ stuck
//   stuck ── commands_changed(), change() ──▶ lifting, enforced
//   lifting ── answer: the undo failed, kUndoTries times ──▶ (forgotten): most likely somebody has
//   removed the rule by hand, as guides tell them to; and if not, the next scan bans anew
//   adopt(): found in the kernel, and nothing here knows of it ──▶ enforced
//   listed(): it should be in the kernel and is not ──▶ asked
//
// A ban in the kernel ends on our clock at the moment the kernel's does or a round trip earlier,
// never later: the time runs from when we ask, the kernel's from when it hears. A source that
// probes inside that gap is simply banned again. What a command did has no clock but ours: such a
// ban is held, and shown, until its undo succeeded. The kernel is never asked for more than
// kKernelTime at once: a longer ban is asked for again when half of that is over.
//
// Bounded: kMaxBans, of which few unconfirmed, class by class; at most kMaxInFlight requests
// unanswered, which is also what paces a restore of a million bans. About 600 bytes for a ban about
// which something is under way, and 50 for the others (settled_bans.h), which come out of there when
// something is asked of them, and go back by settle(). The tables are ordered, not hashed: attackers
// choose the keys.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/messages.h"
#include "monitor/memory.h"
#include "monitor/now.h"
#include "monitor/offences.h"
#include "monitor/settled_bans.h"

namespace portsentry::monitor {

class Bans {
 public:
  static constexpr std::size_t kMaxBans = 1'000'000;
  static constexpr std::size_t kKernelSetSize = 1'048'576;  // of each kernel set, see ruleset.nft
  // Unconfirmed bans of each class. The guard grants 100 a second; beyond some seconds' worth of
  // those a queue only delays, and a source that was turned away is reported again by its next
  // probe. A flood of one class leaves the room of the others, and their place in front, alone.
  static constexpr std::array<std::size_t, kBanClasses> kMaxPending{2048, 1024, 1024};
  static constexpr std::size_t kMaxInFlight = 128;
  // Where a command makes bans: root runs one after the other, and turns away what is beyond 100.
  static constexpr std::size_t kMaxCommandsInFlight = 48;
  // Commands run one after the other: many undos, or slow ones, must not keep a new ban waiting.
  static constexpr std::size_t kMaxUndosInFlight = 8;
  static constexpr unsigned kUndoTries = 5;  // that end with an exit status; some 15 s
  // The window for Restore is a minute (enforcer's verbs.h). What slow commands leave undone goes on
  // as usual bans after it.
  static constexpr std::chrono::seconds kRestorePatience{30};
  static constexpr std::chrono::seconds kFirstBackOff{1};
  static constexpr std::chrono::seconds kLastBackOff{60};
  // A command that was asked for before a ban: its own ten seconds, and a moment in the queue.
  static constexpr std::chrono::seconds kLongestHold{15};
  static constexpr std::chrono::seconds kRefusalStands{60};  // routes and addresses may change
  // No element of the kernel's lives longer without being asked for again.
  static constexpr std::chrono::seconds kKernelTime = std::chrono::hours(24 * 30);
  // How far the kernel's clock and ours may be apart before it is asked for again: both round.
  static constexpr std::chrono::seconds kTolerance{5};
  // The kernel's time is sent in whole seconds, rounded up: an element outlives its ban by that.
  static constexpr std::chrono::seconds kLastMoment{2};
  // The most that a ban's time is stretched by, at random: a twentieth of it, and this.
  static constexpr std::chrono::seconds kMostSpread = std::chrono::minutes(10);

  enum class State : std::uint8_t {
    asked,
    enforced,
    changing,   // it holds, and is to get another time, or its old one anew
    restoring,  // it is to hold; whether it does is not known
    waiting,
    refused,
    lifting,
    stuck,  // a command made it, its time is over or it was to be lifted, and no undo is known
    count_
  };

  // Why lift() was called.
  enum class Pardon : std::uint8_t { none, ignored, allowed, shielded, by_hand, over };

  // Until when a ban is to hold: on the clock that it is counted by, and on the wall, which is what
  // is stored and shown.
  struct Term {
    Clock::time_point until = Clock::time_point::max();  // max(): permanent
    std::optional<std::time_t> wall;                     // nothing: permanent
    bool operator==(const Term&) const = default;
    [[nodiscard]] bool permanent() const { return until == Clock::time_point::max(); }
    // Nothing: permanent.
    static Term from(Now now, std::optional<std::chrono::seconds> duration);
  };

  struct Ban {
    std::uint64_t number = 0;  // tells it from an earlier or later ban of the same source
    State state = State::asked;
    Address address;  // the exact host whose probe led here; the prefix's address when adopted
    BanCause cause;   // TCP port 1 stands in for an adopted ban, whose cause nobody knows any more
    Term term;
    std::time_t since = 0;  // wall clock, for people
    Origin origin = Origin::scan;
    Proof proof = Proof::forgeable;
    BanClass of = BanClass::single;
    std::uint32_t offences = 0;
    std::string note;           // of who made it by hand
    bool acknowledged = false;  // and its row is on the disk, so that people were told
    bool recorded = false;      // it held, and is to be put back where it does not
    bool held_back = false;     // hold() was called, and neither release() nor time ended that yet
    bool wrapped = false;       // the line of hosts.deny was asked for; to be taken back at the end
    Backend by = Backend::none;       // who holds it; none: nobody has confirmed it
    Backend row = Backend::none;      // who holds it by our records, with this very term
    Backend sent_to = Backend::none;  // who was asked last
    Verdict last_no = Verdict::ok;
    std::chrono::seconds back_off{0};
    unsigned undo_failures = 0;
    Pardon pardon = Pardon::none;  // it is not to hold any more
    bool repair = false;           // it was in force, and is made again
    bool clear_first = false;      // a command may have made half of it
    std::optional<Term> wish;      // what change() asked for
    Term sent;                     // of the request in flight
    // When its element ends, and when it will by the request in flight; max(): never.
    Clock::time_point kernel_until = Clock::time_point::max();
    Clock::time_point sent_kernel_until = Clock::time_point::max();
    std::uint64_t id = 0;                    // of the request in flight; 0: none
    std::optional<std::uint8_t> counted_in;  // one of by_set_: it is part of native()
    bool pends = false;                      // it is part of pending_
    bool unverifiable = false;               // it is part of by_command_
    Clock::time_point held_since;            // hold()
    bool unseen = false;                     // a listing is under way and has yet to name it
    // When expire() looks at it; max(): never.
    Clock::time_point due = Clock::time_point::max();
    std::optional<Clock::time_point> told_already;  // the last "already blocked" line
  };

  // `seed` spreads what would happen in one instant: the ends of bans, and tries. Nothing: it does
  // not, for tests.
  explicit Bans(std::optional<std::uint64_t> seed = std::nullopt) : dice_(seed) {}

  // The ban that covers `address`: of the host itself, or of its /64. What these two return is valid
  // until the ban is forgotten, or pump() or settle() called.
  [[nodiscard]] const std::pair<const Source, Ban>* covering(const Address& address);
  [[nodiscard]] const Ban* find(const Source& source);
  // The same, to look at only.
  [[nodiscard]] std::optional<std::pair<Source, Ban>> seen_covering(const Address& address) const;
  // What was touched since the last call and is at rest now takes little room from here on. pump()
  // does it as well.
  void settle();
  // No room for another unconfirmed ban of this class.
  [[nodiscard]] bool full(BanClass of) const;
  [[nodiscard]] std::size_t count(State state) const {
    return counts_.at(static_cast<std::size_t>(state));
  }
  [[nodiscard]] std::size_t size() const { return bans_.size() + settled_.size(); }
  // How many of them take little room, and how much all of these take, in bytes.
  [[nodiscard]] std::size_t settled() const { return settled_.size(); }
  [[nodiscard]] std::size_t settled_bytes() const { return settled_.bytes(); }
  [[nodiscard]] std::size_t permanent() const { return permanent_; }  // of all states
  // That a command made: whether its rule is still there, nobody can say.
  [[nodiscard]] std::size_t by_command() const { return by_command_; }

  // ---- what is wanted ---------------------------------------------------------------------------

  struct Wanted {
    Address address;
    BanCause cause;
    std::optional<std::chrono::seconds> duration;  // at least 1 s; nothing: permanent
    BanClass of = BanClass::single;
    Proof proof = Proof::forgeable;
    Origin origin = Origin::scan;
    std::uint32_t offences = 0;
    std::string note = {};
  };

  // A new ban, from now. The source must not be known, and the table not full. A timed one that
  // nobody asked for by hand is stretched at random, so that a batch does not lapse in one instant.
  void ask(const Source& source, const Wanted& wanted, Now now);

  // A ban that was just asked for is not handed out before release(), or before kLongestHold is
  // over. release() means nothing for any other; its time runs from `now`.
  void hold(const Source& source, Now now);
  void release(const Source& source, Now now);

  // A ban that is known gets another term, from now, and is what `wanted` says from here on. `asked`:
  // answer() tells the rest. `done`: nobody but us knows its time, so that it has it. `busy`: it is
  // just being ended.
  enum class Changed : std::uint8_t { unknown, busy, asked, done };
  Changed change(const Source& source, const Wanted& wanted, Now now);

  // Ends a ban, whatever became of it so far. `gone`: it held nowhere, and is forgotten. `asked`: it
  // has ended when answer() says lifted.
  enum class Lift : std::uint8_t { unknown, gone, asked };
  Lift lift(const Source& source, Pardon why, Now now);

  void forget(const Source& source);

  // Its line in hosts.deny was asked for.
  void wrapped(const Source& source);
  // People were told of it.
  void acknowledge(const Source& source);
  // Our records say who holds it, and until when.
  void has_row(const Source& source, Backend by);

  // There are new commands: what could not be undone is tried again, and a source that no command
  // was for is judged anew at its next probe.
  void commands_changed(Now now);

  // The wall clock was set: it shows `shift` more than the time that passed makes it. Every ban keeps
  // the time that it has left, and what is told and stored of it follows; has_row() is to be told.
  void clock_set(std::time_t shift);

  // ---- what an earlier run left -----------------------------------------------------------------

  // A ban as our records have it. `kernel`: nftables held it; adopt() says whether it does, and what
  // it does not is restored. `command`: a command made it, and it holds. `gone`: one made it, or was
  // about to, and it is to be made again: this machine was booted since, or somebody else makes bans
  // now. A row never makes a ban longer than it was granted, wherever the clock went. False: known
  // already, no room, or (`gone`) over.
  enum class Left : std::uint8_t { kernel, command, gone };
  bool recall(const StoredBan& row, Left left, Now now);

  // The kernel holds this; `remaining` 0: without expiry. `block_time` dates what nobody knew, as
  // well as it can be dated.
  enum class Adoption : std::uint8_t {
    joined,     // as it should be
    corrected,  // it ends at another time than it should: asked for again
    over,       // it should have ended: to be removed
    recovered,  // nothing here knew of it
    ignored,    // a request about it is under way, or it ends right now, or there is no room
  };
  Adoption adopt(const Source& source, std::chrono::seconds remaining,
                 std::chrono::seconds block_time, Now now);

  // ---- the enforcer -----------------------------------------------------------------------------

  // Bans can be made, by `backend`: `again` puts back everything that should hold and that it does
  // not hold already, and tries at once what waits. Returns how many will be put back. Each call is
  // answered by one RestoreDone.
  std::size_t table_created(Backend backend, bool again, Now now);

  // Hands out requests in order while they are taken: `send` returns false when the channel is
  // full. Returns false when it stopped for that reason: call again soon.
  bool pump(Now now, const std::function<bool(const MonitorToEnforcer&)>& send);

  // What an Outcome changed.
  enum class Change : std::uint8_t {
    enforced,
    put_back,
    changed,  // it has its new time
    renewed,  // or its old one, anew: no news to anybody
    cleared,  // what a command may have left is undone; the ban is asked for next
    later,
    refused,
    lifted,
    over,
    stuck,
    undo_failed
  };
  struct Answer {
    Source source;
    Ban ban;
    Change change;
    bool news;         // the first time that this ban got this verdict
    bool was_restore;  // it answers a Restore
  };
  // Nothing: no request of ours has this id, or it was answered before.
  std::optional<Answer> answer(const Outcome& outcome, Now now);

  // What an unanswered request of ours asks for, for the log; nothing: no request has this id.
  struct Asked {
    Source source;
    bool undo;
  };
  [[nodiscard]] std::optional<Asked> asked(std::uint64_t id) const;

  // Restores that are queued or in flight.
  [[nodiscard]] std::size_t being_restored() const { return count(State::restoring); }

  // What is over at `now`, at most `limit` entries a call; also moves what waits back to the queue.
  // What a command did is not over before it is undone: answer() tells that.
  struct Ended {
    Source source;
    bool held;  // the kernel had confirmed it
    bool acknowledged;
    bool wrapped;
    BanClass of;
  };
  std::vector<Ended> expire(Now now, std::size_t limit = 1000);
  // When expire() has something to do.
  [[nodiscard]] std::optional<Clock::time_point> next_due() const;

  // ---- what the kernel should hold --------------------------------------------------------------

  struct Native {
    std::uint64_t elements = 0;
    std::uint64_t digest = 0;  // ban_digest.h
    bool operator==(const Native&) const = default;
  };
  // Of what nftables holds by all that we know.
  [[nodiscard]] const Native& native() const { return native_; }
  // Rises whenever that changes.
  [[nodiscard]] std::uint64_t native_changes() const { return native_changes_; }
  // How many in the fullest of the kernel's sets.
  [[nodiscard]] std::size_t fullest_set() const;

  // A listing begins: everything that nftables holds now is expected to be named by an adopt().
  void expect_all();
  // It is complete: what was expected, still should hold and was not named is asked for again.
  // Returns how many that are.
  std::size_t listed(Now now);

  // Every ban that holds, in address order.
  void each_held(const std::function<void(const Source&, const Ban&)>& visit) const;
  // Every ban behind `after` (nothing: from the beginning), in address order, until `visit` returns
  // false.
  void each_after(const std::optional<Source>& after,
                  const std::function<bool(const Source&, const Ban&)>& visit) const;
  [[nodiscard]] static bool holds(const Ban& ban) {
    return ban.state == State::enforced || ban.state == State::changing ||
           ban.state == State::lifting || ban.state == State::restoring ||
           ban.state == State::stuck;
  }

  void told_already(const Source& source, Now now);

 private:
  using Entry = std::map<Source, Ban>::iterator;
  using Send = std::function<bool(const MonitorToEnforcer&)>;
  // Who comes first: an administrator, and what held; then the surer the sooner.
  static constexpr std::size_t kLanes = kBanClasses + 1;

  // The ban of `source`, wherever it is kept, to be worked on; end(): there is none.
  Entry warm(const Source& source);
  Entry unsettle(const Source& source, const SettledBan& settled);
  [[nodiscard]] Ban shown(const Source& source, const SettledBan& settled) const;
  [[nodiscard]] std::optional<SettledBan> at_rest(const Source& source, const Ban& ban) const;
  void count_settled(const Source& source, const SettledBan& ban, bool more);
  std::size_t restore_settled(Now now);
  void draw_settled(std::size_t most);
  Entry insert(const Source& source, Ban ban, Clock::time_point due);
  void erase(Entry entry);
  void set_state(Entry entry, State state);
  void set_due(Entry entry, Clock::time_point due);
  void set_term(Entry entry, const Term& term);
  void recount(Entry entry);
  void queue(Entry entry);
  void take_over(Entry entry, const Wanted& wanted);
  void begin_lift(Entry entry);
  void restore_as_bans();
  Answer answer_lift(Entry entry, Verdict verdict, bool news, Now now);
  Answer answer_clear(Entry entry, Verdict verdict, bool news, Now now);
  Answer answer_pardoned(Entry entry, Verdict verdict);
  Answer answer_ok(Entry entry, bool news, Now now);
  Answer answer_no(Entry entry, Verdict verdict, bool news, Now now);
  Answer end(Entry entry, Change change, bool news);
  static Answer tell(Entry entry, Change change, bool news);
  Answer try_later(Entry entry, Verdict verdict, bool news, Now now);
  void enforced_until_due(Entry entry);
  bool send_queue(std::deque<Source>& queue, State expected, std::size_t most, Now now,
                  const Send& send);
  [[nodiscard]] MonitorToEnforcer request(const Source& source, const Ban& ban, Now now) const;
  [[nodiscard]] bool clears(const Ban& ban) const;
  static std::uint8_t set_of(const Source& source, bool permanent);
  [[nodiscard]] Term granted(const Wanted& wanted, Now now);
  std::uint64_t roll(std::uint64_t sides);

  std::map<Source, Ban> bans_;
  SettledBans settled_{kKernelTime / 2, kTolerance};
  std::vector<Source> touched_;  // since the last settle()
  // The restore window is over for what is settled and still to be restored: each is asked for as a
  // new ban is.
  bool asks_settled_ = false;
  std::set<std::pair<Clock::time_point, Source>> due_;
  std::map<std::uint64_t, Asked> in_flight_;
  std::deque<Source> restores_;
  std::deque<Source> lifts_;
  std::array<std::deque<Source>, kLanes> asks_;
  std::array<std::size_t, static_cast<std::size_t>(State::count_)> counts_{};
  std::array<std::size_t, kBanClasses> pending_{};
  std::size_t permanent_ = 0;
  std::size_t by_command_ = 0;
  std::uint64_t next_id_ = 1;
  std::uint64_t made_ = 0;
  Backend backend_ = Backend::none;
  bool table_exists_ = false;
  std::size_t undos_in_flight_ = 0;
  unsigned windows_ = 0;                           // TableCreated not yet answered by RestoreDone
  std::optional<Clock::time_point> window_since_;  // the oldest of them
  Native native_;
  std::uint64_t native_changes_ = 0;
  std::array<std::size_t, 6> by_set_{};
  bool listing_ = false;
  std::optional<std::uint64_t> dice_;
};

// Refused for what the source is, or because no command is set: asking again changes nothing until
// the network or the configuration does.
[[nodiscard]] bool by_nature(Verdict verdict);

// When it is over, or is to be once that is confirmed, whichever is earlier.
[[nodiscard]] Clock::time_point end_of(const Bans::Ban& ban);

// Rounded up to whole seconds, at least 1 s: the kernel may hold a moment longer, never shorter. 0:
// permanent.
std::chrono::seconds remaining(const Bans::Ban& ban, Now now);

}  // namespace portsentry::monitor
