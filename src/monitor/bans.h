// The monitor's table of bans: what is asked of the enforcer, what the kernel confirmed, and when
// it is over. Pure: takes `now`, holds values, hands requests to a function; knows no socket or
// file.
//
//                    answer: ok
//   ask() ─▶ asked ───────────────────────▶ enforced ◀──────── adopt(): found in the kernel
//            ▲   │                           ▲      │
//   back-off │   │ answer: kernel or budget  │ ok   │ table_created(again)
//   is over  │   ▼                           │      ▼
//           waiting ◀──────────────────────── restoring
//                         answer: not ok
//   asked ── answer: the guard, by nature ──▶ refused ── a minute later ──▶ (forgotten)
//   enforced ── lift() ──▶ lifting ── answer: ok ──▶ (forgotten)
//   what nftables holds, or nobody yet ── its time is over ──▶ (forgotten); the kernel's own timeout
//   removes it
//   what a command did ── its time is over ──▶ lifting ── answer: no undo is known ──▶ stuck
//   stuck ── commands_changed() ──▶ lifting
//   lifting ── answer: the undo failed, kUndoTries times ──▶ (forgotten): most likely somebody has
//   removed the rule by hand, as guides tell them to; and if not, the next scan bans anew
//
// A ban in the kernel ends on our clock at the moment the kernel's does or a round trip earlier,
// never later: the time runs from when we ask, the kernel's from when it hears. A source that
// probes inside that gap is simply banned again. What a command did has no clock but ours: such a
// ban is held, and shown, until its undo succeeded.
//
// Bounded: kMaxBans entries (about 300 bytes each), of which kMaxPending unconfirmed; at most
// kMaxInFlight requests unanswered, which is also what paces a restore of a million bans. The
// tables are ordered, not hashed: attackers choose the keys.
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
#include <utility>
#include <vector>

#include "common/messages.h"
#include "monitor/now.h"

namespace portsentry::monitor {

class Bans {
 public:
  static constexpr std::size_t kMaxBans = 1'000'000;  // the kernel sets' size, see ruleset.nft
  // Unconfirmed bans. The guard grants 100 a second; beyond some seconds' worth of those a queue
  // only delays, and a source that was turned away is reported again by its next probe.
  static constexpr std::size_t kMaxPending = 4096;
  // Further room, and the front of the queue, for whoever touched more ports than the trigger asks
  // for: a flood of forged sources, each a single probe, cannot hide a scanner by filling the
  // queue.
  static constexpr std::size_t kMaxUrgent = 1024;
  enum class Urgency : std::uint8_t { usual, urgent };
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

  enum class State : std::uint8_t {
    asked,
    enforced,
    restoring,
    waiting,
    refused,
    lifting,
    stuck,  // a command made it, its time is over or it was to be lifted, and no undo is known
    count_
  };

  // Why lift() was called.
  enum class Pardon : std::uint8_t { none, ignored, shielded };

  struct Ban {
    State state = State::asked;
    Address address;  // the exact host whose probe led here; the prefix's address when adopted
    BanCause cause;   // TCP port 1 stands in for an adopted ban, whose cause nobody knows any more
    Clock::time_point until;  // max(): without expiry
    std::time_t since = 0;    // wall clock, for people
    bool recorded = false;    // told to people and written to the history
    bool held_back = false;   // hold() was called, and neither release() nor time ended that yet
    bool wrapped = false;     // the line of hosts.deny was asked for; to be taken back at the end
    Backend by = Backend::none;       // who holds it; none: nobody has confirmed it
    Backend sent_to = Backend::none;  // who was asked last
    Verdict last_no = Verdict::ok;
    std::chrono::seconds back_off{0};
    unsigned undo_failures = 0;
    Pardon pardon = Pardon::none;                   // it is not to hold any more
    std::uint64_t id = 0;                           // of the request in flight; 0: none
    Clock::time_point due;                          // when expire() looks at it; max(): never
    std::optional<Clock::time_point> told_already;  // the last "already blocked" line
  };

