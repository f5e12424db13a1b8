// The control socket: portsentryctl asks, the monitor answers. Anybody of this machine may be at the
// other end, so whatever they send costs them at most their own connection.
//
//   connect ─▶ who is it? ─▶ nobody of ours: closed, counted
//                │
//                ▼            too fast, or too much work: not read for a moment
//   ┌─▶ waiting for a request ◀──────────────────────────────────────────────┐
//   │            │                                                           │
//   │            ├─ nonsense, a descriptor, silence for a minute: closed     │
//   │            ├─ a verb that this user may not use: Refused ──────────────┤
//   │            ├─ WatchAsk ─▶ watching, until either side closes           │
//   │            ▼                                                           │
//   │          asked ── its answer, after any number of Working ─────────────┘
//   └── everything of one connection in order; nothing more is read before the answer is out
//
// A peer that does not read what it asked for is closed. A watcher that does not read fast enough
// loses events, and is told how many.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "common/channel.h"
#include "common/control_messages.h"
#include "common/event_loop.h"
#include "common/unique_fd.h"

namespace portsentry::monitor {

// Whose members may look (`view`) and whose may change something; nothing: there is no such group,
// and root alone may.
struct ControlGroups {
  std::optional<gid_t> view = std::nullopt;
  std::optional<gid_t> change = std::nullopt;
};

// Who connected, as the kernel knew them at connect(2): SO_PEERCRED has the effective user and one
// group, SO_PEERGROUPS the others.
struct ControlPeer {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};
[[nodiscard]] Access access_of(const ControlPeer& peer, const ControlGroups& groups);

class Control {
 public:
  struct Limits {
    std::size_t root = 16;                           // connections; root's seats are nobody else's
    std::size_t others = 24;                         // of all other users together
    std::size_t each = 8;                            // of one of these
    Clock::duration idle = std::chrono::minutes(1);  // without a request, then closed
    Clock::duration working = std::chrono::seconds(2);  // between two Working
    Clock::duration unread = std::chrono::minutes(1);   // a watcher with a full queue, then closed
    std::size_t queue = 256;                            // events that a watcher has not read
    // Requests a second of one connection; `burst` at once. One that changes something, or reads
    // what is stored, counts as kDear.
    unsigned root_rate = 5000;
    unsigned rate = 200;
    unsigned burst = 400;
  };
  static constexpr unsigned kDear = 10;
  // What takes the daemon longer than kLong is followed by so many times as long in which nobody but
  // root is heard: however many they are, they have at most a fifth of its time.
  static constexpr Clock::duration kLong = std::chrono::milliseconds(2);
  static constexpr int kRest = 4;

  // Calls `answer` once, now or later.
  using Answer = std::function<void(ControlReply)>;
  // A request of the user `who`, who may ask for it. Never a WatchAsk.
  using Asked = std::function<void(const ControlRequest& request, uid_t who, Answer answer)>;

  // `listening`: a SOCK_SEQPACKET socket, bound and listening. Whatever its file's mode says, only
  // root and members of `groups` are served. The loop must outlive this object, and stop before it
  // ends.
  Control(UniqueFd listening, EventLoop& loop, Asked asked, ControlGroups groups, Limits limits);
  Control(UniqueFd listening, EventLoop& loop, Asked asked, ControlGroups groups)
      : Control(std::move(listening), loop, std::move(asked), groups, Limits()) {}

  // Something happened: every watcher hears of it.
  void happened(const EventShown& event);

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }
  [[nodiscard]] std::size_t watchers() const;

  struct Tally {
    std::uint64_t strangers = 0;      // connections of users who may not even look
    std::uint64_t no_seat = 0;        // one connection too many
    std::uint64_t malformed = 0;      // messages that were none
    std::uint64_t not_permitted = 0;  // requests of those who may only look
    std::uint64_t silent = 0;         // connections that said or read nothing for too long
    std::uint64_t events_missed = 0;
  };
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  enum class State : std::uint8_t { waiting, paused, asked, watching };
  struct Connection {
    Channel channel;
    std::uint64_t serial;  // another connection may get the same number
    uid_t uid;
    Access access;
    State state = State::waiting;
    Clock::time_point since;       // in this state, or last told that it is worked on
    Clock::time_point paid_until;  // its requests so far, at its rate
    std::deque<EventShown> unread;
    std::uint64_t missed = 0;
  };
  using Entry = std::map<int, Connection>::iterator;

  void accept_one();
  [[nodiscard]] bool seat_for(uid_t uid) const;
  void serve(int fd);
  void serve_all();
  void ask(Entry entry, const ControlRequest& request);
  void reply(int fd, std::uint64_t serial, const ControlReply& reply);
  void next_request(Entry entry);
  void pause(Entry entry, Clock::time_point until);
  [[nodiscard]] bool must_wait(const Connection& connection) const;
  void pay(Connection& connection, const ControlRequest& request) const;
  void set_state(Entry entry, State state);
  void only_hang_up(int fd);
  [[nodiscard]] bool drain(Connection& connection);
  void tell(Entry entry);
  void sweep_soon();
  void sweep();
  void close(int fd);

  UniqueFd listening_;
  EventLoop& loop_;
  Asked asked_;
  ControlGroups groups_;
  Limits limits_;
  std::map<int, Connection> connections_;
  std::uint64_t next_serial_ = 1;
  Clock::time_point rest_until_ = Clock::time_point::min();
  bool sweeping_ = false;
  Tally tally_;
};

}  // namespace portsentry::monitor