  // The ban that covers `address`: of the host itself, or of its /64.
  [[nodiscard]] const std::pair<const Source, Ban>* covering(const Address& address) const;
  [[nodiscard]] const Ban* find(const Source& source) const;
  // No room for another unconfirmed ban.
  [[nodiscard]] bool full(Urgency urgency = Urgency::usual) const;
  [[nodiscard]] std::size_t count(State state) const {
    return counts_.at(static_cast<std::size_t>(state));
  }
  [[nodiscard]] std::size_t size() const { return bans_.size(); }

  // A new ban, from now for `duration`. The source must not be known, and the table not full.
  void ask(const Source& source, const Address& address, const BanCause& cause,
           std::chrono::seconds duration, Now now, Urgency urgency = Urgency::usual);

  // A ban that was just asked for is not handed out before release(), or before kLongestHold is
  // over. release() means nothing for any other; its `duration` runs from `now`.
  void hold(const Source& source, Now now);
  void release(const Source& source, std::chrono::seconds duration, Now now);

  // A ban of an earlier run that the kernel still holds; `remaining` 0: without expiry.
  // `block_time` dates it for people, as well as it can be known. False: known already, or no room
  // (it holds in the kernel all the same).
  bool adopt(const Source& source, std::chrono::seconds remaining, std::chrono::seconds block_time,
             Now now);

  // A ban that a command of an earlier run made, as our own records have it: it holds still, or,
  // with `again`, it held until the machine was booted anew and is to be made again. `left` may be
  // zero or less: its time passed while nobody was there to end it. False: known already, or no
  // room.
  struct Remembered {
    Source source;
    Address address;
    BanCause cause;
    std::time_t since;
    std::optional<std::chrono::seconds> left;  // nothing: without expiry
  };
  bool recall(const Remembered& ban, bool again, Now now);
  // What our records know of a ban that the kernel holds; nothing changes for an unknown one.
  void describe(const Source& source, const Address& address, const BanCause& cause,
                std::time_t since);

  // Ends an enforced ban. It has ended when answer() says lifted.
  void lift(const Source& source, Pardon why);

  void forget(const Source& source);

  // Its line in hosts.deny was asked for.
  void wrapped(const Source& source);

  // There are new commands: what could not be undone is tried again, and a source that no command
  // was for is judged anew at its next probe.
  void commands_changed(Now now);

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
    bool wrapped;
  };
  std::vector<Ended> expire(Now now, std::size_t limit = 1000);
  // When expire() has something to do.
  [[nodiscard]] std::optional<Clock::time_point> next_due() const;

  // Every ban that holds, in address order.
  void each_held(const std::function<void(const Source&, const Ban&)>& visit) const;
  [[nodiscard]] static bool holds(const Ban& ban) {
    return ban.state == State::enforced || ban.state == State::lifting ||
           ban.state == State::restoring || ban.state == State::stuck;
  }

  void told_already(const Source& source, Now now);

 private:
  using Entry = std::map<Source, Ban>::iterator;

  void insert(const Source& source, Ban ban);
  void erase(Entry entry);
  void set_state(Ban& ban, State state);
  void set_due(const Source& source, Ban& ban, Clock::time_point due);
  void restore_as_bans();
  bool send_queue(std::deque<Source>& queue, State expected, std::size_t most, Now now,
                  const std::function<MonitorToEnforcer(const Source&, const Ban&)>& make,
                  const std::function<bool(const MonitorToEnforcer&)>& send);

  std::map<Source, Ban> bans_;
  std::set<std::pair<Clock::time_point, Source>> due_;
  std::map<std::uint64_t, Asked> in_flight_;
  std::deque<Source> restores_;
  std::deque<Source> lifts_;
  std::deque<Source> asks_;
  std::array<std::size_t, static_cast<std::size_t>(State::count_)> counts_{};
  std::uint64_t next_id_ = 1;
  Backend backend_ = Backend::none;
  bool table_exists_ = false;
  std::size_t undos_in_flight_ = 0;
  unsigned windows_ = 0;                           // TableCreated not yet answered by RestoreDone
  std::optional<Clock::time_point> window_since_;  // the oldest of them
};

// Refused for what the source is, or because no command is set: asking again changes nothing until
// the network or the configuration does.
[[nodiscard]] bool by_nature(Verdict verdict);

// Rounded up to whole seconds, 1 s .. kMaxBan: the kernel may hold a moment longer, never shorter.
std::chrono::seconds remaining(const Bans::Ban& ban, Now now);

}  // namespace portsentry::monitor
